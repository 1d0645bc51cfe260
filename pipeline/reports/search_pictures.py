"""Pictures of a search: its history, each setting, all of them together, what mattered."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

from pipeline.config.changes import NAME
from pipeline.experiments.search.sampling import importance
from pipeline.experiments.search.settings import Range
from pipeline.experiments.search.study import Finished, Search
from pipeline.reports import search_text
from pipeline.reports.formatting import escape_mathtext
from pipeline.reports.pictures import panel, style
from pipeline.repository.changed_params import setting

POINT, BEST, FIRST = "#0072B2", "#D55E00", "#000000"  # of a trial, of the winner, of trial 0
STOPPED = "#888888"  # of a pruned trial
PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # below a text
ACROSS = 3  # settings beside one another
COLD = colormaps["viridis"]


def draw(search: Search) -> dict[str, Figure]:
    """The pictures by name; what mattered only where it can be told."""
    drawn = {"history": history(search), "slices": slices(search), "parallel": parallel(search)}
    shares = importance(search.frozen()) if len(search.ranked) > 1 else {}
    return drawn | ({"importance": bars(shares)} if shares else {})


def history(search: Search) -> Figure:
    """Each trial's error by its number, its seeds' spread, and the best until then."""
    figure, axes = panel()
    ordered = sorted(search.ranked, key=lambda one: one.number)
    numbers = [one.number for one in ordered]
    errors = [one.error(search.metric) for one in ordered]
    spreads = [one.spread(search.metric) for one in ordered]
    axes.errorbar(numbers, errors, spreads, fmt="o", color=POINT, markersize=5, label="a trial")
    best = [min(errors[: i + 1]) for i in range(len(errors))]
    axes.step(numbers, best, where="post", color=BEST, label="the best until then")
    if ordered[0].number == 0:
        axes.axhline(errors[0], color=FIRST, ls=":", lw=1.2, label="params.yaml as it is")
    axes.set(xlabel="trial", ylabel=_scale(search))
    axes.set_title("Trials in the order of their numbers", pad=14)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _room_for_the_best(axes, errors)
    if stopped := [one.number for one in search_text.pruned(search)]:
        _at_the_top(axes, stopped, label="pruned, without a score")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return figure


def slices(search: Search) -> Figure:
    """The error over each setting, a panel each."""
    shown = _ranges(search)
    rows = -(-len(shown) // ACROSS)
    figure = Figure(figsize=(10, 2.9 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, min(ACROSS, len(shown)), squeeze=False, sharey=True)
    places = [axes for row in panels for axes in row]
    for axes, (key, own) in zip(places, shown.items(), strict=False):
        style(axes)
        found = [one for one in search.ranked if _value(search, one, key) is not None]
        x = [_place(own, _value(search, one, key)) for one in found]
        y = [one.error(search.metric) for one in found]
        axes.plot(x, y, "o", color=POINT, markersize=5, alpha=0.7)
        for one, a, b in zip(found, x, y, strict=True):
            if one in (search.best, search.finished[0]):
                colour = BEST if one is search.best else FIRST
                axes.plot(a, b, "o", color=colour, markersize=8, fillstyle="none", mew=2)
        stopped = [_value(search, one, key) for one in search_text.pruned(search)]
        _at_the_top(axes, [_place(own, value) for value in stopped if value is not None])
        _ticks(axes, own)
        axes.set_xlabel(escape_mathtext(key))
        _room_for_the_best(axes, [one.error(search.metric) for one in search.ranked])
    for axes in places[len(shown) :]:
        axes.set_visible(False)
    figure.supylabel(_scale(search), fontsize="medium")
    crosses = "; crosses are pruned trials" if search_text.pruned(search) else ""
    figure.suptitle(f"Error by setting: the best in red, params.yaml as it is in black{crosses}")
    return figure


def parallel(search: Search) -> Figure:
    """A line for each trial over all settings, the darker the better its place; the best in red."""
    shown = _ranges(search)
    figure = Figure(figsize=(max(8.0, 1.7 * (len(shown) + 1)), 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.2, len(shown) - 0.4), ylim=(-0.12, 1.06), yticks=[])
    axes.spines[:].set_visible(False)
    names = ["model" if key == NAME else key.rpartition(".")[2] for key in shown]
    axes.set_xticks(range(len(shown)), [escape_mathtext(name) for name in names])
    for i, own in enumerate(shown.values()):
        axes.axvline(i, color="#BBBBBB", lw=1)
        marks = own.choice if own.choice is not None else own.bounds
        for value in marks:
            at = _share(own, value)
            text = escape_mathtext(setting(value))
            axes.text(i + 0.03, at, text, va="center", fontsize=8, zorder=4, bbox=PAPER)
    ranked, stopped = search.ranked, search_text.pruned(search)
    if any(_value(search, one, key) is None for one in (*ranked, *stopped) for key in shown):
        axes.text(
            0.03,
            -0.11,
            "not drawn for this model, or outside of the range",
            fontsize=8,
            color="#777777",
        )
    for one in stopped:
        axes.plot(*_line(search, one), color=STOPPED, lw=0.9, ls=":")
    for place, one in reversed([*enumerate(ranked)]):
        colour = BEST if place == 0 else COLD(0.95 * place / max(len(ranked) - 1, 1))
        width = 2.6 if place == 0 else 1.1
        axes.plot(*_line(search, one), color=colour, lw=width, alpha=0.85)
    dotted = "; dotted: pruned" if stopped else ""
    axes.set_title(f"Trials over all settings: the best in red, the darker the better{dotted}")
    return figure


def bars(shares: dict[str, float]) -> Figure:
    """How much of the differences in error each setting explains."""
    figure, axes = panel()
    ordered = sorted(shares, key=lambda key: shares[key])
    drawn = axes.barh([escape_mathtext(key) for key in ordered], [shares[k] for k in ordered])
    axes.bar_label(drawn, [f"{shares[key]:.0%}" for key in ordered], padding=3)
    axes.set(xlabel="share of the variance", title="What mattered (fANOVA)")
    axes.margins(x=0.12)
    return figure


def _ranges(search: Search) -> dict[str, Range]:
    """The model's name first, then the settings in the order of their names."""
    own = search.settings.ranges
    return {key: own[key] for key in sorted(own, key=lambda key: (key != NAME, key))}


def _value(search: Search, one: Finished, key: str) -> Any:
    """A trial's value of a setting; None where its model has no use for it."""
    value = search.tried(one).get(key)
    own = search.settings.ranges[key]
    if own.choice is not None:
        return value if value in own.choice else None
    return value if value is None or own.bounds[0] <= value <= own.bounds[1] else None


def _line(search: Search, one: Finished) -> tuple[range, list[float]]:
    """A trial over all settings; below the others where its model has no use for one."""
    ranges = _ranges(search)
    held = [_value(search, one, key) for key in ranges]
    y = [
        -0.08 if value is None else _share(own, value)
        for own, value in zip(ranges.values(), held, strict=True)
    ]
    return range(len(y)), y


def _at_the_top(axes: Axes, x: Sequence[Any], **how: Any) -> None:
    """Crosses above the panel: trials without an error of their own."""
    if not x:
        return
    above, y = axes.get_xaxis_transform(), [1.02] * len(x)
    axes.plot(x, y, "x", color=STOPPED, transform=above, clip_on=False, **how)


def _place(own: Range, value: Any) -> Any:
    return value if own.choice is None else own.choice.index(value)


def _share(own: Range, value: Any) -> float:
    """Where a value lies between the ends of its range, from 0 to 1."""
    if own.choice is not None:
        return own.choice.index(value) / max(len(own.choice) - 1, 1)
    low, high, at = ((math.log(x) if own.log else x) for x in (*own.bounds, value))
    return (at - low) / (high - low)


def _ticks(axes: Axes, own: Range) -> None:
    if own.choice is not None:
        axes.set_xticks(range(len(own.choice)), [escape_mathtext(setting(v)) for v in own.choice])
        axes.set_xlim(-0.5, len(own.choice) - 0.5)
        if len(own.choice) > 4:
            axes.tick_params("x", labelrotation=30)
    elif own.log:
        low, high = own.bounds
        axes.set_xscale("log")
        axes.set_xlim(low / 1.1, high * 1.1)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif len(own.grid) in range(2, 8):
        axes.xaxis.set_major_locator(FixedLocator(own.grid))


def _room_for_the_best(axes: Axes, errors: Sequence[float]) -> None:
    """Let no failed fit press all the others into one line: the worst tenth may lie outside."""
    ordered = sorted(errors)
    high = ordered[int(0.9 * (len(ordered) - 1))]
    low = ordered[0]
    if len(ordered) > 9 and ordered[-1] - low > 3 * (high - low) > 0:
        axes.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low))


def _scale(search: Search) -> str:
    metric, card = search.metric, search.base.card
    unit = card.columns[search.base.targets[0]].unit if metric.unit == "the target's own" else ""
    return escape_mathtext(f"validation {metric.title}" + (f" ({unit})" if unit else ""))

"""Pictures of an experiment, as matplotlib figures; nothing here touches pyplot's global state."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.config.cards import Card
from pipeline.config.steps import Fixed, Rows
from pipeline.evaluation.forecasts import MODEL, Forecasts, Windows
from pipeline.evaluation.metrics import OWN, deciding, error
from pipeline.reports.formatting import escape_mathtext, number
from pipeline.reports.time_axes import along, dates

# Okabe and Ito's colours, which colour-blind readers can distinguish too.
COLOURS = {
    MODEL: "#0072B2",
    "persistence": "#999999",
    "seasonal_naive": "#E69F00",
    "drift": "#CC79A7",
    "ridge": "#009E73",
    "linear": "#D55E00",
    "boosting": "#000000",
}
OTHER = "#56B4E9"
LATE = "#D55E00"
STROKES = ("-", "--", ":", "-.", (0, (6, 3)), (0, (3, 1, 1, 1, 1, 1)))
LEGEND, HANDLE, LINE = 112, 8, 0.2  # letters in a row, and of a line's sample; inches of a row
EACH = 3  # windows with the smallest error, and with the largest
SHADES = (0.32, 0.18, 0.11)  # of bands, the narrowest first
DRAWN = 2**22  # values in one picture
DOTS = 100  # points of a line that can be distinguished
PAST, LEAST_PAST = 4, 24  # of a look-back, horizons and rows that are shown before a forecast


def loss(history: pd.DataFrame) -> Figure:
    """Training and validation loss by epoch, the kept one marked; of an ensemble each member's."""
    figure, axes = panel()
    members = [own for _, own in history.groupby("member")] if "member" in history else [history]
    mark = "." if len(history) == 1 else None
    one = len(members) == 1
    for own in members:
        epochs, train, validation = own["epoch"] + 1, own["train/loss"], own["validation/loss"]
        best = int(own["kept"].to_numpy().argmax())
        kept = f"kept: epoch {best + 1}" if one else "kept, of each member"
        # A label that begins with _ stands in no legend.
        first, second, third = (
            name if own is members[0] else "_" for name in ("training", "validation", kept)
        )
        grey, width = COLOURS["persistence"], 1.5 if one else 0.8
        axes.plot(epochs, train, color=grey, marker=mark, linewidth=width, label=first)
        axes.plot(epochs, validation, color=COLOURS[MODEL], linewidth=width, label=second)
        place = epochs.iloc[best], validation.iloc[best]
        axes.plot(*place, "o", color=COLOURS[MODEL], label=third)
    axes.set(xlabel="epoch", ylabel="loss (scaled units)", title="Loss by epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(frameon=False)
    return figure


def forecast(
    forecasts: Forecasts, times: pd.DatetimeIndex, names: Sequence[str], card: Card, stretch: int
) -> Figure:
    """Observed and forecast over the first `stretch` target rows that the span has in full."""
    horizon = forecasts.observed.shape[1]
    steps, x = sorted({1, horizon}), along(times, card)
    figure = Figure(figsize=(9, 0.8 + 2.9 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for k, (axes, name) in enumerate(zip(panels, names, strict=True)):
        style(axes)
        axes.set_ylabel(with_unit(name, card))
        if forecasts.apart:
            rows, seen, made = forecasts.whole(stretch, k)
            axes.plot(x[rows], seen, ".-", color="black", lw=1.4, ms=2.5, label="observed")
            label = f"forecast up to {ahead(horizon, card)}"
            axes.plot(x[rows], made.point, color=COLOURS[MODEL], lw=1.1, label=label)
            dates(axes, card, times)
            continue
        rows = forecasts.origins[:stretch] + horizon
        seen = forecasts.observed[:stretch, -1, k]
        # The dots show values between two missing ones.
        axes.plot(x[rows], seen, ".-", color="black", linewidth=1.4, ms=2.5, label="observed")
        for step, colour in zip(steps, (COLOURS[MODEL], LATE), strict=False):
            begin = horizon - step
            rows = forecasts.origins[begin : begin + stretch] + step
            label = f"forecast {ahead(step, card)}"
            values = forecasts.model[begin : begin + stretch, step - 1, k]
            axes.plot(x[rows], values, color=colour, linewidth=1.1, label=label)
        dates(axes, card, times)
    panels[0].set_title("Forecast and observed, start of the test span")
    legend_below(figure, panels[0])
    return figure


def error_by_horizon(metrics: dict[str, Any], names: Sequence[str], card: Card) -> Figure:
    """RMSE at each step ahead, of the model and the baselines."""
    figure, axes = panel()
    lines = {MODEL: metrics["test_by_horizon"], **metrics["baselines_by_horizon"]}
    unit = _of_errors(metrics, names, card)
    errors = {name: [error(s) for s in steps.values()] for name, steps in lines.items()}
    if len(metrics["test_by_horizon"]) == 1:
        bars(axes, {_label(name): (errors[name][0], colour(name)) for name in errors}, unit)
        return figure
    _lines(axes, [int(step[1:]) for step in metrics["test_by_horizon"]], errors)
    legend_below(figure, axes)
    axes.set(
        xlabel=f"steps ahead ({card.step.name} each)", ylabel=unit, title="Test error by horizon"
    )
    return figure


def bars(axes: Axes, errors: dict[str, tuple[float, str]], unit: str) -> None:
    """Test errors of a single step, each with its colour, the smallest on top."""
    ordered = sorted(errors, key=lambda name: -errors[name][0])
    values, colours = zip(*(errors[name] for name in ordered), strict=True)
    drawn = axes.barh(ordered, values, color=colours)
    axes.bar_label(drawn, [number(value) for value in values], padding=3)
    axes.set(xlabel=unit, title="Test error, one step ahead")
    axes.margins(x=0.12)


def error_by_hour(
    errors: dict[str, list[float]], metrics: dict[str, Any], names: Sequence[str], card: Card
) -> Figure:
    """RMSE at each hour of the day, as `evaluation.by_hour` gives it."""
    figure, axes = panel()
    _lines(axes, range(24), errors)
    legend_below(figure, axes)
    unit = _of_errors(metrics, names, card)
    axes.set(xlabel="hour of the forecast time", ylabel=unit, title="Test error by hour of day")
    axes.set_xticks(range(0, 24, 3))
    return figure


def windows(forecasts: Forecasts, series: pd.Series, look_back: int, card: Card) -> Figure:
    """The windows with the smallest and the largest error of the first target.

    Of a long look-back, only the end is drawn, or the forecast would be too small to see. Only
    complete windows; if a long horizon leaves none, those with up to twice the smallest gaps.
    """
    seen, model = forecasts.observed[..., 0], forecasts.model[..., 0]
    horizon = seen.shape[1]
    gaps = np.isnan(seen).sum(axis=1)
    shown = (gaps <= 2 * gaps.min()) & (gaps < horizon)
    error = np.full(len(seen), np.nan)
    error[shown] = np.sqrt(np.nanmean((model[shown] - seen[shown]) ** 2, axis=1))
    order = np.argsort(error)[: int((~np.isnan(error)).sum())]
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    panels = figure.subplots(2, EACH)
    past = min(look_back, max(LEAST_PAST, PAST * horizon))
    mark = ".-" if past + horizon <= DOTS else "-"
    times = pd.DatetimeIndex(series.index)
    x = along(times, card)
    for kind, ranked, line in (("best", order, panels[0]), ("worst", order[::-1], panels[1])):
        chosen = _apart(ranked, horizon, EACH)
        for blank in line[len(chosen) :]:
            blank.axis("off")
        for rank, i in enumerate(chosen):
            axes: Axes = line[rank]
            style(axes)
            origin = int(forecasts.origins[i])
            window = slice(max(origin - past + 1, 0), origin + horizon + 1)
            after = slice(origin + 1, origin + horizon + 1)
            made = forecasts.of(slice(i, i + 1)).made(MODEL)
            shade(axes, x[after], made.part(np.s_[0, ..., 0]).bands)
            axes.plot(x[window], series.iloc[window], mark, color="black", label="observed")
            axes.plot(x[after], model[i], mark, color=COLOURS[MODEL], label="forecast")
            axes.axvline(x[origin], color="#999999", linewidth=0.8, label="origin")  # type: ignore[arg-type]
            dates(axes, card, times, minticks=2, maxticks=5)
            axes.set_title(f"{kind} {rank + 1}: RMSE {number(error[i])}", fontsize="medium")
        line[0].set_ylabel(with_unit(str(series.name), card))
    legend_below(figure, panels[0, 0])
    return figure


def missing(series: pd.DataFrame, starts: Sequence[int], card: Card, bins: int = 240) -> Figure:
    """The share of each column's values that is missing in each of `bins` stretches of time.

    `series` is the regular series, `starts` are the rows that a new span starts in.
    """
    edges = np.unique(np.linspace(0, len(series), min(bins, len(series)) + 1).astype(int))
    gone = series.isna().to_numpy()
    counts = [np.count_nonzero(gone[first:end], axis=0) for first, end in pairwise(edges)]
    share = np.array(counts) / np.diff(edges)[:, None]
    figure = Figure(figsize=(9, 1.4 + 0.3 * series.shape[1]), layout="constrained")
    axes = figure.subplots()
    times = pd.DatetimeIndex(series.index)
    end = times[-1:] + pd.Timedelta("1s")  # after the last row, which no other follows
    if card.step.tells:
        end = card.step.shift(times[-1:], 1)
    y = np.arange(series.shape[1] + 1)

    def place(rows: Rows) -> Any:
        """Of rising rows, the last of which may be that after the last."""
        inside = times[rows[rows < len(times)]]
        return inside.append(end[: len(rows) - len(inside)]) if card.step.tells else rows

    picture = axes.pcolormesh(place(edges), y, share.T, cmap="OrRd", vmin=0, vmax=1)
    lines = place(np.array(starts))
    axes.vlines(lines, 0, series.shape[1], color="black", linestyle="--", linewidth=1)
    total = zip(series, np.count_nonzero(gone, axis=0).tolist(), strict=True)
    labels = [escape_mathtext(f"{name} ({n:,})" if n else str(name)) for name, n in total]
    axes.set_yticks(np.arange(series.shape[1]) + 0.5, labels)
    axes.invert_yaxis()
    dates(axes, card, times)
    axes.set_title("Missing values")
    figure.colorbar(picture, ax=axes, label="share missing")
    return figure


def residuals(forecasts: Windows, names: Sequence[str], card: Card) -> Figure:
    """How far forecasts are off: the spread of the errors, and forecast against observed.

    Of more windows than can be drawn every second, third or later one.
    """
    count, *each = forecasts.observed.shape
    stride = -(-count * int(np.prod(each)) // DRAWN)
    drawn = forecasts.of(slice(None, None, stride))
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    seen, model = drawn.observed[..., 0], drawn.model[..., 0]
    horizon = seen.shape[1]
    error = model - seen
    edge = float(np.nanpercentile(np.abs(error), 99.5)) or 1.0
    bins = np.linspace(-edge, edge, 61).tolist()
    for step, colour in zip(sorted({1, horizon}), (COLOURS[MODEL], LATE), strict=False):
        values, label = error[:, step - 1], ahead(step, card)
        known = ~np.isnan(values)
        left.hist(values[known], bins, histtype="step", linewidth=1.5, color=colour, label=label)
    style(left)
    left.set(xlabel=with_unit("forecast - observed", card, names[0]), ylabel="forecasts")
    left.set_title(escape_mathtext(f"Residuals, {names[0]}"))
    left.legend(frameon=False, loc="upper left")
    known = ~np.isnan(seen)
    shown = np.concatenate([seen[known], model[known]])
    low, high = float(shown.min()), float(np.percentile(shown, 99.9))
    if low == high:
        low, high = low - 0.5, high + 0.5
    picture = right.hexbin(
        seen[known], model[known], extent=(low, high, low, high),
        gridsize=50, bins="log", cmap="Blues", mincnt=1, linewidths=0.1,
    )  # fmt: skip
    right.plot([low, high], [low, high], color="black", linewidth=0.8)
    style(right)
    left_out = f", one window in {stride:,}" if stride > 1 else ""
    right.set(title=f"All steps, test span{left_out}", xlim=(low, high), ylim=(low, high))
    right.set_xlabel(with_unit("observed", card, names[0]))
    right.set_ylabel(with_unit("forecast", card, names[0]))
    for axes in (left, right):  # 0.00004 and 0.00006 would run into each other, so would 60000s
        axes.ticklabel_format(axis="x", scilimits=(-3, 4))
    figure.colorbar(picture, ax=right, label="forecasts (log scale)")
    return figure


def colour(name: str) -> str:
    """The colour of the model or a baseline; seasons of a seasonal naive share theirs."""
    family = (known for known in COLOURS if name.startswith(known))
    return COLOURS.get(next(family, ""), OTHER)


def panel() -> tuple[Figure, Axes]:
    """A figure with one pair of axes in the house style."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    style(axes)
    return figure, axes


def _lines(axes: Axes, x: Sequence[int], errors: dict[str, list[float]]) -> None:
    """A line for the model and each baseline; baselines of one colour differ in their strokes."""
    drawn: list[str] = []
    for name, values in errors.items():
        width = 2.4 if name == MODEL else 1.4
        stroke = STROKES[drawn.count(colour(name)) % len(STROKES)]
        axes.plot(x, values, ls=stroke, color=colour(name), lw=width, label=_label(name))
        drawn.append(colour(name))
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def legend_below(figure: Figure, axes: Axes) -> None:
    """What the lines of these axes are, below the picture, where no line runs."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    columns = min(len(labels), max(1, LEGEND // (HANDLE + max(map(len, labels)))))
    lines = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + max(lines - 2, 0) * LINE)
    evenly = -(-len(labels) // lines)
    figure.legend(handles, labels, frameon=False, ncols=evenly, loc="outside lower center")


def style(axes: Axes) -> None:
    """A light grid and no frame."""
    axes.grid(color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _apart(ranked: Sequence[int] | Rows, distance: int, count: int) -> list[int]:
    """The first `count` of the ranked that are at least `distance` from one another."""
    chosen: list[int] = []
    for i in ranked:
        if len(chosen) < count and all(abs(i - other) >= distance for other in chosen):
            chosen.append(int(i))
    return chosen


def _label(name: str) -> str:
    return name.replace("_", " ")


def shade(axes: Axes, x: Any, bands: Mapping[float, tuple[Any, Any]]) -> None:
    """The band of each level, a wider one behind a narrower one."""
    for i, (level, (low, high)) in reversed(list(enumerate(sorted(bands.items())))):
        look: Any = {"alpha": SHADES[min(i, len(SHADES) - 1)], "color": COLOURS[MODEL], "lw": 0}
        axes.fill_between(x, low, high, label=f"{level:g}%", **look)


def ahead(step: int, card: Card) -> str:
    """How far ahead a step is, in the largest unit that fits."""
    if not isinstance(card.step, Fixed):
        return f"{card.step.many(step)} ahead"
    ahead = step * card.step.length
    units = {"h": "1h", "min": "1min", "s": "1s"}
    if card.step.daily:
        units = {"days": "1D"} | units
    for name, unit in units.items():
        if ahead % pd.Timedelta(unit) == pd.Timedelta(0):
            count = ahead // pd.Timedelta(unit)
            return f"{count} {'day' if name == 'days' and count == 1 else name} ahead"
    return f"{step} x {card.frequency} ahead"


def _of_errors(metrics: dict[str, Any], names: Sequence[str], card: Card) -> str:
    by = deciding(metrics["test"])
    return with_unit(by.title, card, names[0]) if by.unit == OWN else f"{by.title} ({by.unit})"


def with_unit(text: str, card: Card, column: str | None = None) -> str:
    """A label with the unit of a column, by default the one that it names."""
    unit = card.columns[column or text].unit
    told = not unit or f"[{unit}]" in text or f"({unit})" in text
    return escape_mathtext(text if told else f"{text} ({unit})")

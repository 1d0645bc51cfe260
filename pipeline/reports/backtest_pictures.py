"""Pictures of a backtest: scores over time, what intervals hold over time, error by step."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.evaluation import metrics
from pipeline.evaluation.forecasts import MODEL
from pipeline.experiments.backtest.study import LOCAL, Backtest
from pipeline.reports.backtest_text import label, scale
from pipeline.reports.formatting import escape_mathtext
from pipeline.reports.pictures import COLOURS, LATE, STROKES, colour, legend_below, panel
from pipeline.reports.pictures import style as plain
from pipeline.reports.time_axes import dates

OWN, FIT = "#6A3D9A", "#BBBBBB"  # of models of one series each; of where a fit begins


def draw(tested: Backtest, found: dict[str, Any]) -> dict[str, Figure]:
    """The pictures by name; by step only where there are several."""
    drawn = {"scores": scores(tested, found), "coverage": coverage(tested, found)}
    several = tested.base.params.window.horizon > 1
    return drawn | ({"steps": steps(tested, found)} if several else {})


def scores(tested: Backtest, found: dict[str, Any]) -> Figure:
    """The error of the model and of all beside it, fold by fold."""
    figure, axes = panel()
    x = _axis(axes, tested, found)
    names = list(found["mean"]["scores"])
    drawn: list[str] = []
    for name in names:
        errors = [tested.metric.value(fold["scores"][name]) for fold in found["folds"]]
        stroke = STROKES[drawn.count(_colour(name)) % len(STROKES)]
        drawn.append(_colour(name))
        width, size = (2.4, 6) if name == MODEL else (1.3, 3)
        axes.plot(
            x, errors, marker="o", ls=stroke, lw=width, ms=size, color=_colour(name),
            label=label(name), zorder=3 if name == MODEL else 2,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set(ylabel=escape_mathtext(scale(tested)), title="Error by fold")
    legend_below(figure, axes)
    return figure


def coverage(tested: Backtest, found: dict[str, Any]) -> Figure:
    """The share of each fold's targets that intervals hold, fixed and following the errors."""
    levels = metrics.row("coverage").rows(found["mean"]["rolling"])
    figure = Figure(figsize=(8, 0.9 + 2.3 * len(levels)), layout="constrained")
    panels = figure.subplots(len(levels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, level in zip(panels, reversed(levels), strict=True):
        plain(axes)
        x = _axis(axes, tested, found)
        fixed = [fold["scores"][MODEL][level.name] for fold in found["folds"]]
        rolling = [fold["rolling"][level.name] for fold in found["folds"]]
        axes.axhline(level.best, color="black", lw=1, ls="--", label="promised")
        axes.plot(x, fixed, "o-", color=COLOURS[MODEL], lw=1.6, label="as calibrated by each fit")
        axes.plot(x, rolling, "o-", color=LATE, lw=1.6, label="following the errors")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylabel(f"held by {level.percent:g}%")
        away = max(abs(value - level.best) for value in (*fixed, *rolling))
        reach = 1.2 * max(away, 0.03)
        axes.set_ylim(level.best - reach, min(level.best + reach, 1.01))
    panels[0].set_title("What intervals hold by fold")
    for axes in panels[:-1]:
        axes.set_xlabel("")
    legend_below(figure, panels[0])
    return figure


def steps(tested: Backtest, found: dict[str, Any]) -> Figure:
    """The mean error at each step ahead, and its standard deviation over the folds as a band."""
    figure, axes = panel()
    mean = found["mean"]["by_horizon"]
    drawn: list[str] = []
    for name in mean:
        folds = [
            [tested.metric.value(step) for step in fold["by_horizon"][name].values()]
            for fold in found["folds"]
            if len(fold["by_horizon"][name]) == len(mean[name])
        ]
        x = [int(step[1:]) for step in mean[name]]
        values, spread = np.mean(folds, axis=0), np.std(folds, axis=0, ddof=len(folds) > 1)
        stroke = STROKES[drawn.count(_colour(name)) % len(STROKES)]
        drawn.append(_colour(name))
        axes.plot(
            x, values, ls=stroke, color=_colour(name),
            lw=2.4 if name == MODEL else 1.3, label=label(name), zorder=3 if name == MODEL else 2,
        )  # fmt: skip
        if name == MODEL:
            axes.fill_between(x, values - spread, values + spread, color=_colour(name), alpha=0.15)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(
        xlabel=f"steps ahead ({tested.base.card.step.name} each)",
        ylabel=escape_mathtext(scale(tested)),
        title="Mean error over folds by step, the model's spread as a band",
    )
    legend_below(figure, axes)
    return figure


def _axis(axes: Axes, tested: Backtest, found: dict[str, Any]) -> Any:
    """Where folds lie: the middle of their time, or their number; where fits begin is marked."""
    folds = found["folds"]
    many = 1 < len({fold["fit"] for fold in folds}) < len(folds)
    begins = [i for i in range(1, len(folds)) if folds[i]["fit"] != folds[i - 1]["fit"]]
    if not folds[0]["from"] or not tested.base.card.step.tells:
        axes.set_xlabel("fold")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for i in begins if many else ():
            axes.axvline(i + 0.5, color=FIT, lw=1, ls=":", label=_fitted(i, begins))
        return [fold["fold"] for fold in folds]
    first, last = (pd.DatetimeIndex([fold[key] for fold in folds]) for key in ("from", "to"))
    for i in begins if many else ():
        axes.axvline(first[i], color=FIT, lw=1, ls=":", label=_fitted(i, begins))  # type: ignore[arg-type]
    dates(axes, tested.base.card, first)
    axes.set_xlabel("middle of the fold")
    return first + (last - first) / 2


def _fitted(fold: int, begins: Sequence[int]) -> str:
    return "fitted again" if fold == begins[0] else "_"  # which stands in no legend


def _colour(name: str) -> str:
    return OWN if name == LOCAL else colour(name)

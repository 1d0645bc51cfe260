"""Pictures of intervals: forecasts with their bands, and whether these hold what they promise."""

from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.config.cards import Card
from pipeline.evaluation.forecasts import MODEL, Forecasts
from pipeline.evaluation.metrics import OWN, row
from pipeline.reports.pictures import (
    COLOURS,
    LATE,
    ahead,
    legend_below,
    shade,
    style,
    with_unit,
)
from pipeline.reports.time_axes import along, dates


def fan(
    forecasts: Forecasts, times: pd.DatetimeIndex, name: str, card: Card, stretch: int
) -> Figure:
    """The first target's forecasts of the last step with their intervals, over the first rows."""
    figure = Figure(figsize=(9, 3.7), layout="constrained")
    axes = figure.subplots()
    draw_fan(axes, forecasts, times, name, card, stretch)
    steps = steps_shown(forecasts, card)
    axes.set_title(f"Forecast {steps} with its intervals, start of the test span")
    legend_below(figure, axes)
    return figure


def steps_shown(forecasts: Forecasts, card: Card) -> str:
    """Which steps a fan shows: the last, or, where windows lie one after the other, all."""
    last = ahead(forecasts.observed.shape[1], card)
    return f"up to {last}" if forecasts.apart else last


def draw_fan(
    axes: Axes,
    forecasts: Forecasts,
    times: pd.DatetimeIndex,
    name: str,
    card: Card,
    stretch: int,
) -> None:
    """What `fan` shows, on these axes."""
    style(axes)
    if forecasts.apart:
        places, seen, shown = forecasts.whole(stretch)
    else:
        horizon = forecasts.observed.shape[1]
        at = (slice(0, stretch), horizon - 1, 0)
        places, seen = forecasts.origins[:stretch] + horizon, forecasts.observed[at]
        shown = forecasts.of(slice(0, stretch)).made(MODEL).part(at)
    rows = along(times, card)[places]
    shade(axes, rows, shown.bands)
    axes.plot(rows, shown.point, color=COLOURS[MODEL], linewidth=1.2, label="forecast")
    axes.plot(rows, seen, ".-", color="black", lw=1, ms=2.5, label="observed")
    axes.set_ylabel(with_unit(name, card))
    dates(axes, card, times)


def coverage(metrics: dict[str, Any], card: Card, name: str) -> Figure:
    """Whether intervals and quantiles hold their share of test values, and how wide they are."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    by_step, followed = metrics["test_by_horizon"], metrics["rolling"]["test_by_horizon"]
    steps = [int(step[1:]) for step in by_step]
    mark = "o" if len(steps) == 1 else ""
    held, wide, below = (row(key) for key in ("coverage", "width", "below"))
    widths = wide.rows(metrics["test"])
    # Levels beyond the colours begin again with the first, so that none is left out.
    for level, width, colour in zip(
        held.rows(metrics["test"]), widths, cycle(_COLOURS), strict=False
    ):
        percent = f"{level.percent:g}"
        found = [scores[level.name] for scores in by_step.values()]
        error = [scores[f"coverage_error_{percent}"] for scores in by_step.values()]
        left.plot(steps, found, marker=mark, color=colour, label=f"{percent}%")
        low, high = (
            [min(max(f + 2 * way * e, 0), 1) for f, e in zip(found, error, strict=True)]
            for way in (-1, 1)
        )
        left.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
        moved = [scores[level.name] for scores in followed.values()]
        left.plot(steps, moved, marker=mark, ls=":", color=colour, label=f"{percent}%, rolling")
        left.axhline(level.best, color=colour, linewidth=0.8, linestyle=(0, (6, 4)))
        middle.plot(steps, [s[width.name] for s in by_step.values()], marker=mark, color=colour)
        moved = [scores[width.name] for scores in followed.values()]
        middle.plot(steps, moved, marker=mark, ls=":", color=colour)
    for axes in (left, middle):
        axes.set_xlabel(f"steps ahead ({card.step.name} each)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    own = wide.unit == OWN and "rmse" in metrics["test"]
    left.set(title="Share of values inside", ylabel="coverage")
    unit = with_unit("mean width", card, name) if own else "mean width (standardised)"
    middle.set(title="Width of the intervals", ylabel=unit)
    middle.set_ylim(bottom=0)
    curve = [(at.best, metrics["test"][at.name]) for at in below.rows(metrics["test"])]
    right.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    right.plot(*zip(*curve, strict=True), "o-", color=COLOURS[MODEL], markersize=4)
    right.set(title="Share of values below each quantile", xlabel="quantile", ylabel="values below")
    for axes in (left, middle, right):
        style(axes)
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend_below(figure, left)
    return figure


_COLOURS = (COLOURS[MODEL], LATE, COLOURS["ridge"], COLOURS["seasonal_naive"], COLOURS["drift"])

"""Pictures of many series: where the model is better than their baselines, and the worst ones."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pipeline.config.cards import Card
from pipeline.evaluation.by_series import least_skill
from pipeline.evaluation.forecasts import MODEL, Forecasts
from pipeline.reports.formatting import escape_mathtext
from pipeline.reports.interval_pictures import draw_fan, steps_shown
from pipeline.reports.pictures import COLOURS, LATE, legend_below, style

WORST = 3
NAMED = 40  # series at most whose names are written below their points


def skill(scores: pd.DataFrame, card: Card) -> Figure:
    """Each series' skill against the best of its own baselines, the largest first.

    `scores` are those of `by_series.scores`.
    """
    least = least_skill(scores).to_numpy()
    order = np.argsort(-least, kind="stable")
    values, x = least[order], np.arange(1, len(least) + 1)
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots()
    style(axes)
    colours = np.where(values > 0, COLOURS[MODEL], LATE).tolist()
    axes.vlines(x, 0, values, color=colours, linewidth=max(0.8, min(6, 300 / len(x))))
    axes.axhline(0, color="black", linewidth=0.8)
    better = float((values > 0).mean())
    axes.set_title(f"Better than the best of its own baselines: {better:.0%} of {len(x):,} series")
    axes.set_ylabel("skill")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if len(x) <= NAMED:
        names = [escape_mathtext(str(scores.iloc[i, 0])) for i in order]
        upright = max(map(len, names)) * len(names) < 90
        axes.set_xticks(x, names, rotation=0 if upright else 90)
    none = "; no bar where a baseline has no error" if np.isnan(least).any() else ""
    axes.set_xlabel(f"{card.series}, the largest skill first{none}")
    return figure


def worst(
    found: Mapping[str, tuple[Forecasts, pd.DataFrame]], target: str, card: Card, stretch: int
) -> Figure:
    """The worst series' forecasts of the last step with their intervals, the worst on top."""
    figure = Figure(figsize=(9, 2.4 * len(found) + 0.9), layout="constrained")
    panels = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    for axes, (name, (forecasts, rows)) in zip(panels, found.items(), strict=True):
        draw_fan(axes, forecasts, pd.DatetimeIndex(rows.index), target, card, stretch)
        title = f"{card.series} {name}, {steps_shown(forecasts, card)}"
        axes.set_title(escape_mathtext(title), fontsize="medium")
    legend_below(figure, panels[0])
    return figure

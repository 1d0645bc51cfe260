"""Times along the axis of a picture."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.config.cards import Card
from pipeline.config.steps import Rows

WIDE, NARROW = 7, 3  # spaces between labels of day and time that find room


def along(times: pd.DatetimeIndex, card: Card) -> pd.DatetimeIndex | Rows:
    """Where rows lie along the axis: at their times, or where each is one step, side by side."""
    return times if card.step.tells else np.arange(len(times))


def dates(axes: Axes, card: Card, times: pd.DatetimeIndex, **ticks: int) -> None:
    """Times along the axis, with what they share written once, and no hours for daily data."""
    if not card.step.tells:
        form = "%m-%d\n%H:%M" if ticks else "%Y-%m-%d\n%H:%M"  # in a narrow picture no year
        stamps = times.strftime(form)
        axes.xaxis.set_major_locator(MaxNLocator(NARROW if ticks else WIDE, integer=True))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda row, _: stamps[round(row)] if 0 <= row < len(stamps) else "")
        )
        return
    if card.step.daily:
        # From the first of a month or year on, where its name stands; in a narrow picture the last
        # days of a month would run into it.
        ticks |= {"minticks": 2, "interval_multiples": not ticks}
    locator = AutoDateLocator(**ticks)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))

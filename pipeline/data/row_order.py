"""Rows become one for each time, in order, as far as the card allows it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.config import frequencies
from pipeline.config.calendar_steps import Calendar
from pipeline.config.cards import Card


class Given(NamedTuple):
    """The raw rows that a series was made of, and what was done to them."""

    rows: int  # that are left, one for each time
    rounded: int = 0  # stamps that were not round
    moved: int = 0  # rows that were earlier than the row before
    merged: int = 0  # rows that repeated a time, and were left out or averaged
    skipped: int = 0  # rows without a value at times that clocks skip, left out


def settle(
    frame: pd.DataFrame, numbers: pd.Index, card: Card
) -> tuple[pd.DataFrame, pd.Index, Given]:
    """Rows over their times as the card's time says, their numbers in the table, and what was done.

    Of rows with the same time `first` and `last` are those in the table; of a mean, words are the
    first row's that has some.
    """
    moved = merged = 0
    stamps = pd.DatetimeIndex(frame.index)
    times = rounded(stamps, card)
    beside = 0 if times is stamps else int((times != stamps).sum())
    if card.time.sort and (backwards := np.diff(times.asi8) < 0).any():
        order = np.argsort(times.asi8, kind="stable")
        moved = int(backwards.sum())
        frame, numbers, times = frame.iloc[order], numbers[order], times[order]
    frame = frame.set_axis(times)
    if card.time.repeated and times.has_duplicates:
        left = ~times.duplicated(keep="last" if card.time.repeated == "last" else "first")
        merged = int((~left).sum())
        if card.time.repeated == "mean":
            how = {
                name: "mean" if pd.api.types.is_numeric_dtype(column) else "first"
                for name, column in frame.items()
            }
            frame = frame.groupby(level=0, sort=False).agg(how) if how else frame[left]
        else:
            frame = frame[left]
        numbers = numbers[left]
    return frame, numbers, Given(len(frame), beside, moved, merged)


def allowed(card: Card) -> list[str]:
    """What the card allows to be done to rows, by its name in `Given`."""
    time = card.time
    keys = {"rounded": time.round, "moved": time.sort, "merged": time.repeated}
    keys |= {"skipped": time.timezone}
    return [name for name, key in keys.items() if key]


def remarks(done: Mapping[str, Any]) -> Iterator[str]:
    """What was done to rows, one line each, from counts by their names in `Given`."""
    for name, what in (
        ("rounded", "time stamps rounded (time.round)"),
        ("moved", "rows earlier than the row before, now sorted by time (time.sort)"),
        ("merged", "rows that repeat a time, now made one with it (time.repeated)"),
        ("skipped", "rows without a value at times that daylight saving skips, left out"),
    ):
        if count := done.get(name):
            yield f"{what}: {count:,}"


def rounded(times: pd.DatetimeIndex, card: Card) -> pd.DatetimeIndex:
    """Times rounded as the card says, by the clock of its zone."""
    if not card.time.round:
        return times
    unit = frequencies.step(card.time.round, card.time.timezone)
    if isinstance(unit, Calendar):
        return unit.snap(times)
    midnight = times[:1].tz_convert(card.time.timezone) if card.time.timezone else times[:1]
    base = midnight.normalize()[0].tz_localize(None) - midnight.tz_localize(None)[0] + times[0]
    return base + (times - base).round(card.time.round)

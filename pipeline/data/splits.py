"""The split of a series into its spans: train, validation and test, each after the one before."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.cards import COUNTED, Card, End, Split
from pipeline.config.experiment import Experiment
from pipeline.data.panel import Borders
from pipeline.data.windows import Rows, Runs, Span, scored_origins
from pipeline.errors import PipelineError

# The half-open row range of each span in each series, [S, 2] rows of the table, by its role in
# order: train is learned from and starts with the series, validation chooses, calibration, where a
# card names it, makes intervals, test is looked at once; each follows the last.
Spans = dict[str, Rows]
SCORED = ("validation", "test")


def calibrates(spans: Collection[str]) -> str:
    """The span on whose errors intervals are made."""
    return "calibration" if "calibration" in spans else "validation"


def of(experiment: Experiment, borders: Borders, starts: pd.DatetimeIndex) -> Spans:
    """The spans of an experiment's series, each of which begins at one of the times [S]."""
    card = experiment.card
    found = in_series(experiment.split, starts, card.step, borders.lengths, card.time.timezone)
    return {name: rows + borders.firsts[:, None] for name, rows in found.items()}


def origins(train: Runs, spans: Mapping[str, Span], horizon: int) -> dict[str, Runs]:
    """The origins of each span: of the training windows, and every one that is scored."""
    borders = np.atleast_2d(spans["train"])[:, 0]
    return {
        span: train if span == "train" else scored_origins(rows, horizon, borders)
        for span, rows in spans.items()
    }


def at_times(
    origins: Mapping[str, Runs], borders: Borders, starts: pd.DatetimeIndex, card: Card
) -> dict[str, Runs]:
    """Of the scored origins those at the card's times of day, by the clock of its table.

    `starts` [S] are the first times of the series. PipelineError of a span that has none of them.
    """
    kept = {"train": origins["train"]}
    for span in (name for name in origins if name != "train"):
        rows = np.asarray(origins[span])
        number = borders.number(rows)
        times = starts[number] + (rows - borders.firsts[number]) * card.step
        clock = times if times.tz is None else times.tz_convert(card.time.timezone)
        own = rows[np.isin(clock.strftime("%H:%M"), card.origins)]
        if len(rows) and not len(own):
            found = sorted(set(clock.strftime("%H:%M")))
            raise PipelineError(
                f"card's origins: expected times of day at which split.{span} has rows "
                f"({found[0]} to {found[-1]}), found {', '.join(card.origins)}"
            )
        kept[span] = Runs(np.stack([own, own + 1, np.ones_like(own)], axis=1))
    return kept


def unused(used: Rows, lengths: Rows, starts: pd.DatetimeIndex, step: pd.Timedelta) -> str | None:
    """What to say of the rows of series, [S] long, of which so many [S] are in spans."""
    if not (rows := int((lengths - used).sum())):
        return None
    after = (starts + (used - 1) * step).unique()
    when = after[0] if len(after) == 1 else "the time of each series"
    return (
        f"{rows:,} rows after {when}, where split.test ends, are not used; if the table grows, "
        "train: rest and such as test: last 90 days move with it"
    )


def spans(
    split: Split, first: pd.Timestamp, step: pd.Timedelta, rows: int, zone: str | None = None
) -> dict[str, tuple[int, int]]:
    """The spans of one series of so many rows: see `in_series`."""
    found = in_series(split, pd.DatetimeIndex([first]), step, np.array([rows]), zone)
    return {name: (int(one[0, 0]), int(one[0, 1])) for name, one in found.items()}


def in_series(
    split: Split, starts: pd.DatetimeIndex, step: pd.Timedelta, lengths: Rows, zone: str | None
) -> Spans:
    """The split's ends as rows of each series [S, 2], counted from its first.

    A time is the same for all series; some of them may end before it, or begin after. Each has
    `lengths` rows, a `step` apart. An end without a time zone is told in `zone`, or in the series'
    own if that is None. What is counted back ends with the last time of all.

    PipelineError of an end that is no date, or in no series, or not after the one before it in any.
    """
    lasts = starts + (lengths - 1) * step
    longest = int(lasts.argmax())  # of which is spoken where something is wrong
    first, rows = starts[longest], int(lengths[longest])
    start = np.zeros(len(lengths), np.int64)
    found: Spans = {}
    back = _counted_back(split, lasts[longest], step, zone) if split.counted_back else {}
    for name, wanted in split.ends.items():
        end = (
            _rows(back[name], starts, step, lengths)
            if back
            else _ends(name, wanted, starts, step, lengths, zone)
        )
        if (end <= start).all():
            begin = int(start[longest])
            raise PipelineError(
                f"split.{name}: expected an end after row {begin:,} "
                f"({first + min(begin, rows - 1) * step}), found row {end[longest]:,} "
                f"(split.{name}: {wanted})"
            )
        if (end > lengths).all():
            raise PipelineError(
                f"split.{name}: expected at most the series' {lengths.max():,} rows, found "
                f"{end.max():,}"
            )
        end = np.clip(end, start, lengths)
        found[name] = np.stack([start, end], axis=1)
        start = end
    return found


def _counted_back(
    split: Split, last: pd.Timestamp, step: pd.Timedelta, zone: str | None
) -> dict[str, pd.Timestamp]:
    """When each span ends, the last one at `last`, by the clock of `zone`."""
    end = last.tz_convert(zone) if zone and last.tz else last
    found = {}
    for name, length in reversed(split.ends.items()):
        found[name] = end
        if counted := COUNTED.fullmatch(str(length)):
            count, unit = int(counted[1]), counted[2]
            length_of: Any = {f"{unit}s": count}
            try:
                end -= count * step if unit == "row" else pd.DateOffset(**length_of)
            except (ValueError, OverflowError):
                raise PipelineError(
                    f"split.{name}: expected less than the series, found {length}"
                ) from None
    return found


def _rows(bound: pd.Timestamp, starts: pd.DatetimeIndex, step: pd.Timedelta, lengths: Rows) -> Rows:
    """How many rows of each series are up to a time."""
    return np.clip(np.asarray((bound - starts) // step, np.int64) + 1, 0, lengths)


def _ends(
    name: str,
    end: End,
    starts: pd.DatetimeIndex,
    step: pd.Timedelta,
    lengths: Rows,
    zone: str | None,
) -> Rows:
    if isinstance(end, int):
        return np.full(len(lengths), end)
    if isinstance(end, float):
        return np.rint(end * lengths).astype(np.int64)
    last = (starts + (lengths - 1) * step).max()
    try:
        stamp = bound = pd.Timestamp(end)
        if stamp.tz is None:
            # A day without an hour means all of that day, an hour that comes twice both.
            stamp, bound = (
                time.tz_localize(zone or starts.tz, ambiguous=early, nonexistent="shift_forward")
                for time, early in ((stamp, True), (pd.Period(end).end_time, False))
            )
        beyond = stamp > last
    except (ValueError, TypeError):
        raise PipelineError(f"split.{name}: expected a date and time, found {end!r}") from None
    if beyond:
        raise PipelineError(
            f"split.{name}: expected a time within the series ({starts.min()} to {last}), found "
            f"{end}"
        )
    return _rows(bound, starts, step, lengths)

"""The split of a series into its spans: train, validation and test, each after the one before."""

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.cards import COUNTED, LONGEST, Card, End, Fold, Split
from pipeline.config.experiment import Experiment
from pipeline.config.steps import Step
from pipeline.data.panel import Borders, Timeline
from pipeline.data.windows import Rows, Runs, Span, scored_origins
from pipeline.errors import PipelineError

# The half-open row range of each span in each series, [S, 2] rows of the table, by its role in
# order: train is learned from and starts with the series, validation chooses, calibration, where a
# card names it, makes intervals, test is looked at once; each follows the last, but in a backtest.
Spans = dict[str, Rows]
SCORED = ("validation", "test")


def calibrates(spans: Collection[str]) -> str:
    """The span on whose errors intervals are made."""
    return "calibration" if "calibration" in spans else "validation"


def of(experiment: Experiment, timeline: Timeline) -> Spans:
    """The spans of an experiment's series."""
    found = in_series(experiment.split, timeline, experiment.card.time.timezone)
    if experiment.refit:
        lengths = timeline.borders.lengths
        found["train"] = np.stack([np.zeros_like(lengths), lengths], axis=1)
    return {name: rows + timeline.borders.firsts[:, None] for name, rows in found.items()}


def learned_until(experiment: Experiment, timeline: Timeline) -> pd.Timestamp:
    """The last time that an experiment's model or its intervals have learned from, in any series.

    What is later is test's, and new to the model.
    """
    rows = [own for span, own in of(experiment, timeline).items() if span != "test"]
    ends = np.max([own[:, 1] for own in rows], axis=0) - timeline.borders.firsts  # [S]
    there = np.flatnonzero(ends)
    return timeline.at(there, ends[there] - 1).max()


def origins(train: Runs, spans: Mapping[str, Span], horizon: int) -> dict[str, Runs]:
    """The origins of each span: of the training windows, and every one that is scored."""
    borders = np.atleast_2d(spans["train"])[:, 0]
    return {
        span: train if span == "train" else scored_origins(rows, horizon, borders)
        for span, rows in spans.items()
    }


def at_times(origins: Mapping[str, Runs], timeline: Timeline, card: Card) -> dict[str, Runs]:
    """Of the scored origins those at the card's times of day, by the clock of its table.

    PipelineError of a span that has none of them.
    """
    borders = timeline.borders
    kept = {"train": origins["train"]}
    for span in (name for name in origins if name != "train"):
        rows = np.asarray(origins[span])
        number = borders.number(rows)
        times = timeline.at(number, rows - borders.firsts[number])
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


def unused(used: Rows, timeline: Timeline) -> str | None:
    """What to say of the rows of series, of which so many [S] are in spans."""
    if not (rows := int((timeline.borders.lengths - used).sum())):
        return None
    after = timeline.at(np.arange(len(used)), used - 1).unique()
    when = after[0] if len(after) == 1 else "the time of each series"
    return (
        f"{rows:,} rows after {when}, where split.test ends, are not used; if the table grows, "
        "train: rest and such as test: last 90 days move with it"
    )


def spans(
    split: Split, first: pd.Timestamp, step: Step, rows: int, zone: str | None = None
) -> dict[str, tuple[int, int]]:
    """The spans of one series of so many rows: see `in_series`."""
    timeline = Timeline(Borders.of({"": rows}), pd.DatetimeIndex([first]), step)
    found = in_series(split, timeline, zone)
    return {name: (int(one[0, 0]), int(one[0, 1])) for name, one in found.items()}


def in_series(split: Split, timeline: Timeline, zone: str | None) -> Spans:
    """The split's ends as rows of each series [S, 2], counted from its first.

    A time is the same for all series; some of them may end before it, or begin after. An end
    without a time zone is told in `zone`, or in the series' own if that is None. What is counted
    back ends with the last time of all.

    Of a backtest's fit, its `fold` then says where they are.

    PipelineError of an end that is no date, or in no series, or not after the one before it in any.
    """
    lengths = timeline.borders.lengths
    longest = int(timeline.lasts.argmax())  # of which is spoken where something is wrong
    start = np.zeros(len(lengths), np.int64)
    found: Spans = {}
    ends: dict[str, Rows] = {}  # also where a series has no such row
    back = _counted_back(split, timeline, longest, zone) if split.counted_back else {}
    for name, wanted in split.ends.items():
        end = timeline.reached(back[name]) if back else _ends(name, wanted, timeline, zone)
        timed = not isinstance(wanted, int | float)  # a time may lie beyond a series, no row may
        if ((np.clip(end, 0, lengths) if timed else end) <= start).all():
            begin, ending = int(start[longest]), max(int(end[longest]), 0)
            row = np.array([min(begin, int(lengths[longest]) - 1)])
            raise PipelineError(
                f"split.{name}: expected an end after row {begin:,} "
                f"({timeline.at(np.array([longest]), row)[0]}), found row {ending:,} "
                f"(split.{name}: {wanted})"
            )
        if (end > lengths).all():
            raise PipelineError(
                f"split.{name}: expected at most the series' {lengths.max():,} rows, found "
                f"{end.max():,}"
            )
        ends[name] = end
        end = np.clip(end, start, lengths)
        found[name] = np.stack([start, end], axis=1)
        start = end
    return _of_fold(split.fold, ends, lengths) if split.fold else found


def _of_fold(fold: Fold, ends: Mapping[str, Rows], lengths: Rows) -> Spans:
    """The spans of a backtest's fit by the ends [S] of the split's own."""
    end = ends["test"] - fold.back
    start = end - fold.test
    found = {"test": (start, end)}
    end = start - fold.gap
    for before, name in reversed([*pairwise(name for name in ends if name != "test")]):
        start = end - (ends[name] - ends[before])
        found[name] = start, end
        end = start
    found["train"] = end - (fold.train or LONGEST), end
    return {
        name: np.clip(np.stack(found[name], axis=1), 0, lengths[:, None]).astype(np.int64)
        for name in ends
    }


def _counted_back(
    split: Split, timeline: Timeline, longest: int, zone: str | None
) -> dict[str, pd.Timestamp]:
    """When each span ends, the last one with the series of that number, by the clock of `zone`."""
    last = timeline.lasts[longest]
    end = last.tz_convert(zone) if zone and last.tz else last
    found = {}
    for name, length in reversed(split.ends.items()):
        found[name] = end
        if counted := COUNTED.fullmatch(str(length)):
            count, unit = int(counted[1]), counted[2]
            length_of: Any = {f"{unit}s": count}
            try:
                if unit == "row":
                    end = timeline.back(end, longest, count)
                else:
                    end = timeline.step.before(end, pd.DateOffset(**length_of))
            except (ValueError, OverflowError):
                raise PipelineError(
                    f"split.{name}: expected less than the series, found {length}"
                ) from None
    return found


def _ends(name: str, end: End, timeline: Timeline, zone: str | None) -> Rows:
    starts, lengths = timeline.starts, timeline.borders.lengths
    if isinstance(end, int):
        return np.full(len(lengths), end)
    if isinstance(end, float):
        return np.rint(end * lengths).astype(np.int64)
    last = timeline.lasts.max()
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
    return timeline.reached(min(bound, last))

"""The split of a series into its spans: train, validation and test, each after the one before."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from pipeline.config.cards import End, Split
from pipeline.config.experiment import Experiment
from pipeline.data.windows import Runs, scored_origins
from pipeline.errors import PipelineError

# The half-open row range of each span by its role, in order: train is learned from and starts in
# row 0, validation chooses, calibration, where a card names it, makes intervals, test is looked at
# once; each follows the last.
Spans = dict[str, tuple[int, int]]
SCORED = ("validation", "test")


def calibrates(spans: Collection[str]) -> str:
    """The span on whose errors intervals are made."""
    return "calibration" if "calibration" in spans else "validation"


def of(experiment: Experiment, first: pd.Timestamp, rows: int) -> Spans:
    """The spans of an experiment's series of so many rows."""
    card = experiment.card
    return spans(experiment.split, first, card.step, rows, card.time.timezone)


def origins(train: Runs, spans: Spans, horizon: int) -> dict[str, Runs]:
    """The origins of each span: of the training windows, and every one that is scored."""
    return {
        span: train if span == "train" else scored_origins(rows, horizon)
        for span, rows in spans.items()
    }


def spans(
    split: Split, first: pd.Timestamp, step: pd.Timedelta, rows: int, zone: str | None = None
) -> Spans:
    """The split's ends as rows of a regular series: `rows`, each a `step` apart, from `first` on.

    An end without a time zone is told in `zone`, or in the series' own if that is None.

    PipelineError of an end that is no date, not in the series, or not after the one before it.
    """
    start = 0
    bounds: Spans = {}
    for name, wanted in split.ends.items():
        end = _end(name, wanted, first, step, rows, zone)
        if end <= start:
            raise PipelineError(
                f"split.{name}: expected an end after row {start:,} "
                f"({first + min(start, rows - 1) * step}), found row {end:,} "
                f"(split.{name}: {wanted})"
            )
        if end > rows:
            raise PipelineError(
                f"split.{name}: expected at most the series' {rows:,} rows, found {end:,}"
            )
        bounds[name] = (start, end)
        start = end
    return bounds


def _end(
    name: str, end: End, first: pd.Timestamp, step: pd.Timedelta, rows: int, zone: str | None
) -> int:
    if isinstance(end, int):
        return end
    if isinstance(end, float):
        return round(end * rows)
    try:
        stamp = bound = pd.Timestamp(end)
        if stamp.tz is None:
            # A day without an hour means all of that day, an hour that comes twice both.
            stamp, bound = (
                time.tz_localize(zone or first.tz, ambiguous=early, nonexistent="shift_forward")
                for time, early in ((stamp, True), (pd.Period(end).end_time, False))
            )
        beyond = stamp > first + (rows - 1) * step
    except (ValueError, TypeError):
        raise PipelineError(f"split.{name}: expected a date and time, found {end!r}") from None
    if beyond:
        raise PipelineError(
            f"split.{name}: expected a time within the series ({first} to "
            f"{first + (rows - 1) * step}), found {end}"
        )
    return int(np.clip((bound - first) // step + 1, 0, rows))

"""The split of a series into its spans: train, validation and test, each after the one before."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.config.cards import Split
from pipeline.errors import PipelineError


@dataclass(frozen=True)
class Spans:
    """The half-open row ranges of the three spans: train starts in row 0, each follows the last."""

    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]


def spans(
    split: Split, first: pd.Timestamp, step: pd.Timedelta, rows: int, zone: str | None = None
) -> Spans:
    """The split's ends as rows of a regular series: `rows`, each a `step` apart, from `first` on.

    An end without a time zone is told in `zone`, or in the series' own if that is None.

    Raises:
        PipelineError: an end that is no date, lies outside the series, or does not follow the one
            before it.
    """
    start = 0
    bounds = {}
    for name in ("train", "validation", "test"):
        wanted = getattr(split, name)
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
    return Spans(**bounds)


def _end(
    name: str,
    end: int | float | str,
    first: pd.Timestamp,
    step: pd.Timedelta,
    rows: int,
    zone: str | None,
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

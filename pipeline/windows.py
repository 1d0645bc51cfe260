"""Windows over a series, as start rows: nothing is copied until a batch is gathered.

With look-back L and horizon H, the window that starts in row s sees rows s to s+L-1, has its origin
(the last row it sees) in row s+L-1 and its targets in rows s+L to s+L+H-1.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.cards import Split
from pipeline.errors import PipelineError

Rows = npt.NDArray[np.int64]
Float = TypeVar("Float", bound=np.floating)


@dataclass(frozen=True)
class Spans:
    """The half-open row ranges of the three spans: train starts in row 0, each follows the last."""

    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]


def spans(split: Split, times: pd.DatetimeIndex) -> Spans:
    """The split's ends as rows of the series.

    Raises:
        PipelineError: an end that is no date, lies outside the series, or does not follow the one
            before it.
    """
    ends = {
        name: _end(name, getattr(split, name), times) for name in ("train", "validation", "test")
    }
    start = 0
    bounds = {}
    for name, end in ends.items():
        if end <= start:
            raise PipelineError(
                f"split.{name}: expected an end after row {start} "
                f"({times[min(start, len(times) - 1)]}), found row {end} (split.{name}: "
                f"{getattr(split, name)})"
            )
        if end > len(times):
            raise PipelineError(
                f"split.{name}: expected at most the series' {len(times)} rows, found {end}"
            )
        bounds[name] = (start, end)
        start = end
    return Spans(**bounds)


def _end(name: str, end: int | float | str, times: pd.DatetimeIndex) -> int:
    if isinstance(end, int):
        return end
    if isinstance(end, float):
        return round(end * len(times))
    try:
        # A day without an hour means all of that day, as pandas slices.
        bound = times.slice_indexer(None, end).stop
    except (ValueError, KeyError):
        raise PipelineError(f"split.{name}: expected a date and time, found {end!r}") from None
    if bound == len(times) and pd.Timestamp(end, tz=times.tz) > times[-1]:
        raise PipelineError(
            f"split.{name}: expected a time within the series ({times[0]} to {times[-1]}), "
            f"found {end}"
        )
    return int(bound)


def scored_origins(span: tuple[int, int], horizon: int) -> Rows:
    """Every origin whose `horizon` targets all lie in the span, whatever its look-back sees."""
    first, end = span
    return np.arange(max(first - 1, 0), end - horizon, dtype=np.int64)


def train_starts(
    span: tuple[int, int],
    look_back: int,
    horizon: int,
    stride: int,
    context: int,
    beyond: npt.NDArray[np.bool_],
    observed: npt.NDArray[np.bool_],
) -> Rows:
    """Start rows of the training windows: inside the span, inputs usable, some target observed.

    Args:
        span: the rows of the training span.
        look_back, horizon: rows seen and rows forecast.
        stride: rows between the starts.
        context: rows that the first row's features need before it.
        beyond: [rows] whether some input was imputed beyond the gap limit.
        observed: [rows] whether some target was observed.
    """
    first, end = span
    starts = np.arange(first + context, end - look_back - horizon + 1, stride, dtype=np.int64)
    seen = np.concatenate([[0], np.cumsum(beyond, dtype=np.int64)])
    targets = np.concatenate([[0], np.cumsum(observed, dtype=np.int64)])
    origin_end = starts + look_back
    usable = seen[origin_end] == seen[starts]
    some_target = targets[origin_end + horizon] > targets[origin_end]
    return starts[usable & some_target]


def check_length(rows: int, look_back: int, horizon: int) -> None:
    """PipelineError if not even one window fits into the series."""
    if rows < look_back + horizon:
        raise PipelineError(
            f"window.look_back + window.horizon: expected at most the series' {rows} rows, "
            f"found {look_back} + {horizon} = {look_back + horizon}"
        )


def check_starts(
    name: str, starts: Rows, span: tuple[int, int], look_back: int, horizon: int, context: int
) -> None:
    """PipelineError if a span has no window, or one that begins before the series does."""
    rows = span[1] - span[0]
    if len(starts) == 0:
        raise PipelineError(
            f"split.{name}: expected at least one window of look-back {look_back} and horizon "
            f"{horizon}, found none in {rows} rows; shorten the window or the gaps in the data"
        )
    if starts[0] < context:
        raise PipelineError(
            f"window.look_back: expected at most the {span[0] - context} rows before the "
            f"{name} span, found {look_back}"
        )


def check_observed(name: str, observed: npt.NDArray[np.bool_], span: tuple[int, int]) -> None:
    """PipelineError if a span has no observed target: nothing could be scored there."""
    if not observed[slice(*span)].any():
        raise PipelineError(
            f"split.{name}: expected at least one observed target, found none in rows {span[0]} to "
            f"{span[1] - 1}"
        )


def gather(series: npt.NDArray[Float], starts: Rows, length: int) -> npt.NDArray[Float]:
    """The windows that start in the given rows: [rows, features] -> [windows, length, features]."""
    return series[starts[:, None] + np.arange(length)]

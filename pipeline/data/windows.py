"""Windows over a series, as runs of origins: nothing is copied until a batch is gathered.

With look-back L and horizon H, the window of the origin t sees rows t-L+1 to t and has its targets
in rows t+1 to t+H.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.errors import PipelineError

Rows = npt.NDArray[np.int64]
Span = tuple[int, int] | Rows  # a half-open range of rows, or one for each series: [S, 2]
Number = TypeVar("Number", bound=np.number)


@dataclass(frozen=True)
class Runs:
    """Row numbers as runs, each like a `range`: [runs, 3] of first row, end and stride.

    Of a hundred million windows the runs are a few numbers, and a batch looks up those it needs.
    """

    runs: Rows

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.runs) else 0

    def __getitem__(self, positions: Rows | int) -> Rows:
        """The rows at some positions: position 0 is the first row of the first run."""
        run = np.searchsorted(self.ends, positions, side="right")
        first, _, stride = self.runs[run].T
        rows: Rows = first + (positions - self.ends[run] + self.counts[run]) * stride
        return rows

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Rows:
        """Every row, in order."""
        return self[np.arange(len(self))].astype(dtype or np.int64, copy=False)

    @cached_property
    def counts(self) -> Rows:
        """[runs] how many rows each has."""
        first, end, stride = self.runs.T
        return -(-(end - first) // stride)

    @cached_property
    def ends(self) -> Rows:
        """[runs] the position after its last."""
        return np.cumsum(self.counts)


def scored_origins(span: Span, horizon: int, borders: Rows | int = 0) -> Runs:
    """Every origin whose `horizon` targets all lie in the span, whatever its look-back sees.

    Of many series, of each: it is one of the series' own rows, the first of which are `borders`.
    """
    begin, end = np.atleast_2d(span).T
    return _runs(np.maximum(begin - 1, borders), end - horizon, np.ones_like(begin))


def one_run(rows: range) -> Runs:
    """Rows without a gap."""
    return _runs(*np.array([[rows.start], [rows.stop], [rows.step]]))


def _runs(first: Rows, end: Rows, stride: Rows) -> Runs:
    """Those that have a row."""
    runs = np.stack([first, end, stride], axis=1).astype(np.int64)
    return Runs(runs[first < end])


def training_origins(
    span: Span,
    look_back: int,
    horizon: int,
    stride: int,
    context: int,
    beyond: npt.NDArray[np.bool_],
    observed: npt.NDArray[np.bool_] | None = None,
    untold: npt.NDArray[np.bool_] | None = None,
) -> Runs:
    """The origins of training windows: inside the span, inputs usable, some target observed.

    Args:
        span: rows from the first of the series on; of many series below each other, of each.
        context: rows that the first row's features need before it.
        beyond: [rows] whether some feature is made of a value imputed beyond the gap limit.
        observed: [rows] whether some target was observed; by default one was in each.
        untold: [rows] whether something known ahead is a value imputed beyond the gap limit.
    """
    starts, ends = np.atleast_2d(span).T
    begin, end = starts + context + look_back - 1, ends - horizon
    never = np.iinfo(np.int64).max
    between = np.append(-never, end), np.append(begin, never)  # in none of the spans
    # A run of rows may go on over a border: what it shuts out beyond that is shut out already.
    first, last = true_runs(beyond)  # a window of these origins sees one of these rows:
    unusable = first, last + look_back - 1
    none = beyond[:0]
    # And of these has all its targets in a gap:
    first, last = true_runs(none if observed is None else ~observed)
    blind = last - first >= horizon
    nothing = first[blind] - 1, last[blind] - horizon
    first, last = true_runs(none if untold is None else untold)  # of these one as a step:
    unplanned = first - horizon, last - 1
    parts = zip(between, unusable, nothing, unplanned, strict=True)
    shut, free = map(np.concatenate, parts)
    order = np.argsort(shut, kind="stable")
    # Between the origins that are shut out, and on the grid of the stride from its series' first.
    opens, closes = np.maximum.accumulate(free[order])[:-1], shut[order][1:]
    opens, closes = (part[opens < closes] for part in (opens, closes))
    grid = begin[np.searchsorted(begin, opens, side="right") - 1]
    opens, closes = (grid - (grid - rows) // stride * stride for rows in (opens, closes))
    return _runs(opens, closes, np.full(len(opens), stride))


def true_runs(mask: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Where the mask is true without a break: first rows, and the rows after the last."""
    inner = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    # Without a copy of the mask between two that are false.
    edges = np.concatenate([np.flatnonzero(mask[:1]), inner, np.flatnonzero(mask[-1:]) + len(mask)])
    return edges[::2], edges[1::2]


def check_length(rows: int, look_back: int, horizon: int) -> None:
    """PipelineError if not even one window fits into the series."""
    if rows < look_back + horizon:
        raise PipelineError(
            f"window.look_back + window.horizon: expected at most the series' {rows:,} rows, "
            f"found {look_back:,} + {horizon:,} = {look_back + horizon:,}"
        )


def short(origins: Runs, firsts: Rows, needed: int) -> Rows:
    """How many scored origins of each series have fewer than the needed rows up to them: [S].

    `firsts` [S] are the first rows of the series.
    """
    lacking = np.clip(needed - 1 - _behind(origins, firsts), 0, origins.counts)
    return np.bincount(series_of(origins, firsts), lacking, len(firsts)).astype(np.int64)


def whole(origins: Runs, firsts: Rows, needed: int) -> Runs:
    """The origins that have the needed rows up to them in their series, whose first is given."""
    first, end, stride = origins.runs.T
    lacking = np.maximum(needed - 1 - _behind(origins, firsts), 0)
    return _runs(first - (-lacking // stride) * stride, end, stride)


def series_of(origins: Runs, firsts: Rows) -> Rows:
    """Which series each run is of: [runs], from 0."""
    return np.searchsorted(firsts, origins.runs[:, 0], side="right") - 1


def _behind(origins: Runs, firsts: Rows) -> Rows:
    """How many rows of its series lie before each run: [runs]."""
    return origins.runs[:, 0] - firsts[series_of(origins, firsts)]


def fault(
    name: str,
    origins: Runs,
    span: Span,
    look_back: int,
    horizon: int,
    context: int,
    firsts: Rows | int = 0,
) -> str:
    """Why a span cannot be used; "" if it can.

    It has no window, or in each series, the first rows of which are `firsts`, one from before it.
    """
    begins, ends = np.atleast_2d(span).T
    rows = int((ends - begins).max())
    if len(origins) == 0 and name != "train":  # what comes before their targets is another span's
        return (
            f"split.{name}: expected at least one horizon of {horizon:,} rows, found {rows:,}; set "
            f"-S window.horizon={rows} or less, or move the ends of split"
        )
    if len(origins) == 0:
        before = f" after {context} rows that its first features are made from" if context else ""
        return (
            f"split.{name}: expected at least one window of look-back {look_back} and horizon "
            f"{horizon}{before}, found none in {rows:,} rows; shorten the window (-S "
            "window.look_back=ROWS -S window.horizon=ROWS) or the gaps in the data"
        )
    behind = int((begins - firsts).max())
    reach = f"expected at most the {behind - context:,} rows before the {name} span"
    early = (_behind(origins, np.atleast_1d(firsts)) + 1 < look_back + context).all()
    return f"window.look_back: {reach}, found {look_back:,}" if early else ""


def untold(name: str, observed: npt.NDArray[np.bool_], times: pd.DatetimeIndex) -> str:
    """Why what is known ahead is not: it ends before the rows it is to be known in; "" if it is."""
    if len(observed) == 0 or observed[-1]:
        return ""
    lacking = int(observed[::-1].argmax()) if observed.any() else len(observed)
    where = f"after {times[-1 - lacking]}" if observed.any() else f"from {times[0]} on"
    return (
        f"known_ahead: {name}: expected values up to the last forecast time {times[-1]}, found "
        f"none in the {lacking:,} rows {where}; end split.test there or leave it out of known_ahead"
    )


def check_observed(name: str, target: str, observed: npt.NDArray[np.bool_], span: Span) -> None:
    """PipelineError if a target was not observed in a span: nothing could be scored there."""
    rows = np.atleast_2d(span)
    if not any(observed[first:end].any() for first, end in rows):
        raise PipelineError(
            f"split.{name}: expected at least one observed value of the target {target}, found "
            f"none in rows {rows[0, 0]:,} to {rows[-1, 1] - 1:,}"
        )


def few_observed(name: str, target: str, observed: npt.NDArray[np.bool_], span: Span) -> str | None:
    """What to say of a span in which a target has a value in less than half of the rows."""
    parts = [observed[first:end] for first, end in np.atleast_2d(span)]
    there, rows = sum(int(part.sum()) for part in parts), sum(map(len, parts))
    if 2 * there >= rows:
        return None
    use = "learned from" if name == "train" else "scored"
    return (
        f"split.{name}: target {target} has a value in {there:,} of {rows:,} rows, which alone are "
        f"{use}"
    )


def observed_at(origins: Runs, horizon: int, observed: npt.NDArray[np.bool_], most: int) -> Rows:
    """[H, K] in how many of a span's windows each target was observed at each step.

    `observed` is [rows, K]. Of many series no more are counted than give each `most`.
    """
    known = np.zeros((horizon, observed.shape[1]), np.int64)
    for first, end, stride in origins.runs:
        for step in range(horizon):
            rows = slice(first + step + 1, end + step + 1, stride)
            known[step] += np.count_nonzero(observed[rows], axis=0)
        if (known >= most).all():
            break
    return known


def seen(series: npt.NDArray[Number], origins: Rows, look_back: int) -> npt.NDArray[Number]:
    """What windows see: [rows, F], [N] -> [N, look_back, F], the last row the origin's."""
    return gather(series, origins - look_back + 1, look_back)


def ahead(series: npt.NDArray[Number], origins: Rows, horizon: int) -> npt.NDArray[Number]:
    """What comes after origins: [rows, K], [N] -> [N, horizon, K]."""
    return gather(series, origins + 1, horizon)


def gather(series: npt.NDArray[Number], firsts: Rows, length: int) -> npt.NDArray[Number]:
    """`length` rows from each of the given rows on: [rows, F], [N] -> [N, length, F]."""
    shape = (length, *series.shape[1:])
    # A window's rows lie side by side, so that each is copied as one piece.
    return sliding_window_view(series, shape)[firsts].reshape(len(firsts), *shape)

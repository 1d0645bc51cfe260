"""Causal imputation: a gap is filled from the past alone, and what was filled is remembered."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from pipeline.data.panel import Borders
from pipeline.data.windows import true_runs
from pipeline.errors import PipelineError
from pipeline.files import on_disk
from pipeline.files.records import Record

REGULAR = 4  # times that a gap has come, to be expected again
OBSERVED, FILLED, BEYOND = 0, 1, 2  # as measured; imputed; imputed beyond the gap limit


class Imputer(Record):
    """How gaps are filled: what `fit` learned, in a form that JSON holds.

    Within the first `limit` rows of a gap the method fills: `ffill` with the last observed value,
    `seasonal` with the newest observed value a whole number of seasons back (as many as the limit
    needs), `mean` with the training mean. What the method cannot fill gets the training mean.
    """

    method: str
    limit: int  # rows
    season: int  # rows
    means: dict[str, float]
    step: int = 1  # rows from one with a value to the next, most often
    # channels with one value in each series: where that is not known, the mean stands for it
    static: tuple[str, ...] = Field(default=(), exclude_if=lambda given: not given)

    @classmethod
    def fit(
        cls,
        train: pd.DataFrame,
        method: str,
        limit: int,
        season: int,
        borders: Borders | None = None,
        static: Sequence[str] = (),
        targets: Sequence[str] = (),
    ) -> Self:
        """Learn from the training rows; PipelineError if a column has none observed.

        `borders` are those of several series, `static` channels that never change within one.
        `targets` are columns that a card cannot exclude.
        """
        means = train.mean()
        if means.isna().any():
            name = means.index[means.isna().to_numpy()][0]
            remedy = "move it from columns to excluded in the card"
            if name in targets:
                remedy = "let split.train end after its first values, or choose another target"
            raise PipelineError(
                f"column {name}: expected observed values in the training span, found none; "
                f"{remedy}"
            )
        return cls(
            method=method,
            limit=limit,
            season=season,
            step=_usual_step(train, borders or Borders.of({"": len(train)})),
            means={str(name): float(mean) for name, mean in means.items()},
            static=tuple(static),
        )

    @property
    def seasons(self) -> int:
        """How many seasons back `seasonal` looks, enough to step over a gap of `limit` rows."""
        return -(-self.limit // self.season)

    @property
    def context(self) -> int:
        """Rows before a window that decide how the window's own gaps are filled."""
        return max(self.limit, self.seasons * self.season if self.method == "seasonal" else 0)

    def apply(self, series: pd.DataFrame) -> tuple[pd.DataFrame, npt.NDArray[np.uint8]]:
        """Fill every gap of one series [rows, columns], the columns of `fit`, missing as NaN.

        Of the same shape, OBSERVED, FILLED or BEYOND for each value comes beside it.
        """
        state = gap_state(series, self.limit)
        if self.static:
            known = series.columns.isin(self.static)
            state[:, known] = np.minimum(state[:, known], FILLED)
        if not state.any():
            return series, state
        values, gaps = series.to_numpy(np.float64, copy=True), state == FILLED
        values[gaps] = self._estimate(series).to_numpy(np.float64)[gaps]
        values[state == BEYOND] = np.nan
        means = np.array([self.means[name] for name in map(str, series)])
        values = np.where(np.isnan(values), means, values)
        return pd.DataFrame(values, series.index, series.columns), state

    def _estimate(self, series: pd.DataFrame) -> pd.DataFrame:
        if self.method == "ffill":
            return series.ffill()
        estimate = series.mask(series.notna())
        if self.method == "seasonal":
            for k in range(1, self.seasons + 1):
                estimate = estimate.fillna(series.shift(k * self.season))
        return estimate


def gap_state(series: pd.DataFrame, limit: int) -> npt.NDArray[np.uint8]:
    """OBSERVED, FILLED or, after `limit` rows of a gap, BEYOND for each value: [rows, columns]."""
    state = np.full(series.shape, OBSERVED, np.uint8)
    for column, name in enumerate(series):
        missing = series[name].isna().to_numpy()
        if not missing.any():
            continue
        state[missing, column] = FILLED
        first, end = true_runs(missing)
        long = end - first > limit
        opens = np.zeros(len(missing) + 1, np.int8)
        opens[first[long] + limit], opens[end[long]] = 1, -1
        state[np.cumsum(opens[:-1], dtype=np.int8) > 0, column] = BEYOND
    return state


def _usual_step(train: pd.DataFrame, borders: Borders) -> int:
    """Rows from one with a value to the next of its series, most often."""
    counts, last = np.zeros(2, np.int64), np.empty(0, np.int64)
    for part in on_disk.blocks(len(train)):
        rows = part.start + np.flatnonzero(train.iloc[part].notna().any(axis=1))
        rows = np.concatenate([last, rows])
        steps = np.bincount(np.diff(rows)[np.diff(borders.number(rows)) == 0], minlength=2)
        longer = max(len(counts), len(steps))
        counts = np.pad(counts, (0, longer - len(counts))) + np.pad(steps, (0, longer - len(steps)))
        last = rows[-1:]
    return int(counts.argmax()) or 1


def regular_gaps(series: Iterable[pd.DataFrame], limit: int) -> dict[tuple[int, int], list[str]]:
    """Length and period, in rows, of regular gaps longer than the limit, and the columns' names.

    Of many series, the longest such gap of a column in any of them.
    """
    longest: dict[str, tuple[int, int]] = {}
    for one in series:
        for name in map(str, one):
            if gap := _regular_gap(one[name].isna().to_numpy(), limit):
                longest[name] = max(longest.get(name, gap), gap)
    found: dict[tuple[int, int], list[str]] = {}
    for name, gap in longest.items():
        found.setdefault(gap, []).append(name)
    return found


def remarks(series: Iterable[pd.DataFrame], limit: int) -> list[str]:
    """A line for each kind of regular gap that is longer than the limit, with the limit to set."""
    return [
        f"{', '.join(names)}: a gap of {length:,} rows every {period:,} rows is longer than "
        f"impute_scale.imputation.limit ({limit:,}): from its row {limit + 1:,} on, networks, "
        f"ridge and boosting see the training mean; set -S impute_scale.imputation.limit={length}"
        for (length, period), names in regular_gaps(series, limit).items()
    ]


def _regular_gap(missing: npt.NDArray[np.bool_], limit: int) -> tuple[int, int] | None:
    """The longest gap beyond the limit that keeps coming, and after how many rows, if there is one.

    A gap is regular if it occurs REGULAR times with the same length, mostly equally far apart.
    """
    first, end = true_runs(missing)
    lengths, counts = np.unique(end - first, return_counts=True)
    for length in lengths[(lengths > limit) & (counts >= REGULAR)][::-1]:
        apart, times = np.unique(np.diff(first[end - first == length]), return_counts=True)
        if 2 * times.max() > times.sum():
            return int(length), int(apart[times.argmax()])
    return None


def one_hot(series: pd.DataFrame, categories: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Each category column as one 0/1 column a level, `NAME=LEVEL`; missing stays missing."""
    parts: dict[str, Any] = {}
    for name in map(str, series.columns):
        levels = categories.get(name, ())
        if not levels:
            parts[name] = series[name].to_numpy(np.float64)
            continue
        missing = series[name].isna().to_numpy()
        for level in levels:
            is_level = (series[name] == level).to_numpy()
            parts[f"{name}={level}"] = np.where(missing, np.nan, is_level)
    return pd.DataFrame(parts, index=series.index, copy=False)

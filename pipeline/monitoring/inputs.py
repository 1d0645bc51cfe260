"""How far a chunk of input rows is from the rows of the training span at the same time of year."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.cards import Card
from pipeline.data.panel import Panel, joined
from pipeline.data.windows import Rows as Indices
from pipeline.files import on_disk
from pipeline.files.records import Record
from pipeline.preparation import moments
from pipeline.preparation.own_units import OwnUnits

Floats = npt.NDArray[np.float64]
POINTS = 101  # quantiles that stand for a distribution: its distances are known to a hundredth
YEARS = 2  # of training that it takes to compare with the same months of other years
ALL = "all"  # the only season of a shorter span
BINS = np.arange(0.1, 0.95, 0.1)  # PSI's, by the reference
STATISTICS = {
    "missing": "share of the rows without a value",
    "outside": "share of the values outside the training span's range",
    "psi": "population stability index over the training span's deciles, or a category's levels",
    "ks": "Kolmogorov-Smirnov distance of the values",
    "changes": "Kolmogorov-Smirnov distance of the changes from row to row",
}


class Mix(NamedTuple):
    """A distribution: points, and the weight of each."""

    points: Floats
    weights: Floats


class Column(Record):
    """What a column was in training; by season (a month, or all) sorted quantiles of the values
    and of the changes from row to row, or the shares of a category's levels."""

    lowest: float | None = None
    highest: float | None = None
    # the lowest and the highest in the table's units, where series have units of their own
    observed: tuple[float, float] | None = None
    values: dict[str, tuple[float, ...]]
    changes: dict[str, tuple[float, ...]] = {}


@dataclass(frozen=True)
class Rows:
    """Regular rows of one or many series below each other, as columns are compared."""

    times: pd.DatetimeIndex
    at: Indices  # steps from the first time
    values: pd.DataFrame  # in the series' own units, or the number of a category's level
    changes: pd.DataFrame  # from the row before of the series
    levels: Mapping[str, int]  # of each category, how many it has

    @classmethod
    def of(cls, panel: Panel, card: Card, columns: Sequence[str], own: OwnUnits | None) -> Self:
        """The named columns of a panel; those of a series in its own units if it has them."""
        values, changes = [], []
        for name, frame in panel.parts():
            part = frame[list(columns)]
            part = own.into(part, name) if own else part.copy(deep=False)
            for column in columns:
                if levels := card.columns[column].categories:
                    codes = pd.Categorical(part[column], categories=levels).codes.astype(float)
                    part[column] = np.where(codes < 0, np.nan, codes)
            values.append(part.astype(np.float64))
            differences = {
                column: moments.changes(values[-1][column].to_numpy()) for column in columns
            }
            changes.append(pd.DataFrame(differences, index=part.index, copy=False))
        counts = {name: len(card.columns[name].categories) for name in columns}
        counts = {name: count for name, count in counts.items() if count}
        times = pd.DatetimeIndex(panel.frame.index)
        first = times.min()
        at = on_disk.by_rows(
            lambda part: card.step.between(first, times[part]), (len(times),), np.int64
        )
        return cls(times, at, joined(values), joined(changes), counts)

    def part(self, of: slice | Indices | npt.NDArray[np.bool_]) -> "Rows":
        """Some of the rows."""
        frames = self.values.iloc[of], self.changes.iloc[of]
        return Rows(self.times[of], self.at[of], *frames, self.levels)

    def chunks(self, length: int) -> Iterator[tuple[int, "Rows"]]:
        """The rows of each chunk of so many steps, numbered from 0; the last one ends with the last
        row, and what is less than a chunk at the beginning is left out."""
        least, most = int(self.at.min()), int(self.at.max())
        count = (most - least + 1) // length
        number = on_disk.by_rows(
            lambda part: count - 1 - (most - self.at[part]) // length, self.at.shape, np.int32
        )
        one_series = all(
            (np.diff(number[part.start : part.stop + 1]) >= 0).all()
            for part in on_disk.blocks(len(number))
        )
        order = None if one_series else np.argsort(number, kind="stable")
        # In the numbers' own kind, or all of them would be copied.
        ends = np.searchsorted(number, np.arange(count + 1, dtype=np.int32), sorter=order)
        for one, (first, end) in enumerate(pairwise(ends.tolist())):
            rows = slice(first, end)
            yield one, self.part(rows if order is None else order[rows])


def chunk_rows(rows: int, card: Card) -> int:
    """How many steps make a chunk: whole seasons, a week or 28 steps, fewer of a short span."""
    week = pd.Timedelta("7D") // card.step.length
    wanted = -(-max(28, week) // card.season)
    return card.season * int(np.clip(rows // (40 * card.season), 1, wanted))


def seasons(times: pd.DatetimeIndex, yearly: bool) -> npt.NDArray[np.int8]:
    """The season of each row: its month, from 1, or 0."""
    if not yearly:
        return np.zeros(len(times), np.int8)
    return on_disk.by_rows(lambda part: times[part].month.to_numpy(), (len(times),), np.int8)


def name_of(season: int) -> str:
    """What a season is called: 01 to 12, or ALL."""
    return f"{season:02d}" if season else ALL


def by_season(
    values: Floats, times: pd.DatetimeIndex, yearly: bool
) -> Iterator[tuple[str, Indices]]:
    """Each season with observed values, and their rows."""
    season = seasons(times, yearly)

    def observed(part: slice, one: int) -> npt.NDArray[np.bool_]:
        return ~np.isnan(values[part]) & (season[part] == one)

    for one in range(1, 13) if yearly else [0]:
        if len(rows := on_disk.where(partial(observed, one=one), len(values))):
            yield name_of(one), rows


def yearly(times: pd.DatetimeIndex) -> bool:
    """Whether rows are compared with the same months of other years."""
    return times.max() - times.min() >= pd.Timedelta(days=365 * YEARS - 1)


def learn(rows: Rows, by_year: bool) -> dict[str, Column]:
    """What each column was in these rows; without those that were never observed."""
    found = {}
    for name in map(str, rows.values):
        values, changes = (part[name].to_numpy() for part in (rows.values, rows.changes))
        if np.isnan(values).all():
            continue
        counted = rows.levels.get(name)
        found[name] = Column(
            lowest=None if counted else float(np.nanmin(values)),
            highest=None if counted else float(np.nanmax(values)),
            values=_learned(values, rows.times, by_year, counted),
            changes={} if counted else _learned(changes, rows.times, by_year, None),
        )
    return found


def measure(chunk: Rows, columns: Mapping[str, Column]) -> dict[tuple[str, str], float]:
    """Every statistic of a chunk against the training span's same seasons, by column."""
    season = seasons(chunk.times, not any(ALL in one.values for one in columns.values()))
    found: dict[tuple[str, str], float] = {}
    for name, column in columns.items():
        values, changes = (part[name].to_numpy() for part in (chunk.values, chunk.changes))
        known = values[~np.isnan(values)]
        found[name, "missing"] = float(np.isnan(values).mean())
        if not len(known):
            continue
        counted = chunk.levels.get(name)
        mix = _mixed(column.values, season, counted)
        found[name, "psi"] = psi(
            known, mix, np.arange(counted, dtype=np.float64) if counted else _deciles(mix)
        )
        if counted:
            continue
        outside = (known < column.lowest) | (known > column.highest)
        found[name, "outside"] = float(outside.mean())
        found[name, "ks"] = ks(known, mix)
        steps = changes[~np.isnan(changes)]
        if len(steps) and column.changes:
            found[name, "changes"] = ks(steps, _mixed(column.changes, season, None))
    return found


def frame(rows: Mapping[int, Mapping[tuple[str, str], float]]) -> pd.DataFrame:
    """What was measured of each chunk as a table: [chunks, (column, statistic)]."""
    found = pd.DataFrame.from_dict(dict(rows), orient="index")
    if len(found.columns):
        keys: list[Any] = list(found.columns)
        found.columns = pd.MultiIndex.from_tuples(keys)
    return found.sort_index()


def ks(values: Floats, mix: Mix) -> float:
    """The largest distance between two distribution functions, of values and of a mixture."""
    at = np.concatenate([values, mix.points])
    distance = np.abs(_below(values, None, at) - _below(*mix, at)).max()
    return min(float(distance), 1.0)  # sums of weights are off by a last digit


def psi(values: Floats, mix: Mix, edges: Floats) -> float:
    """sum (p - q) log(p / q) over the bins between edges: shares of the values, of the mixture.

    A bin that has none has half a value.
    """
    least = 0.5 / len(values)
    p, q = (
        np.bincount(np.searchsorted(edges, points), weights, len(edges) + 1)
        for points, weights in ((values, np.full(len(values), 1 / len(values))), mix)
    )
    p, q = np.maximum(p, least), np.maximum(q, least)
    return float(((p - q) * np.log(p / q)).sum())


def _learned(
    values: Floats, times: pd.DatetimeIndex, by_year: bool, counted: int | None
) -> dict[str, tuple[float, ...]]:
    """Of the observed values of each season the quantiles, or the shares of so many levels."""
    found = {}
    for one, rows in by_season(values, times, by_year):
        own = taken(values, rows)
        if counted:
            found[one] = shown(shares(own, counted))
            continue
        places = inverted(len(own), POINTS)
        own.partition(np.unique(places))
        found[one] = shown(own[places])
    return found


def taken(values: Floats, rows: Indices) -> Floats:
    """The values of some rows, on disk if they are many."""
    return on_disk.by_rows(lambda part: values[rows[part]], rows.shape, values.dtype)


def inverted(count: int, points: int) -> Indices:
    """Where so many quantiles stand among sorted values: of them, since nothing lies between two
    counts. As NumPy's method inverted_cdf has it."""
    at = (np.arange(points) + 0.5) / points
    return np.ceil(count * at - 1).clip(0).astype(np.int64)


def shares(levels: Floats, counted: int) -> Floats:
    """The share of each of so many levels."""
    found: Floats = np.bincount(levels.astype(int), minlength=counted) / len(levels)
    return found


def shown(values: Floats) -> tuple[float, ...]:
    """Values as they are written."""
    return tuple(float(f"{value:.10g}") for value in values)


def _mixed(
    by_season: Mapping[str, tuple[float, ...]],
    season: npt.NDArray[np.int8],
    counted: int | None,
) -> Mix:
    """The distribution of rows of these seasons; of seasons that were never observed, of all."""
    names, counts = np.unique(season, return_counts=True)
    shares = {name_of(int(one)): n for one, n in zip(names, counts, strict=True)}
    shares = {name: share for name, share in shares.items() if name in by_season}
    shares = shares or dict.fromkeys(by_season, 1)
    total, points, weights = sum(shares.values()), [], []
    for name, share in shares.items():
        one = np.array(by_season[name])
        points.append(np.arange(len(one), dtype=np.float64) if counted else one)
        weights.append((one if counted else np.full(len(one), 1 / len(one))) * share / total)
    return Mix(np.concatenate(points), np.concatenate(weights))


def _deciles(mix: Mix) -> Floats:
    """The edges of ten bins of one weight; fewer where one value has more than that."""
    order = np.argsort(mix.points, kind="stable")
    total = np.cumsum(mix.weights[order])
    return np.unique(mix.points[order][np.searchsorted(total, BINS)])


def _below(points: Floats, weights: Floats | None, at: Floats) -> Floats:
    """The distribution function at some values."""
    order = np.argsort(points, kind="stable")
    own = np.full(len(points), 1 / len(points)) if weights is None else weights[order]
    total = np.concatenate([[0], np.cumsum(own)])
    found: Floats = total[np.searchsorted(points[order], at, side="right")]
    return found

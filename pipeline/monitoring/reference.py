"""What columns were in the training span without some of its rows, again and again.

All values are sorted once; a quantile of what is left follows from where the others stand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.files import on_disk
from pipeline.monitoring import inputs
from pipeline.monitoring.inputs import (
    POINTS,
    Column,
    Floats,
    Rows,
    by_season,
    inverted,
    shares,
    shown,
    taken,
)

Labels = npt.NDArray[np.int64]
MOST = 2**22  # values that are sorted at once, more or less


@dataclass(frozen=True)
class Sorted:
    """The observed values [n] of a season, rising, and the label of each."""

    values: Floats
    labels: Labels

    def fill(self, values: Floats, labels: Labels, rows: Labels) -> None:
        """Put those of some rows here; of very many, one part of their range after the other."""
        own = taken(values, rows)
        some = np.sort(own[:: max(len(own) // 2**16, 1)])
        edges = np.unique(some[np.arange(1, -(-len(own) // MOST)) * MOST * len(some) // len(own)])
        number = on_disk.by_rows(
            lambda part: np.searchsorted(edges, own[part], side="right"), own.shape, np.int32
        )
        end = 0
        for one in range(len(edges) + 1):
            order = on_disk.where(partial(_is, number, one), len(own))
            order = order[np.argsort(own[order], kind="stable")]
            at = slice(end, end := end + len(order))
            self.values[at], self.labels[at] = own[order], labels[rows[order]]

    def gone(self, first: int, last: int) -> Labels:
        """Where those with labels from first to last stand."""
        parts = on_disk.blocks(len(self.labels))
        return np.concatenate(
            [
                part.start
                + np.flatnonzero((self.labels[part] >= first) & (self.labels[part] <= last))
                for part in parts
            ]
        )

    def left(self, gone: Labels, places: Labels) -> Floats:
        """The values at some places, from 0, of those that are left."""
        before = np.searchsorted(gone - np.arange(len(gone)), places, side="right")
        found: Floats = self.values[places + before]
        return found


def _is(number: npt.NDArray[np.int32], one: int, part: slice) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = number[part] == one
    return found


def by_seasons(
    values: Floats, labels: Labels, times: pd.DatetimeIndex, by_year: bool
) -> dict[str, Sorted]:
    """A column's observed values by season, all of them in one long array."""
    long, numbers = (on_disk.zeros(values.shape, one.dtype) for one in (values, labels))
    found, end = {}, 0
    for season, rows in by_season(values, times, by_year):
        at = slice(end, end := end + len(rows))
        found[season] = Sorted(long[at], numbers[at])
        found[season].fill(values, labels, rows)
    return found


class Reference:
    """The rows of the training span, each with a label by which it may be left out."""

    def __init__(self, rows: Rows, labels: Labels, by_year: bool) -> None:
        self._rows = rows
        self._sorted = {
            (name, what): by_seasons(values, labels, rows.times, by_year)
            for name in map(str, rows.values)
            for what, values in (
                ("values", rows.values[name].to_numpy()),
                ("changes", rows.changes[name].to_numpy()),
            )
            if what == "values" or name not in rows.levels
        }

    def without(self, first: int, last: int) -> dict[str, Column]:
        """What `inputs.learn` gives of the rows whose labels are not from first to last."""
        found = {}
        for name in map(str, self._rows.values):
            counted = self._rows.levels.get(name)
            values = self._sorted[name, "values"]
            ends = [end for one in values.values() for end in self._ends(one, first, last)]
            if not ends:
                continue
            changes = {} if counted else self._sorted[name, "changes"]
            found[name] = Column(
                lowest=None if counted else min(ends),
                highest=None if counted else max(ends),
                values=dict(self._points(values, first, last, counted)),
                changes=dict(self._points(changes, first, last, None)),
            )
        return found

    def _ends(self, one: Sorted, first: int, last: int) -> list[float]:
        gone = one.gone(first, last)
        count = len(one.values) - len(gone)
        return one.left(gone, np.array([0, count - 1])).tolist() if count else []

    def _points(
        self, seasons: dict[str, Sorted], first: int, last: int, counted: int | None
    ) -> Iterator[tuple[str, tuple[float, ...]]]:
        for season, one in seasons.items():
            gone = one.gone(first, last)
            if not (count := len(one.values) - len(gone)):
                continue
            if counted:
                yield season, shown(shares(np.delete(one.values, gone), counted))
            else:
                yield season, shown(one.left(gone, inverted(count, POINTS)))


def in_training(train: Rows, length: int) -> pd.DataFrame:
    """What `inputs.measure` gives for each chunk of the training span against the rest of it.

    The rest is the same months of the other years; of a span without other years, all chunks but
    this one and its neighbours, which are like it. [chunks, (column, statistic)]
    """
    by_year, times = inputs.yearly(train.times), train.times
    labels, years = train.at, dict[int, dict[str, Column]]()
    if by_year:
        labels = on_disk.by_rows(lambda part: times[part].year.to_numpy(), train.at.shape, np.int64)
    reference, rows = Reference(train, labels, by_year), {}
    for number, chunk in train.chunks(length):
        if not len(chunk.at):  # between series that are years apart
            continue
        if by_year:
            # A chunk over New Year is measured by the year in which most of it lies.
            year = int(pd.Series(chunk.times.year).mode()[0])
            if year not in years:
                years[year] = reference.without(year, year)
            rest = years[year]
        else:
            first, last = chunk.at.min() - length, chunk.at.max() + length
            rest = reference.without(first, last)
        rows[number] = inputs.measure(chunk, rest)
    return inputs.frame(rows)

"""A series' own units: its values less its own centre, over its own size, fitted on training rows.

So shops of ten and of ten thousand sales look alike to one network, which forecasts in own units.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.files.records import Record

Floats = npt.NDArray[np.float64]


class Own(Record):
    """One column of one series: (x - center) / size of x."""

    center: float
    size: float


class OwnUnits(Record):
    """Of each series by name and column, and of a series that is not among them."""

    series: dict[str, dict[str, Own]]
    other: dict[str, Own]

    @classmethod
    def fit(
        cls,
        train: Mapping[str, pd.DataFrame],
        columns: Sequence[str],
        from_zero: Collection[str],
        least: int,
        by_median: Collection[str] = (),
    ) -> Self:
        """Learn from each series' training rows, missing values as NaN.

        A column's centre is its mean in the series, its size its standard deviation; of one whose
        zero has a meaning the centre is 0, the size the mean of |x|.

        Args:
            columns: those that get units of their own.
            from_zero: the columns that keep their zero, as a transform of theirs needs it.
            by_median: those whose centre and size are their median and `spread`.
            least: observed values that it takes; a series with fewer has the units of all series
                together, and so has one that is first seen at prediction. A column that is the same
                in all of a series has their size.
        """
        zero, middle = (np.isin(columns, list(some)) for some in (from_zero, by_median))
        # Column by column: of all series only one is held twice.
        each = (
            np.concatenate([frame[[c]].to_numpy() for frame in train.values()]) for c in columns
        )
        pooled = np.concatenate(
            [_units(all_of, zero[[i]], middle[[i]]) for i, all_of in enumerate(each)]
        )
        centers, sizes = np.nan_to_num(pooled).T
        pooled = np.stack([centers, np.where(sizes > 0, sizes, 1.0)], axis=1)
        series = {}
        for name, frame in train.items():
            values = frame[list(columns)].to_numpy(np.float64)
            own = _units(values, zero, middle)
            own[:, 1] = np.where(own[:, 1] > 0, own[:, 1], pooled[:, 1])
            few = (~np.isnan(values)).sum(axis=0) < max(least, 2)
            series[name] = _records(np.where(few[:, None], pooled, own), columns)
        return cls(series=series, other=_records(pooled, columns))

    @classmethod
    def none(cls, names: Iterable[str], columns: Sequence[str]) -> Self:
        """Of series that all stay in the units of the table."""
        same = dict.fromkeys(columns, Own(center=0, size=1))
        return cls(series=dict.fromkeys(names, same), other=same)

    def of(self, name: str) -> dict[str, Own]:
        """A series' units by column."""
        return self.series.get(name, self.other)

    def into(self, frame: pd.DataFrame, name: str) -> pd.DataFrame:
        """One series' rows in its own units; columns that have none stay as they are."""
        made = frame.copy(deep=False)
        for column, unit in self.of(name).items():
            if column in frame:
                made[column] = (frame[column] - unit.center) / unit.size
        return made

    def table(self, names: Sequence[str], columns: Sequence[str]) -> tuple[Floats, Floats]:
        """Centres and sizes of some series and columns: [S, K] each."""
        units = [[self.of(name)[column] for column in columns] for name in names]
        numbers = np.array([[(unit.center, unit.size) for unit in row] for row in units])
        return numbers[..., 0], numbers[..., 1]


def spread(values: Floats) -> tuple[float, float]:
    """Median and spread of observed values: 1.4826 times their median distance from the median.

    That is the standard deviation of normal values; where half of the values are the same, it is
    that of the values themselves.
    """
    median = float(np.median(values))
    distance = 1.4826 * float(np.median(np.abs(values - median)))
    return median, distance or float(values.std()) or 1.0


def _units(values: Floats, zero: npt.NDArray[np.bool_], middle: npt.NDArray[np.bool_]) -> Floats:
    """Centre and size of each column, [rows, C] -> [C, 2]; NaN where nothing was observed."""
    with np.errstate(invalid="ignore"):
        count = (~np.isnan(values)).sum(axis=0)
        mean = np.where(zero, 0.0, np.nansum(values, axis=0) / count)
        absolute = np.nansum(np.abs(values), axis=0) / count
        deviation = np.sqrt(np.nansum((values - mean) ** 2, axis=0) / count)
    units = np.stack([mean, np.where(zero, absolute, deviation)], axis=1)
    for column in np.flatnonzero(middle & (count > 0)):
        there = values[:, column]
        units[column] = spread(there[~np.isnan(there)])
    return units


def _records(units: Floats, columns: Sequence[str]) -> dict[str, Own]:
    pairs = zip(columns, units.tolist(), strict=True)
    return {name: Own(center=center, size=size) for name, (center, size) in pairs}

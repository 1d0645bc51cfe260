"""What was forecast from the origins of a span, beside what came."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.panel import Borders
from pipeline.data.windows import Rows
from pipeline.files import on_disk
from pipeline.files.on_disk import Kept

Floats = npt.NDArray[np.float64]
Bands = dict[float, tuple[Floats, Floats]]  # lower and upper bounds by level in percent
Part = slice | Rows
Around = Callable[[Part], tuple[Bands, dict[float, Floats]]]  # intervals, and quantiles by percent
MODEL = "model"
MOST = 2**18  # values that are forecast and scored at once: with all that is made of them, 150 MB
LONGEST = 2**19  # windows of one series; of more, as many values are scored at once


@dataclass(frozen=True)
class Made:
    """What one model forecasts: arrays of one shape, in units."""

    point: Floats
    bands: Bands = field(default_factory=dict)
    quantiles: dict[float, Floats] = field(default_factory=dict)  # by percent

    def part(self, at: Any) -> "Made":
        """The part that an index takes of each array."""
        bands = {level: (low[at], high[at]) for level, (low, high) in self.bands.items()}
        quantiles = {percent: values[at] for percent, values in self.quantiles.items()}
        return Made(self.point[at], bands, quantiles)

    def around(self, part: Part) -> tuple[Bands, dict[float, Floats]]:
        """The intervals and the quantiles of some of the windows."""
        own = self.part(part)
        return own.bands, own.quantiles

    @property
    def outside(self) -> dict[float, int]:
        """How many forecasts lie outside their own interval, by level."""
        point = self.point
        return {
            level: int(((point < low) | (point > high)).sum())
            for level, (low, high) in self.bands.items()
        }


class Lazy(Mapping[str, Floats]):
    """Arrays by name, each read when it is asked for."""

    def __init__(self, read: Mapping[str, Callable[[], Floats]]) -> None:
        self._read = read

    def __getitem__(self, name: str) -> Floats:
        return self._read[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


class Windows:
    """What was forecast from each origin of a span: in memory or on disk."""

    origins: Rows  # [N]
    observed: Any  # [N, H, K]
    borders: Borders | None  # of many series below each other; one if None

    def groups(self) -> "Iterator[Forecasts]":
        """The forecasts of some series after the other, such that they and all that is made of
        them fit into memory: each series as a whole, or a part of a long one."""
        raise NotImplementedError

    def whole_series(self) -> "Iterator[Forecasts]":
        """The same, each series as a whole however long it is."""
        raise NotImplementedError

    def of(self, part: Part) -> "Forecasts":
        """Those from some of the origins."""
        raise NotImplementedError

    def series(self) -> Iterator[tuple[str, slice]]:
        """Each series that has origins, and these."""
        names = self.borders.names if self.borders else ("",)
        for number, part in parts(self.origins, self.borders):
            yield names[number], part


@dataclass(frozen=True)
class Forecasts(Windows):
    """What was forecast from each origin and what came: arrays [N, H, K] in units."""

    origins: Rows
    observed: Floats  # NaN where nothing was observed
    by: Mapping[str, Floats]  # point forecasts by MODEL and by each baseline
    # By the same names what makes their intervals: all of them at once would take much memory.
    around: Mapping[str, Around] = field(default_factory=dict)
    borders: Borders | None = None
    steps: Rows | None = None  # [N] from the first time of all to each origin; its row if None
    uncut: Callable[[], Bands] | None = None  # the model's, below the least value of a target too

    def groups(self) -> "Iterator[Forecasts]":
        """They are in memory already."""
        yield self

    def whole_series(self) -> "Iterator[Forecasts]":
        """They are in memory already."""
        yield self

    def made(self, name: str) -> Made:
        """What a model forecasts, with its intervals and quantiles where it has them."""
        around = self.around.get(name)
        return Made(self.by[name], *(around(slice(None)) if around else ()))

    @property
    def model(self) -> Floats:
        """The model's own forecasts."""
        return self.by[MODEL]

    def blocks(self, size: int) -> Rows:
        """The block of so many steps that each origin is in: [N]."""
        steps = self.origins if self.steps is None else self.steps
        return steps // size

    @property
    def firsts(self) -> Rows:
        """The first row of the series that each origin is in: [N]."""
        return self.borders.first(self.origins) if self.borders else np.zeros_like(self.origins)

    @property
    def apart(self) -> bool:
        """Whether windows of many steps have no target in common, as of one origin a day."""
        distance, horizon = np.diff(self.origins), self.observed.shape[1]
        return horizon > 1 and len(distance) > 0 and bool(distance.min() >= horizon)

    def whole(self, most: int, k: int = 0) -> tuple[Rows, Floats, Made]:
        """Of windows one after the other, up to so many targets: rows, observed, forecast."""
        horizon = self.observed.shape[1]
        first = slice(0, max(most // horizon, 1))
        rows = self.origins[first, None] + np.arange(1, horizon + 1)
        made = self.of(first).made(MODEL).part(np.s_[..., k])
        bands = {level: (low.ravel(), high.ravel()) for level, (low, high) in made.bands.items()}
        return rows.ravel(), self.observed[first, :, k].ravel(), Made(made.point.ravel(), bands)

    def of(self, part: Part) -> "Forecasts":
        """Those from some of the origins."""
        return Forecasts(
            origins=self.origins[part],
            borders=self.borders,
            steps=None if self.steps is None else self.steps[part],
            observed=self.observed[part],
            by=Lazy({name: partial(self._point, name, part) for name in self.by}),
            around=_within(self.around, part, len(self.origins)),
        )

    def _point(self, name: str, part: Part) -> Floats:
        return np.asarray(self.by[name][part])


@dataclass(frozen=True)
class OnDisk(Windows):
    """The same of a whole span, of which parts are read when they are asked for."""

    origins: Rows
    observed: Kept
    by: Mapping[str, Callable[[Part], Floats]]  # what reads point forecasts
    around: Mapping[str, Around]
    borders: Borders
    steps: Rows | None = None
    uncut: Callable[[Part], Bands] | None = None

    @cached_property
    def cuts(self) -> list[slice]:
        """The origins of each group."""
        each = int(np.prod(self.observed.shape[1:]))
        return list(grouped(self.origins, self.borders, each))

    def groups(self) -> Iterator[Forecasts]:
        """Those of several series at a time, or a part of one."""
        for part in self.cuts:
            yield self.of(part)

    def whole_series(self) -> Iterator[Forecasts]:
        """Those of several series at a time."""
        each = int(np.prod(self.observed.shape[1:]))
        for part in _of_series(self.origins, self.borders, each):
            yield self.of(part)

    def of(self, part: Part) -> Forecasts:
        """Those from some of the origins."""
        return Forecasts(
            origins=self.origins[part],
            borders=self.borders,
            steps=None if self.steps is None else self.steps[part],
            observed=self.observed[part],
            by=Lazy({name: partial(read, part) for name, read in self.by.items()}),
            around=_within(self.around, part, len(self.origins)),
            uncut=partial(self.uncut, part) if self.uncut else None,
        )


def _within(around: Mapping[str, Around], part: Part, count: int) -> dict[str, Around]:
    """What makes the intervals of a part of so many windows: of no window that is not asked for."""

    def places(of: Part) -> Part:
        if isinstance(part, slice) and isinstance(of, slice):
            found = range(count)[part][of]
            return slice(found.start, found.stop, found.step)
        return (np.arange(count)[part] if isinstance(part, slice) else part)[of]

    def made(make: Around, of: Part) -> tuple[Bands, dict[float, Floats]]:
        return make(places(of))

    return {name: partial(made, make) for name, make in around.items()}


def parts(origins: Rows, borders: Borders | None) -> Iterator[tuple[int, slice]]:
    """Of each series that has origins, its number and these."""
    number = borders.number(origins) if borders else 0 * origins
    ends = np.flatnonzero(np.diff(number, append=-1)) + 1
    for first, end in zip(np.append(0, ends[:-1]).tolist(), ends.tolist(), strict=True):
        yield int(number[first]), slice(first, end)


def grouped(origins: Rows, borders: Borders | None, each: int) -> Iterator[slice]:
    """Origins of whole series, up to MOST values at a time with so many at each, or one series.

    Of a series with more than LONGEST windows, LONGEST values at a time.
    """
    for group in _of_series(origins, borders, each):
        rows = group.stop - group.start
        many = max(LONGEST // each, 1) if rows > LONGEST else max(rows, 1)
        for part in on_disk.blocks(rows, many):
            yield slice(group.start + part.start, group.start + part.stop)


def _of_series(origins: Rows, borders: Borders | None, each: int) -> Iterator[slice]:
    """Origins of whole series, up to MOST values at a time, or one series."""
    first = end = 0
    for _, part in parts(origins, borders):
        if first < end and (part.stop - first) * each > MOST:
            yield slice(first, end)
            first = end
        end = part.stop
    yield slice(first, end)

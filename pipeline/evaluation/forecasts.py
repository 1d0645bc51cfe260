"""What was forecast from the origins of a span, beside what came."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.panel import Borders
from pipeline.data.windows import Rows

Floats = npt.NDArray[np.float64]
Bands = dict[float, tuple[Floats, Floats]]  # lower and upper bounds by level in percent
Around = Callable[[], tuple[Bands, dict[float, Floats]]]  # intervals, and quantiles by percent
MODEL = "model"


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


@dataclass(frozen=True)
class Forecasts:
    """What was forecast from each origin of a span and what came: arrays [N, H, K] in units."""

    origins: Rows
    observed: Floats  # NaN where nothing was observed
    by: dict[str, Floats]  # point forecasts by MODEL and by each baseline
    # By the same names what makes their intervals: all of them at once would take much memory.
    around: Mapping[str, Around] = field(default_factory=dict)
    borders: Borders | None = None  # of many series below each other; one if None
    steps: Rows | None = None  # [N] from the first time of all to each origin; its row if None

    def made(self, name: str) -> Made:
        """What a model forecasts, with its intervals and quantiles where it has them."""
        around = self.around.get(name)
        return Made(self.by[name], *(around() if around else ()))

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

    def series(self) -> Iterator[tuple[str, slice]]:
        """Each series that has origins, and these."""
        number = self.borders.number(self.origins) if self.borders else 0 * self.origins
        names = self.borders.names if self.borders else ("",)
        ends = np.flatnonzero(np.diff(number, append=-1)) + 1
        for first, end in zip(np.append(0, ends[:-1]).tolist(), ends.tolist(), strict=True):
            yield names[number[first]], slice(first, end)

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
        made = self.made(MODEL).part(np.s_[first, :, k])
        bands = {level: (low.ravel(), high.ravel()) for level, (low, high) in made.bands.items()}
        return rows.ravel(), self.observed[first, :, k].ravel(), Made(made.point.ravel(), bands)

    def of(self, part: slice | Rows) -> "Forecasts":
        """Those from some of the origins."""

        def cut(name: str) -> tuple[Bands, dict[float, Floats]]:
            made = self.made(name).part(part)
            return made.bands, made.quantiles

        by = {name: values[part] for name, values in self.by.items()}
        around = {name: partial(cut, name) for name in self.around}
        steps = None if self.steps is None else self.steps[part]
        return Forecasts(self.origins[part], self.observed[part], by, around, self.borders, steps)

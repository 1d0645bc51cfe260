"""Intervals and quantiles around any model's forecasts, by what was learned of its errors.

Split conformal prediction (Vovk, Gammerman and Shafer 2005): a new error is at most the one of rank
ceil((n + 1) share) among n of the calibration span with at least this share as probability,
whatever the model and the distribution, as long as errors are exchangeable.
"""

import math
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from statistics import NormalDist
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.config.params import DECILES
from pipeline.data.windows import Rows
from pipeline.errors import PipelineError
from pipeline.files import on_disk
from pipeline.files.records import Record

Floats = npt.NDArray[np.float64]
Bands = dict[float, tuple[Floats, Floats]]  # lower and upper bounds [N, H, K] by level in percent


def columns(level: float) -> tuple[str, str]:
    """What the bounds of a level are called beside a forecast: lo-80 and hi-80."""
    return f"lo-{level:g}", f"hi-{level:g}"


def rank(n: int, share: Fraction) -> int:
    """ceil((n + 1) share): which of n sorted errors, from 1."""
    return math.ceil((n + 1) * share)


def needed(share: Fraction) -> int:
    """The least n that has an error of this rank: 19 for 95%."""
    return math.ceil(share / (1 - share))


class TooFewError(PipelineError):
    """Fewer errors than some rank needs."""


class Method(Record):
    """What is learned, and how."""

    levels: tuple[float, ...]  # in percent, rising
    quantiles: tuple[float, ...] = DECILES  # rising
    given: tuple[float, ...] = ()  # the quantiles that the model forecasts; none of a point
    scaled: tuple[str, ...] = ()  # targets whose errors are relative to the forecast's size
    bins: int = 1  # of the forecast, each with its own ranks; fewer where one has too few errors

    @cached_property
    def shares(self) -> tuple[dict[str, Fraction], dict[str, Fraction]]:
        """Of levels and of quantiles, by name: exact, since 0.1 * 30 in floats is above 3."""
        levels = {f"{level:g}": Fraction(f"{level:g}") / 100 for level in self.levels}
        return levels, {f"{q:g}": Fraction(f"{q:g}") for q in self.quantiles}

    @cached_property
    def least(self) -> int:
        """How many errors each step and target needs."""
        levels, quantiles = self.shares
        return max(map(needed, [*levels.values(), *quantiles.values()]))

    def fault(self, target: str, step: int, n: int) -> str:
        """Why n observed values of a target at a step, from 1, are too few; "" if they are not."""
        if n >= self.least:
            return ""
        levels = ", ".join(f"{level:g}" for level in self.levels)
        quantiles = f"{self.quantiles[0]:g} to {self.quantiles[-1]:g}"
        return (
            f"expected at least {self.least:,} observed values of {target} at step {step} for "
            f"intervals of {levels}% and quantiles of {quantiles}, found {n:,}; "
            "lengthen the span or lower the levels"
        )

    def held(self, share: Fraction, n: int) -> Fraction:
        """What each end of a level's interval holds by itself, or both together: the share.

        Both together where a point is forecast, or n errors have none of the rank of an end.
        """
        end = (1 + share) / 2
        return end if self.given and n >= needed(end) else share

    def own(self, values: Floats, quantile: float) -> Floats:
        """The model's own quantile of what it forecasts [N, Q], or its point forecast [N].

        One that it does not forecast lies on the line through the two nearest, drawn over the
        quantiles of a standard normal; calibration then moves it to where it holds its share.
        """
        if not self.given:
            return values
        if quantile in self.given or len(self.given) == 1:
            return np.asarray(values[..., self.given.index(quantile if self.given[1:] else 0.5)])
        after = min(max(bisect(self.given, quantile), 1), len(self.given) - 1)
        low, high, at = map(NormalDist().inv_cdf, (*self.given[after - 1 : after + 1], quantile))
        first, second = values[..., after - 1], values[..., after]
        return np.asarray(first + (at - low) / (high - low) * (second - first))

    def ends(self, values: Floats, level: float) -> tuple[Floats, Floats]:
        """The model's own quantiles between which a level lies."""
        tail = round((1 - level / 100) / 2, 9)
        return self.own(values, tail), self.own(values, round(1 - tail, 9))


def _none(given: Collection[object]) -> bool:
    """Whether a field is left out of the JSON."""
    return not given


class Learned(Record):
    """What was learned for a level or a quantile, by bin."""

    ranks: tuple[int, ...]
    errors: tuple[float, ...]  # of these ranks
    # where each end of a level has its own, the upper end's; `errors` are then the lower end's
    upper: tuple[float, ...] = Field(default=(), exclude_if=_none)

    @property
    def uppers(self) -> tuple[float, ...]:
        """How far the upper end lies out, by bin."""
        return self.upper or self.errors


class Cell(Record):
    """What was learned of one target at one step."""

    target: str
    step: int  # from 1
    floor: float | None  # errors were divided by |forecast| + floor; None: they were not
    edges: tuple[float, ...]  # between bins of the forecast; an edge belongs to the bin above
    n: tuple[int, ...]  # errors by bin
    levels: dict[str, Learned]  # how far the ends lie out, by the level in percent
    quantiles: dict[str, Learned]  # errors with their sign

    def errors(self, learned: Iterable[Sequence[float]], middle: Floats) -> Iterator[Floats]:
        """Errors by bin, each in the target's units, for each forecast [N]."""
        own, size = bin_of(middle, self.edges), size_of(middle, self.floor)
        return (np.array(each)[own] * size for each in learned)


class OfSeries(Record):
    """What was learned of one series by itself, without bins: by target, for each step."""

    floors: dict[str, tuple[float | None, ...]]
    n: dict[str, tuple[int, ...]]
    levels: dict[str, dict[str, tuple[float, ...]]]
    quantiles: dict[str, dict[str, tuple[float, ...]]]
    # of those levels whose ends have their own errors at some step, the upper ends'
    uppers: dict[str, dict[str, tuple[float, ...]]] = Field(default={}, exclude_if=_none)

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Self:
        """The same as cells."""
        by = {cell.target: [one for one in cells if one.target == cell.target] for cell in cells}
        first = cells[0]
        apart = [at for at in first.levels if any(cell.levels[at].upper for cell in cells)]
        return cls(
            floors={name: tuple(cell.floor for cell in own) for name, own in by.items()},
            n={name: tuple(cell.n[0] for cell in own) for name, own in by.items()},
            levels={
                name: {at: tuple(cell.levels[at].errors[0] for cell in own) for at in first.levels}
                for name, own in by.items()
            },
            quantiles={
                name: {
                    at: tuple(cell.quantiles[at].errors[0] for cell in own)
                    for at in first.quantiles
                }
                for name, own in by.items()
            },
            uppers={
                name: {at: tuple(cell.levels[at].uppers[0] for cell in own) for at in apart}
                for name, own in by.items()
                if apart
            },
        )

    def cells(self, method: Method) -> tuple[Cell, ...]:
        """What was learned, target by target and step by step."""
        levels, quantiles = method.shares

        def learned(n: int, share: Fraction, *ends: float) -> Learned:
            lower, *upper = ends
            return Learned(ranks=(rank(n, share),), errors=(lower,), upper=tuple(upper))

        def level(name: str, at: str, n: int, i: int) -> Learned:
            ends = self.levels[name], self.uppers.get(name, {})
            own = [each[at][i] for each in ends if at in each]
            return learned(n, method.held(levels[at], n), *own)

        return tuple(
            Cell(
                target=name,
                step=i + 1,
                floor=self.floors[name][i],
                edges=(),
                n=(n,),
                levels={at: level(name, at, n, i) for at in levels},
                quantiles={
                    at: learned(n, s, self.quantiles[name][at][i]) for at, s in quantiles.items()
                },
            )
            for name, every in self.n.items()
            for i, n in enumerate(every)
        )


class Calibration(Record):
    """What was learned of a model's errors: the intervals and quantiles around its forecasts."""

    method: Method
    targets: tuple[str, ...]
    cells: tuple[Cell, ...]
    # of each series with errors enough, if it was asked for; absent otherwise
    series: dict[str, OfSeries] = Field(default={}, exclude_if=_none)

    def parts(self, names: Sequence[str], number: Rows) -> "list[Part]":
        """Windows of series by what was learned of these, or of all: [N] the numbers of names."""
        if not self.series:
            return [(np.arange(len(number)), self)]
        own = [i for i in np.unique(number).tolist() if names[i] in self.series]
        others = np.flatnonzero(~np.isin(number, own))
        found = [(np.flatnonzero(number == i), self._alone(names[i])) for i in own]
        return found + ([(others, self)] if len(others) else [])

    def _alone(self, name: str) -> Self:
        cells = self.series[name].cells(self.method)
        return self.model_copy(update={"cells": cells, "series": {}})

    def bands(self, forecast: Floats, lowest: npt.ArrayLike = -np.inf) -> Bands:
        """The interval of each level around forecasts [N, H, K] or quantiles [N, H, K, Q].

        `lowest` [K] is the least value of each target. A higher level's interval holds a lower's.
        By what was learned of all series together.
        """
        method = self.method
        ends = np.empty((2, len(method.levels), *forecast.shape[:3]))
        for cell, at in self._places():
            values, middle = forecast[at], method.own(forecast[at], 0.5)
            learned = [cell.levels[f"{level:g}"] for level in method.levels]
            down = cell.errors((each.errors for each in learned), middle)
            up = cell.errors((each.uppers for each in learned), middle)
            for i, (below, above) in enumerate(zip(down, up, strict=True)):
                low, high = method.ends(values, method.levels[i])
                ends[(0, i, *at)], ends[(1, i, *at)] = low - below, high + above
        lows, highs = np.maximum(nested(*ends), lowest)
        return {level: (lows[i], highs[i]) for i, level in enumerate(method.levels)}

    def quantiles(self, forecast: Floats, lowest: npt.ArrayLike = -np.inf) -> Floats:
        """The quantiles around the same forecasts, rising: [N, H, K, quantiles]."""
        method = self.method
        made = np.empty((*forecast.shape[:3], len(method.quantiles)))
        for cell, at in self._places():
            values, middle = forecast[at], method.own(forecast[at], 0.5)
            learned = (cell.quantiles[f"{q:g}"].errors for q in method.quantiles)
            for i, error in enumerate(cell.errors(learned, middle)):
                made[(*at, i)] = method.own(values, method.quantiles[i]) + error
        # Sorted, quantiles that cross are nearer the true ones (Chernozhukov et al. 2010).
        return np.maximum(np.sort(made, axis=-1), np.expand_dims(lowest, -1))

    def _places(self) -> Iterator[tuple[Cell, tuple[slice, int, int]]]:
        """Each cell, and what is its own in an array [N, H, K]."""
        k = {name: i for i, name in enumerate(self.targets)}
        return ((cell, (slice(None), cell.step - 1, k[cell.target])) for cell in self.cells)


Part = tuple[Rows, Calibration]  # positions of windows, and what tells their intervals


def bands(parts: Sequence[Part], forecast: Floats, lowest: npt.ArrayLike = -np.inf) -> Bands:
    """The intervals of windows [N], each of one of the parts."""
    levels = parts[0][1].method.levels
    ends = on_disk.zeros((2, len(levels), *forecast.shape[:3]), np.float64)
    for own, calibration in parts:
        for block in on_disk.blocks(len(own)):
            rows = own[block]
            for i, bounds in enumerate(calibration.bands(forecast[rows], lowest).values()):
                ends[0, i, rows], ends[1, i, rows] = bounds
    return {level: (ends[0, i], ends[1, i]) for i, level in enumerate(levels)}


def around(
    parts: Sequence[Part], forecast: Floats, lowest: npt.ArrayLike = -np.inf
) -> tuple[Bands, dict[float, Floats]]:
    """The intervals and, by percent, the quantiles of windows [N], each of one of the parts."""
    method = parts[0][1].method
    every = np.empty((*forecast.shape[:3], len(method.quantiles)))
    for own, calibration in parts:
        every[own] = calibration.quantiles(forecast[own], lowest)
    percents = [round(100 * q, 9) for q in method.quantiles]
    by_percent = {percent: every[..., i] for i, percent in enumerate(percents)}
    return bands(parts, forecast, lowest), by_percent


def nested(lows: Floats, highs: Floats) -> Floats:
    """Bounds [levels, ...] such that none are crossed and each level's hold the one's before."""
    crossed = lows > highs  # holds nothing: its middle holds no less
    lows, highs = (np.where(crossed, (lows + highs) / 2, ends) for ends in (lows, highs))
    return np.stack([np.minimum.accumulate(lows), np.maximum.accumulate(highs)])


def size_of(middle: Floats, floor: float | None) -> Floats:
    """What errors are divided by."""
    return np.ones_like(middle) if floor is None else np.abs(middle) + floor


def bin_of(middle: Floats, edges: Sequence[float]) -> npt.NDArray[np.intp]:
    """Which bin each forecast is in, from 0."""
    return np.searchsorted(edges, middle, side="right")

"""Intervals and quantiles around any model's forecasts, learned from its errors on a later span.

Split conformal prediction (Vovk, Gammerman and Shafer 2005): a new error is at most the one of rank
ceil((n + 1) share) among n of the calibration span with at least this share as probability,
whatever the model and the distribution, as long as errors are exchangeable.
"""

import math
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from pipeline.config.params import DECILES
from pipeline.data.windows import Rows
from pipeline.errors import PipelineError
from pipeline.files.records import Record

Floats = npt.NDArray[np.float64]
Bands = dict[float, tuple[Floats, Floats]]  # lower and upper bounds [N, H, K] by level in percent
FLOOR = 0.1  # of the mean size of forecasts: where one is near 0, its error need not be


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


class Learned(Record):
    """What was learned for a level or a quantile, by bin."""

    ranks: tuple[int, ...]
    errors: tuple[float, ...]  # of these ranks


class Cell(Record):
    """What was learned of one target at one step."""

    target: str
    step: int  # from 1
    floor: float | None  # errors were divided by |forecast| + floor; None: they were not
    edges: tuple[float, ...]  # between bins of the forecast; an edge belongs to the bin above
    n: tuple[int, ...]  # errors by bin
    levels: dict[str, Learned]  # absolute errors, by the level in percent
    quantiles: dict[str, Learned]  # errors with their sign

    def errors(self, learned: Iterable[Learned], middle: Floats) -> Iterator[Floats]:
        """What was learned, each in the target's units, for each forecast [N]."""
        own, size = _bin_of(middle, self.edges), _size(middle, self.floor)
        return (np.array(each.errors)[own] * size for each in learned)


class Calibration(Record):
    """What was learned of a model's errors: the intervals and quantiles around its forecasts."""

    method: Method
    targets: tuple[str, ...]
    cells: tuple[Cell, ...]

    def bands(self, forecast: Floats, lowest: npt.ArrayLike = -np.inf) -> Bands:
        """The interval of each level around forecasts [N, H, K] or quantiles [N, H, K, Q].

        `lowest` [K] is the least value of each target. A higher level's interval holds a lower's.
        """
        method = self.method
        ends = np.empty((2, len(method.levels), *forecast.shape[:3]))
        for cell, at in self._places():
            values, middle = forecast[at], method.own(forecast[at], 0.5)
            learned = (cell.levels[f"{level:g}"] for level in method.levels)
            for i, error in enumerate(cell.errors(learned, middle)):
                low, high = method.ends(values, method.levels[i])
                ends[(0, i, *at)], ends[(1, i, *at)] = low - error, high + error
        lows, highs = np.maximum(nested(*ends), lowest)
        return {level: (lows[i], highs[i]) for i, level in enumerate(method.levels)}

    def quantiles(self, forecast: Floats, lowest: npt.ArrayLike = -np.inf) -> Floats:
        """The quantiles around the same forecasts, rising: [N, H, K, quantiles]."""
        method = self.method
        made = np.empty((*forecast.shape[:3], len(method.quantiles)))
        for cell, at in self._places():
            values, middle = forecast[at], method.own(forecast[at], 0.5)
            learned = (cell.quantiles[f"{q:g}"] for q in method.quantiles)
            for i, error in enumerate(cell.errors(learned, middle)):
                made[(*at, i)] = method.own(values, method.quantiles[i]) + error
        # Sorted, quantiles that cross are nearer the true ones (Chernozhukov et al. 2010).
        return np.maximum(np.sort(made, axis=-1), np.expand_dims(lowest, -1))

    def _places(self) -> Iterator[tuple[Cell, tuple[slice, int, int]]]:
        """Each cell, and what is its own in an array [N, H, K]."""
        k = {name: i for i, name in enumerate(self.targets)}
        return ((cell, (slice(None), cell.step - 1, k[cell.target])) for cell in self.cells)


def calibrate(
    method: Method, forecast: Floats, observed: Floats, targets: Sequence[str]
) -> Calibration:
    """Learn from forecasts of the calibration span, on which the model was not fitted.

    A level's interval is the forecast and, either way, the absolute error of its rank; quantile q
    is the forecast plus the error of rank ceil((n + 1) q). Of a model that forecasts quantiles, the
    interval of 80% goes from its .1 to its .9, moved by the max(low - y, y - high) of its rank
    (Romano, Patterson and Candes 2019), and a quantile is its own, moved by its own errors.

    Args:
        method: what is learned.
        forecast: [N, H, K] in the targets' units, or quantiles [N, H, K, Q].
        observed: [N, H, K], NaN where nothing was observed.
        targets: [K] their names.

    Raises:
        TooFewError: names a target and step with too few errors.
    """
    cells = [
        _cell(method, name, step + 1, forecast[:, step, k], observed[:, step, k])
        for k, name in enumerate(targets)
        for step in range(observed.shape[1])
    ]
    return Calibration(method=method, targets=tuple(targets), cells=tuple(cells))


def halves(
    method: Method,
    forecast: Floats,
    observed: Floats,
    targets: Sequence[str],
    origins: Rows,
    series: Rows,
) -> list[tuple[Rows, Calibration]]:
    """Each half of the windows with what the other half teaches, of the arrays of `calibrate`.

    Of each series the first half by time and the second; windows whose targets lie in both halves
    teach nothing.

    Args:
        origins: [N] rows of the table, rising.
        series: [N] the number of the series that each is of.
    """
    horizon = observed.shape[1]
    early, teaches = np.zeros((2, len(origins)), np.bool_)
    for own in np.split(np.arange(len(origins)), np.flatnonzero(np.diff(series)) + 1):
        first, second = np.split(own, [len(own) // 2])
        early[first] = True
        teaches[first] = origins[first] + horizon <= origins[second[0]]
        teaches[second] = origins[second] >= (origins[first[-1]] + horizon if len(first) else 0)
    pairs = (early, ~early & teaches), (~early, early & teaches)
    return [
        (np.flatnonzero(own), calibrate(method, forecast[of], observed[of], targets))
        for own, of in pairs
    ]


def around(
    parts: Sequence[tuple[Rows, Calibration]], forecast: Floats, lowest: npt.ArrayLike = -np.inf
) -> tuple[Bands, dict[float, Floats]]:
    """The intervals and, by percent, the quantiles of windows [N], each of one of the parts."""
    method = parts[0][1].method
    ends = np.empty((2, len(method.levels), *forecast.shape[:3]))
    every = np.empty((*forecast.shape[:3], len(method.quantiles)))
    for own, calibration in parts:
        for i, bounds in enumerate(calibration.bands(forecast[own], lowest).values()):
            ends[0, i, own], ends[1, i, own] = bounds
        every[own] = calibration.quantiles(forecast[own], lowest)
    levels = {level: (ends[0, i], ends[1, i]) for i, level in enumerate(method.levels)}
    percents = [round(100 * q, 9) for q in method.quantiles]
    return levels, {percent: every[..., i] for i, percent in enumerate(percents)}


def _cell(method: Method, target: str, step: int, values: Floats, y: Floats) -> Cell:
    known = ~np.isnan(y)
    values, y = values[known], y[known]
    levels, quantiles = method.shares
    if fault := method.fault(target, step, len(y)):
        raise TooFewError(f"calibration span: {fault}")
    middle = method.own(values, 0.5)
    floor = (FLOOR * float(np.abs(middle).mean()) or 1.0) if target in method.scaled else None
    size = _size(middle, floor)
    edges = _edges(middle, method.bins, method.least)
    bins = [_bin_of(middle, edges) == i for i in range(len(edges) + 1)]

    def parts(errors: Floats) -> list[Floats]:
        return [np.sort((errors / size)[inside]) for inside in bins]

    def learned(share: Fraction, parts: list[Floats]) -> Learned:
        ranks = [rank(len(part), share) for part in parts]
        found = [float(part[r - 1]) for part, r in zip(parts, ranks, strict=True)]
        return Learned(ranks=tuple(ranks), errors=tuple(found))

    if method.given:
        sides = (method.ends(values, level) for level in method.levels)
        missed = [parts(np.maximum(low - y, y - high)) for low, high in sides]
        errors = [parts(y - method.own(values, q)) for q in method.quantiles]
    else:  # the same for all, so they are sorted once
        missed = [parts(np.abs(y - values))] * len(levels)
        errors = [parts(y - values)] * len(quantiles)
    return Cell(
        target=target,
        step=step,
        floor=floor,
        edges=edges,
        n=tuple(int(inside.sum()) for inside in bins),
        levels=dict(zip(levels, map(learned, levels.values(), missed), strict=True)),
        quantiles=dict(zip(quantiles, map(learned, quantiles.values(), errors), strict=True)),
    )


def nested(lows: Floats, highs: Floats) -> Floats:
    """Bounds [levels, ...] such that none are crossed and each level's hold the one's before."""
    crossed = lows > highs  # holds nothing: its middle holds no less
    lows, highs = (np.where(crossed, (lows + highs) / 2, ends) for ends in (lows, highs))
    return np.stack([np.minimum.accumulate(lows), np.maximum.accumulate(highs)])


def _size(middle: Floats, floor: float | None) -> Floats:
    """What errors are divided by."""
    return np.ones_like(middle) if floor is None else np.abs(middle) + floor


def _edges(middle: Floats, bins: int, least: int) -> tuple[float, ...]:
    """Quantiles of forecasts [n] between bins, less those that leave a bin with too few."""
    edges: list[float] = []
    below = 0
    for edge in np.quantile(middle, np.arange(1, bins) / bins):
        count = int((middle < edge).sum())
        if count - below >= least and len(middle) - count >= least:
            edges.append(float(edge))
            below = count
    return tuple(edges)


def _bin_of(middle: Floats, edges: Sequence[float]) -> npt.NDArray[np.intp]:
    return np.searchsorted(edges, middle, side="right")

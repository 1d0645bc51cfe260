"""Intervals and quantiles learned from a model's errors on a span that it was not fitted on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from pipeline.data.windows import Rows
from pipeline.forecasting.conformal import (
    Calibration,
    Cell,
    Floats,
    Learned,
    Method,
    OfSeries,
    TooFewError,
    bin_of,
    rank,
    size_of,
)

FLOOR = 0.1  # of the mean size of forecasts: where one is near 0, its error need not be


class Steps(Protocol):
    """Forecasts, or what came: an array [N, H, K] or [N, H, K, Q] of which steps are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        ...

    def step(self, step: int) -> Floats:
        """One step, from 0, of all windows."""
        ...


@dataclass(frozen=True)
class Held:
    """`Steps` of an array in memory."""

    values: Floats

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.values.shape

    def step(self, step: int) -> Floats:
        """One step of all windows."""
        return self.values[:, step]


def calibrate(
    method: Method, forecast: Floats, observed: Floats, targets: Sequence[str]
) -> Calibration:
    """Learn from forecasts of the calibration span, on which the model was not fitted.

    A level's interval is the forecast and, either way, the absolute error of its rank; quantile q
    is the forecast plus the error of rank ceil((n + 1) q). Of a model that forecasts quantiles, a
    quantile is its own, moved by its own errors, and the interval of 80% goes from its .1 to its
    .9, each moved so that it holds 90% by itself: of low - y and of y - high the error of this rank
    (Romano, Patterson and Candes 2019, theorem 2). Where errors are too few for that, both are
    moved alike, by the max(low - y, y - high) of the level's rank.

    Args:
        method: what is learned.
        forecast: [N, H, K] in the targets' units, or quantiles [N, H, K, Q].
        observed: [N, H, K], NaN where nothing was observed.
        targets: [K] their names.

    Raises:
        TooFewError: names a target and step with too few errors.
    """
    return calibrations(method, Held(forecast), Held(observed), targets, [None])[0]


def calibrations(
    method: Method,
    forecast: Steps,
    observed: Steps,
    targets: Sequence[str],
    parts: Sequence[Rows | None],
    series: Mapping[str, Rows] | None = None,
) -> list[Calibration]:
    """What `calibrate` learns of each part of the windows; of `series` that of each as well.

    A series with too few errors has none of its own (Vovk 2012 calls this Mondrian: what it
    promises holds within each series, where the pooled promise holds over all of them).

    Args:
        parts: positions of windows; None for all.
        series: by name the positions of each series' windows.

    Raises:
        TooFewError: names a target and step with too few errors in a part.
    """
    alone = method.model_copy(update={"bins": 1})
    found: list[dict[tuple[int, int], Cell]] = [{} for _ in parts]
    own: list[dict[str, dict[tuple[int, int], Cell]]] = [{} for _ in parts]
    small: list[set[str]] = [set() for _ in parts]
    of = {
        (i, name): rows if part is None else np.intersect1d(part, rows, assume_unique=True)
        for i, part in enumerate(parts)
        for name, rows in (series or {}).items()
    }
    for step in range(observed.shape[1]):
        made, seen = forecast.step(step), observed.step(step)
        for k, target in enumerate(targets):
            at = target, step + 1
            for i, part in enumerate(parts):
                rows = slice(None) if part is None else part
                found[i][k, step] = _cell(method, *at, made[rows, k], seen[rows, k])
            for (i, name), rows in of.items():
                if name in small[i]:
                    continue
                try:
                    cell = _cell(alone, *at, made[rows, k], seen[rows, k])
                    own[i].setdefault(name, {})[k, step] = cell
                except TooFewError:
                    small[i].add(name)
    return [
        Calibration(
            method=method,
            targets=tuple(targets),
            cells=tuple(cells[at] for at in sorted(cells)),
            series={
                name: OfSeries.of([each[at] for at in sorted(each)])
                for name, each in own[i].items()
                if name not in small[i]
            },
        )
        for i, cells in enumerate(found)
    ]


def halves(origins: Rows, series: Rows, horizon: int) -> list[tuple[Rows, Rows]]:
    """The positions of each half of some windows, and of those of the other that may teach it.

    Of each series the first half by time and the second; windows whose targets lie in both halves
    teach nothing.

    Args:
        origins: [N] rows of the table, rising.
        series: [N] the number of the series that each is of.
        horizon: steps of a window.
    """
    early, teaches = np.zeros((2, len(origins)), np.bool_)
    for own in np.split(np.arange(len(origins)), np.flatnonzero(np.diff(series)) + 1):
        first, second = np.split(own, [len(own) // 2])
        early[first] = True
        teaches[first] = origins[first] + horizon <= origins[second[0]]
        teaches[second] = origins[second] >= (origins[first[-1]] + horizon if len(first) else 0)
    pairs = (early, ~early & teaches), (~early, early & teaches)
    return [(np.flatnonzero(own), np.flatnonzero(of)) for own, of in pairs]


def _cell(method: Method, target: str, step: int, values: Floats, y: Floats) -> Cell:
    known = ~np.isnan(y)
    values, y = values[known], y[known]
    levels, quantiles = method.shares
    if fault := method.fault(target, step, len(y)):
        raise TooFewError(f"calibration span: {fault}")
    middle = method.own(values, 0.5)
    floor = (FLOOR * float(np.abs(middle).mean()) or 1.0) if target in method.scaled else None
    size = size_of(middle, floor)
    edges = _edges(middle, method.bins, method.least)
    bins = [bin_of(middle, edges) == i for i in range(len(edges) + 1)]
    n = tuple(int(inside.sum()) for inside in bins)

    def parts(errors: Floats) -> list[Floats]:
        return [np.sort((errors / size)[inside]) for inside in bins]

    def learned(share: Fraction, parts: list[Floats]) -> Learned:
        ranks = [rank(len(part), share) for part in parts]
        found = [float(part[r - 1]) for part, r in zip(parts, ranks, strict=True)]
        return Learned(ranks=tuple(ranks), errors=tuple(found))

    def level(share: Fraction, percent: float) -> Learned:
        low, high = method.ends(values, percent)
        below, above = low - y, y - high
        held = method.held(share, min(n))
        if held == share:
            return learned(share, parts(np.maximum(below, above)))
        upper = learned(held, parts(above)).errors
        return learned(held, parts(below)).model_copy(update={"upper": upper})

    if method.given:
        of_levels = list(map(level, levels.values(), method.levels))
        errors = [parts(y - method.own(values, q)) for q in method.quantiles]
    else:  # the same for all, so they are sorted once
        missed = parts(np.abs(y - values))
        of_levels = [learned(share, missed) for share in levels.values()]
        errors = [parts(y - values)] * len(quantiles)
    return Cell(
        target=target,
        step=step,
        floor=floor,
        edges=edges,
        n=n,
        levels=dict(zip(levels, of_levels, strict=True)),
        quantiles=dict(zip(quantiles, map(learned, quantiles.values(), errors), strict=True)),
    )


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

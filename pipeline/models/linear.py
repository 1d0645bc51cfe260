"""Linear maps from each target's own window, less its level, to its steps less that level.

All targets share a map. It has no intercept, by which what a series gained over the training span
would go on for ever. The map of the whole window is NLinear's (Zeng et al. 2023, arXiv 2205.13504),
the one that all phases of a period share SparseTSF's (Lin et al. 2024, arXiv 2405.00946). Both are
solved as ridge regression; the papers use gradient descent.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.config.params import ALPHAS, LinearMap
from pipeline.data.windows import Rows, ahead, gather
from pipeline.errors import PipelineError
from pipeline.models.ridge import Floats, Spans, blocks, solve_ridge
from pipeline.models.task import Task

ENOUGH = 50_000  # training windows that tell how much a map gains


def fit(
    own: LinearMap,
    look_back: int,
    known: Floats,
    last: Rows,
    targets: Floats,
    origins: Spans,
    horizon: int,
    alphas: Sequence[float],
) -> Floats:
    """The kernel of `kernel_shape`, its penalty chosen on the validation origins.

    Args:
        look_back: rows that the map sees.
        known: [rows, K] the last observed targets, standardised; NaN before the first.
        last: [rows, K] where they were observed.
        targets: [rows, K] as observed, standardised; NaN where missing.
        origins: of the training and of the validation span, with a whole window of the series.

    Raises:
        PipelineError: no training origin has so many rows before it.
    """
    rows, k = known.shape
    # The channels one after the other, [K * rows, 1]; an origin's rows all lie in its own channel.
    offsets = rows * np.arange(k)
    known, targets = (part.T.reshape(-1, 1) for part in (known, targets))
    last = (last + offsets if k > 1 else last).T.reshape(-1, 1)
    train, validation = (
        (span[span >= look_back - 1] + offsets[:, None]).ravel() for span in origins
    )
    if not len(train):
        raise PipelineError(
            f"linear: expected a training window with look_back {look_back:,} rows, found none; "
            "give its members a shorter look_back"
        )

    def outputs(at: Rows) -> Floats:
        levels = _levels(own, past(known, last, at, look_back)[..., 0])
        return by_phase(own, ahead(targets, at, horizon)[..., 0] - levels)

    def inputs(at: Rows) -> Floats:
        return _inputs(own, past(known, last, at, look_back)[..., 0])

    return solve_ridge(inputs, outputs, (train, validation), alphas, intercept=False)[0]


def seen_by(task: Task) -> tuple[Floats, Rows, Floats]:
    """`known`, `last` and `targets` of `fit`: the targets as a network sees and learns them."""
    spec = task.spec
    past = task.seen.features[:, spec.positions]
    names, wanted = [spec.features[i] for i in spec.positions], task.wanted
    if spec.quantiles:  # are made in the scale of the inputs
        targets = pd.DataFrame(task.seen.targets, columns=[*spec.targets])
        wanted = task.scaler.transform(targets).to_numpy()
    else:
        past = task.scaler.restandardise(past, names)
    series = past.astype(np.float64)
    return series, np.broadcast_to(np.arange(len(series))[:, None], series.shape), wanted


def gain_of(task: Task) -> float:
    """`gain` on the training windows, or as many of them as tell; 0 if a target is no input."""
    spec = task.spec
    if not set(spec.targets) <= set(spec.features):
        return 0.0
    spans = [np.asarray(span) for span in (task.train, task.validation)]
    few = spans[0][:: -(-len(spans[0]) // ENOUGH)]
    seen = seen_by(task)
    kernel = fit(LinearMap(), spec.look_back, *seen, (few, spans[1]), spec.horizon, ALPHAS)
    return gain(kernel, spec.look_back, *seen, few)


def gain(
    kernel: Floats, look_back: int, known: Floats, last: Rows, targets: Floats, origins: Rows
) -> float:
    """By what part the map's RMSE is below that of the last value, of which each step has the best
    share; over the steps [H] ahead of the origins given, with all targets together.

    Args:
        kernel: [L, H], of `fit` with the same look_back, known, last and targets.
    """
    own, horizon = LinearMap(), kernel.shape[1]
    left, along, square, came = np.zeros((4, horizon))
    for rows in blocks(origins):
        windows = past(known, last, rows, look_back)
        wanted = ahead(targets, rows, horizon)
        value = np.broadcast_to(windows[:, -1:], wanted.shape)
        error = wanted - steps(own, kernel, windows)
        there = np.isfinite(error)
        error, value, wanted = (np.where(there, part, 0) for part in (error, value, wanted))
        left += np.square(error).sum(axis=(0, 2))
        along += (value * wanted).sum(axis=(0, 2))
        square += np.square(value).sum(axis=(0, 2))
        came += np.square(wanted).sum(axis=(0, 2))
    share = np.divide(along, square, out=np.zeros(horizon), where=square > 0)
    damped = (came - share * along).sum()
    return float(1 - np.sqrt(left.sum() / damped)) if damped > 0 else 0.0


def past(
    known: Floats, last: Rows, origins: Rows, look_back: int, behind: Rows | None = None
) -> Floats:
    """What a map sees from origins [B]: [B, L, K], in each gap the value before it in the window.

    NaN where the window has none before; its last row is the last value known at the origin, in the
    window or before. `known` and `last` are those of `fit`; the rows before a window decide nothing
    else, so that a forecast is the same from the newest rows alone. `behind` [B] are the rows of
    the series before each origin; the window has no others. All of a window is there if None.
    """
    firsts = np.maximum(origins - look_back + 1, 0)
    inside = gather(last, firsts, look_back) > (origins - look_back)[:, None, None]
    windows = np.where(inside, gather(known, firsts, look_back), np.nan)
    if behind is not None and (near := behind + 1 < look_back).any():
        there = np.arange(look_back)[::-1] <= behind[near, None]
        rows = rows_seen(origins[near], look_back)
        windows[near] = np.where(there[..., None], known[rows], np.nan)
    windows[:, -1] = known[origins]
    return windows


def rows_seen(origins: Rows, look_back: int) -> Rows:
    """The rows of the windows [B, L]; the table's first in place of those before it."""
    return np.maximum(origins[:, None] - np.arange(look_back)[::-1], 0)


def steps(own: LinearMap, kernel: Floats, windows: Floats) -> Floats:
    """Forecasts of windows like those of `fit`: [B, L, K] -> [B, H, K], all standardised.

    NaN where nothing was observed up to the origin.
    """
    batch, look_back, k = windows.shape
    flat = windows.transpose(0, 2, 1).reshape(-1, look_back)  # [B * K, L]
    made = _inputs(own, flat) @ kernel
    if own.period:  # [B * K * period, H / period] -> [B * K, H]
        made = made.reshape(len(flat), own.period, -1).transpose(0, 2, 1).reshape(len(flat), -1)
    return (made + _levels(own, flat)).reshape(batch, k, -1).transpose(0, 2, 1)


def kernel_shape(own: LinearMap, look_back: int, horizon: int) -> tuple[int, int]:
    """What the map sees, by its outputs: rows by steps; or those of one phase of the period."""
    if own.period:
        return 2 * look_back // own.period, horizon // own.period
    return look_back, horizon


def by_phase(own: LinearMap, steps: Floats) -> Floats:
    """Steps [N, H] of one phase a row: [N * period, H / period]; without a period as they are."""
    if own.period is None:
        return steps
    phases = steps.reshape(len(steps), -1, own.period).transpose(0, 2, 1)
    return phases.reshape(-1, phases.shape[2])


def _levels(own: LinearMap, windows: Floats) -> Floats:
    """Each window's level, [N, L] -> [N, 1]; NaN where nothing was observed."""
    if own.less == "last":
        return windows[:, -1:]
    counts = np.isfinite(windows).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.nansum(windows, axis=1, keepdims=True) / counts


def _inputs(own: LinearMap, windows: Floats) -> Floats:
    """Windows [N, L] less their level, 0 where nothing was observed; with a period, by phase.

    A phase's rows come with the mean of the period around each, of as much as the window has.
    """
    less = np.nan_to_num(windows - _levels(own, windows))
    if own.period is None:
        return less
    sums = np.pad(less.cumsum(axis=1), ((0, 0), (1, 0)))
    rows, half = np.arange(less.shape[1]), own.period // 2
    first, end = np.maximum(rows - half, 0), np.minimum(rows + half + 1, len(rows))
    means = (sums[:, end] - sums[:, first]) / (end - first)
    return np.hstack([by_phase(own, less), by_phase(own, means)])

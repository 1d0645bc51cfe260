"""Intervals that follow the errors as they become known."""

import numpy as np
import numpy.typing as npt

from pipeline.data.windows import Rows
from pipeline.files import on_disk
from pipeline.forecasting.conformal import Bands, Floats, nested

# Twice as fast, intervals of 80% chase single episodes; half as fast, a season is over before they
# follow. Found on the halves of Beijing's 2013, each with the other as calibration span.
GAIN = 0.01


def replay(
    bands: Bands,
    middle: Floats,
    observed: Floats,
    origins: Rows,
    lowest: npt.ArrayLike = -np.inf,
    gain: float = GAIN,
) -> Bands:
    """The intervals of a span as they would have been, had each learned from the errors before it.

    The quantile tracker of conformal PID control (Angelopoulos, Candes and Tibshirani 2023): for
    each level, step and target a factor on the interval's reach to either side, 1 at first. A miss
    adds gain * level to it, a hit takes gain * (1 - level) away. After T known errors misses exceed
    their share by (B + h * gain) / (gain * T) at most, if no error h steps ahead needed a factor
    above B, whatever the errors do: they need not be exchangeable.

    Adaptive conformal inference (Gibbs and Candes 2021) moves the level in place of the reach. As
    windows overlap, misses come in a row; then its level passes 100%, where intervals are infinite
    (benchmarks/following.py measures both).

    An error h steps ahead is known h rows after its origin and not before.

    Args:
        bands: lower and upper bounds [N, H, K] of the fixed calibration, not yet cut at `lowest`.
        middle: [N, H, K] point forecasts, or medians.
        observed: [N, H, K], NaN where nothing was observed: nothing is learned there.
        origins: [N] rows of one series, rising.
        lowest: [K] the least value of each target.
        gain: how fast the factor follows.
    """
    levels = np.array(sorted(bands))
    miss_rate = (1 - levels / 100)[:, None, None]
    shape = len(middle), len(levels), *middle.shape[1:]
    down, up, centre = (on_disk.zeros(shape, np.float64) for _ in range(3))  # [N, levels, H, K]
    for i, level in enumerate(levels):
        low, high = bands[level]
        centre[:, i] = np.clip(middle, low, high)
        down[:, i], up[:, i] = centre[:, i] - low, high - centre[:, i]
    factor = np.ones(shape[1:])
    made = on_disk.zeros((2, *shape), np.float64)
    ahead = np.arange(1, observed.shape[1] + 1)
    for t in range(len(observed)):
        # What has become known since the last origin: rows after it, up to this one.
        since = origins[t - 1] if t else origins[0]
        first = np.searchsorted(origins, since - len(ahead), side="right")
        rows = origins[first:t, None] + ahead
        before, steps = np.nonzero((rows > since) & (rows <= origins[t]))
        before += first
        y = observed[before, steps]  # [steps, K]
        low, high = (ends[before, :, steps].swapaxes(0, 1) for ends in made)
        missed = ((y < low) | (y > high)) - miss_rate
        change = gain * np.where(np.isnan(y), 0, missed)
        np.add.at(factor.swapaxes(0, 1), steps, change.swapaxes(0, 1))
        np.maximum(factor, 0, out=factor)
        made[:, t] = nested(centre[t] - factor * down[t], centre[t] + factor * up[t])
        np.maximum(made[:, t], lowest, out=made[:, t])
    return {float(level): (made[0][:, i], made[1][:, i]) for i, level in enumerate(levels)}

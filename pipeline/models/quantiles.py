"""Quantiles that cannot cross: a median, and distances between neighbours that are not negative.

Park et al. (2022), arXiv 2111.06581, sum up from the lowest quantile; here the median is the
network's own output, since it is the point forecast and what a residual is added to.

They are made in the scale of the target's column as an input, transform and all, where a spread is
more alike from low to high, and then straightened: whatever rises takes a quantile to the same one.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import log
from statistics import NormalDist
from typing import Any

import numpy as np

from pipeline.preparation.scaling import Scaler


def split(made: Any, quantiles: Sequence[float], ops: Any = np) -> tuple[Any, Any]:
    """What a network says, [..., Q]: the median, [...], and the distances, [..., Q - 1].

    A distance is a softplus, log(1 + e^x), times what is between the two quantiles of a standard
    normal: where the network says 0, that is what it forecasts. `ops` is NumPy or keras.ops.
    """
    normal = [NormalDist().inv_cdf(quantile) / log(2) for quantile in quantiles]
    gaps = np.array([high - low for low, high in pairwise(normal)], np.float32)
    return made[..., 0], ops.logaddexp(made[..., 1:], 0.0) * gaps


def around(median: Any, distances: Any, quantiles: Sequence[float], ops: Any = np) -> Any:
    """Quantiles [..., Q], rising: the distances of `split` below and above the median, summed."""
    middle = quantiles.index(0.5)
    below = ops.flip(ops.cumsum(ops.flip(distances[..., :middle], axis=-1), axis=-1), axis=-1)
    above = ops.cumsum(distances[..., middle:], axis=-1)
    center = median[..., None]
    return ops.concatenate([center - below, center, center + above], axis=-1)


def straight(scaled: Any, scaler: Scaler, targets: Sequence[str], ops: Any = np) -> Any:
    """Quantiles [B, H, K, Q] in the scale of the inputs, standardised in the targets' units."""
    made = scaler.restandardise(ops.swapaxes(scaled, 2, 3), targets, ops)
    return ops.swapaxes(made, 2, 3)

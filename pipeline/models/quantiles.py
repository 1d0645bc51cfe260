"""Quantiles that cannot cross: a median, and distances between neighbours that are not negative.

Park et al. (2022), arXiv 2111.06581, sum up from the lowest quantile; here the median is the
network's own output, since it is the point forecast and what a residual is added to.

The targets of a network that forecasts them are scaled as their column is as an input, transform
and all: whatever rises takes a quantile to the same quantile, so nothing is lost on the way back.
"""

from collections.abc import Collection, Sequence
from itertools import accumulate, pairwise
from math import log
from operator import add, sub
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.models.spec import Spec
from pipeline.preparation.scaling import Scaler

Floats = npt.NDArray[np.float64]


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
    each = [distances[..., i] for i in range(len(quantiles) - 1)]
    middle = quantiles.index(0.5)
    below = list(accumulate(each[:middle][::-1], sub, initial=median))
    above = accumulate(each[middle:], add, initial=median)
    return ops.stack([*below[:0:-1], *above], axis=-1)


def wanted(spec: Spec, scaler: Scaler, targets: Floats) -> Floats:
    """Targets [rows, K] in their units as a model is fitted on them: standardised, or as inputs."""
    names = list(spec.targets)
    if spec.quantiles is None:
        standard: Floats = scaler.standardise(targets, names)
        return standard
    return scaler.transform(pd.DataFrame(targets, columns=names)).to_numpy()


def past(spec: Spec, scaler: Scaler, seen: Any, names: Collection[str], ops: Any = np) -> Any:
    """Columns of a window, [..., P], scaled as inputs: what `wanted` makes of their units."""
    return seen if spec.quantiles else scaler.restandardise(seen, list(names), ops)


def in_units(spec: Spec, scaler: Scaler, made: Any) -> Floats:
    """Forecasts of a network, [B, H, K] or [B, H, K, Q], in the targets' units."""
    if spec.quantiles is None:
        return scaler.units(made, spec.targets)
    by_target = np.moveaxis(np.asarray(made, np.float64), 2, -1)
    return np.moveaxis(scaler.inverse(by_target, spec.targets), -1, 2)

"""What a fit minimises: a mean over the targets that were observed."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from pipeline.config.params import Train
from pipeline.training.batches import Examples

Loss = Callable[..., Any]


def masked(
    name: str,
    delta: float = 1.0,
    weights: npt.NDArray[np.float32] | float = 1.0,
    quantiles: Sequence[float] = (),
) -> Loss:
    """The mean loss over a batch's observed targets; see `summed`."""
    return mean(summed(name, delta, weights, quantiles))


def mean(total: Loss) -> Loss:
    """From a sum over a batch's observed targets to their mean."""
    return lambda y_true, y_pred, shares=None: (
        total(y_true, y_pred, shares) / ops.maximum(known(y_true), 1)
    )


def summed(
    name: str,
    delta: float = 1.0,
    weights: npt.NDArray[np.float32] | float = 1.0,
    quantiles: Sequence[float] = (),
) -> Loss:
    """The loss summed over a batch's observed targets: a target that is NaN has no weight.

    Of mse, mae or huber (Huber 1964), which turns from square to straight at `delta`; or of
    pinball (Koenker and Bassett 1978), the mean over the quantiles, of forecasts [B, H, K, Q].
    `weights` [H, K] are those of each step and target, `shares` [B, 1, 1] those of each window.
    """
    shares = np.array(quantiles, np.float32)

    def element(error: Any) -> Any:
        if name == "pinball":
            return ops.mean(ops.maximum(shares * error, (shares - 1) * error), axis=-1)
        size = ops.abs(error)
        if name == "mae":
            return size
        if name == "mse":
            return ops.square(error)
        return ops.where(size <= delta, 0.5 * ops.square(error), delta * (size - 0.5 * delta))

    def loss(y_true: Any, y_pred: Any, shares: Any = None) -> Any:
        # The forecast replaces a missing target, so that its gradient is 0 and never NaN.
        came = ops.expand_dims(y_true, -1) if name == "pinball" else y_true
        error = ops.where(ops.isnan(came), y_pred, came) - y_pred
        each = element(error) * weights
        return ops.sum(each if shares is None else each * shares)

    return loss


def known(targets: Any) -> Any:
    """How many of a batch's targets were observed: what its mean loss weighs in an epoch's."""
    return ops.sum(ops.cast(~ops.isnan(targets), "float32"))


def loss_weights(examples: Examples, settings: Train) -> npt.NDArray[np.float32]:
    """The weight of each step and target in the loss, [H, K], of mean 1.

    `persistence` weighs a step by 1 / RMSE of persistence in training, so that near steps, whose
    errors are small whatever one does, are learned as well as the far ones. No step weighs more
    than one of a twentieth of the median error: of a series that repeats itself to the digit,
    persistence has no error a season ahead. A step without an observed pair has the median's.
    """
    shape = (examples.horizon, examples.targets.shape[1])
    if settings.loss_weights == "equal":
        return np.ones(shape, np.float32)
    parts = [*examples.learned()]
    # Between series lie as many missing rows as no step goes beyond.
    between = np.full((examples.horizon, shape[1]), np.nan, np.float32)
    known = np.concatenate([parts[0], *(rows for part in parts[1:] for rows in (between, part))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a step without a pair
        errors = np.array(
            [
                np.sqrt(np.nanmean(np.square(known[step:] - known[:-step]), axis=0))
                for step in range(1, examples.horizon + 1)
            ]
        )
        median = np.nan_to_num(np.nanmedian(errors, axis=0), nan=1.0)
    errors = np.where(np.isnan(errors), median, errors)
    weights = 1 / np.maximum(errors, np.maximum(median / 20, 1e-6))
    return (weights / weights.mean()).astype(np.float32)

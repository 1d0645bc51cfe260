"""The baselines as networks: four without weights, and a linear map of the window."""

import keras
from keras import layers, ops

from pipeline.config.params import Naive, Ridge, SeasonalNaive
from pipeline.models.recurrent import head
from pipeline.models.spec import Spec


def persistence(past: keras.KerasTensor, model: Naive, spec: Spec) -> keras.KerasTensor:
    """[B, L, K] -> [B, H, K]: every step is the last value."""
    return ops.repeat(past[:, -1:, :], spec.horizon, axis=1)


def drift(past: keras.KerasTensor, model: Naive, spec: Spec) -> keras.KerasTensor:
    """[B, L, K] -> [B, H, K]: the line through the first and the last value of the look-back."""
    first, last = past[:, :1, :], past[:, -1:, :]
    ahead = ops.arange(1, spec.horizon + 1, dtype=past.dtype)[None, :, None]
    return last + ahead * (last - first) / (spec.look_back - 1)


def last_change(past: keras.KerasTensor, model: Naive, spec: Spec) -> keras.KerasTensor:
    """[B, L, K] -> [B, H, K]: every step is the last value plus the last change."""
    return ops.repeat(2 * past[:, -1:, :] - past[:, -2:-1, :], spec.horizon, axis=1)


def seasonal_naive(past: keras.KerasTensor, model: SeasonalNaive, spec: Spec) -> keras.KerasTensor:
    """[B, L, K] -> [B, H, K]: each step is the newest value a whole number of seasons before it."""
    newest_season = spec.look_back - model.season
    rows = [newest_season + step % model.season for step in range(spec.horizon)]
    return ops.take(past, rows, axis=1)


def ridge(window: keras.KerasTensor, model: Ridge, spec: Spec) -> keras.KerasTensor:
    """[B, L, F] -> [B, H, K]: a linear map of all that the window holds."""
    return head(layers.Flatten(name="flat")(window), spec)

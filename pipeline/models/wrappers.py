"""What stands around any network: a window's own level and scale, and the last value."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops


def exchange(
    window: keras.KerasTensor, positions: Sequence[int], values: keras.KerasTensor
) -> keras.KerasTensor:
    """The window, [B, L, F], with other values, [B, L, P], for the channels at P positions.

    They come first, and the channels that stay follow in their order.
    """
    others = [i for i in range(window.shape[2]) if i not in positions]
    return ops.concatenate([values, ops.take(window, others, axis=2)], axis=2) if others else values


class Normalisation(layers.Layer):
    """Each channel of each window less its own level: [B, L, K] -> the same, and how to undo it.

    `last` takes off the last value (Zeng et al. 2023, NLinear). `revin` is reversible instance
    normalisation (Kim et al. 2022): the mean off, divided by the standard deviation, then times a
    learned gain, plus a learned offset.
    """

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind

    def build(self, shape: Any) -> None:
        """Make the gain and offset, one of each a channel."""
        if self.kind == "revin":
            self.gain = self.add_weight(shape=(shape[2],), initializer="ones", name="gain")
            self.offset = self.add_weight(shape=(shape[2],), initializer="zeros", name="offset")

    def call(self, values: Any) -> Any:
        """The normalised values, and the level and width, [B, 1, K], that bring forecasts back.

        values = normalised * width + level
        """
        if self.kind == "last":
            level = values[:, -1:, :]
            width = ops.ones_like(level)
        else:
            variance = ops.var(values, axis=1, keepdims=True)
            width = ops.sqrt(variance + 1e-5) / self.gain
            level = ops.mean(values, axis=1, keepdims=True) - self.offset * width
        return (values - level) / width, level, width


class _OfSteps(layers.Layer):
    """A layer that has weights for each step of the horizon."""

    def __init__(self, horizon: int, **options: Any) -> None:
        super().__init__(**options)
        self.horizon = horizon


class Damping(_OfSteps):
    """The last value, [B, 1, K], times a learned weight for each step: [B, H, K].

    The weights start as a decay over the horizon: the further ahead, the less the last value
    tells, and the more the mean does.
    """

    def build(self, shape: Any) -> None:
        """Make the weights, one a step."""
        decay = np.exp(-np.arange(1, self.horizon + 1) / (1.5 * self.horizon))
        self.weight = self.add_weight(
            shape=(self.horizon, 1), initializer=lambda *_, **__: decay[:, None], name="weight"
        )

    def call(self, last: Any) -> Any:
        """Weigh the last value for every step."""
        return last * self.weight


class Linear(_OfSteps):
    """The steps, [B, H, K], that a linear map makes of the targets' past, [B, L, K], less its last.

    The map, [L, H], is solved before the network is fitted, and stays as it is.
    """

    def build(self, shape: Any) -> None:
        """Make room for the map."""
        size = (shape[1], self.horizon)
        self.map = self.add_weight(shape=size, initializer="zeros", trainable=False, name="map")

    def call(self, past: Any) -> Any:
        """What comes next, by the map."""
        last = past[:, -1:, :]
        return ops.einsum("blk,lh->bhk", past - last, self.map) + last

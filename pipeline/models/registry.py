"""The one place that turns a Spec into a Keras network."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pipeline.models.recurrent import encode
from pipeline.models.spec import Spec
from pipeline.scaling import Scaler


def build(spec: Spec, scaler: Scaler) -> keras.Model:
    """A network with fresh weights: windows [B, L, F] -> standardised forecasts [B, H, K].

    With `train.residual` the network's output is added to the targets' last value, so that it
    starts from persistence and learns what differs.
    """
    residual = spec.train.residual != "none"
    window = keras.Input((spec.look_back, len(spec.features)), name="window")
    steps = layers.Dense(
        spec.horizon * len(spec.targets),
        kernel_initializer="zeros" if residual else "glorot_uniform",
        name="head",
    )(encode(window, spec.model))
    forecast = layers.Reshape((spec.horizon, len(spec.targets)), name="steps")(steps)
    if residual:
        seen = [spec.features.index(name) for name in spec.targets]
        last = ops.take(window, seen, axis=2)[:, -1:, :]
        last = scaler.standardise(scaler.inverse(last, spec.targets, ops), spec.targets)
        if spec.train.residual == "damped":
            last = Damping(spec.horizon, name="damping")(last)
        forecast = forecast + last
    return keras.Model(window, forecast, name=spec.model.name)


class Damping(layers.Layer):
    """The last value, [B, 1, K], times a learned weight for each step: [B, H, K].

    The weights start as a decay over the horizon: the further ahead, the less the last value
    tells, and the more the mean does.
    """

    def __init__(self, horizon: int, **options: Any) -> None:
        super().__init__(**options)
        self.horizon = horizon

    def build(self, shape: Any) -> None:
        """Make the weights, one a step."""
        decay = np.exp(-np.arange(1, self.horizon + 1) / (1.5 * self.horizon))
        self.weight = self.add_weight(
            shape=(self.horizon, 1), initializer=lambda *_, **__: decay[:, None], name="weight"
        )

    def call(self, last: Any) -> Any:
        """Weigh the last value for every step."""
        return last * self.weight

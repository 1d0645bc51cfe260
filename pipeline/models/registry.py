"""The one place that turns a Spec into a Keras network."""

import keras
from keras import layers, ops

from pipeline.models.recurrent import encode
from pipeline.models.spec import Spec


def build(spec: Spec) -> keras.Model:
    """A network with fresh weights: windows [B, L, F] -> scaled forecasts [B, H, K].

    With `train.residual` the network forecasts the change since the targets' last value, so that
    it starts from persistence.
    """
    window = keras.Input((spec.look_back, len(spec.features)), name="window")
    state = encode(window, spec.model)
    steps = layers.Dense(
        spec.horizon * len(spec.targets),
        kernel_initializer="zeros" if spec.train.residual else "glorot_uniform",
        name="head",
    )(state)
    forecast = layers.Reshape((spec.horizon, len(spec.targets)), name="steps")(steps)
    if spec.train.residual:
        forecast = forecast + ops.take(window, spec.positions, axis=2)[:, -1:, :]
    return keras.Model(window, forecast, name=spec.model.name)

"""The one place that turns a Spec into a Keras network."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pipeline.config.params import ALPHAS, LinearMap, Segment
from pipeline.models import linear, quantiles
from pipeline.models.attention import attention_lstm
from pipeline.models.convolutional import cnn_lstm
from pipeline.models.recurrent import Known, recurrent
from pipeline.models.segment import segment
from pipeline.models.seq2seq import seq2seq_lstm
from pipeline.models.spec import Spec
from pipeline.models.task import Task
from pipeline.models.wrappers import Damping, Linear, Normalisation, exchange
from pipeline.preparation.scaling import Scaler

# From what it sees of the windows, [B, L, F], its own parameters and what is known of the steps,
# [B, H, G], to steps [B, H, K], or to [B, H, K, Q] numbers that quantiles are made of.
Body = Callable[[keras.KerasTensor, Any, Spec, Known], keras.KerasTensor]

MODELS: dict[str, Body] = {
    "rnn": recurrent,
    "lstm": recurrent,
    "bilstm": recurrent,
    "gru": recurrent,
    "cnn_lstm": cnn_lstm,
    "attention_lstm": attention_lstm,
    "seq2seq_lstm": seq2seq_lstm,
    "segment_lstm": segment,
    "segment_gru": segment,
}


def build(spec: Spec, scaler: Scaler) -> keras.Model:
    """A network or an ensemble with fresh weights, as `network` and `together` make them."""
    if spec.ensemble == 1:
        return network(spec, scaler, spec.model.name)
    return together([network(one, scaler, member(i)) for i, one in enumerate(spec.networks)])


def member(place: int) -> str:
    """What the member at a place, from 0 on, is called in an ensemble."""
    return f"member_{place + 1}"


def together(members: Sequence[keras.Model]) -> keras.Model:
    """The mean of what the members forecast; of quantiles, of each by itself, so they still rise.

    Averaging quantiles rather than probabilities keeps the intervals as wide as the members' are
    (Lichtendahl, Grushka-Cockayne and Winkler 2013). The members are layers of it.
    """
    given = [keras.Input(part.shape[1:], name=part.name) for part in members[0].inputs]
    inputs = given if len(given) > 1 else given[0]
    mean = layers.Average(name="mean")([one(inputs) for one in members])
    return keras.Model(inputs, mean, name="ensemble")


def members_of(model: keras.Model, spec: Spec) -> list[keras.Model]:
    """The members of an ensemble that `build` made; a network by itself is its only one."""
    if spec.ensemble == 1:
        return [model]
    return [model.get_layer(member(place)) for place in range(spec.ensemble)]


def network(spec: Spec, scaler: Scaler, name: str) -> keras.Model:
    """A network with fresh weights: windows [B, L, F] -> standardised forecasts [B, H, K].

    With `train.loss: pinball` these are quantiles, [B, H, K, Q], rising. Where something is known
    ahead, it takes a list: the windows, and what is known of their steps, [B, H, G].

    With `train.normalisation` the network sees each window less its targets' own level, and its
    forecasts get that level back. With `train.residual` its output is added to the targets' last
    value, their values a season before or what a linear map makes of their past, so that it starts
    from there and learns what differs; the map is `set_residual`'s. Both move the median; the other
    quantiles keep their distances from it, which with `train.normalisation` are as wide as the
    window.
    """
    window = keras.Input((spec.look_back, len(spec.features)), name="window")
    # An input may be scaled in another way (log1p, say) than a target, which is standardised.
    # Where that past is not among the inputs, nothing below asks for it.
    past = _past(window, spec, scaler) if spec.positions else window
    seen = past if isinstance(spec.model, Segment) else window
    if spec.normalisation != "none":
        normalise = Normalisation(spec.normalisation, name="normalisation")
        own, *_ = normalise(ops.take(seen, spec.positions, axis=2))
        seen = exchange(seen, spec.positions, own)
        past, level, width = normalise(past)
    known = None
    if spec.known_features:
        known = keras.Input((spec.horizon, len(spec.known_features)), name="known_ahead")
    forecast = MODELS[spec.model.name](seen, spec.model, spec, known)
    if spec.quantiles:
        forecast, distances = quantiles.split(forecast, spec.quantiles, ops)
    if spec.residual == "linear":
        forecast = forecast + Linear(spec.horizon, name="linear")(past)
    elif spec.residual == "seasonal":
        forecast = forecast + spec.newest_season(past, ops)
    elif spec.residual != "none":
        last = past[:, -1:, :]
        if spec.residual == "damped":
            last = Damping(spec.horizon, name="damping")(last)
        forecast = forecast + last
    if spec.normalisation != "none":
        forecast = forecast * width + level
        if spec.quantiles:  # a learned gain may be negative
            distances = distances * ops.expand_dims(ops.abs(width), -1)
    if spec.quantiles:
        made = quantiles.around(forecast, distances, spec.quantiles, ops)
        forecast = quantiles.straight(made, scaler, spec.targets, ops)
    given = window if known is None else [window, known]
    return keras.Model(given, forecast, name=name)


def _past(window: keras.KerasTensor, spec: Spec, scaler: Scaler) -> keras.KerasTensor:
    """The targets' own past, [B, L, P], standardised; of quantiles in the scale of the inputs."""
    own = ops.take(window, spec.positions, axis=2)
    names = [spec.features[i] for i in spec.positions]
    return own if spec.quantiles else scaler.restandardise(own, names, ops)


def set_residual(network: keras.Model, task: Task) -> None:
    """Solve the linear map that the network's output is added to, of the windows that it sees."""
    spec = task.spec
    spans = np.asarray(task.train), np.asarray(task.validation)
    seen = linear.seen_by(task)
    kernel = linear.fit(LinearMap(), spec.look_back, *seen, spans, spec.horizon, ALPHAS)
    network.get_layer("linear").map.assign(kernel)

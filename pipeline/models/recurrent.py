"""Stacks of recurrent layers."""

from typing import Any

import keras
from keras import layers

from pipeline.config import Recurrent, Stack
from pipeline.models.spec import Spec

LAYERS = {
    "rnn": layers.SimpleRNN,  # Elman (1990)
    "lstm": layers.LSTM,  # Hochreiter and Schmidhuber (1997), Gers et al. (2000)
    "gru": layers.GRU,  # Cho et al. (2014)
}


def recurrent(window: keras.KerasTensor, model: Recurrent, spec: Spec) -> keras.KerasTensor:
    """[B, L, F] -> [B, H, K]: the stack's last state, and a linear head."""
    return head(encode(window, model, model.name), spec)


def encode(
    window: keras.KerasTensor, model: Stack, kind: str = "lstm", sequences: bool = False
) -> keras.KerasTensor:
    """[B, L, F] -> the top layer's last state, [B, U], or all its states, [B, L, U].

    A bidirectional layer (Schuster and Paliwal 1997) reads the window, not the future, from both
    ends; it has twice the units.
    """
    state = window
    for i, units in enumerate(model.units, start=1):
        layer = LAYERS[kind.removeprefix("bi")](
            units,
            return_sequences=sequences or i < len(model.units),
            name=f"recurrent_{i}",
            **options(model),
        )
        if kind.startswith("bi"):
            layer = layers.Bidirectional(layer, name=f"both_ways_{i}")
        state = layers.Dropout(model.dropout, name=f"dropout_{i}")(layer(state))
    return state


def options(model: Stack) -> dict[str, Any]:
    """What every recurrent layer is made with."""
    return {"activation": model.activation, "dropout": model.input_dropout}


def head(state: keras.KerasTensor, spec: Spec) -> keras.KerasTensor:
    """[B, U] -> [B, H, K]: every step and target by a linear layer of its own."""
    steps = layers.Dense(
        spec.horizon * len(spec.targets), kernel_initializer=first_kernel(spec), name="head"
    )(state)
    return layers.Reshape((spec.horizon, len(spec.targets)), name="steps")(steps)


def first_kernel(spec: Spec) -> str:
    """How a head starts: at zero where the last value or the mean is added to what it says."""
    wrapped = spec.train.residual != "none" or spec.train.normalisation != "none"
    return "zeros" if wrapped else "glorot_uniform"

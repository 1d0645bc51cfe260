"""Stacks of recurrent layers."""

import keras
from keras import layers

from pipeline.config import Recurrent


def encode(window: keras.KerasTensor, model: Recurrent) -> keras.KerasTensor:
    """[B, L, F] -> [B, units of the last layer]: the last state of a stack of LSTM layers."""
    state = window
    for i, units in enumerate(model.units, start=1):
        state = layers.LSTM(
            units,
            activation=model.activation,
            dropout=model.input_dropout,
            return_sequences=i < len(model.units),
            name=f"recurrent_{i}",
        )(state)
        state = layers.Dropout(model.dropout, name=f"dropout_{i}")(state)
    return state

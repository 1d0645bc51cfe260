"""Segments of the look-back as recurrent steps, decoded in parallel; channels share weights."""

from typing import Any

import keras
from keras import layers, ops

from pipeline.config import Segment
from pipeline.models.recurrent import LAYERS, first_kernel, options
from pipeline.models.spec import Spec


def segment(past: keras.KerasTensor, model: Segment, spec: Spec) -> keras.KerasTensor:
    """[B, L, C] -> [B, H, C] by Lin et al. (2023), SegRNN, arXiv 2308.11200.

    A channel's look-back is cut into L / w segments of w rows, each projected and one recurrent
    step. Every segment ahead is then one more step from the last state, all of them in parallel
    (PMF), its input an embedding of its position and channel; a linear head makes it w rows, and
    what goes beyond the horizon is cut off.
    """
    channels, rows, width = len(spec.targets), model.segment, model.units[0]
    ahead = -(-spec.horizon // rows)
    kind = LAYERS[model.name.removeprefix("segment_")]
    stack = [
        kind(
            units,
            return_sequences=i < len(model.units),
            return_state=True,
            name=f"recurrent_{i}",
            **options(model),
        )
        for i, units in enumerate(model.units, start=1)
    ]
    # [B, L, C] -> [B * C, L / w, w] -> [B * C, L / w, width]
    series = ops.reshape(ops.transpose(past, (0, 2, 1)), (-1, spec.look_back // rows, rows))
    seen = layers.Dense(width, activation="relu", name="projection")(series)
    steps = Queries(channels, ahead, width, name="queries")(past)  # [B * C * ahead, 1, width]
    for i, layer in enumerate(stack, start=1):
        seen, *states = layer(seen)
        steps, *_ = layer(
            steps, initial_state=[ops.repeat(state, ahead, axis=0) for state in states]
        )
        dropout = layers.Dropout(model.dropout, name=f"dropout_{i}")
        seen, steps = dropout(seen), dropout(steps)
    rows_ahead = layers.Dense(rows, kernel_initializer=first_kernel(spec), name="head")(steps)
    forecast = ops.reshape(rows_ahead, (-1, channels, ahead * rows))[:, :, : spec.horizon]
    return ops.transpose(forecast, (0, 2, 1))


class Queries(layers.Layer):
    """What a decoder reads for each channel and segment ahead: [B, L, C] -> [B * C * ahead, 1, D].

    Half of the D numbers are learned for the segment's position, half for the channel.
    """

    def __init__(self, channels: int, ahead: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.channels, self.ahead, self.width = channels, ahead, width

    def build(self, shape: Any) -> None:
        """Make the embeddings, [ahead, D - D // 2] and [C, D // 2]."""
        half = self.width // 2
        self.position = self.add_weight(
            shape=(1, self.ahead, self.width - half), initializer="random_normal", name="position"
        )
        self.channel = self.add_weight(
            shape=(self.channels, 1, half), initializer="random_normal", name="channel"
        )

    def call(self, past: Any) -> Any:
        """The same queries for every window of the batch."""
        table = ops.concatenate(
            [
                ops.tile(self.position, (self.channels, 1, 1)),
                ops.tile(self.channel, (1, self.ahead, 1)),
            ],
            axis=2,
        )
        table = ops.reshape(table, (1, self.channels * self.ahead, self.width))
        return ops.reshape(table + ops.zeros_like(past[:, :1, :1]), (-1, 1, self.width))

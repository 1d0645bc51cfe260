"""Segments of the look-back as recurrent steps, decoded in parallel; channels share weights."""

from functools import partial
from math import prod
from typing import Any

import keras
from keras import layers, ops

from pipeline.config.params import Segment
from pipeline.models.recurrent import Known, cells, first_kernel, in_one_loop
from pipeline.models.spec import Spec


def segment(past: keras.KerasTensor, model: Segment, spec: Spec, known: Known) -> keras.KerasTensor:
    """[B, L, C] -> [B, H, C] or [B, H, C, Q] by Lin et al. (2023), SegRNN, arXiv 2308.11200.

    A channel's look-back is cut into L / w segments of w rows, each projected and one recurrent
    step. Every segment ahead is then one more step from the last state, all of them in parallel
    (PMF), its input an embedding of its position and channel; a linear head makes it w rows, and
    what goes beyond the horizon is cut off. What is known ahead of a segment's w rows is projected
    and added to that embedding, the same for all channels: it is one more thing that tells segments
    apart, and they stay parallel.
    """
    channels, rows, width = len(spec.targets), model.segment, model.units[0]
    ahead = -(-spec.horizon // rows)
    # [B, L, C] -> [B * C, L / w, w] -> [B * C, L / w, width]
    series = ops.reshape(ops.transpose(past, (0, 2, 1)), (-1, spec.look_back // rows, rows))
    seen = layers.Dense(width, activation="relu", name="projection")(series)
    steps = Queries(channels, ahead, width, name="queries")(past)  # [1, C, ahead, width]
    if known is not None:  # [B, H, G] -> [B, 1, ahead, w * G] -> [B, 1, ahead, width]
        whole = ops.pad(known, [[0, 0], [0, ahead * rows - spec.horizon], [0, 0]])
        plans = ops.reshape(whole, (-1, 1, ahead, rows * known.shape[2]))
        steps = steps + layers.Dense(width, use_bias=False, name="known")(plans)
    stack = cells(model.name, model, "recurrent")
    _, *states = in_one_loop(stack, "recurrent", return_state=True)(seen)
    if len(stack) == 1:  # Keras does not nest the states of one
        states = [states]
    for i, (cell, state) in enumerate(zip(stack, states, strict=True), start=1):
        steps = Ahead(cell, channels, name=f"ahead_{i}")(steps, keras.tree.flatten(state))
        steps = layers.Dropout(model.dropout, name=f"dropout_{i}")(steps)
    each = spec.outputs[2:]  # (), or (Q,)
    head = layers.Dense(rows * prod(each), kernel_initializer=first_kernel(spec), name="head")
    rows_ahead = ops.reshape(head(steps), (-1, channels, ahead * rows, *each))
    return ops.swapaxes(rows_ahead[:, :, : spec.horizon], 1, 2)


class Queries(layers.Layer):
    """What a decoder reads for each channel and segment ahead: [B, L, C] -> [1, C, ahead, D].

    Half of the D numbers are learned for the segment's position, half for the channel.
    """

    def __init__(self, channels: int, ahead: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.channels, self.ahead, self.width = channels, ahead, width

    def build(self, shape: Any) -> None:
        """Make the embeddings, [ahead, D - D // 2] and [C, D // 2]."""
        half = self.width // 2
        add = partial(self.add_weight, initializer="random_normal")
        self.position = add(shape=(1, self.ahead, self.width - half), name="position")
        self.channel = add(shape=(self.channels, 1, half), name="channel")

    def call(self, past: Any) -> Any:
        """The same queries for every window."""
        position = ops.tile(self.position, (self.channels, 1, 1))
        channel = ops.tile(self.channel, (1, self.ahead, 1))
        return ops.concatenate([position, channel], axis=2)[None]


class Ahead(layers.Layer):
    """A step from a channel's state by each query, [1 or B, C, ahead, D] -> [B, C, ahead, U].

    A state's product is taken once for all queries, and that of queries which are the same for all
    windows once for the batch: for long horizons these are half of all products.
    """

    def __init__(self, cell: layers.Layer, channels: int, **options: Any) -> None:
        super().__init__(**options)
        self.cell, self.channels = cell, channels

    def call(self, queries: Any, states: Any) -> Any:
        """From the states, [B * C, U]; queries are no input of the network and are not dropped."""
        shared = [ops.reshape(state, (-1, self.channels, 1, state.shape[-1])) for state in states]
        steps, _ = self.cell(queries, shared, training=False)
        return steps

"""Stacks of recurrent layers."""

from math import prod
from typing import Any, TypeAlias

import keras
from keras import layers, ops

from pipeline.config.params import Recurrent, Stack
from pipeline.models import by_layer
from pipeline.models.spec import KNOWN, Spec
from pipeline.runtime import determinism

# What is known ahead of each step, [B, H, G]; None where nothing is.
Known: TypeAlias = keras.KerasTensor | None


class LSTMCell(layers.LSTMCell):
    """Keras' cell, [..., F] and [..., U] -> [..., U]; its own takes two axes and no more."""

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """One step by Gers et al. (2000)."""
        last, carry = states
        if training and self.dropout:
            inputs = inputs * self.get_dropout_mask(inputs)
        gates = ops.matmul(inputs, self.kernel) + ops.matmul(last, self.recurrent_kernel)
        gates = ops.split(gates + self.bias, 4, axis=-1)
        entry, keep, show = (self.recurrent_activation(gates[i]) for i in (0, 1, 3))
        carry = keep * carry + entry * self.activation(gates[2])
        state = show * self.activation(carry)
        return state, [state, carry]


class GRUCell(layers.GRUCell):
    """Keras' cell, [..., F] and [..., U] -> [..., U], the recurrent product split, not sliced.

    A slice's gradient is padded with zeros to the size of what was sliced: for the three gates that
    takes half as long as the product.
    """

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """One step by Cho et al. (2014), the reset gate after the product as in cuDNN."""
        [last] = states
        if training and self.dropout:
            inputs = inputs * self.get_dropout_mask(inputs)
        bias, recurrent_bias = ops.unstack(self.bias)
        seen = ops.split(ops.matmul(inputs, self.kernel) + bias, 3, axis=-1)
        kept = ops.split(ops.matmul(last, self.recurrent_kernel) + recurrent_bias, 3, axis=-1)
        update = self.recurrent_activation(seen[0] + kept[0])
        reset = self.recurrent_activation(seen[1] + kept[1])
        candidate = self.activation(seen[2] + reset * kept[2])
        state = update * last + (1 - update) * candidate
        return state, [state]


CELLS = {
    "rnn": layers.SimpleRNNCell,  # Elman (1990)
    "lstm": layers.LSTMCell,  # Hochreiter and Schmidhuber (1997), Gers et al. (2000)
    "gru": GRUCell,  # Cho et al. (2014)
    "segment_lstm": LSTMCell,
    "segment_gru": GRUCell,
}


def recurrent(
    window: keras.KerasTensor, model: Recurrent, spec: Spec, known: Known
) -> keras.KerasTensor:
    """[B, L, F] -> [B, H, K]: the stack's last state, and a linear head."""
    return head(encode(window, model, model.name), spec, known)


def encode(
    window: keras.KerasTensor, model: Stack, kind: str = "lstm", sequences: bool = False
) -> keras.KerasTensor:
    """[B, L, F] -> the top layer's last state, [B, U], or all its states, [B, L, U].

    A bidirectional layer (Schuster and Paliwal 1997) reads the window, not the future, from both
    ends; it has twice the units.
    """
    if kind == "bilstm":
        state = _both_ways(window, model)
    else:
        stack = cells(kind, model, "recurrent")
        state = in_one_loop(stack, "recurrent", return_sequences=sequences)(window)
    return layers.Dropout(model.dropout, name="dropout")(state)


def cells(kind: str, model: Stack, name: str) -> list[layers.Layer]:
    """A cell for each layer, bottom first; each drops the same of what enters it at all steps.

    By Gal and Ghahramani (2016), arXiv 1512.05287. What leaves a layer is dropped where it enters
    the next; what leaves the top one is left to the caller.
    """
    first = model.input_dropout
    above = first + model.dropout - first * model.dropout
    return [
        CELLS[kind](
            units,
            activation=model.activation,
            dropout=above if i > 1 else first,
            name=f"{name}_{i}",
        )
        for i, units in enumerate(model.units, start=1)
    ]


def in_one_loop(stack: list[layers.Layer], name: str, **options: Any) -> layers.RNN:
    """Layers on top of each other, their steps in one loop instead of a loop for each layer.

    So a layer takes its next step while the layer above takes this one on another core. On a GPU
    each layer takes all its steps in one kernel of cuDNN's, where Keras has it.
    """
    kind = _kind(stack)
    if len(stack) == 1:
        return kind(stack[0], name=stack[0].name, **options)
    return kind(layers.StackedRNNCells(stack, name=f"{name}_cells"), name=name, **options)


def _kind(stack: list[layers.Layer]) -> type[layers.RNN]:
    return by_layer.RNN if determinism.gpus() and by_layer.has_kernel(stack) else layers.RNN


def _both_ways(window: keras.KerasTensor, model: Stack) -> keras.KerasTensor:
    state, stack = window, cells("lstm", model, "recurrent")
    for i, cell in enumerate(stack, start=1):
        layer = _kind([cell])(cell, return_sequences=i < len(stack), name=cell.name)
        state = layers.Bidirectional(layer, name=f"both_ways_{i}")(state)
    return state


def head(state: keras.KerasTensor, spec: Spec, known: Known) -> keras.KerasTensor:
    """[B, U] -> [B, H, K]: every step and target by a linear layer of its own.

    Of quantiles [B, H, K, Q].

    What is known ahead, [B, H, G], is decoded as in MQ-RNN (Wen et al. 2017, arXiv 1711.11053): one
    small network, the same at every step, reads the state, what the linear layer says of the step,
    and what is known of the step. It sees a step's own plan, not the others', so that its size does
    not grow with the horizon and what it learns at one step holds at all; by the linear layer it is
    told which step it is. Here it adds to that layer, which alone is the network without it.
    """
    shape, each = spec.outputs, prod(spec.outputs[1:])
    steps = layers.Dense(prod(shape), kernel_initializer=first_kernel(spec), name="head")(state)
    if known is not None:
        steps = layers.Reshape((spec.horizon, each), name="of_window")(steps)
        width, (of_step, of_state, last) = state.shape[-1], KNOWN
        own = layers.Dense(width, name=of_step)(ops.concatenate([steps, known], axis=2))
        shared = layers.Dense(width, use_bias=False, name=of_state)(state)
        joined = ops.relu(own + ops.expand_dims(shared, 1))  # [B, H, U]
        steps = steps + layers.Dense(each, kernel_initializer=first_kernel(spec), name=last)(joined)
    return layers.Reshape(shape, name="steps")(steps)


def first_kernel(spec: Spec) -> str:
    """How a head starts: at zero where the last value or the mean is added to what it says."""
    wrapped = spec.residual != "none" or spec.normalisation != "none"
    return "zeros" if wrapped else "glorot_uniform"

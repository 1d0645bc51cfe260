"""The plain recurrent network of Elman, to compare with: one state, no gates.

Source: Elman (1990), "Finding structure in time", Cognitive Science 14(2). In Keras it
is SimpleRNN.
"""

from typing import NamedTuple

import numpy as np

from pipeline.lstm.cell import Array, activate


class Elman(NamedTuple):
    """Weights of one layer, h_t = activation(x_t @ W + h_(t-1) @ U + b)."""

    W: Array  # [F, H]
    U: Array  # [H, H]
    b: Array  # [H]


class Trace(NamedTuple):
    """What a forward pass met."""

    x: Array  # [B, T, F]
    h: Array  # [B, T, H]


def step(p: Elman, x: Array, h: Array, activation: str = "tanh") -> Array:
    """One step: `x` [B, F] and the state `h` [B, H] give the next h."""
    return activate(activation, x @ p.W + h @ p.U + p.b)


def forward(p: Elman, x: Array, activation: str = "tanh") -> Trace:
    """Run a layer over sequences `x` [B, T, F] from a state of zeros."""
    h = np.zeros((x.shape[0], x.shape[1], p.b.size), np.result_type(x, p.W))
    state = h[:, 0]
    for t in range(x.shape[1]):
        state = step(p, x[:, t], state, activation)
        h[:, t] = state
    return Trace(x, h)

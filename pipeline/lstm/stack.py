"""LSTM layers on top of each other, a dense head, and the forecast they make.

Each layer reads the outputs of the one below at every step; the head reads the top layer's last.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.lstm import cell
from pipeline.lstm.cell import LSTM, Array, Gradients, Mask, Trace
from pipeline.lstm.joined import Recurrent, join, last_state


class Dense(NamedTuple):
    """Weights of a linear layer, y = x @ W + b."""

    W: Array  # [H, out]
    b: Array  # [out]


def forward(
    layers: Sequence[LSTM],
    x: Array,
    activation: str = "tanh",
    states: Sequence[tuple[Array, Array]] | None = None,
    mask: Mask | None = None,
) -> list[Trace]:
    """Run the layers, bottom first, as `cell.forward` runs one; a trace and a state each."""
    traces = []
    for n, p in enumerate(layers):
        h0, C0 = (None, None) if states is None else states[n]
        traces.append(cell.forward(p, x, activation, h0, C0, mask))
        x = traces[-1].h
    return traces


def backward(
    layers: Sequence[LSTM],
    traces: Sequence[Trace],
    dH: Array,
    dC_T: Sequence[Array] | None = None,
    activation: str = "tanh",
) -> list[Gradients]:
    """Gradients of each layer, bottom first; the first one's `x` is that of the network's input.

    Arguments as for `cell.backward`: `dH` of the top layer, a trace and a `dC_T` of each.
    """
    gradients = []
    for n in reversed(range(len(layers))):
        last = None if dC_T is None else dC_T[n]
        gradients.append(cell.backward(layers[n], traces[n], dH, last, activation))
        dH = gradients[-1].x
    return gradients[::-1]


def forecast(layers: Sequence[Recurrent], head: Dense, X: Array, activation: str = "tanh") -> Array:
    """Forecast [B, out] from windows `X` [B, L, F], in the dtype of the weights.

    ValueError as of `joined.last_state`.
    """
    state = last_state([join(p) for p in layers], X, activation)
    return state @ head.W + head.b


def initial_lstm(rng: np.random.Generator, features: int, units: int) -> LSTM:
    """Random float64 weights; each sum starts with variance near 1.

    The forget gate's bias starts at 1, so that an untrained cell remembers (Gers et al. 2000;
    Jozefowicz, Zaremba and Sutskever 2015).
    """
    W = [rng.normal(0.0, features**-0.5, (features, units)) for _ in range(4)]
    U = [rng.normal(0.0, units**-0.5, (units, units)) for _ in range(4)]
    b = [np.zeros(units), np.ones(units), np.zeros(units), np.zeros(units)]
    return LSTM(*W, *U, *b)


def initial_dense(rng: np.random.Generator, units: int, outputs: int) -> Dense:
    """Random float64 weights of a head."""
    return Dense(rng.normal(0.0, units**-0.5, (units, outputs)), np.zeros(outputs))

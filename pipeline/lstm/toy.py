"""A toy series, and a training loop small enough to read at one sitting."""

from collections.abc import Iterator

import numpy as np

from pipeline.lstm import stack
from pipeline.lstm.cell import Array
from pipeline.lstm.optimizers import Blocks, adam, adam_start

RATE, BATCH = 0.01, 32  # of learning; windows


def toy_series(length: int, seed: int = 0) -> Array:
    """Two sines, with periods of 24 and 10 steps, and a little noise; [length], no unit."""
    t = np.arange(length)
    noise = np.random.default_rng(seed).normal(0.0, 0.03, length)
    return np.sin(2 * np.pi * t / 24) + 0.5 * np.sin(2 * np.pi * t / 10) + noise


def windows(series: Array, look_back: int) -> tuple[Array, Array]:
    """Windows [N, look_back, 1] and the value after each [N, 1]."""
    view = np.lib.stride_tricks.sliding_window_view(series, look_back + 1)
    return view[:, :-1, None], view[:, -1:]


def initial_network(units: int, seed: int = 0) -> Blocks:
    """One LSTM layer and a head, for one input and one output."""
    rng = np.random.default_rng(seed)
    return stack.initial_lstm(rng, 1, units), stack.initial_dense(rng, units, 1)


def loss_and_gradients(
    weights: Blocks, x: Array, y: Array, activation: str = "tanh"
) -> tuple[float, Blocks]:
    """Mean squared error of the forecasts of `y` [B, out], and its gradients, block by block."""
    *layers, head = weights
    traces = stack.forward(layers, x, activation)
    h_T = traces[-1].h[:, -1]
    error = h_T @ head.W + head.b - y
    dy = 2.0 * error / error.size
    dH = np.zeros_like(traces[-1].h)
    dH[:, -1] = dy @ head.W.T
    gradients = stack.backward(layers, traces, dH, activation=activation)
    of_head = stack.Dense(h_T.T @ dy, dy.sum(axis=0))
    return float(np.mean(error**2)), (*(g.weights for g in gradients), of_head)


def train(
    weights: Blocks, x: Array, y: Array, epochs: int, seed: int = 0, activation: str = "tanh"
) -> Iterator[tuple[Blocks, float]]:
    """Yield, after each epoch of Adam steps, the new weights and the mean loss on the way."""
    rng = np.random.default_rng(seed)
    state = adam_start(weights)
    for _ in range(epochs):
        losses = []
        order = rng.permutation(len(x))
        for rows in np.split(order, range(BATCH, len(x), BATCH)):
            loss, gradients = loss_and_gradients(weights, x[rows], y[rows], activation)
            weights, state = adam(weights, gradients, state, RATE)
            losses.append(loss)
        yield weights, float(np.mean(losses))

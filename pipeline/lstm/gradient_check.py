"""Is the gradient right? Central differences, for every number of every array.

The loss is a weighted sum of outputs and of last cell states, so its own derivatives are those
weights, and whatever error is found comes from back-propagation.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pipeline.lstm import stack
from pipeline.lstm.cell import LSTM, Array, Gradients, Mask, Trace

Backward = Callable[..., list[Gradients]]


class Problem(NamedTuple):
    """A network, its input and a loss, all in float64."""

    layers: tuple[LSTM, ...]
    x: Array  # [B, T, F]
    states: tuple[tuple[Array, Array], ...]  # h0, C0 of each layer, [B, H]
    mask: Mask  # [B, T]
    dH: Array  # [B, T, H], the loss's weight for each output of the top layer
    dC_T: tuple[Array, ...]  # its weight for each last cell state, [B, H]
    activation: str

    def forward(self) -> list[Trace]:
        """What each layer did."""
        return stack.forward(self.layers, self.x, self.activation, self.states, self.mask)


class CheckedArray(NamedTuple):
    """One array's verdict."""

    name: str
    shape: tuple[int, ...]
    norm: float  # of the gradient by back-propagation
    error: float  # norm of the difference over the sum of norms


def random_problem(
    seed: int,
    batch: int = 2,
    steps: int = 5,
    features: int = 3,
    units: Sequence[int] = (4, 3),
    activation: str = "tanh",
    masked: bool = False,
) -> Problem:
    """A random network whose loss reads about half of the steps; `masked` skips about a third."""
    rng = np.random.default_rng(seed)
    sizes = [features, *units]
    layers = tuple(stack.initial_lstm(rng, f, h) for f, h in pairwise(sizes))
    # A zero bias or state would hide a gradient that is wrong by a factor of it.
    layers = tuple(LSTM(*(a + rng.normal(0.0, 0.3, a.shape) for a in p)) for p in layers)
    states = tuple((rng.normal(size=(batch, h)), rng.normal(size=(batch, h))) for h in units)
    mask = rng.random((batch, steps)) > (0.35 if masked else 0.0)
    reads = rng.random((1, steps, 1)) < 0.5
    reads[:, rng.integers(steps)] = True
    dH = rng.normal(size=(batch, steps, units[-1])) * reads
    dC_T = tuple(rng.normal(size=(batch, h)) for h in units)
    x = rng.normal(size=(batch, steps, features))
    return Problem(layers, x, states, mask, dH, dC_T, activation)


def loss(problem: Problem) -> float:
    """The weighted sum of outputs and last cell states."""
    traces = problem.forward()
    last = sum(np.sum(d * trace.C[:, -1]) for d, trace in zip(problem.dC_T, traces, strict=True))
    return float(np.sum(problem.dH * traces[-1].h) + last)


def gradient_check(
    problem: Problem, epsilon: float = 1e-5, backward: Backward = stack.backward
) -> list[CheckedArray]:
    """Compare back-propagation with (loss(a + epsilon) - loss(a - epsilon)) / (2 epsilon).

    Norms of whole arrays are compared: an exact gradient near zero fails any test of its elements.
    Arrays are float64; for relu, their `kink_distance` must be well above `epsilon`. `backward` is
    `stack.backward`, or one with a fault put in.
    """
    gradients = backward(
        problem.layers, problem.forward(), problem.dH, problem.dC_T, problem.activation
    )
    pairs = {"x": (problem.x, gradients[0].x)}
    for n, (p, (h0, C0), d) in enumerate(
        zip(problem.layers, problem.states, gradients, strict=True), start=1
    ):
        for name, array, gradient in zip(p._fields, p, d.weights, strict=True):
            pairs[f"layer {n} {name}"] = (array, gradient)
        pairs[f"layer {n} h0"], pairs[f"layer {n} C0"] = (h0, d.h0), (C0, d.C0)
    return [
        CheckedArray(
            name,
            array.shape,
            float(np.linalg.norm(gradient)),
            relative_error(gradient, numeric_gradient(problem, array, epsilon)),
        )
        for name, (array, gradient) in pairs.items()
    ]


def numeric_gradient(problem: Problem, array: Array, epsilon: float) -> Array:
    """Central differences of the loss by one of the problem's own arrays, which is restored."""
    result = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + epsilon
        above = loss(problem)
        array[index] = kept - epsilon
        below = loss(problem)
        array[index] = kept
        result[index] = (above - below) / (2 * epsilon)
    return result


def relative_error(a: Array, b: Array) -> float:
    """|a - b| / (|a| + |b|), Euclidean norms; 0 for two arrays of zeros, 1 for unequal shapes."""
    if a.shape != b.shape:
        return 1.0
    size = np.linalg.norm(a) + np.linalg.norm(b)
    return float(np.linalg.norm(a - b) / size) if size > 0 else 0.0

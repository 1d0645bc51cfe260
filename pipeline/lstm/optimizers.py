"""Steps down a gradient: SGD and Adam, as functions from weights to new weights.

Weights are a tuple of blocks, a block being a named tuple of arrays (`LSTM`, `Dense`); gradients
are a tuple of the same form. Nothing is changed in place.
"""

from typing import Any, NamedTuple

import numpy as np

Blocks = tuple[Any, ...]


class AdamState(NamedTuple):
    """Running means of the gradients and of their squares, and how many steps made them."""

    steps: int
    mean: Blocks
    square: Blocks


def map_blocks(function: Any, *trees: Blocks) -> Blocks:
    """Apply a function to each array of a tuple of blocks and its fellows in the other tuples.

    ValueError if the tuples differ in their blocks, or two fellows in shape: NumPy would stretch a
    wrong shape without a word.
    """
    first = trees[0]
    for other in trees[1:]:
        if [type(block) for block in other] != [type(block) for block in first]:
            raise ValueError(
                f"gradients: expected blocks {[type(b).__name__ for b in first]}, "
                f"found {[type(b).__name__ for b in other]}"
            )
        for n, (block, fellow) in enumerate(zip(first, other, strict=True)):
            for name, a, b in zip(block._fields, block, fellow, strict=True):
                if a.shape != b.shape:
                    raise ValueError(
                        f"gradients: block {n + 1}, {name}: expected shape {list(a.shape)}, "
                        f"found {list(b.shape)}"
                    )
    return tuple(
        type(group[0])(*(function(*arrays) for arrays in zip(*group, strict=True)))
        for group in zip(*trees, strict=True)
    )


def sgd(weights: Blocks, gradients: Blocks, rate: float) -> Blocks:
    """Stochastic gradient descent: w - rate * dw, for every array."""
    return map_blocks(lambda w, g: w - rate * g, weights, gradients)


def adam_start(weights: Blocks) -> AdamState:
    """A state for `adam` that has seen no gradient."""
    zeros = map_blocks(np.zeros_like, weights)
    return AdamState(0, zeros, zeros)


def adam(
    weights: Blocks,
    gradients: Blocks,
    state: AdamState,
    rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Blocks, AdamState]:
    """One Adam step; new weights and new state.

    Source: Kingma and Ba (2015), "Adam: a method for stochastic optimization", algorithm 1.
    """
    steps = state.steps + 1
    mean = map_blocks(lambda m, g: beta1 * m + (1 - beta1) * g, state.mean, gradients)
    square = map_blocks(lambda v, g: beta2 * v + (1 - beta2) * g * g, state.square, gradients)
    # Both means start at zero, which pulls them towards it; these factors take that out again.
    scale_m, scale_v = 1 / (1 - beta1**steps), 1 / (1 - beta2**steps)
    stepped = map_blocks(
        lambda w, m, v: w - rate * (scale_m * m) / (np.sqrt(scale_v * v) + epsilon),
        weights,
        mean,
        square,
    )
    return stepped, AdamState(steps, mean, square)

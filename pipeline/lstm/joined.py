"""The same layers, laid out for forecasts alone: one product a step, nothing kept for the way back.

The weights of the four gates stand below each other, and so do input and state: what `cell.step`
computes with eight products is one. States lie as [H, B], so that each gate is one piece of memory.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from pipeline.lstm.cell import LSTM, Array
from pipeline.lstm.elman import Elman

Recurrent = LSTM | Elman
Activation = Callable[..., Any]  # of values and `out`
ACTIVATIONS: dict[str, Activation] = {
    "tanh": np.tanh,
    "relu": lambda z, out: np.maximum(z, 0.0, out=out),
}


class Joined(NamedTuple):
    """A layer's weights in one piece.

    Of an LSTM with 4H rows: i, f and o, halved, then C. A sigmoid is a tanh of half its argument
    (`cell.sigmoid`), and to halve is exact, so one tanh serves all four.
    """

    kernel: Array  # [4H or H, F + H] by the input and the state before
    bias: Array  # [4H or H, 1]
    gated: bool  # an LSTM

    @property
    def units(self) -> int:
        """H."""
        return len(self.bias) // (4 if self.gated else 1)


def join(p: Recurrent) -> Joined:
    """The weights of a layer in one piece, in their dtype."""
    if isinstance(p, Elman):
        return Joined(np.concatenate([p.W, p.U]).T.copy(), p.b[:, None].copy(), gated=False)
    half = p.b_i.dtype.type(0.5)
    gates = [
        (p.W_i, p.U_i, p.b_i, half),
        (p.W_f, p.U_f, p.b_f, half),
        (p.W_o, p.U_o, p.b_o, half),
        (p.W_C, p.U_C, p.b_C, half + half),
    ]
    kernel = np.concatenate([np.concatenate([W, U]).T * by for W, U, _, by in gates])
    bias = np.concatenate([b * by for *_, b, by in gates])
    return Joined(kernel, bias[:, None], gated=True)


def last_state(layers: Sequence[Joined], X: Array, activation: str = "tanh") -> Array:
    """The top layer's state [B, U] after windows `X` [B, L, F], in the dtype of the weights.

    All layers go forward together, a step at a time, so that memory does not grow with L.
    ValueError if `X` is not [B, L, F] with the features that the first layer expects, or of an
    activation that is neither tanh nor relu.
    """
    features = layers[0].kernel.shape[1] - layers[0].units
    if X.ndim != 3 or X.shape[2] != features or X.shape[1] == 0:
        raise ValueError(
            f"X: expected shape [B, L, {features}] with L of at least 1, found {list(X.shape)}"
        )
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: expected 'tanh' or 'relu', found {activation!r}")
    batch, steps = X.shape[:2]
    # The input and each layer's h below each other: what a layer reads is one piece of it.
    ends = [*accumulate((p.units for p in layers), initial=features)]
    state = np.zeros((ends[-1], batch), layers[0].kernel.dtype)
    starts = [0, *ends]
    each = [
        (p, state[starts[n] : starts[n + 2]], state[starts[n + 1] : starts[n + 2]],
         np.zeros((p.units, batch), state.dtype), np.empty((len(p.bias), batch), state.dtype))
        for n, p in enumerate(layers)
    ]  # fmt: skip
    for t in range(steps):
        state[:features] = X[:, t].T
        for own in each:
            _step(*own, ACTIVATIONS[activation])
    return state[starts[-2] :].T


def _step(p: Joined, read: Array, h: Array, C: Array, z: Array, activate: Activation) -> None:
    """One step in place: h and C, [H, B], become the next; `read` [F + H, B] ends with h."""
    np.matmul(p.kernel, read, out=z)
    z += p.bias
    if not p.gated:
        activate(z, out=h)
        return
    i, f, o, candidate = z.reshape(4, *h.shape)
    gates = z[: 3 * len(h)]
    np.tanh(gates, out=gates)
    gates *= 0.5
    gates += 0.5
    activate(candidate, out=candidate)
    C *= f
    i *= candidate
    C += i
    activate(C, out=h)
    h *= o

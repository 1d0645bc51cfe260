"""One LSTM layer: its equations forward, and back-propagation through time.

Shapes: B windows, T steps, F inputs, H units. Rows are windows, so a product that the books write
as `W x` is `x @ W` here, with `W` [F, H], as in Keras. A book's `W [h, x]` is the pair `U`, for the
previous output, and `W`, for the input.

Sources: Hochreiter and Schmidhuber (1997), "Long short-term memory", Neural Computation 9(8), for
the cell; Gers, Schmidhuber and Cummins (2000), "Learning to forget", Neural Computation 12(10), for
the forget gate; Werbos (1990), "Backpropagation through time", Proceedings of the IEEE 78(10).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


class LSTM(NamedTuple):
    """Weights of one layer: input gate i, forget gate f, candidate C, output gate o."""

    W_i: Array  # [F, H], as the other three W
    W_f: Array
    W_C: Array
    W_o: Array
    U_i: Array  # [H, H], as the other three U
    U_f: Array
    U_C: Array
    U_o: Array
    b_i: Array  # [H], as the other three b
    b_f: Array
    b_C: Array
    b_o: Array


class Trace(NamedTuple):
    """Everything a forward pass met, kept for the way back and for pictures."""

    x: Array  # [B, T, F]
    h0: Array  # [B, H]
    C0: Array  # [B, H]
    mask: Mask  # [B, T], False where a step is skipped
    i: Array  # [B, T, H], as all below
    f: Array
    candidate: Array
    o: Array
    C: Array
    h: Array

    def previous(self) -> tuple[Array, Array]:
        """The states each step started from: h_(t-1) and C_(t-1), both [B, T, H]."""
        return (
            np.concatenate([self.h0[:, None], self.h[:, :-1]], axis=1),
            np.concatenate([self.C0[:, None], self.C[:, :-1]], axis=1),
        )


class Gradients(NamedTuple):
    """What a loss changes by, for a change in each array that went into a layer."""

    weights: LSTM
    x: Array  # [B, T, F]
    h0: Array  # [B, H]
    C0: Array  # [B, H]


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), by way of tanh, which cannot overflow."""
    result: Array = 0.5 * (1.0 + np.tanh(0.5 * z))
    return result


def activate(name: str, z: Array) -> Array:
    """tanh(z) or relu(z); `ValueError` for another name."""
    if name == "tanh":
        return np.tanh(z)
    if name == "relu":
        return np.maximum(z, 0.0)
    raise ValueError(f"activation: expected 'tanh' or 'relu', found {name!r}")


def slope(name: str, y: Array) -> Array:
    """Derivative of the activation where its value is `y`; relu's is 0 at 0, as in TensorFlow."""
    derivative: Array = 1.0 - y * y if name == "tanh" else (y > 0.0).astype(y.dtype)
    return derivative


def step(
    p: LSTM, x: Array, h: Array, C: Array, activation: str = "tanh"
) -> tuple[Array, Array, tuple[Array, Array, Array, Array]]:
    """One step: `x` [B, F] and the state `h`, `C` [B, H] give the next h, C and (i, f, C~, o)."""
    i = sigmoid(x @ p.W_i + h @ p.U_i + p.b_i)
    f = sigmoid(x @ p.W_f + h @ p.U_f + p.b_f)
    o = sigmoid(x @ p.W_o + h @ p.U_o + p.b_o)
    candidate = activate(activation, x @ p.W_C + h @ p.U_C + p.b_C)
    C = f * C + i * candidate
    h = o * activate(activation, C)
    return h, C, (i, f, candidate, o)


def forward(
    p: LSTM,
    x: Array,
    activation: str = "tanh",
    h0: Array | None = None,
    C0: Array | None = None,
    mask: Mask | None = None,
) -> Trace:
    """Run a layer over whole sequences.

    Args:
        p: weights; their dtype and that of `x` decide float32 or float64.
        x: [B, T, F].
        activation: 'tanh' or 'relu', of the candidate and the output alike.
        h0, C0: [B, H], zeros if not given.
        mask: [B, T]; where False the step is skipped and the state carried on, as in Keras.

    Raises:
        ValueError: `x` does not fit the weights.
    """
    features, units = p.W_i.shape
    if x.ndim != 3 or x.shape[2] != features:
        raise ValueError(f"x: expected shape [B, T, {features}], found {list(x.shape)}")
    batch, steps = x.shape[:2]
    zeros = np.zeros((batch, units), np.result_type(x, p.W_i))
    h0 = zeros if h0 is None else h0
    C0 = zeros if C0 is None else C0
    mask = np.ones((batch, steps), bool) if mask is None else mask
    i, f, candidate, o, C_all, h_all = np.empty((6, batch, steps, units), zeros.dtype)
    h, C = h0, C0
    for t in range(steps):
        live = mask[:, t, None]
        h_new, C_new, gates = step(p, x[:, t], h, C, activation)
        h, C = np.where(live, h_new, h), np.where(live, C_new, C)
        i[:, t], f[:, t], candidate[:, t], o[:, t] = gates
        C_all[:, t], h_all[:, t] = C, h
    return Trace(x, h0, C0, mask, i, f, candidate, o, C_all, h_all)


def backward(
    p: LSTM, trace: Trace, dH: Array, dC_T: Array | None = None, activation: str = "tanh"
) -> Gradients:
    """Back-propagation through time: gradients of a loss, summed over all steps.

    `dH` [B, T, H] is the loss's own derivative by each h_t, zero for steps it does not read; `dC_T`
    [B, H] that by the last cell state, zero if not given. `activation` is the one of `forward`.
    """
    h_prev, C_prev = trace.previous()
    dz = np.zeros((4, *trace.h.shape), trace.h.dtype)  # by the sums inside i, f, C~ and o
    dh = np.zeros_like(trace.h0)
    dC = np.zeros_like(trace.C0) if dC_T is None else dC_T
    for t in reversed(range(trace.x.shape[1])):
        live = trace.mask[:, t, None]
        i, f, candidate, o = (a[:, t] for a in (trace.i, trace.f, trace.candidate, trace.o))
        y = activate(activation, trace.C[:, t])
        dh = dh + dH[:, t]
        # C_t is felt twice: through h_t = o * y at this step, and as the memory of the next one.
        dC_t = dC + dh * o * slope(activation, y)
        step_dz = [
            dC_t * candidate * i * (1.0 - i),
            dC_t * C_prev[:, t] * f * (1.0 - f),
            dC_t * i * slope(activation, candidate),
            dh * y * o * (1.0 - o),
        ]
        dz[:, :, t] = np.where(live, step_dz, 0.0)
        through_gates = sum(d[:, t] @ U.T for d, U in zip(dz, p[4:8], strict=True))
        dh = np.where(live, through_gates, dh)
        dC = np.where(live, dC_t * f, dC)
    weights = LSTM(
        *(np.tensordot(trace.x, d, axes=([0, 1], [0, 1])) for d in dz),
        *(np.tensordot(h_prev, d, axes=([0, 1], [0, 1])) for d in dz),
        *(d.sum(axis=(0, 1)) for d in dz),
    )
    dx = sum(d @ W.T for d, W in zip(dz, p[:4], strict=True))
    return Gradients(weights, np.asarray(dx), dh, dC)


def from_keras(kernel: Array, recurrent_kernel: Array, bias: Array) -> LSTM:
    """Cut Keras' arrays, [F, 4H], [H, 4H] and [4H] in the order i, f, C, o, into gates."""
    arrays = kernel, recurrent_kernel, bias
    return LSTM(*(gate for array in arrays for gate in np.split(array, 4, axis=-1)))

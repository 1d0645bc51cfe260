"""What one step does to a recurrent network's state: exact Jacobians, layer and stack.

They follow from the equations of `cell.step` and `elman.forward` by the chain rule; at an unmasked
step, as all are here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.lstm import cell, elman
from pipeline.lstm.cell import LSTM, Array, slope
from pipeline.lstm.elman import Elman
from pipeline.lstm.joined import Recurrent


def lstm_jacobian(p: LSTM, trace: cell.Trace, t: int, activation: str) -> tuple[Array, Array]:
    """Derivatives of (h_t, C_t) by (h_(t-1), C_(t-1)), [B, 2H, 2H], and by x_t, [B, 2H, F]."""
    C_prev = trace.C[:, t - 1] if t else trace.C0
    i, f, candidate, o = (a[:, t] for a in (trace.i, trace.f, trace.candidate, trace.o))
    y = cell.activate(activation, trace.C[:, t])
    C_by_z = [candidate * i * (1 - i), C_prev * f * (1 - f), i * slope(activation, candidate)]
    h_by_z_o, h_by_C = y * o * (1 - o), o * slope(activation, y)

    def through_gates(M_i: Array, M_f: Array, M_C: Array, M_o: Array) -> Array:
        """Rows h and C, columns those of whatever the four matrices multiply."""
        C_rows = sum(d[:, :, None] * M.T for d, M in zip(C_by_z, (M_i, M_f, M_C), strict=True))
        h_rows = h_by_z_o[:, :, None] * M_o.T + h_by_C[:, :, None] * C_rows
        return np.concatenate([h_rows, C_rows], axis=1)

    eye = np.eye(f.shape[1])
    by_C = np.concatenate([(h_by_C * f)[:, :, None] * eye, f[:, :, None] * eye], axis=1)
    return np.concatenate([through_gates(*p[4:8]), by_C], axis=2), through_gates(*p[:4])


def elman_jacobian(p: Elman, trace: elman.Trace, t: int, activation: str) -> tuple[Array, Array]:
    """Derivatives of h_t by h_(t-1), [B, H, H], and by x_t, [B, H, F]."""
    d = slope(activation, trace.h[:, t])[:, :, None]
    return d * p.U.T, d * p.W.T


KINDS: dict[type, tuple[Any, Any]] = {
    LSTM: (cell.forward, lstm_jacobian),
    Elman: (elman.forward, elman_jacobian),
}


def run(layers: Sequence[Recurrent], windows: Array, activation: str = "tanh") -> list[Any]:
    """Traces of the layers over `windows` [N, L, F], bottom first, in float64."""
    traces: list[Any] = []
    x = windows.astype(np.float64)
    for p in layers:
        traces.append(KINDS[type(p)][0](p, x, activation))
        x = traces[-1].h
    return traces


def stack_jacobian(
    layers: Sequence[Recurrent], traces: Sequence[Any], t: int, activation: str
) -> Array:
    """One-step Jacobian [N, S, S] of the joint state (h_1, C_1, h_2, C_2, ...) of all layers.

    S is 2H summed over LSTM layers, H over plain ones. A layer reads the one below at the same
    step, so a column's effect climbs through `by_x` into every layer above.
    """
    pairs = zip(layers, traces, strict=True)
    parts = [KINDS[type(p)][1](p, trace, t, activation) for p, trace in pairs]
    sizes = [by_state.shape[1] for by_state, _ in parts]
    total = np.zeros((len(traces[0].x), sum(sizes), sum(sizes)))
    h_below = slice(0, 0)
    for n, (by_state, by_x) in enumerate(parts):
        rows = slice(sum(sizes[:n]), sum(sizes[: n + 1]))
        if n:
            total[:, rows] = by_x @ total[:, h_below]
        total[:, rows, rows] += by_state
        h_below = slice(rows.start, rows.start + traces[n].h.shape[2])
    return total

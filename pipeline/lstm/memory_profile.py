"""How far back a recurrent network looks, measured on its own windows.

One step turns the state s_(t-1) into s_t. The derivative of the state now by the state k steps ago
is the product of k one-step Jacobians,

    ds_t/ds_(t-k) = J_t J_(t-1) ... J_(t-k+1),

if s is the *joint* state of everything that is handed on: h and C of every layer. Its blocks from
C to C are then dC_t/dC_(t-k), every path included. The product of dC_t/dC_(t-1) alone is another
thing: it leaves out the paths through h, which the gates read.

Sources: Bengio, Simard and Frasconi (1994), "Learning long-term dependencies with gradient descent
is difficult", IEEE Transactions on Neural Networks 5(2); Pascanu, Mikolov and Bengio (2013), "On
the difficulty of training recurrent neural networks".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.lstm.cell import LSTM, Array
from pipeline.lstm.jacobian import run, stack_jacobian
from pipeline.lstm.joined import Recurrent

THRESHOLD = 0.01
NEGLIGIBLE = 1e-8  # an influence that no picture shows


class MemoryProfile(NamedTuple):
    """Spectral norms, means over windows, at k = 0 ... L; each is [L + 1] and starts at 1.

    `cell` and `forget` are of LSTM layers only; a plain network has no C and no forget gate.
    """

    joint: Array  # of ds_t/ds_(t-k), s the joint state of all layers
    cell: Array | None  # of its block dC_t/dC_(t-k), C that of all layers
    forget: Array | None  # of the product of forget gates alone


def memory_profile(
    layers: Sequence[Recurrent], windows: Array, activation: str = "tanh"
) -> MemoryProfile:
    """How strongly the state at the end of a window depends on the state k steps before.

    For the stack as a whole, in float64. Time and memory grow with N and with the cube and square
    of the joint state's size: 32 windows tell as much as a thousand. Once the joint influence is
    under NEGLIGIBLE, the steps before are given the same values and take no time.

    The layers, bottom first, are of one kind; `windows` [N, L, F] are scaled as the model reads
    them, ValueError if not so. The state L steps ago is the zeros that a window starts from.
    """
    features = layers[0][0].shape[0]
    if windows.ndim != 3 or windows.shape[2] != features or 0 in windows.shape:
        raise ValueError(
            f"windows: expected shape [N, L, {features}], none of them 0, "
            f"found {list(windows.shape)}"
        )
    traces = run(layers, windows, activation)
    gated = isinstance(layers[0], LSTM)
    parts = ("h", "C") if gated else ("h",)
    is_C = np.concatenate([[part == "C"] * p[-1].size for p in layers for part in parts])
    product: Array = np.broadcast_to(np.eye(is_C.size), (len(windows), is_C.size, is_C.size))
    kept: Array = np.ones((len(windows), int(is_C.sum())))
    joint, cells, forget = [1.0], [1.0], [1.0]
    for t in reversed(range(windows.shape[1])):
        product = product @ stack_jacobian(layers, traces, t, activation)
        joint.append(mean_norm(product))
        if gated:
            cells.append(mean_norm(product[:, is_C][:, :, is_C]))
            kept = kept * np.concatenate([trace.f[:, t] for trace in traces], axis=1)
            forget.append(float(kept.max(axis=1).mean()))  # the norm of a diagonal matrix
        if joint[-1] < NEGLIGIBLE:
            break

    def whole(norms: list[float]) -> Array:
        return np.pad(norms, (0, windows.shape[1] + 1 - len(norms)), mode="edge")

    C_alone = (whole(cells), whole(forget)) if gated else (None, None)
    return MemoryProfile(whole(joint), *C_alone)


def mean_norm(matrices: Array) -> float:
    """Mean spectral norm, the largest singular value, of [N, S, S]; NaN if one is not finite."""
    if not np.isfinite(matrices).all():
        return float("nan")
    # The largest singular value of A is the root of the largest eigenvalue of A A^T, which comes
    # several times faster than a singular value decomposition.
    largest = np.linalg.eigvalsh(matrices @ matrices.swapaxes(1, 2))[:, -1]
    return float(np.sqrt(np.maximum(largest, 0.0)).mean())


def memory_length(profile: MemoryProfile, threshold: float = THRESHOLD) -> int | None:
    """The smallest k beyond which the joint state's influence stays under `threshold`.

    1 is the influence at k = 0. None if it is not yet under the threshold at the oldest step;
    ValueError if the profile holds NaN.
    """
    if np.isnan(profile.joint).any():
        raise ValueError(
            "profile: expected numbers, found NaN: the windows or weights hold "
            "NaN, or the states overflow"
        )
    felt = np.flatnonzero(profile.joint >= threshold)
    last = int(felt[-1]) if felt.size else 0
    return None if last == len(profile.joint) - 1 else last


def memory_sentence(profile: MemoryProfile, unit: str = "step") -> str:
    """One sentence: how far back the network looks, and whether look-back is longer than that."""
    length, look_back = memory_length(profile), len(profile.joint) - 1
    if length is None:
        return (
            f"After {look_back} {unit}s, the whole look-back, a change in the state is still felt "
            f"({profile.joint[-1]:.3g} times its size): a longer look-back may help."
        )
    return (
        f"The model looks back {length} {unit}{'' if length == 1 else 's'}: beyond that, less than "
        f"{THRESHOLD:.0%} of a change in the state is left. A look-back shorter than {look_back} "
        f"{unit}s may do as well."
    )

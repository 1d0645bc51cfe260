"""What a trained recurrent network remembers: its memory profile and gates."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.data.windows import Rows, seen
from pipeline.lstm import jacobian
from pipeline.lstm.cell import LSTM, Trace
from pipeline.lstm.memory_profile import MemoryProfile, memory_length, memory_profile
from pipeline.lstm.weights import read_keras_weights
from pipeline.models.spec import BESIDE, Spec

# Windows that are looked at: the mean hardly moves with more than 32, but each row of each takes
# milliseconds, and more with the cube of the state, so that of a long look-back or a wide network
# there are fewer. ROWS are those for a state of STATE numbers.
SAMPLES, FEWEST, ROWS, STATE = 32, 4, 768, 256


@dataclass(frozen=True)
class Memory:
    """How far back a network looks."""

    profile: MemoryProfile
    windows: int  # that were looked at
    gates: Trace | None  # the first layer's over them; None without gates

    @property
    def scores(self) -> dict[str, float]:
        """Rows after which a change in the state is hardly felt, and what is left at the end."""
        length, joint = memory_length(self.profile), self.profile.joint
        rows = len(joint) - 1 if length is None else length
        return {"rows": rows, "left_at_look_back": float(joint[-1])}


def measure(
    spec: Spec, weights: Path, prepared: npt.NDArray[np.float32], origins: Rows
) -> Memory | None:
    """The memory of a plain stack of lstm or rnn layers over some windows; of another model, None.

    Of an ensemble, its first member's.

    `weights` is its model.weights.h5, `prepared` are the features [rows, F]; some of the origins'
    windows are used, evenly spaced.
    """
    stack = spec.plain_stack
    if stack is None:
        return None
    layers, _, _ = read_keras_weights(weights, BESIDE, spec.groups[0])
    state = sum(layer[-1].size * (2 if isinstance(layer, LSTM) else 1) for layer in layers)
    rows = ROWS * min(1, STATE / state) ** 3
    count = min(SAMPLES, max(FEWEST, int(rows // spec.look_back)), len(origins))
    chosen = origins[np.linspace(0, len(origins) - 1, count).astype(int)]
    windows = seen(prepared, chosen, spec.look_back)
    with threadpool_limits(1):  # many small products: threads would only wait for each other
        profile = memory_profile(layers, windows, stack.activation)
        traces = jacobian.run(layers, windows, stack.activation)
    return Memory(profile, count, traces[0] if isinstance(layers[0], LSTM) else None)

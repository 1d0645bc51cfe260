"""What a trained recurrent network remembers: its memory profile and gates, for the report."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from pipeline.config.cards import Card
from pipeline.data.windows import Rows, gather
from pipeline.lstm import jacobian, plots
from pipeline.lstm.cell import LSTM
from pipeline.lstm.memory_profile import memory_length, memory_profile, memory_sentence
from pipeline.lstm.weights import read_keras_weights
from pipeline.models.spec import Spec

# Windows that are looked at: the mean hardly moves with more than 32, but each row of each takes
# milliseconds, and more with the cube of the state, so that of a long look-back or a wide network
# there are fewer. ROWS are those for a state of STATE numbers.
SAMPLES, FEWEST, ROWS, STATE = 32, 4, 768, 256


@dataclass(frozen=True)
class Memory:
    """How far back a network looks, in numbers, in a sentence and in pictures."""

    scores: dict[str, float]
    sentence: str
    pictures: dict[str, Figure]


def explain(
    spec: Spec, card: Card, weights: Path, prepared: npt.NDArray[np.float32], starts: Rows
) -> Memory | None:
    """The memory of a plain stack of lstm or rnn layers over some windows; of another model, None.

    `weights` is its model.weights.h5, `prepared` are the features [rows, F]; of the windows that
    begin in the rows `starts` some are used, evenly spaced.
    """
    stack = spec.plain_stack
    if stack is None:
        return None
    layers, _, _ = read_keras_weights(weights, beside=("damping",))
    state = sum(layer[-1].size * (2 if isinstance(layer, LSTM) else 1) for layer in layers)
    rows = ROWS * min(1, STATE / state) ** 3
    count = min(SAMPLES, max(FEWEST, int(rows // spec.look_back)), len(starts))
    chosen = starts[np.linspace(0, len(starts) - 1, count).astype(int)]
    windows = gather(prepared, chosen, spec.look_back)
    unit = {"1h": "hour", "1D": "day", "1min": "minute"}.get(card.frequency, "step")
    with threadpool_limits(1):  # many small products: threads would only wait for each other
        profile = memory_profile(layers, windows, stack.activation)
        traces = jacobian.run(layers, windows, stack.activation)
    length = memory_length(profile)
    pictures = {"memory": plots.memory_figure(profile, unit=unit)}
    if isinstance(layers[0], LSTM):
        title = "Gates of the first layer over one window"
        pictures["gates"] = plots.gate_figure(traces[0], len(windows) // 2, unit, title)
    rows_felt = spec.look_back if length is None else length
    scores = {"rows": rows_felt, "left_at_look_back": float(profile.joint[-1])}
    return Memory(scores, memory_sentence(profile, unit=unit), pictures)

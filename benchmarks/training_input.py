"""`python -m benchmarks.training_input WAY LOOK_BACK` gathers shuffled batches of windows one way.

Ours as `train` does it, from data/prepared and data/windows; the others as tutorials do.
"""

import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from pipeline.data.windows import Runs
from pipeline.files import artifacts
from pipeline.files.aligned import aligned_zeros
from pipeline.files.layout import HERE
from pipeline.runtime import determinism, process

BATCH, BATCHES = 256, 300


def main(way: str, look_back: int) -> None:
    """Draw some batches of one-step windows over data/prepared/values.npy."""
    values = artifacts.read_array(HERE.values)
    process.settle()
    determinism.settle(1)
    import keras

    batches: Iterable[Any]
    if way == "ours":
        from benchmarks.networks import epoch
        from pipeline.training.batches import Examples

        origins = Runs(artifacts.read_array(HERE.origins("train")))
        # The targets are an array of their own, as in the stage: standardised, gaps left open.
        targets = aligned_zeros(*values.shape)
        targets[:] = values
        batches = epoch(Examples(values, targets, origins, origins, look_back, 1), BATCH, seed=1)
    elif way == "keras":
        batches = keras.utils.timeseries_dataset_from_array(
            values[:-look_back], values[look_back:], look_back, batch_size=BATCH, shuffle=True
        )
    else:
        if way == "loop":
            series = np.array(values)
            x = np.array([series[i : i + look_back] for i in range(len(series) - look_back)])
        else:
            view = np.lib.stride_tricks.sliding_window_view(values[:-1, 0], look_back)
            x = view[..., None].copy()
        order = np.random.default_rng(1).permutation(len(x))
        batches = (x[order[i : i + BATCH]] for i in range(0, len(x), BATCH))
    for _ in islice(batches, BATCHES):
        pass


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

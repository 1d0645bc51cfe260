"""Part 2: what gathering shuffled batches costs over training on windows already in memory."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.measure import ROUNDS, Row, in_turn, ratio, row
from benchmarks.networks import epoch, ours
from pipeline.training import fit
from pipeline.training.batches import order
from pipeline.training.losses import masked

CASES = {
    "two LSTM(64), 24 x 16, batch 256": {  # the default parameters
        "kind": "lstm", "units": [64, 64], "look_back": 24, "features": 16, "horizon": 24,
        "batch": 256,
    },
    "segment GRU(128), 720 x 1, batch 256": {
        "kind": "segment_gru", "units": [128], "segment": 24, "look_back": 720, "features": 1,
        "horizon": 96, "batch": 256,
    },
}  # fmt: skip

STEPS = 50  # an epoch of the default parameters has 96


def rows(quick: bool) -> Iterator[Row]:
    """Epochs of one network, in turn on gathered batches and on the same batches in memory."""
    for name, case in CASES.items():
        network, data, settings = ours(case | {"steps": 2 if quick else STEPS})
        gathering = fit.compiled(network, data, settings)
        network.compile(
            optimizer=fit.optimizer(settings, 1), loss=masked(settings.loss),
            jit_compile=False, steps_per_execution=fit.STEPS,
        )  # fmt: skip
        positions = order(data.train, settings.batch_size)
        x, y = (np.stack(parts) for parts in zip(*epoch(data, 256, 1), strict=True))
        held = tf.data.Dataset.from_tensor_slices((x, y)).prefetch(2)
        held = held.with_options(positions.options())
        programs = {
            "gathered": _seconds(gathering, positions, gathering.epochs),
            "in memory": _seconds(network, held),
        }
        in_turn(programs, 1)  # traced, and warm
        measured = in_turn(programs, 1 if quick else 3 * ROUNDS)
        cost = ratio(measured["gathered"], measured["in memory"])
        yield row("inputs", name, "windows in memory", cost, "x their time", at_most=1.05)
        digests = {_digest(epoch(data, 256, 1)) for _ in "ab"}
        yield row("inputs", name, "same seed", len(digests), "different orders", at_most=1)


def _seconds(
    model: keras.Model, batches: tf.data.Dataset, *callbacks: keras.callbacks.Callback
) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        model.fit(batches, callbacks=list(callbacks), verbose=0, shuffle=False)
        return time.perf_counter() - start

    return seconds


def _digest(batches: Iterable[Any]) -> str:
    content = (part.tobytes() for batch in batches for part in batch)
    return hashlib.sha256(b"".join(content)).hexdigest()

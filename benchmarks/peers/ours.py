"""This project's training step, as `training.fit` has Keras run it, without its validation."""

import time
from typing import Any

from protocol import serve

from benchmarks.networks import ours
from pipeline.runtime import determinism, process
from pipeline.training import fit
from pipeline.training.batches import order


def prepare(case: dict[str, Any]) -> Any:
    """A compiled network on positions, and their order."""
    process.settle()
    determinism.settle(1)
    network, examples, settings = ours(case)
    trained = fit.compiled(network, examples, settings)
    positions = order(examples.train, settings.batch_size)

    def measure() -> dict[str, float]:
        start = time.perf_counter()
        trained.fit(positions, callbacks=[trained.epochs], shuffle=False, verbose=0)
        return {"seconds": time.perf_counter() - start}

    measure()
    return measure


serve(prepare)

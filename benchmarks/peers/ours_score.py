"""This project's `train` stage, its fit timed until validation is good enough."""

import contextlib
import os
from typing import Any

import numpy as np
from protocol import serve
from scoring import Reached, Stopwatch, error

from pipeline.runtime import process
from pipeline.stages import train
from pipeline.training import ensemble
from pipeline.training.batches import gatherers


class Ready(Exception):  # noqa: N818 - no error
    """The stage has everything it fits with."""


def prepare(case: dict[str, Any]) -> Any:
    """Run the stage up to its fit, and keep what it would fit with."""
    process.settle()
    os.chdir(case["directory"])
    held: dict[str, Any] = {}
    build, trained = ensemble.fresh, ensemble.fit

    def keep_network(*parts: Any) -> Any:
        held["network"] = parts
        return build(*parts)

    def keep_examples(network: Any, examples: Any, settings: Any, on_epoch: Any, **_: Any) -> Any:
        held["examples"], held["settings"] = examples, settings
        raise Ready

    ensemble.fresh, ensemble.fit = keep_network, keep_examples
    with contextlib.suppress(Ready):
        train.main()
    examples, settings = held["examples"], held["settings"]
    data, (windows, _) = np.load(case["data"]), gatherers(examples)

    def measure(limit: float) -> dict[str, Any]:
        network = build(*held["network"])

        def score(span: str) -> float:
            origins = data[f"origins_{span}"]
            parts = np.array_split(origins, range(1024, len(origins), 1024))
            forecast = [network.predict_on_batch(windows(part)) for part in parts]
            return error(data["standardised"], origins, np.concatenate(forecast))

        watch = Stopwatch(case, limit, score)
        with contextlib.suppress(Reached):
            trained(network, examples, settings, lambda number, scores: watch.look())
        return watch.result()

    return measure


serve(prepare)

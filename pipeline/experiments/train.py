"""Train: fit the model, a network to its best epoch; who logs it is handed in."""

import time
from functools import partial
from typing import Any

from pipeline.config import network_size
from pipeline.config.experiment import Experiment
from pipeline.config.params import Baseline
from pipeline.experiments.log import Logging, unwatched
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models.baselines import FittedBaseline
from pipeline.runtime import determinism


def train(experiment: Experiment, layout: Layout, logging: Logging = unwatched) -> None:
    """data/prepared and data/windows -> data/model and data/reports/history.csv."""
    params, task = experiment.params, prepared(experiment, layout)
    spec = task.spec
    network_size.check(experiment, len(task.train))

    determinism.settle(params.train.seed)
    # TensorFlow comes with these, so only now that the input is right.
    from pipeline.models.registry import build, set_residual
    from pipeline.training import fit
    from pipeline.training.batches import Examples

    model: Any
    if isinstance(spec.model, Baseline):
        model = FittedBaseline(spec, task.scaler)
        fitting = partial(fit.solve, model, task)
    else:
        model = build(spec, task.scaler)
        if spec.residual == "linear":
            set_residual(model, task)
        fitting = partial(fit.fit, model, Examples.of(task))
    with logging(experiment, layout) as log:
        began = time.monotonic()
        history = fitting(params.train, log.epoch)
        seconds = time.monotonic() - began
        with artifacts.replacing(layout.weights) as beside:
            model.save_weights(beside)
        artifacts.write_json(layout.model_json, spec.model_dump(mode="json"))
        artifacts.write_text(layout.history, fit.table(history))
        log.finish(history, seconds)

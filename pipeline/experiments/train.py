"""Train: fit the model, each network to its best epoch; who logs it is handed in."""

import time
from typing import Any

from pipeline.config import network_size
from pipeline.config.experiment import Experiment
from pipeline.config.params import Baseline
from pipeline.experiments import member_fits
from pipeline.experiments.log import Logging, unwatched
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models import mix
from pipeline.models.baselines import FittedBaseline
from pipeline.models.network import Network
from pipeline.runtime import determinism


def train(
    experiment: Experiment, layout: Layout, logging: Logging = unwatched, workers: int = 1
) -> None:
    """data/prepared and data/windows -> data/model and data/reports/history.csv.

    The members of an ensemble are fitted by so many processes, to the same bytes; 1 is this one.
    """
    params, task = experiment.params, prepared(experiment, layout)
    spec = task.spec
    network_size.check(experiment, len(task.train))

    determinism.settle(params.train.seed)
    # TensorFlow comes with these, so only now that the input is right.
    from pipeline.training import fit
    from pipeline.training.ensemble import fit_networks

    model: Any
    with logging(experiment, layout) as log:
        began = time.monotonic()
        if isinstance(spec.model, Baseline):
            model = FittedBaseline(spec, task.scaler)
            history = fit.solve(model, task, params.train, log.epoch)
        elif workers > 1 and spec.ensemble > 1:
            given = experiment, layout, task, workers, log
            model, history = member_fits.fit_side_by_side(*given)
        else:
            model, history = fit_networks(task, params.train, log.epoch)
        mixed = None
        if spec.mix:
            mixed = mix.fit(Network(spec, task.scaler, model.predict_on_batch), task)
        seconds = time.monotonic() - began
        with artifacts.replacing(layout.weights) as beside:
            model.save_weights(beside)
            if mixed:
                mixed.save(beside)
        artifacts.write_json(layout.model_json, spec.model_dump(mode="json"))
        artifacts.write_text(layout.history, fit.table(history))
        log.finish(history, seconds)

"""Train: fit the model, each network to its best epoch; who logs it is handed in."""

import time
from dataclasses import replace
from typing import Any

from pipeline.config import automatic, network_size
from pipeline.config.experiment import Experiment
from pipeline.config.params import Baseline
from pipeline.experiments import chosen, member_fits, team_fits
from pipeline.experiments.log import Logging, unwatched
from pipeline.experiments.resume import Resuming, afresh
from pipeline.experiments.task import prepared
from pipeline.experiments.team_fits import NO_OTHERS, Team
from pipeline.experiments.workers import ALONE, Workers
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models import weights
from pipeline.models.baselines import FittedBaseline
from pipeline.models.spec import Spec
from pipeline.runtime import determinism


def train(
    experiment: Experiment,
    layout: Layout,
    logging: Logging = unwatched,
    resuming: Resuming = afresh,
    workers: Workers = ALONE,
    team: Team = NO_OTHERS,
) -> None:
    """data/prepared and data/windows -> data/model and data/reports/history.csv.

    Args:
        logging: what watches it.
        resuming: what it goes on from, and keeps to be gone on from.
        workers: who fits the members of an ensemble, to the same bytes; by default this process.
        team: who shares the parts of each batch, to the same bytes; by default this process.
    """
    task = prepared(experiment, layout)
    experiment = chosen.before(experiment, task)
    params, spec = experiment.params, Spec.of(experiment, task.spec.holidays)
    task = replace(task, spec=spec)
    network_size.check(experiment, len(task.train))
    team_fits.check(spec, workers, team)

    determinism.settle(params.train.seed)
    # TensorFlow comes with these, so only now that the input is right.
    from pipeline.training import fit
    from pipeline.training.ensemble import fit_networks

    model: Any
    with resuming(experiment, layout) as kept, logging(experiment, layout, kept.run) as log:
        kept.begin(log.run)
        began = time.monotonic() - kept.seconds
        if isinstance(spec.model, Baseline):
            model = FittedBaseline(spec, task.scaler)
            history = fit.solve(model, task, params.train, log.epoch)
        elif workers.several and spec.ensemble > 1:
            given = experiment, layout, task, workers, log
            model, history = member_fits.fit_side_by_side(*given)
        else:
            with team_fits.led(experiment, layout, team) as leads:
                model, history = fit_networks(task, params.train, log.epoch, kept.file, leads)
        mixed = chosen.mixed(experiment.asked.train, model, task)
        spec = spec.model_copy(update={"mix": mixed.spec.mix if mixed else ()})
        experiment = experiment.after({chosen.MIX: [one.name for one in spec.mix]})
        own = {key: value for key, value in experiment.chosen.items() if key in automatic.TRAIN}
        spec = spec.model_copy(update={"chosen": own})
        seconds = time.monotonic() - began
        with artifacts.replacing(layout.weights) as beside:
            if isinstance(model, FittedBaseline):
                model.save_weights(beside)
            else:
                weights.save(model, beside)
            if mixed:
                mixed.save(beside)
        artifacts.write_json(layout.model_json, spec.model_dump(mode="json"))
        artifacts.write_text(layout.history, fit.table(history))
        log.finish(history, seconds)

"""Train: fit the model, each network to its best epoch; who logs it is handed in."""

import time
from dataclasses import replace
from typing import Any

from pipeline.config import automatic, network_size
from pipeline.config.experiment import Experiment
from pipeline.config.params import AUTO, Baseline, Linear, Train
from pipeline.experiments.log import Logging, unwatched
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models import linear, mix
from pipeline.models.baselines import FittedBaseline
from pipeline.models.mix import Mixed
from pipeline.models.network import Network
from pipeline.models.spec import Spec
from pipeline.models.task import Task
from pipeline.preparation.training_windows import Count
from pipeline.runtime import determinism
from pipeline.runtime.progress import say

MIX, DROPOUT = "train.mix", "train.model.input_dropout"
WORTH = 0.01  # of the error on validation: what mixing in has to gain where it is not asked for


def train(experiment: Experiment, layout: Layout, logging: Logging = unwatched) -> None:
    """data/prepared and data/windows -> data/model and data/reports/history.csv."""
    task = prepared(experiment, layout)
    experiment = chosen(experiment, layout, task)
    params = experiment.params
    spec = task.spec.model_copy(update={"model": params.train.model})
    task = replace(task, spec=spec)
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
        else:
            model, history = fit_networks(task, params.train, log.epoch)
        mixed = _mixed(experiment.asked.train, model, task)
        spec = spec.model_copy(update={"mix": mixed.spec.mix if mixed else None})
        experiment = experiment.after({MIX: ["linear"] if mixed else []})
        own = {key: value for key, value in experiment.chosen.items() if key in automatic.TRAIN}
        spec = spec.model_copy(update={"chosen": own})
        seconds = time.monotonic() - began
        with artifacts.replacing(layout.weights) as beside:
            model.save_weights(beside)
            if mixed:
                mixed.save(beside)
        artifacts.write_json(layout.model_json, spec.model_dump(mode="json"))
        artifacts.write_text(layout.history, fit.table(history))
        log.finish(history, seconds)


def chosen(experiment: Experiment, layout: Layout, task: Task) -> Experiment:
    """The experiment with what the training windows choose of what is `auto`; it is said."""
    count = artifacts.read_json_record(layout.windows_quality, Count).kept
    before = experiment.asked.train
    if isinstance(before.model, Baseline):
        return experiment
    found = automatic.of_windows(count, None if before.batch_size == AUTO else before.batch_size)
    why = dict.fromkeys(found, f"by {count:,} training windows")
    if DROPOUT in experiment.chosen:
        gain = linear.gain_of(task)
        found |= automatic.of_gain(gain)
        why[DROPOUT] = (
            f"since a linear map has an error {abs(gain):.0%} {'below' if gain > 0 else 'above'} "
            "that of the damped last value"
        )
    made = experiment.after(found)
    for key in (key for key in made.chosen if key in found):
        say(f"{key}: auto is {made.chosen[key]:g}, {why[key]}")
    return made


def trained(experiment: Experiment, layout: Layout) -> Experiment:
    """The experiment with what training chose of what is `auto`, as data/model tells it."""
    return experiment.after(artifacts.read_json_record(layout.model_json, Spec).chosen)


def _mixed(asked: Train, model: Any, task: Task) -> Mixed | None:
    """The network mixed with linear, if that is asked for, or is auto and worth it.

    Linear sees a target's own past and nothing else.
    """
    spec = task.spec
    able = not isinstance(spec.model, Baseline) and set(spec.targets) <= set(spec.features)
    auto = asked.mix == "auto" and able
    if not spec.mix and not auto:
        return None
    spec = spec.model_copy(update={"mix": spec.mix or Linear(name="linear")})
    of = Network(spec, task.scaler, model.predict_on_batch)
    mixed, left = mix.fit(of, replace(task, spec=spec))
    if not auto:
        return mixed
    worth = left <= 1 - WORTH
    gain = f"linear takes {1 - left:.1%} from the error on validation"
    say(f"{MIX}: auto is {'[linear]' if worth else '[]'}, since {gain}")
    return mixed if worth else None

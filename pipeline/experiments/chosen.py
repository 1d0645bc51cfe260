"""What `auto` in the parameters becomes in training: by its windows, and by validation."""

from dataclasses import replace
from typing import Any

from pipeline.config import automatic
from pipeline.config.experiment import Experiment
from pipeline.config.params import AUTO, Baseline, Linear, Train
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models import linear, mix
from pipeline.models.mix import Mixed
from pipeline.models.network import Network
from pipeline.models.spec import Spec
from pipeline.models.task import Task
from pipeline.runtime.progress import say

MIX, DROPOUT = "train.mix", "train.model.input_dropout"
WORTH = 0.01  # of the error on validation: what mixing in has to gain where it is not asked for


def before(experiment: Experiment, task: Task) -> Experiment:
    """The experiment with what the training windows choose of what is `auto`; it is said."""
    before, count = experiment.asked.train, len(task.train)
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


def mixed(asked: Train, model: Any, task: Task) -> Mixed | None:
    """The network mixed with what is asked for; with linear if that is auto and worth it.

    Linear sees a target's own past and nothing else.
    """
    spec = task.spec
    able = not isinstance(spec.model, Baseline) and set(spec.targets) <= set(spec.features)
    auto = asked.mix == "auto" and able
    if not spec.mix and not auto:
        return None
    spec = spec.model_copy(update={"mix": spec.mix or (Linear(name="linear"),)})
    of = Network(spec, task.scaler, model.predict_on_batch)
    mixed, left = mix.fit(of, replace(task, spec=spec))
    if not auto:
        return mix.spread(mixed, task)
    worth = left <= 1 - WORTH
    gain = f"linear takes {1 - left:.1%} from the error on validation"
    say(f"{MIX}: auto is {'[linear]' if worth else '[]'}, since {gain}")
    return mix.spread(mixed, task) if worth else None


def trained(experiment: Experiment, layout: Layout) -> Experiment:
    """The experiment with what training chose of what is `auto`, as data/model tells it."""
    return experiment.after(artifacts.read_json_record(layout.model_json, Spec).chosen)

"""What `auto` in the parameters becomes in training: by its windows, and by validation."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from pipeline.config import automatic
from pipeline.config.experiment import Experiment
from pipeline.config.params import AUTO, Baseline, Train
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models import linear, mix
from pipeline.models.baselines import BY_NAME
from pipeline.models.mix import Mixed
from pipeline.models.network import Network
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Task
from pipeline.runtime.extras import lightgbm
from pipeline.runtime.progress import say

MIX, DROPOUT = "train.mix", "train.model.input_dropout"
TRIED = ("linear", "ridge", "boosting")  # for a mix that is not asked for
WORTH = 0.01  # of the error on validation: what a baseline more has to gain there
MOST = 10**6  # pairs of a training window and a step: with more, boosting would take minutes


def before(experiment: Experiment, task: Task) -> Experiment:
    """The experiment with what the training windows choose of what is `auto`; it is said."""
    before, count = experiment.asked.train, len(task.train)
    if isinstance(before.model, Baseline):
        return experiment
    if before.mix == "auto":
        lightgbm()  # or it would be missed when the network is trained
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
    """The network mixed with what is asked for; if that is auto, with what is worth it.

    A network without a target's own past is not mixed by itself: linear sees nothing else.
    """
    spec = task.spec
    auto = asked.mix == "auto"
    if auto and not isinstance(spec.model, Baseline) and set(spec.targets) <= set(spec.features):
        spec = spec.model_copy(update={"mix": _tried(task)})
    if not spec.mix:
        return None
    network = Network(spec, task.scaler, model.predict_on_batch)
    others, products = mix.fit(network, replace(task, spec=spec))
    picked = _fewest(products, spec) if auto else range(len(others))
    if not picked:
        return None
    spec = spec.model_copy(update={"mix": tuple(spec.mix[number] for number in picked)})
    own, _ = mix.shares(products, picked)
    parts = np.ones(len(spec.quantiles or ()))
    network = Network(spec, task.scaler, model.predict_on_batch)
    return mix.spread(Mixed(network, [others[n] for n in picked], own, parts), task)


def _tried(task: Task) -> tuple[Baseline, ...]:
    """What may be worth mixing in; boosting where its forecasts of validation are soon made."""
    pairs = len(task.train) * task.spec.horizon * len(task.spec.targets)
    tried = TRIED if pairs <= MOST else TRIED[:-1]
    if tried != TRIED:
        found = f"{pairs:,} pairs of a training window and a step"
        say(f"{MIX}: auto does not try boosting: expected at most {MOST:,}, found {found}")
    return tuple(BY_NAME[name] for name in tried)


def _fewest(products: Floats, spec: Spec) -> tuple[int, ...]:
    """Of `spec.mix` the fewest that have an error within WORTH of what the best have; it is said.

    Of as many those with the least error on validation.
    """
    numbers = range(len(spec.mix))
    every = [some for count in range(len(numbers) + 1) for some in combinations(numbers, count)]
    left = {some: mix.shares(products, some)[1] for some in every}
    best = min(left.values())
    good = [some for some in every if left[some] <= (1 + WORTH) * best]
    found = min(good, key=lambda some: (len(some), left[some]))
    names = [one.name for one in spec.mix]
    say(
        f"{MIX}: auto is [{', '.join(names[number] for number in found)}], which takes "
        f"{1 - left[found]:.1%} from the error on validation; the most that mixes with "
        f"{', '.join(names)} take is {1 - best:.1%}"
    )
    return found


def trained(experiment: Experiment, layout: Layout) -> Experiment:
    """The experiment with what training chose of what is `auto`, as data/model tells it."""
    return experiment.after(artifacts.read_json_record(layout.model_json, Spec).chosen)

"""Which settings come next: a pure function of the trials that are finished, by Optuna."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.config import automatic
from pipeline.config.changes import NAME
from pipeline.config.experiment import Experiment
from pipeline.experiments.search.settings import Range, Settings
from pipeline.repository.changed_params import setting

Values = dict[str, Any]  # by dotted key


class Drawing:
    """Draws trials by number and is told how they ended, generation by generation.

    A trial is drawn from the generations before it, from what was drawn before it in its own, and
    from (seed, number): whoever repeats the calls gets the same values, whatever was drawn when.
    """

    def __init__(self, settings: Settings, base: Experiment) -> None:
        self.settings, self.base = settings, base.params
        # What training chooses is not known here: trial 0 is then outside of the ranges.
        later = {key for key in base.chosen if key in automatic.TRAIN}
        self.known = {k: v for k, v in base.params.flat().items() if k not in later}
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # each trial has its own line here
        self.study = optuna.create_study(direction="minimize", sampler=self._sampler(0))
        self.open: dict[int, Trial] = {}
        grid = settings.sampler == "grid"
        self.grid = settings.combinations(base.params) if grid else []

    @property
    def most(self) -> int:
        """How many trials there can be: one of each combination of a grid, and the first."""
        return len(self.grid) + 1 if self.grid else self.settings.trials

    def ask(self, number: int) -> Values:
        """The values of a trial; of trial 0 none, since it is the parameters as they are."""
        if number == 0:
            return {}
        if self.grid:
            return self.grid[number - 1]
        self.study.sampler = self._sampler(number)
        trial = self.open[number] = self.study.ask()
        ranges, drawn = self.settings.ranges, {}
        name = self.base.train.model.name
        if NAME in ranges:
            name = drawn[NAME] = _suggest(trial, NAME, ranges[NAME])
        for key, own in self.settings.drawn(name):
            drawn[key] = _suggest(trial, key, own)
        return drawn

    def tell(
        self, number: int, drawn: Values, error: float | None, losses: Sequence[float] = ()
    ) -> None:
        """How a trial ended: its error; None if it failed or, with its losses, was pruned."""
        if number in self.open:
            trial = self.open.pop(number)
            for epoch, loss in enumerate(losses):
                trial.report(loss, epoch)
            ended = TrialState.PRUNED if losses else TrialState.FAIL
            self.study.tell(trial, error, ended if error is None else None)
        elif error is not None and (one := self.frozen(drawn, error)):
            self.study.add_trial(one)

    def frozen(self, drawn: Values, error: float) -> FrozenTrial | None:
        """A trial as Optuna has it; None where the parameters lie outside of the ranges."""
        held, ranges = self.known | drawn, self.settings.ranges
        name = held[NAME]
        keys = {NAME: ranges[NAME]} if NAME in ranges else {}
        keys |= dict(self.settings.drawn(name))
        try:
            inner = {key: _inner(own, held[key]) for key, own in keys.items()}
        except (KeyError, ValueError):
            return None
        space = {key: distribution(own) for key, own in keys.items()}
        return optuna.trial.create_trial(params=inner, distributions=space, value=error)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = int(np.random.SeedSequence([self.settings.seed, number]).generate_state(1)[0])
        if self.settings.sampler == "tpe":
            with warnings.catch_warnings(action="ignore"):  # group is called experimental
                return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
        return optuna.samplers.RandomSampler(seed=seed)


def labels(own: Range) -> dict[str, Any]:
    """The choices by their text: Optuna takes no lists."""
    return {setting(value): value for value in own.choice or ()}


def distribution(own: Range) -> BaseDistribution:
    """A range as Optuna has it."""
    if own.choice is not None:
        return CategoricalDistribution(tuple(labels(own)))
    low, high = own.bounds
    if own.ints:
        return IntDistribution(int(low), int(high), log=own.log, step=int(own.step or 1))
    return FloatDistribution(low, high, log=own.log, step=own.step)


def _suggest(trial: Trial, key: str, own: Range) -> Any:
    if own.choice is not None:
        return labels(own)[trial.suggest_categorical(key, tuple(labels(own)))]
    low, high = own.bounds
    if own.ints:
        return trial.suggest_int(key, int(low), int(high), log=own.log, step=int(own.step or 1))
    return own.number(trial.suggest_float(key, low, high, log=own.log, step=own.step))


def _inner(own: Range, value: Any) -> Any:
    """A value as Optuna keeps it; ValueError if it is none of the range's."""
    if own.choice is not None:
        if setting(value) not in labels(own):
            raise ValueError
        return setting(value)
    low, high = own.bounds
    if not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError
    return value


def importance(trials: Mapping[int, FrozenTrial]) -> dict[str, float]:
    """How much of the differences in error each setting explains, of those that all trials have."""
    study = optuna.create_study(direction="minimize")
    study.add_trials(trials.values())
    shared = set.intersection(*(set(one.params) for one in trials.values()))
    varied = [k for k in shared if len({one.params[k] for one in trials.values()}) > 1]
    if not varied or len({one.value for one in trials.values()}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=1)
    return optuna.importance.get_param_importances(
        study, evaluator=evaluator, params=sorted(varied)
    )

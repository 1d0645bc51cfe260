"""A search: trials in generations, each drawn from those before; the result files are the truth."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from pipeline.config.changes import NAME, plain
from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.evaluation.metrics import Metric
from pipeline.experiments.executors import DiedError, Executor
from pipeline.experiments.search import pruning
from pipeline.experiments.search import trial as trials
from pipeline.experiments.search.sampling import Drawing
from pipeline.experiments.search.settings import JUDGED, Settings
from pipeline.experiments.search.trial import Outcome, Trial
from pipeline.files import artifacts


@dataclass(frozen=True)
class Finished:
    """A trial that has ended with every seed."""

    number: int
    drawn: dict[str, Any]
    runs: tuple[Trial, ...]  # one for each seed
    outcomes: tuple[Outcome, ...]
    repeats: bool = False  # the settings of an earlier one, and its result

    @property
    def failed(self) -> str | None:
        """The line of what it failed of, if it did."""
        return next((one.failed for one in self.outcomes if one.failed), None)

    @property
    def pruned(self) -> str | None:
        """The line of why it was stopped, if it was: one of its seeds was, and none failed."""
        lines = (one.pruned for one in self.outcomes if one.pruned and not self.failed)
        return next(lines, None)

    @property
    def scored(self) -> bool:
        """Whether it ended with scores."""
        return not self.failed and not self.pruned

    @property
    def losses(self) -> list[float]:
        """The validation loss by epoch, of several seeds the mean, as far as all of them went."""
        return [*map(statistics.fmean, zip(*(one.losses for one in self.outcomes), strict=False))]

    def errors(self, metric: Metric) -> list[float]:
        """How far each seed's score is from the best there could be."""
        return [metric.error(one.scores) for one in self.outcomes] if self.scored else []

    def error(self, metric: Metric) -> float:
        """Their mean."""
        return statistics.fmean(self.errors(metric))

    def spread(self, metric: Metric) -> float:
        """Their standard deviation; 0 of one seed."""
        errors = self.errors(metric)
        return statistics.stdev(errors) if len(errors) > 1 else 0.0

    @property
    def seconds(self) -> float:
        """Of all seeds."""
        return sum(one.seconds for one in self.outcomes)


@dataclass
class Search:
    """What is searched, where, and what it has found so far."""

    settings: Settings
    base: Experiment  # trial 0
    project: Path  # absolute, as the directory
    directory: Path
    finished: list[Finished] = field(default_factory=list)

    @cached_property
    def metric(self) -> Metric:
        """By which trials are judged."""
        if self.settings.metric:
            return metrics.row(self.settings.metric)
        return metrics.row("mse_scaled" if self.base.targets[1:] else "rmse")

    @cached_property
    def _drawing(self) -> Drawing:
        return Drawing(self.settings, self.base)

    @property
    def known(self) -> dict[str, Any]:
        """The parameters of trial 0 by dotted key, but for what its training chooses."""
        return self._drawing.known

    def tried(self, one: Finished) -> dict[str, Any]:
        """What a trial has of the searched settings that its model uses; trial 0 its parameters."""
        held, named = self.known | one.drawn, [NAME] if NAME in self.settings.ranges else []
        used = [*named, *(key for key, _ in self.settings.drawn(held[NAME]))]
        return {key: held[key] for key in used if key in held}

    @property
    def count(self) -> int:
        """How many trials there are in the end."""
        return min(self.settings.trials, self._drawing.most)

    @property
    def ranked(self) -> list[Finished]:
        """The trials that ended with scores and repeat none, the best first."""
        able = (one for one in self.finished if one.scored and not one.repeats)
        return sorted(able, key=lambda one: (one.error(self.metric), one.number))

    @property
    def best(self) -> Finished:
        """The winner."""
        return self.ranked[0]

    @property
    def tied(self) -> list[Finished]:
        """The winner, and those no farther from it than either's seeds are spread."""
        best, metric = self.best, self.metric
        return [
            one
            for one in self.ranked
            if one is best
            or one.error(metric) - best.error(metric)
            <= max(one.spread(metric), best.spread(metric))
        ]

    def frozen(self) -> dict[int, FrozenTrial]:
        """The trials as Optuna has them, for its pictures; those within the ranges alone."""
        able = {one.number: one for one in self.ranked}
        made = {
            number: self._drawing.frozen(one.drawn, one.error(self.metric))
            for number, one in sorted(able.items())
        }
        return {number: one for number, one in made.items() if one}

    def run(
        self,
        executor: Executor | None,
        watch: Callable[[Trial, Outcome], None] = lambda *_: None,
        done: Callable[[Sequence[Finished]], None] = lambda _: None,
    ) -> None:
        """Run what has no result yet, generation after generation.

        Args:
            executor: without one, only the generations that have their results are read.
            watch: called with each result that was lacking, in the order in which they come.
            done: called with each generation that has ended, whenever that was.

        Raises:
            PipelineError: every trial of the first generation failed, a result is of other
                settings than this search draws, or the metric is not defined here.
        """
        first: dict[str, int] = {}  # number by changes
        for numbers in self._generations():
            drawn = {number: self._drawing.ask(number) for number in numbers}
            runs: dict[int, tuple[Trial, ...]] = {}
            limits = self._limits()
            for number, values in drawn.items():
                changes = plain(self.base.asked, values)
                of = first.setdefault(str(sorted(changes.items())), number)
                runs[number] = runs[of] if of in runs else self._runs(of, changes, limits)
            every = [run for number in numbers for run in runs[number]]
            waiting = {run.file: run for run in every if not run.file.exists()}
            if waiting and executor is None:
                return
            for run, _ in executor.map(trials.run, [*waiting.values()], _died) if executor else ():
                watch(run, self._outcome(run))
            for number, values in drawn.items():
                outcomes = tuple(map(self._outcome, runs[number]))
                repeats = runs[number][0].number != number
                one = Finished(number, values, runs[number], outcomes, repeats)
                self.finished.append(one)
                error = one.error(self.metric) if one.scored else None
                self._drawing.tell(number, values, error, one.losses if one.pruned else ())
            done(self.finished[numbers.start :])
            if not self.ranked:
                raise PipelineError(f"every trial failed; the first: {self.finished[0].failed}")

    def _generations(self) -> Iterator[range]:
        for start in range(0, self.count, self.settings.generation):
            yield range(start, min(start + self.settings.generation, self.count))

    def _limits(self) -> tuple[float, ...]:
        """Where trials stop that begin now, by those of the generations before."""
        if self.settings.pruning == "none":
            return ()
        return pruning.limits([one.losses for one in self.ranked])

    def _runs(
        self, number: int, changes: dict[str, Any], limits: tuple[float, ...]
    ) -> tuple[Trial, ...]:
        first = self.base.params.train.seed
        return tuple(
            Trial(self.directory, self.project, self.base, number, first + i, changes, limits)
            for i in range(self.settings.seeds)
        )

    def _outcome(self, run: Trial) -> Outcome:
        outcome = run.outcome()
        if outcome.changes != run.changes:
            raise PipelineError(
                f"{run.file}: expected the result of {run.changes}, found that of "
                f"{outcome.changes}; remove the directory of this trial and of those after it"
            )
        if outcome.scores and self.metric.name not in outcome.scores:
            there = ", ".join(name for name in JUDGED if name in outcome.scores)
            raise PipelineError(
                f"metric: expected a score that the validation span has ({there}), found "
                f"{self.metric.name}"
            )
        return outcome

    def score(self, executor: Executor) -> dict[str, Any]:
        """metrics.json of the winner with its first seed, on the test span as well."""
        [run] = self.best.runs[:1]
        if not run.layout.metrics.exists():
            [_] = executor.map(trials.score, [run])
        found: dict[str, Any] = artifacts.read_json(run.layout.metrics)
        return found


def _died(run: Trial, error: DiedError) -> Path:
    return trials.write(run, failed=str(error))

"""The pipeline from Python: an experiment, its scores and its forecasts, as `dvc repro` makes them.

May import everything but stages and commands.
"""

import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pipeline.config import checks, frequencies
from pipeline.config.cards import Card, read_card
from pipeline.config.changes import change
from pipeline.config.defaults import DEFAULTS
from pipeline.config.experiment import Experiment
from pipeline.config.params import Params
from pipeline.data import frequency_guesses
from pipeline.experiments.backtest import places as backtests
from pipeline.experiments.backtest.plan import Settings as Folds
from pipeline.experiments.chosen import trained
from pipeline.experiments.evaluate import Evaluation, evaluate
from pipeline.experiments.in_memory import TIME, beside, check, check_targets, columns, placed
from pipeline.experiments.log import unwatched
from pipeline.experiments.run import run_experiment
from pipeline.experiments.search import best, places
from pipeline.experiments.search.settings import Settings
from pipeline.experiments.search.study import Search
from pipeline.experiments.workers import Workers, executor
from pipeline.files import artifacts
from pipeline.files.layout import HERE, Layout
from pipeline.files.records import parse
from pipeline.files.yaml import read_yaml
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.monitoring import usual
from pipeline.reports import (
    page,
    report,
    search_page,
    search_pictures,
    search_progress,
    search_text,
)
from pipeline.reports.backtest_frames import Tested
from pipeline.runtime import determinism, process
from pipeline.runtime.progress import say
from pipeline.tracking import backtest_runs, champion, live_run, publishing, search_runs

STAMP = "%Y-%m-%d %H:%M:%S"


def experiment(
    dataset: str, changes: Mapping[str, Any] | None = None, project: str | Path = "."
) -> Experiment:
    """The experiment of a data set of the project, by its params.yaml and changes to it.

    Args:
        changes: values by dotted key, such as {"window.look_back": 48}; a mapping, such as
            {"train.model": {"name": "ridge"}}, replaces the section.
        project: the directory that has params.yaml and data/.

    Raises:
        PipelineError: names the key that is wrong.
    """
    layout = Layout(Path(project))
    params = _changed(read_yaml(layout.params), {"ingest.dataset": dataset, **(changes or {})})
    made = Experiment(params, read_card(dataset, layout))
    checks.check(made, layout)
    return made


def of_frame(
    frame: pd.DataFrame,
    targets: str | Sequence[str],
    changes: Mapping[str, Any] | None = None,
    *,
    frequency: str | None = None,
    season: int | None = None,
    split: Mapping[str, float | str] = frequency_guesses.SHARES,
) -> Experiment:
    """An experiment on a table in memory, without any file.

    Args:
        frame: columns of numbers, or of text and booleans, which become categories, over a
            DatetimeIndex; all of them are inputs.
        targets: the column or columns that are forecast.
        changes: parameters by dotted key that are not to be as in `DEFAULTS`.
        frequency: the step between two rows, as in a card; by default what the index shows, whose
            most common step is taken, and stamps that lie beside it are rounded.
        season: rows in one cycle; by default the longest natural one, such as 24 for hours.
        split: where the spans end, as in a card: fractions, times, or what is counted back.
    """
    check(frame)
    wanted, held = [targets] if isinstance(targets, str) else list(targets), columns(frame)
    check_targets(wanted, held)
    index = pd.DatetimeIndex(frame.index)
    every, rounding = frequency, None
    if every is None:
        every, rounding = frequency_guesses.of_index(index)
    frequencies.check(every, "frequency")
    cycle = season
    if cycle is None:
        cycle = frequency_guesses.season(frequencies.step(every), index, len(frame))[0]
    form = STAMP + ".%f" * bool((index.microsecond != 0).any()) + "%z" * bool(index.tz)
    card = {
        "title": "A table in memory",
        "source": "a DataFrame",
        "licence": "not known",
        "time": {"column": TIME, "format": form}
        | ({"timezone": str(index.tz)} if index.tz else {})
        | ({"round": rounding} if rounding else {}),
        "frequency": every,
        "season": cycle,
        "columns": held,
        "targets": wanted,
        "inputs": list(frame),
        "split": dict(split),
    }
    made = Experiment(_changed(DEFAULTS, changes or {}), parse(card, Card, "frame"))
    checks.check(made)
    return made


@process.without_bars()
def run(
    experiment: Experiment,
    frame: pd.DataFrame | None = None,
    *,
    project: str | Path = ".",
    root: str | Path | None = None,
    workers: int | Workers = 1,
    log: bool = False,
) -> "Result":
    """Run an experiment in this process; its files are those that `dvc repro` makes.

    Args:
        frame: the table of an experiment made by `of_frame`.
        project: the directory that has data/, for its data sets and holidays.
        root: where outputs go; by default a temporary directory, gone with the result.
        workers: processes that fit the members of an ensemble, to the same bytes; 1 is this one.
            `Workers(executor="ray")` are those of a Ray cluster: docs/cluster.md.
        log: log the training and the scores as a run to MLflow.
    """
    who = Workers.of(workers)
    temporary = tempfile.TemporaryDirectory() if root is None else None
    place = Path(root or temporary.name)  # type: ignore[union-attr]
    layout = placed(experiment, frame, place, Path(project))
    _settle(experiment)
    made = run_experiment(experiment, layout, live_run.training_run if log else unwatched, who)
    result = Result(trained(experiment, layout), layout, made, temporary)
    usual.write(result.experiment, layout, made)
    if log:
        result.log()
    return result


@process.without_bars()
def search(
    experiment: Experiment,
    settings: Mapping[str, Any],
    frame: pd.DataFrame | None = None,
    *,
    project: str | Path = ".",
    root: str | Path | None = None,
    workers: int | Workers = 1,
    log: bool = False,
) -> "Found":
    """Search settings on validation; the same call goes on where it was stopped.

    Args:
        experiment: trial 0.
        settings: what search.yaml has.
        frame: the table of an experiment made by `of_frame`.
        project: the directory that has data/, for its data sets and holidays.
        root: where the search is kept, in data/searches; by default the project, or for a frame a
            temporary directory.
        workers: as of `run`; in a script, several processes need `if __name__ == "__main__":`.
        log: log the search and its trials to MLflow.

    Raises:
        PipelineError: names the setting that is wrong; every trial of a generation failed.
    """
    who = Workers.of(workers)
    wanted = parse(dict(settings), Settings, "settings")
    wanted.check(experiment.params, "settings")
    place, layout, temporary = beside(experiment, frame, root, project)
    directory, _ = places.begin("search", places.Kept.of(wanted, experiment, layout), place)
    made = Search(wanted, experiment, layout.project, directory)
    _settle(experiment)
    held, watching = places.held(directory), search_progress.watched(made)
    with held, executor(who) as at, watching as watch:
        if not log:
            made.run(at, watch)
        else:
            with search_runs.logged(made, at) as runs:
                made.run(at, watch, runs.trials_of)
                runs.finish(search_page.html(made, made.score(at)))
        [trial, *_] = made.best.runs
        evaluation = evaluate(trial.experiment, trial.layout)
    winner = trained(trial.experiment, trial.layout)
    return Found(made, Result(winner, trial.layout, evaluation, temporary))


@process.without_bars()
def backtest(
    experiment: Experiment,
    frame: pd.DataFrame | None = None,
    *,
    project: str | Path = ".",
    root: str | Path | None = None,
    workers: int | Workers = 1,
    log: bool = False,
    **settings: Any,
) -> Tested:
    """Test an experiment on folds in time; the same call goes on where it was stopped.

    Args:
        frame, project, root, workers, log: as those of `search`; kept in data/backtests.
        settings: `folds` and `step`, and as the command has them refit (None: never), window (None:
            expanding), gap, origins and local.

    Raises:
        PipelineError: names the setting that is wrong, or the fit that cannot be.
    """
    who = Workers.of(workers)
    wanted = parse(settings, Folds, "backtest")
    wanted.check(experiment)
    place, layout, temporary = beside(experiment, frame, root, project)
    kept = backtests.Kept.of(wanted, experiment, layout)
    directory, _ = kept.begin(experiment.dataset, place)
    tested = kept.backtest(layout.project, directory)
    _settle(experiment)
    return Tested(tested, backtest_runs.carry_out(tested, who, log), temporary)


@dataclass(frozen=True)
class Found:
    """What a search found."""

    search: Search
    best: "Result"  # the winner with its first seed, scored on test

    @property
    def trials(self) -> pd.DataFrame:
        """The trials that ended with scores, the best first: score, spread over seeds, settings."""
        metric = self.search.metric
        rows = {
            one.number: {
                metric.name: fmean(metric.value(outcome.scores) for outcome in one.outcomes),
                "spread": one.spread(metric),
                "seconds": one.seconds,
                **self.search.tried(one),
            }
            for one in self.search.ranked
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("trial")

    def ensemble(self, count: int) -> Experiment:
        """An ensemble of the best so many trials, to `run`; says which are left out, and why."""
        params, said = best.ensemble(self.search, count)
        for line in said:
            say(line)
        return Experiment(params, self.search.base.card)

    @property
    def notes(self) -> list[str]:
        """The best beside trial 0, ties, failed and pruned trials, ends of ranges."""
        return [search_text.against_the_start(self.search), *search_text.notes(self.search)]

    @property
    def pictures(self) -> dict[str, Figure]:
        """History, slices, parallel coordinates and, where it can be told, importance."""
        return search_pictures.draw(self.search)


@dataclass(frozen=True)
class Result:
    """What an experiment gave."""

    experiment: Experiment
    layout: Layout  # where its files are
    evaluation: Evaluation
    temporary: object = None  # the directory, if it goes with the result

    @property
    def scores(self) -> pd.DataFrame:
        """The test scores of the model and of each baseline, a row each."""
        metrics = self.evaluation.metrics
        return pd.DataFrame({"model": metrics["test"], **metrics["baselines"]}).T

    @property
    def history(self) -> pd.DataFrame:
        """The losses, a row an epoch."""
        return pd.read_csv(self.layout.history)

    @property
    def forecasts(self) -> pd.DataFrame:
        """Every scored forecast: span, origin, time, step, target, forecast, bounds, observed."""
        return artifacts.read_frame(self.layout.predictions)

    @property
    def pictures(self) -> dict[str, Figure]:
        """The report's pictures by name."""
        drawn = report.draw(self.experiment, self.evaluation, self.history)
        return drawn | report.draw_memory(self.experiment, self.evaluation)

    @cached_property
    def model(self) -> Forecaster:
        """The model: its `predict` takes raw rows and gives a table of forecasts."""
        return Forecaster.load(stage_files(self.layout, self.experiment.dataset))

    @process.without_bars()
    def log(self) -> str | None:
        """Log what MLflow lacks of this: scores, pictures, the model; the run's id, if any did."""
        report.write(self.experiment, self.layout, self.evaluation)
        html = page.of_report(self.experiment, self.layout)
        return publishing.publish(self.experiment, self.layout, html, self.evaluation.example)


@process.without_bars()
def load(model: str, backend: Backend = "tensorflow") -> Forecaster:
    """A logged model, by its address: models:/NAME@champion, runs:/ID/model or a directory."""
    if backend == "tensorflow":
        determinism.settle_keras()
    return champion.load(model, backend)


def _settle(experiment: Experiment) -> None:
    if not determinism.settle_process(experiment.params.train.seed):
        say(
            "warning: TensorFlow was started before with other settings, so the last digits may "
            "differ from those of dvc repro; run this first in a new process"
        )


def _changed(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> Params:
    made = deepcopy(dict(tree))
    change(made, changes)
    return parse(made, Params, str(HERE.params))

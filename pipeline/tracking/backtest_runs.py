"""A backtest in the MLflow store: a run of its own, and below it one for each fold."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import RunTag

from pipeline.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.evaluation.forecasts import MODEL
from pipeline.experiments.backtest.fit import Fit
from pipeline.experiments.backtest.places import Kept
from pipeline.experiments.backtest.study import FORECASTS, SCORES, Backtest
from pipeline.experiments.executors import Executor
from pipeline.experiments.workers import ALONE, Workers, executor
from pipeline.files import artifacts
from pipeline.reports import backtest_page, backtest_text
from pipeline.reports.backtest_progress import watched
from pipeline.reports.formatting import escape_markdown
from pipeline.tracking import families, store
from pipeline.tracking.families import NOTE, Family

BACKTEST, FOLD = "pipeline.backtest", "pipeline.fold"  # tags: the backtest's name, a fold's number
# What it is of, as training runs have it under store.EXPERIMENT; which folds, as JSON.
OF, FOLDS = "pipeline.backtest.of", "pipeline.backtest.folds"
SETTINGS = "pipeline.backtest.settings"  # how it went through time, as JSON
PAGE = "backtest.html"


def carry_out(tested: Backtest, workers: Workers, log: bool = True) -> dict[str, Any]:
    """Run what is to run, write what was found and its page, and log it; the scores."""
    with Kept.held(tested.directory):
        _check(tested)
        with (
            executor(workers if tested.waiting else ALONE) as at,
            logged(tested, at) if log else _unlogged() as finish,
        ):
            if tested.waiting:
                with watched(tested) as watch:
                    tested.run(at, watch)
            found = tested.collect()
            page = backtest_page.html(tested, found)
            artifacts.write_text(tested.directory / PAGE, page)
            finish(found)
    return found


def _check(tested: Backtest) -> None:
    """What does not fit ends here, and leaves nothing behind."""
    try:
        _ = tested.calendar
    except PipelineError:
        if not (tested.directory / "fits").exists():
            shutil.rmtree(tested.directory)
        raise


@contextmanager
def logged(tested: Backtest, at: Executor) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A backtest's run, which ends as FAILED or KILLED if the backtest does; yields its end."""
    with families.open_until_the_end(BacktestRuns(tested, at)) as runs:
        yield runs.finish


@contextmanager
def _unlogged() -> Iterator[Callable[[dict[str, Any]], None]]:
    yield lambda _: None


@dataclass(frozen=True)
class FoldRun:
    """A fold's run: the parameters of its fit, and its scores by model and baseline."""

    fold: dict[str, Any]  # as scores.json has it
    fit: Fit

    @property
    def number(self) -> int:
        """See `Child`."""
        return int(self.fold["fold"])

    @property
    def called(self) -> str:
        """See `Child`."""
        when = f", {self.fold['from']} to {self.fold['to']}" if self.fold["from"] else ""
        return f"fold {self.number}{when}"

    @property
    def note(self) -> str:
        """See `Child`."""
        return f"{self.called.capitalize()}, by fit {self.fold['fit']}."

    @property
    def file(self) -> Path:
        """See `Child`."""
        return self.fit.file

    def log(self, client: MlflowClient, run_id: str) -> str:
        """See `Child`."""
        fold = self.fold
        store.describe(client, run_id, self.fit.experiment, self.fit.layout)
        flat = _flat(fold["scores"]) | _rolling(fold["rolling"]) | {"test/n": fold["n"]}
        client.log_batch(run_id, store.metrics(flat))
        return "FINISHED"


class BacktestRuns(Family):
    """A backtest's run and those of its folds."""

    word, parent, child = "backtest", BACKTEST, FOLD

    def __init__(self, tested: Backtest, at: Executor) -> None:
        self.tested = tested
        super().__init__(tested.directory.name, tested.base.dataset, at)

    def more_tags(self) -> dict[str, str]:
        """A training's run knows itself by the same digest: so the two find each other."""
        tested = self.tested
        return {
            OF: store.digest_of(tested.asked, tested.layout),
            SETTINGS: json.dumps(tested.settings.model_dump(mode="json")),
        }

    def describe(self) -> None:
        """See `Family`."""
        store.describe(self.client, self.id, self.tested.base, self.tested.layout)

    def finish(self, found: dict[str, Any]) -> None:
        """The folds, their mean and the page."""
        fits = self.tested.fits
        self.add([FoldRun(fold, fits[fold["fit"] - 1]) for fold in found["folds"]])
        self.send(partial(self._whole, found))
        self.send(partial(self.end, "FINISHED"))

    def _whole(self, found: dict[str, Any]) -> None:
        """The means and spreads, each fold as a step, tables, pictures and page."""
        mean, spread = found["mean"], found["spread"]
        flat = {f"mean/{k}": v for k, v in _means(mean).items()}
        flat |= {f"spread/{k}": v for k, v in _means(spread).items()}
        points = store.metrics(flat)
        for fold in found["folds"]:
            own = _flat(fold["scores"]) | _rolling(fold["rolling"])
            points += store.metrics({f"fold/{k}": v for k, v in own.items()}, fold["fold"])
        families.log(self.client, self.id, points)
        told = [backtest_text.plan(self.tested, found), *backtest_text.notes(self.tested, found)]
        tags = {NOTE: "\n\n".join(map(escape_markdown, told)), FOLDS: json.dumps(places(found))}
        self.client.log_batch(self.id, tags=[RunTag(key, value) for key, value in tags.items()])
        for name in (SCORES, FORECASTS, PAGE):
            self.client.log_artifact(self.id, str(self.tested.directory / name), "backtest")


def places(found: dict[str, Any]) -> dict[str, Any]:
    """What two backtests must share for their scores to be comparable, beside data and targets."""
    settings, folds = found["settings"], found["folds"]
    return {
        "step": settings["step"],
        "origins": settings["origins"],
        "folds": [[fold["from"], fold["to"], fold["n"]] for fold in folds],
    }


def _flat(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    """Scores by who has them under names that group in the UI: test/rmse, persistence/rmse."""
    return {
        f"{'test' if who == MODEL else who}/{name}": value
        for who, own in scores.items()
        for name, value in (own if who == MODEL else metrics.brief(own)).items()
    }


def _means(part: dict[str, Any]) -> dict[str, float]:
    return _flat(part["scores"]) | _rolling(part["rolling"])


def _rolling(scores: dict[str, float]) -> dict[str, float]:
    return {f"test/rolling_{name}": value for name, value in scores.items()}

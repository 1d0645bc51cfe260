"""A backtest in the MLflow store: a run of its own, and below it one for each fold."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.evaluation.forecasts import MODEL
from pipeline.experiments.backtest.fit import Fit
from pipeline.experiments.backtest.places import Kept
from pipeline.experiments.backtest.study import FORECASTS, SCORES, Backtest
from pipeline.experiments.executors import executor
from pipeline.files import artifacts
from pipeline.reports import backtest_page, backtest_text
from pipeline.reports.backtest_progress import watched
from pipeline.reports.formatting import escape_markdown
from pipeline.repository import provenance
from pipeline.runtime import determinism
from pipeline.runtime.progress import say
from pipeline.tracking import store

BACKTEST, FOLD = "pipeline.backtest", "pipeline.fold"  # tags: the backtest's name, a fold's number
# What it is of, as training runs have it under store.EXPERIMENT; which folds, as JSON.
OF, FOLDS = "pipeline.backtest.of", "pipeline.backtest.folds"
SETTINGS = "pipeline.backtest.settings"  # how it went through time, as JSON
NOTE = "mlflow.note.content"
PAGE = "backtest.html"


def carry_out(tested: Backtest, workers: int, log: bool = True) -> dict[str, Any]:
    """Run what is to run, write what was found and its page, and log it; the scores."""
    with Kept.held(tested.directory):
        _checked(tested)
        with logged(tested) if log else _unlogged() as finish:
            if tested.waiting:
                with executor(workers) as at, watched(tested) as watch:
                    tested.run(at, watch)
            found = tested.collect()
            page = backtest_page.html(tested, found)
            artifacts.write_text(tested.directory / PAGE, page)
            finish(found)
    return found


def _checked(tested: Backtest) -> None:
    """What does not fit ends here, and leaves nothing behind."""
    try:
        _ = tested.calendar
    except PipelineError:
        if not (tested.directory / "fits").exists():
            shutil.rmtree(tested.directory)
        raise


@contextmanager
def logged(tested: Backtest) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A backtest's run, which ends as FAILED or KILLED if the backtest does; yields its end."""
    runs = BacktestRuns(tested)
    try:
        yield runs.finish
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        runs.send(partial(runs.end, "KILLED" if killed else "FAILED"))
        raise


@contextmanager
def _unlogged() -> Iterator[Callable[[dict[str, Any]], None]]:
    yield lambda _: None


class BacktestRuns:
    """Sends what the store lacks of a backtest; if the store fails, it goes on without it."""

    def __init__(self, tested: Backtest) -> None:
        self.tested, self.name = tested, tested.directory.name
        self.offline = False
        self.folds: dict[int, str] = {}  # the runs of folds by number, from 1
        self.send(self._begin)

    def finish(self, found: dict[str, Any]) -> None:
        """The folds, their mean and the page."""
        for fold in found["folds"]:
            if fold["fold"] not in self.folds:
                self.send(partial(self._child, fold))
        self.send(partial(self._whole, found))
        self.send(partial(self.end, "FINISHED"))

    def end(self, status: str) -> None:
        """How the backtest ended."""
        self.client.set_terminated(self.id, status)

    def _begin(self) -> None:
        self.client: MlflowClient = store.connect()
        tested = self.tested
        self.group = store.experiment_id(self.client, tested.base.dataset)
        # A training's run knows itself by the same digest: so the two find each other.
        of = store.digest_of(tested.asked, tested.layout)
        self.tags = provenance.tags(tested.base.dataset) | {
            BACKTEST: self.name,
            OF: of,
            SETTINGS: json.dumps(tested.settings.model_dump(mode="json")),
            "mlflow.source.name": "python -m pipeline backtest",
            provenance.ENVIRONMENT: json.dumps(determinism.settings()),
        }
        mine = f"tags.`{BACKTEST}` = '{self.name}'"
        runs: list[Run] = list(self.client.search_runs([self.group], mine, max_results=50_000))
        for run in runs:
            if FOLD in run.data.tags and run.info.status == "RUNNING":  # a half one is made again
                self.client.delete_run(run.info.run_id)
            elif FOLD in run.data.tags:
                self.folds[int(run.data.tags[FOLD])] = run.info.run_id
        own = next((run for run in runs if FOLD not in run.data.tags), None)
        if own is None:
            name = f"backtest {self.name}"
            own = self.client.create_run(self.group, tags=self.tags, run_name=name)
            self.id = str(own.info.run_id)
            store.describe(self.client, self.id, tested.base, tested.layout)
        else:
            self.id = str(own.info.run_id)
            self.client.set_tag(self.id, provenance.PROCESS, provenance.process())
            self.client.update_run(self.id, status="RUNNING")

    def _child(self, fold: dict[str, Any]) -> None:
        """A fold's run: the parameters of its fit, and its scores by model and baseline."""
        tested, client, number = self.tested, self.client, fold["fold"]
        when = f", {fold['from']} to {fold['to']}" if fold["from"] else ""
        tags = self.tags | {
            MLFLOW_PARENT_RUN_ID: self.id,
            FOLD: str(number),
            NOTE: escape_markdown(f"Fold {number}{when}, by fit {fold['fit']}."),
        }
        run = client.create_run(self.group, tags=tags, run_name=f"fold {number}{when}")
        run_id = str(run.info.run_id)
        fit: Fit = tested.fits[fold["fit"] - 1]
        store.describe(client, run_id, fit.experiment, fit.layout)
        flat = _flat(fold["scores"]) | _rolling(fold["rolling"]) | {"test/n": fold["n"]}
        client.log_batch(run_id, store.metrics(flat))
        client.set_terminated(run_id)
        self.folds[number] = run_id

    def _whole(self, found: dict[str, Any]) -> None:
        """The means and spreads, each fold as a step, tables, pictures and page."""
        mean, spread = found["mean"], found["spread"]
        flat = {f"mean/{k}": v for k, v in _means(mean).items()}
        flat |= {f"spread/{k}": v for k, v in _means(spread).items()}
        points = store.metrics(flat)
        for fold in found["folds"]:
            own = _flat(fold["scores"]) | _rolling(fold["rolling"])
            points += store.metrics({f"fold/{k}": v for k, v in own.items()}, fold["fold"])
        for i in range(0, len(points), 1000):
            self.client.log_batch(self.id, points[i : i + 1000])
        told = [backtest_text.plan(self.tested, found), *backtest_text.notes(self.tested, found)]
        tags = {NOTE: "\n\n".join(map(escape_markdown, told)), FOLDS: json.dumps(places(found))}
        self.client.log_batch(self.id, tags=[RunTag(key, value) for key, value in tags.items()])
        for name in (SCORES, FORECASTS, PAGE):
            self.client.log_artifact(self.id, str(self.tested.directory / name), "backtest")

    def send(self, action: Callable[[], object]) -> None:
        """Do it if the store takes it; warn once if it does not."""
        if self.offline:
            return
        try:
            action()
        except (PipelineError, *store.unavailable()) as error:  # type: ignore[misc]
            self.offline = True
            reason = store.masked(error).splitlines()[0][:400]
            say(
                f"warning: MLflow at {store.shown()} did not take the backtest ({reason}); its "
                "results are on disk, and the same command sends them later"
            )


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

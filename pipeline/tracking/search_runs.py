"""A search in the MLflow store: a run of its own, and below it one for each trial."""

import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.errors import PipelineError
from pipeline.evaluation.metrics import deciding
from pipeline.experiments.search.study import Finished, Search
from pipeline.reports import search_text
from pipeline.reports.formatting import escape_markdown
from pipeline.repository import provenance
from pipeline.runtime import determinism
from pipeline.runtime.progress import say
from pipeline.tracking import labels, store

SEARCH, TRIAL = "pipeline.search", "pipeline.trial"  # tags: the search's name, a trial's number
NOTE = "mlflow.note.content"


class SearchRuns:
    """Sends what the store lacks of a search; if the store fails, the search goes on without it."""

    def __init__(self, search: Search) -> None:
        self.search, self.name = search, search.directory.name
        self.offline = False
        self.trials: dict[int, str] = {}  # the runs of trials by number
        self._send(self._begin)

    def trials_of(self, generation: Sequence[Finished]) -> None:
        """The trials of a generation that has ended, and the best so far."""
        for one in generation:
            if one.number not in self.trials and not one.repeats:
                self._send(partial(self._child, one))
        if self.search.ranked:
            self._send(self._best)

    def finish(self, page: str, status: str = "FINISHED") -> None:
        """The page, and how the search ended."""

        def end() -> None:
            if page:
                self.client.log_text(self.id, page, "search/search.html")
            self.client.set_terminated(self.id, status)

        self._send(end)

    def _begin(self) -> None:
        self.client: MlflowClient = store.connect()
        self.group = store.experiment_id(self.client, self.search.base.dataset)
        self.tags = provenance.tags(self.search.base.dataset) | {
            SEARCH: self.name,
            "mlflow.source.name": "python -m pipeline search",
            provenance.ENVIRONMENT: json.dumps(determinism.settings()),
        }
        mine = f"tags.`{SEARCH}` = '{self.name}'"
        runs: list[Run] = list(self.client.search_runs([self.group], mine, max_results=50_000))
        self.trials = {
            int(run.data.tags[TRIAL]): run.info.run_id
            for run in runs
            # One that was begun and never ended lacks something: it is made again.
            if TRIAL in run.data.tags and run.info.status != "RUNNING"
        }
        own = next((run for run in runs if TRIAL not in run.data.tags), None)
        if own is None:
            about = f"search {self.name}"
            own = self.client.create_run(self.group, tags=self.tags, run_name=about)
            self.id = str(own.info.run_id)
            written = self.search.settings.model_dump(mode="json", by_alias=True, exclude_none=True)
            self.client.log_dict(self.id, written, "search/settings.json")
        else:
            self.id = str(own.info.run_id)
            self.client.set_tag(self.id, provenance.PROCESS, provenance.process())
            self.client.update_run(self.id, status="RUNNING")
        for run in runs:
            if TRIAL in run.data.tags and run.info.status == "RUNNING":
                self.client.delete_run(run.info.run_id)

    def _child(self, one: Finished) -> None:
        trial, client = one.runs[0], self.client
        described = f"trial {one.number}: {search_text.settings(one)}"
        stopped = f"{described}\n\npruned: {one.pruned}"
        note = one.failed or (stopped if one.pruned else described)
        tags = self.tags | {
            MLFLOW_PARENT_RUN_ID: self.id,
            TRIAL: str(one.number),
            NOTE: escape_markdown(note),
        }
        run = client.create_run(self.group, tags=tags, run_name=described[: labels.LONGEST])
        run_id = str(run.info.run_id)
        if one.failed:
            flat = {key: str(value) for key, value in trial.changes.items()}
            client.log_batch(run_id, params=[Param(key, value) for key, value in flat.items()])
        else:
            store.describe(client, run_id, trial.experiment, trial.layout)
            points = _points(one)
            for i in range(0, len(points), 1000):
                client.log_batch(run_id, points[i : i + 1000])
        ended = "FAILED" if one.failed else "KILLED" if one.pruned else "FINISHED"
        client.set_terminated(run_id, ended)
        self.trials[one.number] = run_id

    def _best(self) -> None:
        best = self.search.best
        where = f"#/experiments/{self.group}/runs/{self.trials[best.number]}"
        told = escape_markdown(search_text.against_the_start(self.search))
        note = f"{told}\n\n[The best trial]({where})"
        last = max(one.number for one in self.search.finished)
        metrics = store.metrics(_means(best), last)
        tags = [RunTag(NOTE, note), RunTag("pipeline.best_trial", str(best.number))]
        self.client.log_batch(self.id, metrics, tags=tags)
        store.offer_view(self.client, self.group, deciding(best.outcomes[0].scores))

    def _send(self, action: Callable[[], object]) -> None:
        if self.offline:
            return
        try:
            action()
        except (PipelineError, *store.unavailable()) as error:  # type: ignore[misc]
            self.offline = True
            reason = store.masked(error).splitlines()[0][:400]
            say(
                f"warning: MLflow at {store.shown()} did not take the search ({reason}); its "
                "results are on disk, and the same command sends them later"
            )


def _points(one: Finished) -> list[Metric]:
    """The curves of a trial's first seed and, if it was not stopped before, its scores."""
    rows = _history(one)
    ends = {"time/trial_seconds": one.seconds} if one.pruned else _means(one) | labels.best(rows)
    curve = enumerate(map(_curve, rows), start=1)
    return [m for step, scores in curve for m in store.metrics(scores, step)] + store.metrics(ends)


def _history(one: Finished) -> list[Any]:
    if one.pruned:
        return [{"validation/loss": loss} for loss in one.losses]
    history = pd.read_csv(one.runs[0].layout.history, float_precision="round_trip")
    return history.drop(columns="epoch").to_dict("records")


def _curve(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "kept"}


def _means(one: Finished) -> dict[str, float]:
    """The validation scores as runs have them, of several seeds their mean, and the time."""
    first = one.outcomes[0].scores
    means = {
        f"validation/{name}": statistics.fmean(outcome.scores[name] for outcome in one.outcomes)
        for name in first
    }
    fit = sum(outcome.fit_seconds for outcome in one.outcomes)
    return means | {"time/trial_seconds": one.seconds, "time/fit_seconds": fit}


@contextmanager
def logged(search: Search) -> Iterator[SearchRuns]:
    """A search's run; it ends as FAILED or KILLED if the search does."""
    runs = SearchRuns(search)
    try:
        yield runs
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        runs.finish("", "KILLED" if killed else "FAILED")
        raise

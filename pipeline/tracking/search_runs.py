"""A search in the MLflow store: a run of its own, and below it one for each trial."""

import statistics
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from pipeline.evaluation.metrics import deciding
from pipeline.experiments.executors import Executor
from pipeline.experiments.search.study import Finished, Search
from pipeline.reports import search_text
from pipeline.reports.formatting import escape_markdown
from pipeline.tracking import families, labels, store
from pipeline.tracking.families import NOTE, Family

SEARCH, TRIAL = "pipeline.search", "pipeline.trial"  # tags: the search's name, a trial's number


@dataclass(frozen=True)
class TrialRun:
    """A trial's run."""

    one: Finished

    @property
    def number(self) -> int:
        """See `Child`."""
        return self.one.number

    @property
    def called(self) -> str:
        """See `Child`."""
        return f"trial {self.number}: {search_text.settings(self.one)}"

    @property
    def note(self) -> str:
        """See `Child`."""
        stopped = f"{self.called}\n\npruned: {self.one.pruned}"
        return self.one.failed or (stopped if self.one.pruned else self.called)

    @property
    def file(self) -> Path:
        """See `Child`."""
        return self.one.runs[0].file

    def log(self, client: MlflowClient, run_id: str) -> str:
        """See `Child`."""
        one, trial = self.one, self.one.runs[0]
        if one.failed:
            flat = {key: str(value) for key, value in trial.changes.items()}
            client.log_batch(run_id, params=[Param(key, value) for key, value in flat.items()])
            return "FAILED"
        store.describe(client, run_id, trial.experiment, trial.layout)
        families.log(client, run_id, _points(one))
        return "KILLED" if one.pruned else "FINISHED"


class SearchRuns(Family):
    """A search's run and those of its trials."""

    word, parent, child = "search", SEARCH, TRIAL

    def __init__(self, search: Search, at: Executor) -> None:
        self.search = search
        super().__init__(search.directory.name, search.base.dataset, at)

    def describe(self) -> None:
        """See `Family`."""
        written = self.search.settings.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.client.log_dict(self.id, written, "search/settings.json")

    def trials_of(self, generation: Sequence[Finished]) -> None:
        """The trials of a generation that has ended, and the best so far."""
        self.add([TrialRun(one) for one in generation if not one.repeats])
        if self.search.ranked:
            self.send(self._best)

    def finish(self, page: str) -> None:
        """The page, and that the search ended."""
        self.send(lambda: self.client.log_text(self.id, page, "search/search.html"))
        self.send(partial(self.end, "FINISHED"))

    def _best(self) -> None:
        best = self.search.best
        where = f"#/experiments/{self.group}/runs/{self.children[best.number]}"
        told = escape_markdown(search_text.against_the_start(self.search))
        note = f"{told}\n\n[The best trial]({where})"
        last = max(one.number for one in self.search.finished)
        metrics = store.metrics(_means(best), last)
        tags = [RunTag(NOTE, note), RunTag("pipeline.best_trial", str(best.number))]
        self.client.log_batch(self.id, metrics, tags=tags)
        store.offer_view(self.client, self.group, deciding(best.outcomes[0].scores))


def logged(search: Search, at: Executor) -> AbstractContextManager[SearchRuns]:
    """A search's run; it ends as FAILED or KILLED if the search does."""
    return families.open_until_the_end(SearchRuns(search, at))


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

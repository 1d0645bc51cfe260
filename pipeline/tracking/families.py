"""A run in the MLflow store with others below it: a search, a backtest."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import ClassVar, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.errors import PipelineError
from pipeline.reports.formatting import escape_markdown
from pipeline.repository import provenance
from pipeline.runtime import determinism
from pipeline.runtime.progress import say
from pipeline.tracking import labels, store

NOTE = "mlflow.note.content"
BATCH = 1000  # metrics that MLflow takes at once


class Family:
    """Sends what the store lacks; if the store fails, what is logged goes on without it."""

    word: ClassVar[str]  # what the parent is of, as its command is called
    parent: ClassVar[str]  # the tag with its name, which the children have as well
    child: ClassVar[str]  # the tag with a child's number

    def __init__(self, name: str, dataset: str) -> None:
        self.name, self.dataset = name, dataset
        self.offline = False
        self.children: dict[int, str] = {}  # runs by number
        self.send(self._begin)

    def more_tags(self) -> dict[str, str]:
        """What all of its runs have beside."""
        return {}

    def describe(self) -> None:
        """Log what a new parent has from its beginning."""

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
                f"warning: MLflow at {store.shown()} did not take the {self.word} ({reason}); its "
                "results are on disk, and the same command sends them later"
            )

    def end(self, status: str) -> None:
        """How it ended."""
        self.client.set_terminated(self.id, status)

    def create(self, number: int, called: str, note: str) -> str:
        """A child's run, of which `children` knows once it has all: its id."""
        tags = {MLFLOW_PARENT_RUN_ID: self.id, self.child: str(number), NOTE: escape_markdown(note)}
        called = called[: labels.LONGEST]
        run = self.client.create_run(self.group, tags=self.tags | tags, run_name=called)
        return str(run.info.run_id)

    def log(self, run_id: str, points: Sequence[Metric]) -> None:
        """Log any number of metrics."""
        for i in range(0, len(points), BATCH):
            self.client.log_batch(run_id, points[i : i + BATCH])

    def _begin(self) -> None:
        self.client: MlflowClient = store.connect()
        self.group = store.experiment_id(self.client, self.dataset)
        self.tags = provenance.tags(self.dataset) | {
            self.parent: self.name,
            "mlflow.source.name": f"python -m pipeline {self.word}",
            provenance.ENVIRONMENT: json.dumps(determinism.settings()),
            **self.more_tags(),
        }
        mine = f"tags.`{self.parent}` = '{self.name}'"
        runs: list[Run] = list(self.client.search_runs([self.group], mine, max_results=50_000))
        for run in runs:
            number = run.data.tags.get(self.child)
            if number and run.info.status == "RUNNING":  # a half one is made again
                self.client.delete_run(run.info.run_id)
            elif number:
                self.children[int(number)] = run.info.run_id
        own = next((run for run in runs if self.child not in run.data.tags), None)
        if own is None:
            called = f"{self.word} {self.name}"
            own = self.client.create_run(self.group, tags=self.tags, run_name=called)
            self.id = str(own.info.run_id)
            self.describe()
        else:
            self.id = str(own.info.run_id)
            self.client.set_tag(self.id, provenance.PROCESS, provenance.process())
            self.client.update_run(self.id, status="RUNNING")


F = TypeVar("F", bound=Family)


@contextmanager
def open_until_the_end(runs: F) -> Iterator[F]:
    """The parent ends as FAILED or KILLED if what it is of does."""
    try:
        yield runs
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        runs.send(partial(runs.end, "KILLED" if killed else "FAILED"))
        raise

"""A run in the MLflow store with others below it: a search, a backtest.

A store takes the runs of children from one process at a time, if it is a database, and from all
workers, if it is a server.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cached_property, partial
from io import StringIO
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.errors import PipelineError
from pipeline.experiments.executors import Executor, Inline
from pipeline.reports.formatting import escape_markdown
from pipeline.repository import provenance
from pipeline.runtime import determinism
from pipeline.runtime.progress import say
from pipeline.tracking import labels, store
from pipeline.tracking.database import StoreError

NOTE = "mlflow.note.content"
BATCH = 1000  # metrics that MLflow takes at once


class Child(Protocol):
    """What a child's run is of. It is pickled on its way to a worker."""

    @property
    def number(self) -> int:
        """By which it is known."""
        ...

    @property
    def called(self) -> str:
        """The run's name."""
        ...

    @property
    def note(self) -> str:
        """What to know of it, in plain text."""
        ...

    @property
    def file(self) -> Path:
        """Where its results lie."""
        ...

    def log(self, client: MlflowClient, run_id: str) -> str:
        """Log parameters and scores; how it ended, as MLflow says it."""
        ...


@dataclass(frozen=True)
class Sending:
    """A child's run that is to be written, as a worker is told of it."""

    child: Child
    group: str
    tags: dict[str, str]
    mine: str  # the filter that finds it
    start: int  # in milliseconds: the UI lists runs by it
    settings: dict[str, str]  # variables that say how the store is reached


def write(sending: Sending) -> Path:
    """Write a child's run unless the store has it; the file of its results.

    A half one was left by a worker that died here, and is made again.

    Raises:
        StoreError: the store does not take it.
    """
    os.environ.update(sending.settings)
    child = sending.child
    try:
        client = store.connect()
        if not whole(client, sending.group, sending.mine):
            run = client.create_run(
                sending.group,
                start_time=sending.start,
                tags=sending.tags | {NOTE: escape_markdown(child.note)},
                run_name=child.called[: labels.LONGEST],
            )
            status = child.log(client, run.info.run_id)
            with redirect_stdout(StringIO()):  # a server's client prints an address for each run
                client.set_terminated(run.info.run_id, status)
    except store.unavailable() as error:
        raise StoreError(store.masked(error).splitlines()[0]) from None
    return child.file


def whole(client: MlflowClient, group: str, mine: str) -> list[Run]:
    """The children's runs that a filter finds; half ones among them are deleted."""
    runs = client.search_runs([group], mine, max_results=50_000)
    for run in runs:
        if run.info.status == "RUNNING":
            client.delete_run(run.info.run_id)
    return [run for run in runs if run.info.status != "RUNNING"]


def log(client: MlflowClient, run_id: str, points: Sequence[Metric]) -> None:
    """Log any number of metrics."""
    for i in range(0, len(points), BATCH):
        client.log_batch(run_id, points[i : i + BATCH])


class Family:
    """Sends what the store lacks; if the store fails, what is logged goes on without it."""

    word: ClassVar[str]  # what the parent is of, as its command is called
    parent: ClassVar[str]  # the tag with its name, which the children have as well
    child: ClassVar[str]  # the tag with a child's number

    def __init__(self, name: str, dataset: str, at: Executor) -> None:
        self.name, self.dataset, self.at = name, dataset, at
        self.offline = False
        self.id = ""  # the parent's
        self.children: dict[int, str] = {}  # runs by number

    @cached_property
    def client(self) -> MlflowClient:
        """Of the store."""
        return store.connect()

    def begin(self) -> None:
        """Open the parent, or make one, and know its children."""
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
            with store.unbroken():
                action()
        except (PipelineError, *store.unavailable()) as error:  # type: ignore[misc]
            self.offline = True
            reason = store.masked(error).splitlines()[0][:400]
            say(
                f"warning: MLflow at {store.shown()} did not take the {self.word} ({reason}); its "
                "results are on disk, and the same command sends them later"
            )

    def end(self, status: str) -> None:
        """How it ended, if it began."""
        if self.id:
            self.client.set_terminated(self.id, status)

    def add(self, children: Sequence[Child]) -> None:
        """Write the runs of those that the store lacks, and know them all.

        All workers write to a server. To a database each is written by itself, so that a signal to
        end waits for one at most.
        """
        lacking = [child for child in children if child.number not in self.children]
        for some in [lacking] if store.served() else [[child] for child in lacking]:
            self.send(partial(self._add, some))
        if lacking:
            self.send(self._know)

    def _add(self, lacking: Sequence[Child]) -> None:
        served = store.served()
        if served:
            self.client.get_experiment(self.group)  # one that is gone keeps no worker waiting
        told = {key: value for key, value in os.environ.items() if key.startswith("MLFLOW_")}
        now = int(time.time() * 1000)
        tasks = [
            Sending(
                child,
                self.group,
                self.tags | {MLFLOW_PARENT_RUN_ID: self.id, self.child: str(child.number)},
                f"{self._mine} AND tags.`{self.child}` = '{child.number}'",
                now + place,
                told,
            )
            for place, child in enumerate(lacking)
        ]
        for _ in (self.at if served else Inline()).map(write, tasks):
            pass

    def _know(self) -> None:
        """Which children the store has."""
        runs = whole(self.client, self.group, f"{self._mine} AND tags.`{self.child}` != ''")
        self.children = {int(run.data.tags[self.child]): run.info.run_id for run in runs}

    @property
    def _mine(self) -> str:
        """The filter of all runs of this family."""
        return f"tags.`{self.parent}` = '{self.name}'"

    def _begin(self) -> None:
        self.group = store.experiment_id(self.client, self.dataset)
        self.tags = provenance.tags(self.dataset) | {
            self.parent: self.name,
            "mlflow.source.name": f"python -m pipeline {self.word}",
            provenance.ENVIRONMENT: json.dumps(determinism.settings()),
            **self.more_tags(),
        }
        self._know()
        runs: list[Run] = list(
            self.client.search_runs([self.group], self._mine, max_results=50_000)
        )
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
        runs.begin()
        yield runs
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        runs.send(partial(runs.end, "KILLED" if killed else "FAILED"))
        raise

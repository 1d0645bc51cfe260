"""A run that is logged while it trains."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from mlflow import MlflowClient
from mlflow.entities import RunTag

from pipeline.config.experiment import Experiment
from pipeline.experiments.log import Epoch, Log
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.repository import provenance
from pipeline.runtime import determinism
from pipeline.tracking import labels, store


class TrainingRun(Log):
    """A run that is logged while it trains. If the store fails, training goes on without it."""

    def __init__(self, experiment: Experiment, layout: Layout, before: str = "") -> None:
        """`before` is the id of the run that logged an interrupted training, which goes on."""
        self.experiment, self.layout, self.run = experiment, layout, before
        self.offline = False
        self.logged = 0  # epochs that the run has from before
        self.seconds = 0.0  # that epochs have waited for the store

    @cached_property
    def client(self) -> MlflowClient:
        """Of the store."""
        return store.connect()

    def begin(self) -> None:
        """Open the run, or make a new one."""
        experiment, layout, before = self.experiment, self.layout, self.run

        def start() -> None:
            name = store.experiment_id(self.client, experiment.dataset)
            for run in store.abandoned(self.client, name):
                self.client.set_terminated(run.info.run_id, "KILLED")
            machine = {provenance.ENVIRONMENT: json.dumps(determinism.settings())}
            tags = provenance.tags(experiment.dataset) | machine
            if before and store.reopen(self.client, before, tags):
                self.logged = len(self.client.get_metric_history(before, store.LOSS))
            else:
                self.run = store.create(self.client, experiment, layout, tags)
            store.describe(self.client, self.run, experiment, layout)

        self._send(start)

    def epoch(self, number: int, scores: Epoch) -> None:
        """Log one epoch's scores, unless the run has them; the first epoch is step 1."""
        if number < self.logged:
            return
        began = time.monotonic()
        self._send(lambda: self.client.log_batch(self.run, store.metrics(scores, number + 1)))
        self.seconds += time.monotonic() - began

    def finish(self, history: Sequence[Epoch], seconds: float) -> None:
        """Log the best epoch and how long the fit took; link the run to the files just written."""
        best = {**labels.best(history), "time/fit_seconds": seconds - self.seconds}
        tags = [RunTag(store.CONTENT, store.content(self.layout))]
        if chosen := artifacts.read_json(self.layout.model_json).get("chosen"):
            tags.append(RunTag(store.CHOSEN, json.dumps(chosen)))
        self._send(lambda: self.client.log_batch(self.run, store.metrics(best), tags=tags))

    def end(self, status: str) -> None:
        """Close the run, if it began, as FINISHED, FAILED or KILLED."""
        if self.run:
            self._send(lambda: self.client.set_terminated(self.run, status))

    def _send(self, action: Callable[[], object]) -> None:
        if self.offline:
            return
        with store.unbroken():
            try:
                action()
            except store.unavailable() as error:
                self.offline = True
                store.warn(error)


@contextmanager
def training_run(experiment: Experiment, layout: Layout, before: str = "") -> Iterator[TrainingRun]:
    """An MLflow run around a training; it ends as FAILED or KILLED if the training does.

    Of a training that goes on it is the run `before`, unless the store has that no more.
    """
    run = TrainingRun(experiment, layout, before)
    try:
        run.begin()
        yield run
    except BaseException as error:
        run.end("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED")
        raise
    run.end("FINISHED")

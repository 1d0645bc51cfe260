"""A run that is logged while it trains."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

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

    def __init__(self, experiment: Experiment, layout: Layout) -> None:
        self.layout = layout
        self.offline = False
        self.seconds = 0.0  # that epochs have waited for the store

        def start() -> None:
            self.client = store.connect()
            name = store.experiment_id(self.client, experiment.dataset)
            for run in store.abandoned(self.client, name):
                self.client.set_terminated(run.info.run_id, "KILLED")
            machine = {provenance.ENVIRONMENT: json.dumps(determinism.settings())}
            tags = provenance.tags(experiment.dataset) | machine
            self.id = store.create(self.client, experiment, layout, tags)
            store.describe(self.client, self.id, experiment, layout)

        self._send(start)

    def epoch(self, number: int, scores: Epoch) -> None:
        """Log one epoch's scores; the first epoch is step 1."""
        began = time.monotonic()
        self._send(lambda: self.client.log_batch(self.id, store.metrics(scores, number + 1)))
        self.seconds += time.monotonic() - began

    def finish(self, history: Sequence[Epoch], seconds: float) -> None:
        """Log the best epoch and how long the fit took; link the run to the files just written."""
        best = {**labels.best(history), "time/fit_seconds": seconds - self.seconds}
        tags = [RunTag(store.CONTENT, store.content(self.layout))]
        if chosen := artifacts.read_json(self.layout.model_json).get("chosen"):
            tags.append(RunTag(store.CHOSEN, json.dumps(chosen)))
        self._send(lambda: self.client.log_batch(self.id, store.metrics(best), tags=tags))

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        self._send(lambda: self.client.set_terminated(self.id, status))

    def _send(self, action: Callable[[], object]) -> None:
        if self.offline:
            return
        try:
            action()
        except store.unavailable() as error:
            self.offline = True
            store.warn(error)


@contextmanager
def training_run(experiment: Experiment, layout: Layout) -> Iterator[TrainingRun]:
    """An MLflow run around a training; it ends as FAILED or KILLED if the training does."""
    run = TrainingRun(experiment, layout)
    try:
        yield run
    except BaseException as error:
        run.end("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED")
        raise
    run.end("FINISHED")

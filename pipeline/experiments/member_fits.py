"""The members of an ensemble fitted by several workers, to the bytes of one after the other."""

import io
import json
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.experiment import Experiment
from pipeline.experiments.log import Epoch, Log
from pipeline.experiments.task import prepared
from pipeline.experiments.workers import Workers, executor
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models import weights
from pipeline.models.task import Task
from pipeline.runtime import determinism
from pipeline.runtime.progress import progress


@dataclass(frozen=True)
class Fit:
    """What a worker does: one member."""

    experiment: Experiment
    layout: Layout
    place: int  # from 0
    directory: Path  # for what it makes

    @property
    def weights(self) -> Path:
        """The member's."""
        return self.directory / f"{self.place}.weights.h5"

    @property
    def history(self) -> Path:
        """Its epochs: there once it is fitted."""
        return self.directory / f"{self.place}.json"


def run(fit: Fit) -> Path:
    """Fit a member; the file of its epochs, beside which its weights lie."""
    task, settings = prepared(fit.experiment, fit.layout), fit.experiment.params.train
    determinism.settle(settings.seed)
    # TensorFlow comes with these, settled now.
    from pipeline.training.batches import Examples
    from pipeline.training.ensemble import fit_member

    with redirect_stderr(io.StringIO()):
        member, epochs = fit_member(task, Examples.of(task), settings, fit.place, lambda *_: None)
    with artifacts.replacing(fit.weights) as beside:
        weights.save(member, beside)
    artifacts.write_text(fit.history, json.dumps(epochs))  # whose keys stay in their order
    return fit.history


def fit_side_by_side(
    experiment: Experiment, layout: Layout, task: Task, workers: Workers, log: Log
) -> tuple[Any, list[Epoch]]:
    """What `fit_networks` gives, by so many workers.

    Epochs are told once their member is fitted, and those before it.
    """
    from pipeline.models import registry
    from pipeline.training.ensemble import numbered

    spec, history = task.spec, list[Epoch]()
    with (
        workers.temporary("members", layout.root) as directory,
        executor(workers.at_most(spec.ensemble)) as at,
        progress("members", spec.ensemble) as tell,
    ):
        there = Layout(layout.root.resolve(), layout.project.resolve())
        fits = [Fit(experiment, there, i, directory) for i in range(spec.ensemble)]
        waiting = [*fits]
        for _ in at.map(run, fits):
            tell("fitted")
            while waiting and waiting[0].history.exists():
                fit = waiting.pop(0)
                for epoch in numbered(fit.place, artifacts.read_json(fit.history)):
                    log.epoch(len(history), epoch)
                    history.append(epoch)
        members = []
        for fit, own in zip(fits, spec.networks, strict=True):
            members.append(registry.network(own, task.scaler, registry.member(fit.place)))
            members[-1].load_weights(fit.weights)
    return registry.together(members), history

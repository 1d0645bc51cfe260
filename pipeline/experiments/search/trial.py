"""One trial with one seed: fitted and scored on validation, in a directory of its own."""

import io
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.config import checks
from pipeline.config.changes import changed
from pipeline.config.experiment import Experiment
from pipeline.config.params import Params
from pipeline.errors import PipelineError
from pipeline.experiments.evaluate import evaluate
from pipeline.experiments.log import Epoch, Log
from pipeline.experiments.search import pruning
from pipeline.experiments.search.pruning import PrunedError
from pipeline.experiments.shared import RESULT, own_names, share
from pipeline.experiments.train import train
from pipeline.experiments.validate import validate
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.files.records import Record


class Outcome(Record):
    """result.json: how a trial ended with one seed."""

    number: int
    seed: int
    changes: dict[str, Any]  # to the parameters, by dotted key
    scores: dict[str, float] = {}  # of the validation span
    failed: str | None = None  # the line of what it failed of
    pruned: str | None = None  # the line of why it was stopped
    losses: tuple[float, ...] = ()  # of the validation span, an epoch each
    sha256: dict[str, str] = {}  # of model.json, model.weights.h5 and history.csv
    epochs: int = 0
    said: tuple[str, ...] = ()
    seconds: float = 0
    fit_seconds: float = 0  # of these


@dataclass(frozen=True)
class Trial:
    """What is run: the base's parameters with changes, and a seed."""

    directory: Path  # of the search; absolute, as the project's
    project: Path
    base: Experiment
    number: int
    seed: int
    changes: dict[str, Any]
    limits: tuple[float, ...] = ()  # by epoch, the validation loss above which it stops

    @property
    def root(self) -> Path:
        """Where its files are."""
        return self.directory / "trials" / f"{self.number:04d}" / f"seed-{self.seed}"

    @property
    def file(self) -> Path:
        """result.json: it is there once the trial has ended."""
        return self.root / RESULT

    @property
    def layout(self) -> Layout:
        """The same places as in a project."""
        return Layout(self.root, self.project)

    @cached_property
    def params(self) -> Params:
        """Its parameters; PipelineError if they cannot be."""
        return changed(self.base.asked, {**self.changes, "train.seed": self.seed}, "trial")

    @property
    def experiment(self) -> Experiment:
        """Its experiment."""
        return Experiment(self.params, self.base.card)

    def outcome(self) -> Outcome:
        """How it ended."""
        return artifacts.read_json_record(self.file, Outcome)


def run(trial: Trial) -> Path:
    """Fit and validate; the result's file. What fails is a result too, but a disk or a signal."""
    shutil.rmtree(trial.root, ignore_errors=True)  # what a killed one left
    began, said, layout = time.monotonic(), io.StringIO(), trial.layout
    found: dict[str, Any] = {}
    fit = _Fit(trial.limits)
    try:
        with redirect_stderr(said):
            found = _run(trial, fit)
    except PrunedError as error:
        found = {"pruned": str(error)}
    except PipelineError as error:
        if isinstance(error.__cause__, OSError):  # a full disk is no trial's fault
            raise
        found = {"failed": own_names(str(error), layout)}
    except OSError:
        raise
    except Exception as error:  # a trial too large for the memory, say, ends no search
        found = {"failed": " ".join(f"{type(error).__name__}: {error}".split())[:400]}
    lines = tuple(own_names(line, layout) for line in said.getvalue().splitlines())
    took = {"seconds": round(time.monotonic() - began, 2), "fit_seconds": round(fit.seconds, 2)}
    losses = tuple(fit.losses)
    return write(trial, said=lines, losses=losses, epochs=len(losses), **took, **found)


def write(trial: Trial, **found: Any) -> Path:
    """Write a trial's result; its file."""
    made = Outcome(number=trial.number, seed=trial.seed, changes=trial.changes, **found)
    artifacts.write_json(trial.file, made.model_dump(mode="json"))
    return trial.file


def score(trial: Trial) -> Path:
    """Score a trial's model on the test span, beside the baselines; metrics.json."""
    layout, made = trial.layout, trial.outcome()
    for name, sha256 in made.sha256.items():
        path = _files(layout)[name]
        if artifacts.sha256(path) != sha256:
            raise PipelineError(f"{path}: expected the trial's own, found another; remove it")
    with redirect_stderr(io.StringIO()):
        evaluate(trial.experiment, layout)
    return layout.metrics


def _run(trial: Trial, fit: "_Fit") -> dict[str, Any]:
    experiment, layout = trial.experiment, trial.layout
    checks.check(experiment, layout)
    share(experiment, layout, trial.directory / "shared")
    train(experiment, layout, lambda *_: nullcontext(fit))
    scores = validate(experiment, layout)
    sha256 = {name: artifacts.sha256(path) for name, path in _files(layout).items()}
    return {"scores": scores, "sha256": sha256}


class _Fit(Log):
    """Keeps the validation losses and how long the fit took; stops what is not worth its end."""

    def __init__(self, limits: Sequence[float]) -> None:
        self.limits, self.losses, self.seconds = limits, list[float](), 0.0

    def epoch(self, number: int, scores: Epoch) -> None:
        """See `Log`."""
        self.losses.append(scores["validation/loss"])
        pruning.check(self.losses, self.limits)

    def finish(self, history: Sequence[Epoch], seconds: float) -> None:
        """See `Log`."""
        self.seconds = seconds


def _files(layout: Layout) -> dict[str, Path]:
    return {path.name: path for path in (layout.model_json, layout.weights, layout.history)}

"""A training that goes on where it was interrupted: what it keeps beside the stages' outputs.

In data/checkpoint, which DVC does not empty: the state of each fit, all that decides the training,
and the id of the run that logs it. A training that differs in anything begins anew.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pipeline
from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.files.records import Record
from pipeline.files.yaml import read_yaml
from pipeline.runtime import determinism
from pipeline.runtime.progress import say
from pipeline.training.state import StateFile

PROJECT = Path(pipeline.__file__).parents[1]
KEPT = "checkpoint.json"


class Key(Record):
    """All that decides a training: what DVC runs the stage again for, and the machine."""

    params: dict[str, Any]
    files: dict[str, str]  # sha256 of each dependency, code and data
    machine: dict[str, Any]  # libraries' versions among it

    @classmethod
    def of(cls, experiment: Experiment, layout: Layout) -> "Key":
        """That of an experiment whose windows are made."""
        stage = read_yaml(PROJECT / "dvc.yaml")["stages"]["train"]
        sections = tuple(f"{name}." for name in stage["params"])
        params = experiment.params.flat().items()
        named = (dep.replace("${ingest.dataset}", experiment.dataset) for dep in stage["deps"])
        return cls(
            params={name: value for name, value in params if name.startswith(sections)},
            files={name: _sha256(name, layout) for name in named},
            machine=determinism.settings() | determinism.gpus(),
        )

    def changes(self, before: "Key") -> list[str]:
        """How it differs from one before, each in words."""
        words = [
            f"{name} was {then.get(name)}, is {now.get(name)}"
            for then, now in ((before.params, self.params), (before.machine, self.machine))
            for name in sorted({*then, *now})
            if then.get(name) != now.get(name)
        ]
        names = sorted({*before.files, *self.files})
        changed = (name for name in names if before.files.get(name) != self.files.get(name))
        return words + [f"{name} has changed" for name in changed]


class Kept(Record):
    """checkpoint.json."""

    key: Key
    run: str  # the id of the run that logs the training


class Resume:
    """What a training goes on from; of this one nothing is kept."""

    run = ""  # that logged the training so far
    seconds = 0.0  # that its epochs took so far

    def begin(self, run: str) -> None:
        """Keep what the training is from now on, and the run that logs it."""

    def file(self, name: str) -> StateFile | None:
        """Where the state of the network so named is kept."""
        return None


Resuming = Callable[[Experiment, Layout], AbstractContextManager[Resume]]


def afresh(experiment: Experiment, layout: Layout) -> AbstractContextManager[Resume]:
    """What begins each training anew and keeps nothing."""
    return nullcontext(Resume())


class Directory(Resume):
    """What is kept in a directory, or was: it is emptied where it is of another training."""

    def __init__(self, experiment: Experiment, layout: Layout) -> None:
        self.directory = layout.checkpoint
        self.key = Key.of(experiment, layout)
        self.digest = artifacts.checksum(self.key.model_dump(mode="json"))
        if not (self.directory / KEPT).exists():  # it died as it removed the rest
            shutil.rmtree(self.directory, ignore_errors=True)
            return
        try:
            kept = artifacts.read_json_record(self.directory / KEPT, Kept)
            if changes := self.key.changes(kept.key):
                more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
                raise PipelineError(f"since it was interrupted, {changes[0]}{more}")
            # What was being written when it died is named .partial-NAME, and is no state.
            whole = (path for path in self.directory.glob("*.npz") if path.name[0] != ".")
            states = [self._file(path).read() for path in sorted(whole)]
        except PipelineError as error:
            say(f"train: begins anew: {str(error).removesuffix(artifacts.REMEDY)}")
            shutil.rmtree(self.directory)
            return
        self.run = kept.run
        fits = [state.about for state in states if state]
        self.seconds = sum(fit.seconds for fit in fits)
        if epochs := sum(len(fit.epochs) for fit in fits):
            of = f" of MLflow run {kept.run}" if kept.run else ""
            say(f"train: goes on after epoch {epochs}{of}; rm -r {self.directory} begins anew")

    def begin(self, run: str) -> None:
        """Keep what the training is from now on, and the run that logs it."""
        kept = Kept(key=self.key, run=run)
        artifacts.write_json(self.directory / KEPT, kept.model_dump(mode="json"))

    def file(self, name: str) -> StateFile:
        """Where the state of the network so named is kept."""
        return self._file(self.directory / f"{name}.npz")

    def _file(self, path: Path) -> StateFile:
        return StateFile(path, self.digest)


@contextmanager
def resumed(experiment: Experiment, layout: Layout) -> Iterator[Resume]:
    """What the last training in this place left, if it was this one; gone once this one is done."""
    directory = Directory(experiment, layout)
    yield directory
    shutil.rmtree(directory.directory, ignore_errors=True)


def _sha256(name: str, layout: Layout) -> str:
    """Of a file, or of all files of a directory with their names."""
    path = (PROJECT if name.startswith("pipeline/") else layout.root) / name
    if path.is_file():
        return artifacts.sha256(path)
    files = sorted(path.rglob("*.py"))
    return artifacts.checksum([[str(f.relative_to(path)), artifacts.sha256(f)] for f in files])

"""Write down the machine and the scale that a reproduction is compared with.

It goes to data/reports/reference.json where dvc.lock's outputs have changed; `make` does so. No
stage does, since a stage's output must not depend on its host.
"""

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE, require
from pipeline.files.records import Record
from pipeline.repository import lockfile
from pipeline.runtime import determinism

FILE = HERE.reports / "reference.json"


class Machine(Record):
    """What decides whether the same code gives the same bytes."""

    processor: str
    vector_flags: tuple[str, ...]
    requirements: str  # sha256 of requirements.lock
    environment: dict[str, str] = {}  # variables of the shell that steer libraries

    @classmethod
    def here(cls) -> "Machine":
        """This machine, with the lock file in the working directory."""
        return cls(
            processor=determinism.processor(),
            vector_flags=tuple(determinism.vector_flags()),
            requirements=artifacts.sha256(Path("requirements.lock")),
            environment=determinism.steering(),
        )

    @property
    def sha256(self) -> str:
        """One checksum over all of it."""
        return artifacts.checksum(self.model_dump(mode="json", exclude_defaults=True))

    def difference(self, other: "Machine") -> str:
        """The first thing in which two machines differ, in words; empty if they are the same."""
        if self.processor != other.processor:
            return f"processor {other.processor}, not {self.processor}"
        if flags := set(self.vector_flags) ^ set(other.vector_flags):
            return f"vector instructions that only one of them has: {', '.join(sorted(flags))}"
        if self.requirements != other.requirements:
            return "another requirements.lock"
        for name in sorted(self.environment.keys() | other.environment.keys()):
            mine, its = (m.environment.get(name, "unset") for m in (self, other))
            if mine != its:
                return f"{name} in the shell is {its}, not {mine}"
        return ""


class Reference(Record):
    """reference.json."""

    machine: Machine
    outputs: str  # digest of dvc.lock's checksums, which ties this file to it
    directories: dict[str, dict[str, str]]  # the sha256 of each file of an output of several
    prepared: dict[str, Any]  # what impute_scale learned and made, in numbers


def read(lock: lockfile.Lock) -> Reference:
    """The committed reference, which must belong to the committed dvc.lock."""
    file = require(FILE, "make it with: make; then commit it")
    reference = artifacts.read_json_record(file, Reference)
    if reference.outputs != digest(lock):
        raise PipelineError(
            f"{FILE}: expected it to be made with the committed dvc.lock, found it made with "
            "another; run: make; then commit both"
        )
    return reference


def prepared() -> dict[str, Any]:
    """What impute_scale wrote, in numbers: its JSON, and each column's mean, spread and range."""
    values = np.asarray(artifacts.read_array(HERE.values), np.float64)
    return {
        "imputer": artifacts.read_json(HERE.imputer),
        "scaler": artifacts.read_json(HERE.scaler),
        "values": {
            "mean": values.mean(axis=0).tolist(),
            "deviation": values.std(axis=0).tolist(),
            "min": values.min(axis=0).tolist(),
            "max": values.max(axis=0).tolist(),
        },
    }


def contents(directory: str) -> dict[str, str]:
    """The sha256 of each file of a directory by its name."""
    return {file.name: artifacts.sha256(file) for file in Path(directory).iterdir()}


def digest(lock: lockfile.Lock) -> str:
    """One sha256 over the checksums of all outputs."""
    return artifacts.checksum(lock.checksums)


def main() -> None:
    """Write the reference, unless it belongs to this dvc.lock already."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    lock = lockfile.read_whole_lock()
    try:
        read(lock)
    except PipelineError:
        here = Reference(
            machine=Machine.here(),
            outputs=digest(lock),
            directories={
                path: contents(path) for path, md5 in lock.checksums.items() if md5.endswith(".dir")
            },
            prepared=prepared(),
        )
        with suppress(PipelineError):  # there may be none yet
            last = artifacts.read_json_record(FILE, Reference).machine
            if unlike := here.machine.difference(last):
                print(f"note: the last results are from elsewhere ({unlike}): the same code and")
                print("parameters give different last digits here, which Git shows as changes")
        artifacts.write_json(FILE, here.model_dump(mode="json"))

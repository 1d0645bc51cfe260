"""dvc.lock, checked before it is relied upon: well-formed, and of every stage."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from pipeline.errors import PipelineError
from pipeline.files.records import Record
from pipeline.files.yaml import read_record, read_yaml

LOCK = Path("dvc.lock")
STAGES = Path("dvc.yaml")
RWLOCK = Path(".dvc/tmp/rwlock")
REMEDY = f"restore it with: git checkout {LOCK}"
MD5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]


class File(Record, extra="ignore"):
    """A file of a directory that is in a version-aware remote, which keeps it by its own name."""

    relpath: str
    md5: MD5


class Entry(Record, extra="ignore"):
    """A file or a directory with its checksum, as DVC records it."""

    path: str
    md5: MD5 = ""
    files: tuple[File, ...] = ()

    @model_validator(mode="after")
    def _has_a_checksum(self) -> "Entry":
        if not self.files and not self.md5:
            raise ValueError("md5 or files")
        return self

    @property
    def checksum(self) -> str:
        """The md5; of a directory that lists its files the one that DVC would give it."""
        if not self.files:
            return self.md5
        files = sorted(self.files, key=lambda file: file.relpath)
        listed = json.dumps([{"md5": file.md5, "relpath": file.relpath} for file in files])
        return f"{hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest()}.dir"


class Stage(Record, extra="ignore"):
    """What a stage made."""

    outs: Annotated[tuple[Entry, ...], Field(min_length=1)]


class Lock(Record, extra="ignore"):
    """dvc.lock, as far as its checksums go; the rest is DVC's own."""

    stages: dict[str, Stage]

    @property
    def checksums(self) -> dict[str, str]:
        """The md5 of every stage output by its path, in the order of the stages."""
        return {out.path: out.checksum for stage in self.stages.values() for out in stage.outs}


def read_lock() -> Lock:
    """dvc.lock; PipelineError with the remedy if it is absent or broken."""
    if not LOCK.is_file():
        raise PipelineError(f"{LOCK}: no such file; make it with: make")
    try:
        return read_record(LOCK, Lock)
    except PipelineError as error:
        raise PipelineError(f"{error}; {REMEDY}") from None


def read_whole_lock() -> Lock:
    """dvc.lock, which must hold every stage and output of dvc.yaml: one cut short may be YAML."""
    lock = read_lock()
    for name, outputs in declared().items():
        if name not in lock.stages:
            found = ", ".join(lock.stages) or "none"
            raise PipelineError(
                f"{LOCK}: expected stage {name} of {STAGES}, found only {found}; {REMEDY}, or run: "
                "make"
            )
        for output in outputs:
            if output not in lock.checksums:
                raise PipelineError(
                    f"{LOCK}: stage {name}: expected a checksum of {output}, found none; "
                    f"{REMEDY}, or run: make"
                )
    return lock


def declared() -> dict[str, list[str]]:
    """Every stage of dvc.yaml with the paths of its outputs."""
    return {
        name: [
            entry if isinstance(entry, str) else next(iter(entry))
            for entry in [*stage.get("outs", []), *stage.get("metrics", [])]
        ]
        for name, stage in read_yaml(STAGES)["stages"].items()
    }


def check_rwlock(path: Path = RWLOCK) -> None:
    """PipelineError if DVC's list of who reads and writes is no JSON, as after a full disk."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        raise PipelineError(
            f"{path}: expected JSON, found a broken file; when no dvc command runs, remove it "
            f"with: rm {path}"
        ) from None


def check_repository() -> None:
    """PipelineError if there is no Git repository for DVC, as in an archive that was unpacked."""
    if any((top / ".git").exists() for top in Path("x").absolute().parents):
        return
    command = ["dvc", "config", "core.no_scm"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.stdout.strip() != "true":
        raise PipelineError(
            ".git: expected a Git repository, which DVC needs, found none; make one with: git init "
            "&& git add -A && git commit -m Start"
        )

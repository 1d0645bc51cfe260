"""A repository of its own for a test: this code, the real table, a very small network."""

from pathlib import Path

import pytest

from tests.repositories import ROOT, commit, copy_code, environment, run

__all__ = ["ROOT", "SMALL", "environment", "experiment", "make", "repository", "run"]
SMALL = {
    "window.look_back": 12,
    "window.stride": 20,
    "train.epochs": 2,
    "train.model.units": "[4]",
    "train.batch_size": 64,
    "train.mix": "[]",
}


def make(directory: Path) -> Path:
    """A fresh repository with this code, committed; nothing has run in it yet."""
    copy_code(directory)
    commit(directory, "code")
    return directory


def experiment(directory: Path, name: str, **changes: object) -> str:
    """Run one DVC experiment with small parameters and these changes; its output."""
    flags = [
        part
        for key, value in (SMALL | {k.replace("__", "."): v for k, v in changes.items()}).items()
        for part in ("-S", f"{key}={value}")
    ]
    return run(directory, "dvc", "exp", "run", "-n", name, *flags)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh repository whose pipeline has run once, everything committed."""
    directory = make(tmp_path_factory.mktemp("repository"))
    experiment(directory, "small")
    commit(directory, "run")
    return directory

"""A repository of its own for a test: this code, the real table, a very small network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMALL = {
    "window.look_back": 12,
    "window.stride": 20,
    "train.epochs": 2,
    "train.model.units": "[4]",
    "train.batch_size": 64,
}


def run(directory: Path, *command: str, status: int = 0, env: dict[str, str] | None = None) -> str:
    """Run a command of the environment in a repository; its output, if it ends as it should."""
    done = subprocess.run(
        command, cwd=directory, env=environment() | (env or {}), capture_output=True, text=True
    )
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def environment() -> dict[str, str]:
    """The tests' own interpreter first on PATH, and no tracking server of the user's."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_"))}
    return env | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}",
        "DVC_NO_ANALYTICS": "1",
    }


def make(directory: Path) -> Path:
    """A fresh repository with this code, committed; nothing has run in it yet."""
    tracked = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("data/reports/", "tests/", "docs/")):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes((ROOT / name).read_bytes())
    (directory / "dvc.lock").unlink(missing_ok=True)
    run(directory, "git", "init", "-q", "-b", "main")
    run(directory, "git", "config", "user.email", "test@example.org")
    run(directory, "git", "config", "user.name", "test")
    run(directory, "git", "add", "-A")
    run(directory, "git", "commit", "-q", "-m", "code")
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
    run(directory, "git", "add", "-A")
    run(directory, "git", "commit", "-q", "-m", "run")
    return directory

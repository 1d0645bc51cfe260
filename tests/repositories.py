"""Fresh repositories with this code, in which tests run DVC and the stages as a user does."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.tracking import database
from tests.toys import from_yaml, to_yaml

ROOT = Path(__file__).parent.parent
STAGES = ("ingest", "impute_scale", "window", "train", "evaluate")
TOY_CARD = {
    "title": "A toy series",
    "source": "tests",
    "licence": "CC0",
    "time": {"column": "time", "format": "%Y-%m-%d %H:%M"},
    "frequency": "1h",
    "season": 6,
    "columns": {"level": {"unit": "m"}, "wind": {"categories": ["N", "S"]}},
    "targets": ["level"],
    "inputs": ["level", "wind"],
    "split": {"train": 200, "validation": 250, "test": 300},
}
TOY = {
    "ingest.dataset": "toy",
    "window.look_back": 6,
    "window.horizon": 3,
    "window.inputs": None,
    "train.epochs": 2,
    "train.model.units": [4],
    "train.batch_size": 64,
    "train.model.input_dropout": 0.4,
    "train.mix": [],
    "evaluate.stretch": 24,
}
NO_STORE = {  # for what needs no MLflow: refused at once, and never tried again
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tests' own interpreter first on PATH, and no tracking server of the user's."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return env | {"PATH": path, "DVC_NO_ANALYTICS": "1", **(extra or {})}


def run(
    directory: Path,
    *command: str,
    status: int | None = 0,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command in a repository; what it says, if it ends with the status (None: any)."""
    done = subprocess.run(
        command, cwd=directory, env=environment(env), capture_output=True, text=True, check=False
    )
    assert status in (None, done.returncode), f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def kill_when(
    true: Callable[[], object], directory: Path, *command: str, env: Mapping[str, str] | None = None
) -> None:
    """Start a command in a repository and kill -9 it as soon as something is so."""
    with (directory / "said.txt").open("w+b") as said:
        process = subprocess.Popen(
            command, cwd=directory, env=environment(env), stdout=said, stderr=subprocess.STDOUT
        )
        try:
            while not true() and process.poll() is None:
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        assert process.returncode == -signal.SIGKILL, f"it ended before:\n{said.read().decode()}"


def stage(directory: Path, name: str, status: int = 0, env: Mapping[str, str] = NO_STORE) -> str:
    """Run one stage without DVC, as DVC runs it."""
    command = (sys.executable, "-E", "-m", f"pipeline.stages.{name}")
    return run(directory, *command, status=status, env=env)


def copy_code(directory: Path) -> None:
    """The files of this project, without tests, documents and results."""
    tracked = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("data/reports/", "tests/", "docs/")):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes((ROOT / name).read_bytes())
    (directory / "dvc.lock").unlink(missing_ok=True)


def commit(directory: Path, message: str) -> None:
    """Commit everything; the first time, make the repository."""
    if not (directory / ".git").exists():
        run(directory, "git", "init", "-q", "-b", "main")
        run(directory, "git", "config", "user.email", "test@example.org")
        run(directory, "git", "config", "user.name", "test")
    run(directory, "git", "add", "-A")
    run(directory, "git", "commit", "-q", "-m", message)


def set_params(directory: Path, changes: Mapping[str, Any]) -> None:
    """Change params.yaml by dotted key."""
    file = directory / "params.yaml"
    tree = from_yaml(file.read_text())
    for key, value in changes.items():
        *parents, last = key.split(".")
        branch = tree
        for parent in parents:
            branch = branch[parent]
        branch[last] = value
    file.write_text(to_yaml(tree))


def toy_repository(directory: Path) -> Path:
    """A committed repository with a toy series of 300 rows and a network of four cells."""
    directory.mkdir(parents=True, exist_ok=True)
    copy_code(directory)
    random = np.random.default_rng(1)
    level = 10 + 5 * np.sin(np.arange(300) * np.pi / 3) + random.normal(0, 1, 300)
    table = pd.DataFrame(
        {
            "time": pd.date_range("2014-01-01", periods=300, freq="h").strftime("%Y-%m-%d %H:%M"),
            "level": pd.Series(level).round(2).mask(random.random(300) < 0.05),
            "wind": random.choice(["N", "S"], 300),
        }
    )
    (directory / "data/raw/toy").mkdir()
    table.to_csv(directory / "data/raw/toy/toy.csv", index=False)
    (directory / "data/datasets/toy.yaml").write_text(to_yaml(TOY_CARD))
    set_params(directory, TOY)
    commit(directory, "code")
    return directory


def finish(directory: Path) -> Path:
    """A toy repository whose pipeline has run, the results committed."""
    toy_repository(directory)
    run(directory, "dvc", "repro")
    run(directory, sys.executable, "-m", "pipeline", "committed-results")
    commit(directory, "results")
    return directory


def copied(repository: Path, directory: Path) -> Path:
    """A copy of a repository to change, whose runs find their files in it."""
    # Without what Python is just writing there, for a test in another process.
    writing = shutil.ignore_patterns("*.pyc.*")
    shutil.copytree(repository, directory, symlinks=True, ignore=writing)
    database.mend_moved(directory / "mlflow.db")
    return directory


def outputs(directory: Path) -> dict[str, bytes]:
    """The bytes of every file that the stages write, as dvc.yaml names them."""
    found: dict[str, bytes] = {}
    for stage in from_yaml((directory / "dvc.yaml").read_text())["stages"].values():
        for entry in [*stage["outs"], *stage.get("metrics", [])]:
            path = directory / (entry if isinstance(entry, str) else next(iter(entry)))
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            found |= {str(file.relative_to(directory)): file.read_bytes() for file in files}
    return found

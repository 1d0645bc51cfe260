"""A clone of the committed state, in which the pipeline runs with nothing remembered."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline import lockfile, paths, provenance
from pipeline.errors import PipelineError


def make(directory: Path) -> Path:
    """Clone HEAD of the repository in the working directory; DVC's cache there is empty.

    A raw table that is not in Git is copied from the working directory: ingest verifies it.
    """
    source = Path.cwd()
    if git(source, "status", "--porcelain", "--untracked-files=no"):
        print("note: changes that are not committed are left out", file=sys.stderr)
    git(source, "clone", "--quiet", "--no-checkout", str(source), str(directory))
    git(directory, "checkout", "--quiet", "--detach", git(source, "rev-parse", "HEAD"))
    for table in paths.RAW.glob("*.csv"):
        if not (directory / table).exists():
            shutil.copyfile(table, directory / table)
    dvc(directory, "config", "--local", "cache.dir", f"{directory}.cache")
    return directory


def stale() -> list[str]:
    """What dvc.lock was not made from: command, code, data, parameters, committed outputs."""
    made = {path for outputs in lockfile.declared().values() for path in outputs}
    return [
        f"{stage}: {difference}"
        for stage, states in json.loads(dvc(Path(), "status", "--json")).items()
        if not stage.endswith(".dvc")  # a data set that this experiment does not use
        for state in states
        for difference in _differences(state, made)
    ]


def _differences(state: Any, made: set[str]) -> list[str]:
    if isinstance(state, str):  # "changed command"
        return [state]
    found = []
    for path, how in {**state.get("changed deps", {}), **state.get("changed outs", {})}.items():
        if isinstance(how, dict):
            found += [f"{path}: {key} {what}" for key, what in how.items()]
        elif path not in made or how not in ("deleted", "not in cache"):  # those are yet to be made
            found.append(f"{path} {how}")
    return found


def dvc(directory: Path, *arguments: str, show: bool = False) -> str:
    """Run DVC in a clone, whose MLflow store is its own; PipelineError with its last words.

    Args:
        directory: the clone.
        arguments: of dvc.
        show: let it write to the terminal, as a run of some minutes should.
    """
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DVC_", "MLFLOW_"))
    }
    env |= {
        "DVC_NO_ANALYTICS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [sys.executable, "-E", "-m", "dvc", *arguments],
        cwd=directory,
        env=env,
        capture_output=not show,
        text=True,
        check=False,
    )
    if done.returncode:
        said = "" if show else f": {_last_words(done)}"
        raise PipelineError(f"dvc {arguments[0]}: expected it to end well, found an error{said}")
    return "" if show else done.stdout


def git(directory: Path, *arguments: str) -> str:
    """What Git says in a directory; PipelineError with its last words."""
    done = provenance.git("-C", str(directory), *arguments)
    if done.returncode:
        raise PipelineError(f"git {arguments[0]}: {_last_words(done)}")
    return done.stdout.strip()


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]

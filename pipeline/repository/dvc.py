"""DVC: run in a process, and what it finds out of date."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.repository import lockfile
from pipeline.repository.git import last_words


def stale(*stages: str) -> list[str]:
    """What dvc.lock was not made from, of these stages or all: command, code, data, outputs, ..."""
    made = {path for outputs in lockfile.declared().values() for path in outputs}
    return [
        f"{stage}: {difference}"
        for stage, states in json.loads(run(Path(), "status", "--json", *stages)).items()
        if not stage.endswith(".dvc")  # a data set that this experiment does not use
        for state in states
        for difference in _differences(state, made)
    ]


def _differences(state: Any, made: set[str]) -> Iterator[str]:
    if isinstance(state, str):  # "changed command"
        yield state
        return
    for path, how in {**state.get("changed deps", {}), **state.get("changed outs", {})}.items():
        if isinstance(how, dict):
            yield from (f"{path}: {key} {what}" for key, what in how.items())
        elif how not in ("deleted", "not in cache") or not any(
            Path(path).is_relative_to(output) for output in made
        ):  # what is yet to be made
            yield f"{path} {how}"


def run(directory: Path, *arguments: str, show: bool = False, own_store: bool = True) -> str:
    """Run DVC in a clone, whose MLflow store is its own; PipelineError with its last words.

    `show` lets it write to the terminal, as a run of some minutes should. In the project itself
    `own_store` is false: its runs go where MLFLOW_TRACKING_URI says.
    """
    left_out = ("DVC_", "MLFLOW_") if own_store else ("DVC_",)
    env = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env |= {"DVC_NO_ANALYTICS": "1", "PATH": path}
    command = [sys.executable, "-E", "-m", "dvc", *arguments]
    done = subprocess.run(
        command, cwd=directory, env=env, capture_output=not show, text=True, check=False
    )
    if done.returncode:
        said = "" if show else f": {last_words(done)}"
        raise PipelineError(f"dvc {arguments[0]}: expected it to end well, found an error{said}")
    return "" if show else done.stdout


def pinned(pin: Path, directory: Path) -> Path:
    """What a pin such as data/raw/mine.dvc has of the cache, copied into a directory, mine in it.

    PipelineError if the cache lacks it.
    """
    settings = directory / ".dvc/config"
    settings.parent.mkdir()
    cache = run(Path(), "cache", "dir").strip()
    settings.write_text(f'[core]\n    no_scm = true\n[cache]\n    dir = "{cache}"\n')
    shutil.copy(pin, directory)
    try:
        run(directory, "checkout", pin.name)
    except PipelineError:
        raise PipelineError(
            f"{pin}: expected what it pins in DVC's cache, found none; get it with: dvc fetch {pin}"
        ) from None
    return directory / pin.stem

"""A directory in which the stages run on a synthetic table of any length."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.measure import ROOT
from pipeline.files import artifacts, on_disk
from pipeline.files.on_disk import DISK as DISK

STAGES = ("ingest", "impute_scale", "window", "train", "evaluate")
# What of this project makes a repository of a user's own.
VERSIONS = "data/versions.json"
OWN = (
    "Makefile", "pipeline", ".dvc", ".dvcignore", "dvc.yaml", "requirements.lock", VERSIONS,
    "data/holidays",
)  # fmt: skip
CARD: dict[str, Any] = {
    "title": "A random walk around a daily wave",
    "source": "benchmarks",
    "licence": "CC0",
    "time": {"column": "time", "format": "%Y-%m-%d %H:%M:%S"},
    "frequency": "10s",
    "season": 24,
    "columns": {"level": {"unit": "m"}},
    "targets": ["level"],
    "inputs": ["level"],
    "split": {"train": 0.8, "validation": 0.9, "test": 1.0},
}
ROWS = 1_000  # of each series of a panel
PLAIN = pa.csv.WriteOptions(quoting_style="none", quoting_header="none")
PANEL: dict[str, Any] = {  # what the card of many series has beside or instead
    "frequency": "1h",
    "series": "meter",
    # A series of a thousand rows has windows enough for intervals.
    "origins": [f"{hour:02}:00" for hour in range(2, 24, 3)],
}
PARAMS: dict[str, Any] = {
    "ingest": {"dataset": "walk"},
    "impute_scale": {"imputation": {"method": "ffill", "limit": 3}, "scaling": "standard"},
    "window": {"look_back": 24, "horizon": 1, "split": None},
    "train": {
        "seed": 1,
        "model": {"name": "lstm", "units": [4]},
        "residual": "last",
        "loss": "mse",
        "optimizer": "adam",
        "learning_rate": 0.001,
        "batch_size": 64,
        "epochs": 1,
        "patience": 1,
    },
    "evaluate": {"stretch": 100, "levels": [80, 95]},
}


def write(directory: Path, **params: dict[str, Any]) -> None:
    """The card and the parameters, keys of whose sections may be changed; `card` is one."""
    sections = {name: values | params.get(name, {}) for name, values in PARAMS.items()}
    for path, content in (
        ("data/datasets/walk.yaml", CARD | params.get("card", {})),
        ("params.yaml", sections),
    ):
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(json.dumps(content))
    (directory / VERSIONS).write_bytes((ROOT / VERSIONS).read_bytes())


def write_table(directory: Path, rows: int, form: str = "csv") -> None:
    """data/raw/walk/walk.csv or .parquet, one value in twenty missing."""
    random = np.random.default_rng(1)
    last = 0.0

    def block(part: slice) -> pa.Table:
        nonlocal last
        at = np.arange(part.start, part.stop)
        walk = last + random.normal(0, 0.1, len(at)).cumsum() / 10
        last = walk[-1]
        gone = random.random(len(at)) < 0.05
        level = (np.sin(at * np.pi / 12) + walk).round(3)
        times = np.datetime64("2000-01-01", "s") + 10 * at
        return pa.table({"time": times, "level": pa.array(level, mask=gone)})

    _write(directory, form, map(block, on_disk.blocks(rows)))


def write_panel(directory: Path, series: int, rows: int = ROWS) -> None:
    """data/raw/walk/walk.csv, so many series of hourly rows with a daily wave, each of its size."""
    random = np.random.default_rng(1)
    wave = 2 + np.sin(np.arange(rows) * np.pi / 12)
    times = np.datetime64("2000-01-01T00", "s") + 3600 * np.arange(rows)

    def block(number: int) -> pa.Table:
        level = (wave + random.normal(0, 0.3, rows)) * random.lognormal(3, 1)
        names = [f"m{number:05}"] * rows
        return pa.table({"time": times, "meter": names, "level": level.round(3)})

    _write(directory, "csv", map(block, range(series)))


def _write(directory: Path, form: str, blocks: Iterator[pa.Table]) -> None:
    folder = directory / "data/raw/walk"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    first = next(blocks)
    kind = pq.ParquetWriter if form == "parquet" else partial(pa.csv.CSVWriter, write_options=PLAIN)
    with kind(folder / f"walk.{form}", first.schema) as file:
        for table in chain([first], blocks):
            file.write_table(table)


def digests(directory: Path) -> dict[str, str]:
    """The sha256 of all that the stages leave, but of what says which file the table was."""
    told = {"quality.json", "report.md"}
    outputs = (directory / "data").glob("*/**/*")
    return {
        str(path.relative_to(directory)): artifacts.sha256(path)
        for path in sorted(outputs)
        if path.is_file() and path.name not in told and "raw" not in path.parts
        and "datasets" not in path.parts
    }  # fmt: skip


def repository(directory: Path, rows: int = 300) -> Path:
    """A committed repository with this code and the table, as a user's own would be."""
    tracked = command(ROOT, "git", "ls-files", "-z", *OWN)
    for name in filter(None, tracked.split("\0")):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes((ROOT / name).read_bytes())
    write(directory)
    write_table(directory, rows)
    command(directory, "git", "init", "-q")
    command(directory, "git", "add", "-A")
    who = ("-c", "user.name=benchmarks", "-c", "user.email=benchmarks@example.org")
    command(directory, "git", *who, "commit", "-q", "-m", "code")
    return directory


def trivial(directory: Path) -> Path:
    """A repository whose pipeline is one stage that reads a byte and does nothing, up to date."""
    directory.mkdir()
    stage = {"cmd": "true", "deps": ["read"]}
    (directory / "dvc.yaml").write_text(json.dumps({"stages": {"nothing": stage}}))
    (directory / "read").write_text("a")
    for words in ("git init -q", "dvc init -q", "dvc repro -q"):
        command(directory, *words.split())
    return directory


def command(directory: Path, *words: str) -> str:
    """Run a command as `make` does, this interpreter's environment first; what it prints."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    env = own | {"PATH": path, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        words, cwd=directory, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def fit_seconds(directory: Path) -> float:
    """How long the newest run's fit took, as MLflow has it."""
    with sqlite3.connect(directory / "mlflow.db") as store:
        query = "SELECT value FROM metrics WHERE key = 'time/fit_seconds' ORDER BY timestamp DESC"
        return float(store.execute(query).fetchone()[0])

"""Part 4: seconds of fit until the validation score is good enough, beside tutorials and peers.

A goal is a test score. The validation score that stands for it was read off runs of ours and of
darts: with it, test is about there. Who does not reach it in ten times our time is stopped.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import project
from benchmarks.measure import ABSENT, ROOT, ROUNDS, Program, Row, interpreter, ratio, row
from pipeline.config.cards import read_card_file
from pipeline.data.windows import Runs
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.preparation.scaling import Scaler

PATIENCE = 10  # times our seconds
BUDGET = 240  # seconds of a task in which all rounds must fit for a stopped program to have them
TRAIN = {"residual": "last", "loss": "mse", "epochs": 50, "patience": 50, "optimizer": "adam"}


@dataclass(frozen=True)
class Task:
    """A goal on a data set, how we train for it, and what others are told."""

    dataset: str
    validation: float  # the score that stops the clock
    unit: str
    window: dict[str, Any]
    train: dict[str, Any]
    tutorial: dict[str, Any] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)  # script by environment
    targets: slice | None = None  # the test targets, if not the whole span


TASKS = {
    "load, one step, RMSE 114.42 on the tutorial's targets": Task(
        "load", 150.0, "MW",
        {"look_back": 24, "horizon": 1,
         "inputs": ["load", "difference:load", "seasonal:load", "hour"]},
        {"model": {"name": "lstm", "units": [32]}, "batch_size": 128, "learning_rate": 0.003},
        tutorial={"look_back": 96, "units": [10, 10], "activation": "relu", "batch": 512,
                  "inputs": ["load"]},
        targets=slice(34435, 35040),
    ),
    "Beijing PM2.5, one step, RMSE 21.1 in 2014": Task(
        "beijing_pm25", 23.3, "µg/m³",
        {"look_back": 12, "horizon": 1,
         "inputs": ["pm2.5", "DEWP", "TEMP", "PRES", "cbwd", "Iws", "hour", "difference:pm2.5",
                    "difference:DEWP", "difference:TEMP", "difference:PRES", "difference:Iws"]},
        {"model": {"name": "lstm", "units": [32]}, "batch_size": 128, "learning_rate": 0.003},
        tutorial={"look_back": 24, "units": [50, 50], "activation": "tanh", "batch": 32,
                  "inputs": ["DEWP", "TEMP", "PRES", "Iws"]},
        peers={"neuralforecast": "neuralforecast_lstm", "darts": "darts_rnn"},
    ),
    "ETTh1, 96 steps, MSE 0.375": Task(
        "etth1", 0.653, "standardised",
        {"look_back": 720, "horizon": 96},
        {"model": {"name": "segment_gru", "units": [96], "segment": 48, "dropout": 0.2},
         "normalisation": "last", "residual": "none", "loss": "mae", "batch_size": 128,
         "learning_rate": 0.006, "acceleration": "xla"},
        tutorial={"look_back": 96, "units": [50, 50], "activation": "tanh", "batch": 32,
                  "inputs": ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]},
    ),
}  # fmt: skip


def rows(quick: bool) -> Iterator[Row]:
    """How many times our seconds the others take, and where each stood when its clock stopped."""
    for name, task in TASKS.items():
        raw = _table(task.dataset)
        if raw is None:
            yield Row("score", name, "all", None, f"absent: {task.dataset}.csv")
            continue
        with tempfile.TemporaryDirectory() as folder:
            case = _prepare(Path(folder), task, raw)
            yield from _race(name, task, case, 1 if quick else ROUNDS)


def _race(name: str, task: Task, case: dict[str, Any], rounds: int) -> Iterator[Row]:
    scripts: dict[str, tuple[str, str | None]] = {
        "ours": ("ours_score", None),
        "tutorial's set-up, Keras": ("keras_score", None),
    }
    scripts |= {peer: (script, peer) for peer, script in task.peers.items()}
    with ExitStack() as stack:
        programs = {}
        for peer, (script, environment) in scripts.items():
            python = interpreter(environment)
            if python is None:
                yield Row("score", name, peer, None, ABSENT)
                continue
            programs[peer] = stack.enter_context(Program(script, case, python))
            programs[peer].answer()
        runs: dict[str, list[dict[str, Any]]] = {peer: [] for peer in programs}
        began, left = time.monotonic(), programs
        for number in range(rounds):
            for peer, program in left.items():
                own = runs["ours"][-1]["seconds"] if peer != "ours" else 60 / PATIENCE
                runs[peer].append(program.go(limit=PATIENCE * own))
            if number == 0 and rounds * (time.monotonic() - began) > BUDGET:
                left = {
                    peer: program
                    for peer, program in programs.items()
                    if peer in task.peers or runs[peer][0]["reached"]
                }
    mine = [run["seconds"] for run in runs["ours"]]
    for peer, done in runs.items():
        last = done[-1]
        scores = ", ".join(f"{span} {last[span]:.4g}" for span in ("validation", "test"))
        where = f"{name} (n={len(done)}; {scores} {task.unit})"
        if peer == "ours":
            reached = float(np.mean([run["reached"] for run in done]))
            yield row("score", where, peer, reached, "of its runs got there", at_least=1)
        else:
            times = ratio([run["seconds"] for run in done], mine[: len(done)])
            how = "ended" if peer in task.peers else "was stopped"
            unit = "x our seconds" + ("" if last["reached"] else f", and {how} above it")
            yield row("score", where, peer, times, unit, at_least=2 if peer in task.peers else 10)


def _table(dataset: str) -> Path | None:
    """The raw table, from data/raw or from the folder that FORECAST_DATA names."""
    known = {"etth1": "ETTh1"}.get(dataset, dataset)
    shared = Path(os.environ.get("FORECAST_DATA", ROOT)) / f"{known}.csv"
    places = (ROOT / HERE.raw_table(dataset), shared)
    return next((path for path in places if path.is_file()), None)


def _prepare(directory: Path, task: Task, raw: Path) -> dict[str, Any]:
    """Run the stages up to `window`, and write what the others need; the case for all."""
    card_path = HERE.card(task.dataset)
    project.write(
        directory, ingest={"dataset": task.dataset}, window=task.window, train=TRAIN | task.train,
        impute_scale={"transforms": []},
    )  # fmt: skip
    for source, place in ((ROOT / card_path, card_path), (raw, HERE.raw_table(task.dataset))):
        (directory / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, directory / place)
    for stage in ("ingest", "impute_scale", "window"):
        project.command(ROOT, "env", "-C", str(directory), f"PYTHONPATH={ROOT}", "python", "-m",
                        f"pipeline.stages.{stage}")  # fmt: skip
    card = read_card_file(directory / card_path)
    series = pd.read_parquet(directory / HERE.series)
    scaler = artifacts.read_json_record(directory / HERE.scaler, Scaler)
    horizon, targets = task.window["horizon"], list(card.targets)
    standardised = scaler.standardise(series[targets].to_numpy(), targets)
    origins = {
        span: np.asarray(Runs(np.load(directory / HERE.origins(span))))
        for span in ("train", "validation", "test")
    }
    if task.targets:
        origins["test"] = np.arange(task.targets.start, task.targets.stop) - 1
    width = scaler.columns[targets[0]].deviation if horizon == 1 else 1.0
    wanted = (task.validation / width) ** 2 if horizon == 1 else task.validation
    numeric = series[[str(name) for name in series if name in card.numeric]]
    filled = numeric.ffill().fillna(numeric.iloc[: origins["train"][-1]].mean())
    rows: dict[str, Any] = {f"origins_{span}": rows for span, rows in origins.items()}
    np.savez(
        directory / "data.npz",
        filled=filled.to_numpy(np.float32),
        standardised=standardised.astype(np.float32),
        times=series.index.to_numpy(),
        **rows,
    )
    return {
        "directory": str(directory),
        "data": str(directory / "data.npz"),
        "columns": list(filled.columns),
        "targets": targets,
        "horizon": horizon,
        "wanted": wanted,  # a standardised mean squared error
        "unit": width,  # of a root of such an error; 1 where it is told as it stands
        **task.tutorial,
    }

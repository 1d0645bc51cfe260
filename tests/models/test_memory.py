"""How much memory a long look-back at many inputs takes."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.toys import ROOT, Project, toy_times

LOOK_BACK, INPUTS, ROWS = 1440, 16, 10_000
PROGRAM = """
from pipeline.runtime import process
process.settle()
import json
from benchmarks.peak import peak_mb
from pipeline.config.reading import read_experiment
from pipeline.experiments.run import run_experiment
from pipeline.files.layout import HERE
made = run_experiment(read_experiment(), HERE)
print(json.dumps([peak_mb(), sorted(made.metrics["baselines"])]))
"""


@pytest.mark.slow
def test_a_long_look_back_with_many_inputs_takes_little_memory(project: Project) -> None:
    """Every baseline is fitted and scored, ridge left out, in less than 2 GB for all that runs.

    The training windows alone, side by side, would take 1.4.
    """
    names = ["level", *(f"other_{number}" for number in range(1, INPUTS))]
    random = np.random.default_rng(1)
    table = pd.DataFrame(random.normal(size=(ROWS, INPUTS)).round(2), columns=names)
    table["level"] += 10 + 5 * np.sin(2 * np.pi * np.arange(ROWS) / 24)
    times = pd.date_range(toy_times(1)[0], periods=ROWS, freq="h", name="time")
    table.insert(0, "time", times.strftime("%Y-%m-%d %H:%M"))
    card = {
        "columns": {name: {"unit": "m"} for name in names},
        "excluded": [],
        "inputs": names,
        "season": 24,
        "split": {"train": 9000, "validation": 9500, "test": ROWS},
    }
    baselines = ["persistence", "seasonal_naive", "drift", "last_change", "linear"]
    params = {
        "window.look_back": LOOK_BACK,
        "window.horizon": 24,
        "train.model": {"name": "linear"},
        "train.residual": "none",
        "evaluate.baselines": ["ridge", *baselines, {"name": "boosting", "rounds": 10}],
    }
    project.write(table, card=card, params=params)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=project.root,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    megabytes, scored = json.loads(run.stdout.splitlines()[-1])
    assert scored == sorted([*baselines, "boosting"])
    assert megabytes < 2000

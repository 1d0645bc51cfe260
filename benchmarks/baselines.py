"""Part 8: what the baselines add to the stage evaluate, with the parameters of params.yaml."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import ROOT, Row, in_turn, row
from pipeline import api
from pipeline.config.params import Evaluate
from pipeline.experiments.evaluate import evaluate
from pipeline.experiments.impute_scale import impute_scale
from pipeline.experiments.ingest import ingest
from pipeline.experiments.train import train
from pipeline.experiments.window import window
from pipeline.files.layout import Layout

ROUNDS = 3
CLOCK = time.perf_counter
DATASET = "beijing_pm25"
# A model that needs no training to speak of, and may know what is known ahead.
MODEL = {"train.model": {"name": "linear"}, "train.residual": "none", "train.loss": "mse"}
LEAST = ("persistence",)  # without one there is no report
DEFAULT = Evaluate.model_fields["baselines"].default
CASES = {
    "the default ones": (DEFAULT, 10),
    "linear": ((*LEAST, "linear"), None),
    "boosting": ((*LEAST, "boosting"), None),
}


def rows(quick: bool) -> Iterator[Row]:
    """Seconds of evaluate beyond those with persistence alone: fit, forecast, calibrate, score."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder), ROOT)
        for step in (ingest, impute_scale, window, train):
            with redirect_stderr(StringIO()):
                step(api.experiment(DATASET, MODEL, ROOT), layout)
        wanted = {"least": LEAST} | {name: baselines for name, (baselines, _) in CASES.items()}
        programs = {name: _evaluation(layout, some) for name, some in wanted.items()}
        programs["least"]()  # which loads what they all need
        measured = in_turn(programs, 1 if quick else ROUNDS)
        for name, (_, most) in CASES.items():
            pairs = zip(measured[name], measured["least"], strict=True)
            seconds = median(whole - least for whole, least in pairs)
            yield row("baselines", "Beijing PM2.5, 24 steps", name, seconds, "s", at_most=most)


def _evaluation(layout: Layout, baselines: Any) -> Callable[[], float]:
    changes = MODEL | {"evaluate.baselines": list(baselines)}
    experiment = api.experiment(DATASET, changes, ROOT)

    def seconds() -> float:
        start = CLOCK()
        with redirect_stderr(StringIO()):
            evaluate(experiment, layout)
        return CLOCK() - start

    return seconds

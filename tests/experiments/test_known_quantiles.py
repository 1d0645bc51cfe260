"""A quantile network on a series whose quantiles are a formula."""

from contextlib import chdir
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.stats import norm

from pipeline.config.reading import read_experiment
from pipeline.experiments.run import run_experiment
from pipeline.experiments.task import prepared
from pipeline.files.layout import HERE
from pipeline.forecasting.forecaster import Forecaster, stage_files
from tests.toys import Project

Floats = npt.NDArray[np.float64]
MEAN, KEPT, HORIZON = 50.0, 0.8, 3
SPLIT = {"train": 8000, "validation": 12_000, "test": 16_000}
PARAMS: dict[str, Any] = {
    "window.look_back": 3,
    "window.horizon": HORIZON,
    "window.inputs": ["level", "hour"],
    "window.known_ahead": ["hour"],
    "train.model": {"name": "lstm", "units": [16]},
    "train.residual": "damped",
    "train.loss": "pinball",
    "train.learning_rate": 0.01,
    "train.schedule": {"name": "cosine", "final": 0.01},
    "train.batch_size": 128,
    "train.epochs": 12,
    "train.patience": 12,
    "evaluate.baselines": ["persistence"],
}


def noise(rows: npt.NDArray[np.int64]) -> Floats:
    """The deviation of the noise in some rows: three times as large by day as by night."""
    return 2 + np.sin(2 * np.pi * (rows % 24 - 6) / 24)


def series(rows: int) -> Floats:
    """What is left of the distance from the mean after an hour, and noise."""
    drawn = noise(np.arange(rows)) * np.random.default_rng(1).normal(size=rows)
    level = np.zeros(rows)
    for row in range(1, rows):
        level[row] = KEPT * level[row - 1] + drawn[row]
    return MEAN + level


def true_quantiles(
    level: Floats, origins: npt.NDArray[np.int64], quantiles: tuple[float, ...]
) -> Floats:
    """Of each step after each origin: [N, H, 1, Q]."""
    middle, variance = level[origins], np.zeros(len(origins))
    made = np.empty((len(origins), HORIZON, 1, len(quantiles)))
    for step in range(HORIZON):
        middle = MEAN + KEPT * (middle - MEAN)
        variance = KEPT**2 * variance + noise(origins + step + 1) ** 2
        made[:, step, 0] = middle[:, None] + np.sqrt(variance)[:, None] * norm.ppf(quantiles)
    return made


def pinball(forecast: Floats, came: Floats, quantiles: tuple[float, ...]) -> Floats:
    """The mean loss of each step."""
    error = came[..., None] - forecast
    of = np.array(quantiles)
    return np.maximum(of * error, (of - 1) * error).mean(axis=(0, 2, 3))


@pytest.mark.slow
def test_a_trained_network_finds_the_true_quantiles(project: Project) -> None:
    """Quantiles as good as the true ones, and intervals that hold their share, at each step."""
    level = series(SPLIT["test"])
    times = pd.date_range("2014-01-01", periods=len(level), freq="h", name="time")
    table = pd.DataFrame({"time": times.strftime("%Y-%m-%d %H:%M"), "level": level})
    columns = {"columns": {"level": {"unit": "m"}}, "excluded": [], "inputs": ["level"]}
    project.write(table, card=columns | {"split": SPLIT, "season": 24}, params=PARAMS)
    with chdir(project.root):
        experiment = read_experiment()
        made = run_experiment(experiment, HERE)
        forecaster = Forecaster.load(stage_files(HERE, "toy"))
        quantiles = forecaster.spec.quantiles
        assert quantiles is not None
        forecasts = made.forecasts["test"]
        own = forecaster.forecast(prepared(experiment, HERE).seen, forecasts.origins)
    true = true_quantiles(level, forecasts.origins, quantiles)
    spread = (true[..., -1] - true[..., 0])[..., None]  # of 95%
    assert (np.abs((own - true) / spread).mean(axis=(0, 2)) < 0.04).all()
    best = pinball(true, forecasts.observed, quantiles)
    assert (pinball(own, forecasts.observed, quantiles) < 1.01 * best).all()
    assert (pinball(own[..., [5]], forecasts.observed, quantiles) > 1.2 * best).all(), "no width"
    for scores in made.metrics["test_by_horizon"].values():
        for percent in (80, 95):
            error = np.sqrt(2) * scores[f"coverage_error_{percent}"]  # of both spans, equally long
            assert scores[f"coverage_{percent}"] == pytest.approx(percent / 100, abs=3 * error)

"""Intervals of a whole experiment: learned on one span, scored on another, the same for all."""

import json
from collections.abc import Callable
from contextlib import chdir
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config.reading import read_experiment
from pipeline.data import splits
from pipeline.errors import PipelineError
from pipeline.experiments.evaluate import Evaluation, evaluate
from pipeline.experiments.run import run_experiment
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.conformal import Calibration
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.models.spec import Spec
from tests.toys import Project, toy_table

PARAMS: dict[str, Any] = {
    "train.model": {"name": "persistence"},
    "train.residual": "none",
    "evaluate.baselines": ["persistence", "linear"],
}
SPLIT = {"train": 150, "validation": 350, "test": 600}
PARTED = {"train": 150, "validation": 350, "calibration": 450, "test": 600}
Toys = Callable[[str], Project]


def ran(
    project: Project, split: dict[str, int], table: pd.DataFrame | None = None, **params: Any
) -> Evaluation:
    """A persistence of the toy series, scored."""
    table = toy_table(600) if table is None else table
    project.write(table, card={"split": split}, params=PARAMS | params)
    with chdir(project.root):
        return run_experiment(read_experiment(), HERE)


def learned(project: Project) -> Calibration:
    """What evaluate wrote."""
    return Calibration.model_validate_json(project.read("data/calibration/calibration.json"))


def changed_from(row: int) -> pd.DataFrame:
    """The toy table with other levels from a row on."""
    table = toy_table(600)
    table.loc[row:, "level"] = table["level"][row:] * 2 + 3
    return table


def test_a_baseline_as_the_model_has_the_baselines_intervals(projects: Toys) -> None:
    """Model and baselines are calibrated and scored alike: pooled, by step, on both spans."""
    metrics = ran(projects("one"), SPLIT).metrics
    names = {"wql", "coverage_80", "width_80", "winkler_80", "coverage_95", "pinball_10"}
    own, other = metrics["test"], metrics["baselines"]["persistence"]
    assert {name: own[name] for name in names} == {name: other[name] for name in names}
    assert metrics["validation"]["wql"] == metrics["validation_baselines"]["persistence"]["wql"]
    step = metrics["baselines_by_horizon"]["linear"]["h03"]
    assert {"wql", "coverage_80", "winkler_95"} < step.keys()
    assert 0.7 < own["coverage_80"] < 0.9
    assert own["coverage_95"] > own["coverage_80"]
    assert 0 < own["coverage_error_80"] < 0.1
    assert metrics["rolling"]["test"].keys() >= {"coverage_80", "coverage_error_80", "width_80"}
    assert metrics["rolling"]["test_by_horizon"].keys() == metrics["test_by_horizon"].keys()


@pytest.mark.parametrize(("split", "begin", "end"), [(SPLIT, 150, 350), (PARTED, 350, 450)])
def test_only_the_calibration_span_is_learned_from(
    projects: Toys, split: dict[str, int], begin: int, end: int
) -> None:
    """No value after it moves a bound, one in it does; without one, validation serves."""
    tables = {"one": None, "after": changed_from(end), "in": changed_from(end - 1)}
    found = {}
    for name, table in tables.items():
        project = projects(name)
        ran(project, split, table)
        found[name] = learned(project)
    assert found["one"] == found["after"] != found["in"]
    n = {cell.step: sum(cell.n) for cell in found["one"].cells}
    observed = toy_table(600)["level"].notna().to_numpy()
    assert n == {step: observed[begin + step - 1 : end - 3 + step].sum() for step in (1, 2, 3)}


def test_validation_is_scored_by_the_other_half(projects: Toys) -> None:
    """By its own errors it would hold what is promised to the rank, though the halves differ."""
    settings = {"evaluate.calibration": {"scaled": False}}
    metrics = ran(projects("one"), SPLIT, changed_from(250), **settings).metrics
    assert metrics["validation"]["coverage_80"] < 0.75


def test_the_table_of_predictions_is_what_is_served(projects: Toys) -> None:
    """The bounds of predictions.parquet are those that predict gives, to the last digit."""
    project = projects("one")
    ran(project, SPLIT)
    predictions = pd.read_parquet(project.root / "data/reports/predictions.parquet")
    test = predictions[predictions["span"] == "test"]
    with chdir(project.root):
        served = Forecaster.load(stage_files(HERE, "toy")).predict(
            toy_table(600).tail(120), [str(time) for time in test["origin"].unique()[-5:]]
        )
    columns = ["forecast", "lo-80", "hi-80", "lo-95", "hi-95"]
    np.testing.assert_array_equal(test[columns].tail(15), served[columns])
    assert (test["lo-95"] >= 0).all(), "the card's minimum"


def test_a_quantile_network_is_served_as_it_was_scored(project: Project) -> None:
    """Its median and its intervals, to the last digit by TensorFlow and to 1e-5 by NumPy.

    The hour of the steps is known ahead.
    """
    network = {"name": "lstm", "units": [4]}
    settings = {"train.loss": "pinball", "window.known_ahead": ["hour"]}
    ran(project, SPLIT, **{"train.model": network} | settings)
    predictions = pd.read_parquet(project.root / "data/reports/predictions.parquet")
    test = predictions[predictions["span"] == "test"].tail(15)
    columns = ["forecast", "lo-80", "hi-80", "lo-95", "hi-95"]
    with chdir(project.root):
        spec = artifacts.read_json_record(HERE.model_json, Spec)
        assert spec.quantiles is not None and spec.known_features
        backends: dict[Backend, float] = {"tensorflow": 0, "numpy": 1e-5}
        for backend, close in backends.items():
            served = Forecaster.load(stage_files(HERE, "toy"), backend).predict(
                toy_table(600).tail(120), [str(time) for time in test["origin"].unique()]
            )
            np.testing.assert_allclose(served[columns], test[columns], rtol=close, atol=close)


def test_forecasts_outside_their_own_intervals_are_told(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a network that has learned little of counts; the share is that of predictions.parquet."""
    table, random = toy_table(600), np.random.default_rng(6)
    table["level"] = np.where(random.random(600) < 0.9, 0.0, 9.0)
    network = {"train.model": {"name": "lstm", "units": [4]}, "train.residual": "last"}
    ran(project, SPLIT, table, **network | {"train.loss": "pinball"})
    said = capsys.readouterr().err
    made = pd.read_parquet(project.root / "data/reports/predictions.parquet")
    made = made[made["span"] == "test"]
    for level in (80, 95):
        low, high = made[f"lo-{level}"], made[f"hi-{level}"]
        share = ((made["forecast"] < low) | (made["forecast"] > high)).mean()
        line = f"{share:.0%} of the forecasts of test lie outside their own interval of {level}%"
        assert (line in said) == (share > 0.05)
    assert "lie outside their own interval of 80%" in said


def test_what_is_left_out_is_said(projects: Toys, capsys: pytest.CaptureFixture[str]) -> None:
    """Bins that are merged, ends that move alike, halves of validation that are too short."""
    project, short = projects("one"), {"train": 300, "validation": 330, "test": 600}
    network = {"train.model": {"name": "lstm", "units": [4]}, "train.loss": "pinball"}
    metrics = ran(project, short, **network).metrics
    said = capsys.readouterr().err
    assert "too few windows to move each end of 95% by itself at 3 of 3 steps and targets" in said
    assert "each end of 80%" not in said
    assert "coverage_80" not in metrics["validation"]
    assert "validation has too few windows for evaluate.calibration.bins 5 at 3 of 3" in said
    assert "half of validation is too short for scores of intervals there" in said


@pytest.mark.parametrize(
    ("split", "rows", "level", "expected"),
    [
        (PARTED | {"calibration": 352}, 0, 95, "one horizon of 3 rows, found 2; set -S window.hor"),
        (PARTED, 100, 95, "one observed value of the target level, found none in rows 350 to 449"),
        (PARTED | {"calibration": 370}, 0, 95, r"19 .* of level at step 1 .*80, 95%.* found 1\d;"),
        (PARTED, 70, 97, r"33 observed .* found 2\d; lengthen the span or lower the levels$"),
        (SPLIT, 0, 99.9, r"999 .* level at step 1 .*80, 99\.9% and quantiles .*, found 1\d\d;"),
    ],
    ids=["no window", "nothing observed", "few windows", "few observed", "validation serves"],
)
def test_a_calibration_span_that_cannot_be_used_is_refused(
    projects: Toys, split: dict[str, int], rows: int, level: float, expected: str
) -> None:
    """One line names the span and what it lacks, before anything is trained."""
    project, table, span = projects("one"), toy_table(600), splits.calibrates(split)
    table.loc[350 : 349 + rows, "level"] = np.nan
    with pytest.raises(PipelineError, match=rf"^split\.{span}: expected at least {expected}"):
        ran(project, split, table, **{"evaluate.levels": [80, level]})
    assert not (project.root / "data/model/model.json").exists()


def test_a_new_level_needs_no_other_step(projects: Toys) -> None:
    """Evaluate alone makes it, and the model stays what it was."""
    project = projects("one")
    ran(project, SPLIT)
    before = project.read("data/model/model.weights.h5")
    project.write(card={"split": SPLIT}, params=PARAMS | {"evaluate.levels": [50]})
    with chdir(project.root):
        made = evaluate(read_experiment(), HERE)
    assert {"coverage_50"} == {n for n in made.metrics["test"] if n.startswith("coverage_5")}
    assert learned(project).method.levels == (50,)
    assert project.read("data/model/model.weights.h5") == before
    assert "coverage_80" not in json.dumps(made.metrics)

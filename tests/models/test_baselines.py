"""Naive rules by hand and on the committed data, and ridge beside scikit-learn."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from pipeline.config import params as schema
from pipeline.config.cards import Card
from pipeline.config.experiment import Experiment
from pipeline.config.params import ALPHAS, Evaluate
from pipeline.data import splits, windows
from pipeline.evaluation import scoring
from pipeline.evaluation.forecasts import Made
from pipeline.experiments.run import run_experiment
from pipeline.files.layout import Layout
from pipeline.models import ridge
from pipeline.models.baselines import BASELINES, FittedBaseline, beside
from pipeline.models.spec import Spec
from pipeline.models.task import Task, forecasts
from pipeline.preparation.scaling import Scale, Scaler
from tests.toys import Project, naive_forecast, seen_hours, toy_card, toy_params, toy_table

_ = np.nan
Float32 = npt.NDArray[np.float32]
SERIES = pd.DataFrame({"a": [1.0, 2, 4, 7, _, 11], "b": [10.0, 20, 30, 40, 50, 60]})


@pytest.mark.parametrize(
    ("rule", "origin", "a", "b"),
    [
        ("persistence", 3, [7, 7, 7], [40, 40, 40]),
        ("persistence", 4, [7, 7, 7], [50, 50, 50]),
        # from 1 in row 0: two a row by row 3, which is the last one known in row 4 as well
        ("drift", 3, [9, 11, 13], [50, 60, 70]),
        ("drift", 4, [11, 13, 15], [60, 70, 80]),
        ("drift", 0, [1, 1, 1], [10, 10, 10]),
        ("last_change", 3, [10, 10, 10], [50, 50, 50]),
        ("last_change", 4, [7, 7, 7], [60, 60, 60]),
        ("last_change", 0, [1, 1, 1], [10, 10, 10]),
        # a season of 2: one row back, none, and one again
        ("seasonal_naive", 3, [4, 7, 4], [30, 40, 30]),
        ("seasonal_naive", 4, [7, 7, 7], [40, 50, 40]),
        ("seasonal_naive", 0, [1, 1, 1], [10, 10, 10]),
        ("seasonal_naive", 1, [1, 2, 1], [10, 20, 10]),
    ],
)
def test_naive_rules(rule: str, origin: int, a: list[float], b: list[float]) -> None:
    """Three steps of two targets; a missing value is the last observed one."""
    forecast = naive_forecast(rule, SERIES, np.array([origin]), 3, 2)
    assert forecast.tolist() == [[list(pair) for pair in zip(a, b, strict=True)]]


def test_a_season_before_the_first_value_is_persistence() -> None:
    """Where nothing was observed a season ago or before, the last value stands in."""
    late = pd.DataFrame({"a": [_, _, 3.0, 4.0]})
    forecast = naive_forecast("seasonal_naive", late, np.array([3]), 3, 3)
    assert forecast.ravel().tolist() == [4, 3, 4]


def test_drift_begins_with_the_first_observed_value() -> None:
    """The line goes from the first value that was observed; one value alone has no slope."""
    late = pd.DataFrame({"a": [_, 3.0, _, 7.0, _], "b": [_, _, 5.0, _, _]})
    forecast = naive_forecast("drift", late, np.array([0, 2, 4]), 2, 2)
    assert np.isnan(forecast[0]).all()
    assert forecast[1:].tolist() == [[[3, 5], [3, 5]], [[11, 5], [13, 5]]]


def test_each_of_several_seasons_has_a_baseline() -> None:
    """They are called by their season; a single one stands without a number."""
    names = ["persistence", "seasonal_naive", "drift", "last_change", "ridge", "linear"]
    assert list(beside(Evaluate(stretch=1), [24])) == names
    names[1:2] = ["seasonal_naive_2", "seasonal_naive_3"]
    assert list(beside(Evaluate(stretch=1), [2, 3])) == names
    for season in (2, 3):
        given = SERIES, np.array([3, 4]), 5
        found = naive_forecast(f"seasonal_naive_{season}", *given, 2, 3)
        np.testing.assert_array_equal(found, naive_forecast("seasonal_naive", *given, season))


@pytest.mark.parametrize("rule", ["persistence", "seasonal_naive", "drift", "last_change"])
@pytest.mark.parametrize("origin", range(5))
def test_naive_rules_never_look_ahead(rule: str, origin: int) -> None:
    """Whatever comes after the origin, the forecast stays the same."""
    later = SERIES.copy()
    later.iloc[origin + 1 :] = 99.0
    given = np.array([origin]), 5, 2
    one, other = (naive_forecast(rule, frame, *given) for frame in (SERIES, later))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("rule", "scores"),
    [
        ("persistence", {"rmse": 79.230, "mae": 49.970, "h01": 22.165, "h24": 99.622}),
        ("seasonal_naive", {"rmse": 99.619}),
        ("drift", {"rmse": 79.246}),
        ("last_change", {"rmse": 82.727}),
    ],
)
def test_naive_rules_on_the_committed_data(
    beijing: tuple[Card, pd.DataFrame], rule: str, scores: dict[str, float]
) -> None:
    """Twenty-four hours ahead through 2014, the rules score what others have measured."""
    card, frame = beijing
    targets = frame[["pm2.5"]]
    span = splits.spans(card.split, frame.index[0], card.step, len(frame))["test"]
    origins = np.asarray(windows.scored_origins(span, 24))
    observed = scoring.observed(targets, origins, 24)
    forecast = naive_forecast(rule, targets, origins, 24, *card.seasons)
    yardstick = scoring.Yardstick.of(targets, 24)
    made = Made(forecast)
    found = scoring.pooled(observed, made, yardstick)
    steps = scoring.by_horizon(observed, made, yardstick)
    found |= {step: score["rmse"] for step, score in steps.items()}
    assert int((~np.isnan(observed)).sum()) == 207_312
    assert {name: round(found[name], 3) for name in scores} == scores


def ridge_forecast(
    features: Float32,
    targets: Float32,
    train: windows.Rows,
    validation: windows.Rows,
    look_back: int,
    horizon: int,
) -> npt.NDArray[np.float64]:
    """What ridge, fitted on features [rows, F] and targets [rows, K], forecasts of validation."""
    inputs, names = (
        tuple(f"{kind}{i}" for i in range(values.shape[1]))
        for kind, values in (("x", features), ("y", targets))
    )
    spec = Spec(
        dataset="toy",
        inputs=inputs,
        features=inputs,
        targets=names,
        look_back=look_back,
        horizon=horizon,
        model=schema.Ridge(name="ridge"),
        residual="none",
        normalisation="none",
    )
    seen, scaler = seen_hours(features, targets), Scaler(columns=dict.fromkeys(names, Scale()))
    task = Task(spec, scaler, seen, train, validation)
    return forecasts(FittedBaseline(spec, scaler).fit(task), seen, validation)


@pytest.mark.parametrize("block", [7, ridge.BLOCK])
@pytest.mark.parametrize("every", [0, 2])
def test_ridge_is_scikit_learns(monkeypatch: pytest.MonkeyPatch, block: int, every: int) -> None:
    """Two steps from three rows, the penalty best on validation; apart where gaps leave no window.

    With every second target missing no window has both, and each step has windows of its own.
    """
    monkeypatch.setattr(ridge, "BLOCK", block)
    random = np.random.default_rng(0)
    features = random.normal(size=(80, 2)).astype(np.float32)
    targets = features[:, :1].cumsum(axis=0)
    targets[20] = np.nan
    if every:
        targets[::every] = np.nan
    train, validation = np.arange(2, 52), np.arange(52, 77)
    forecast = ridge_forecast(features, targets, train, validation, 3, 2)

    def examples(origins: windows.Rows) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        x = windows.seen(features, origins, 3).reshape(len(origins), -1).astype(np.float64)
        return x, windows.ahead(targets, origins, 2)[..., 0]

    def best(steps: slice) -> npt.NDArray[np.float64]:
        x, y = examples(train)
        y = y[:, steps]
        known = ~np.isnan(y).any(axis=1)
        inside, goal = examples(validation)
        ridges = [Ridge(alpha).fit(x[known], y[known]) for alpha in ALPHAS]
        found = [fitted.predict(inside).reshape(len(inside), -1) for fitted in ridges]
        return min(found, key=lambda values: float(np.nansum((values - goal[:, steps]) ** 2)))

    together = [slice(0, 2)] if not every else [slice(0, 1), slice(1, 2)]
    expected = np.concatenate([best(steps) for steps in together], axis=1)
    np.testing.assert_allclose(forecast[..., 0], expected, rtol=1e-6)


def test_ridge_forecasts_the_mean_of_a_step_it_never_saw() -> None:
    """Origins are odd rows, and targets are known in odd ones: the first step is unknown."""
    features = np.random.default_rng(0).normal(size=(40, 1)).astype(np.float32)
    targets = features.copy()
    targets[::2] = np.nan
    train = np.arange(1, 30, 2)
    forecast = ridge_forecast(features, targets, train, train, 2, 2)
    assert (forecast[:, 0] == 0).all()
    assert (forecast[:, 1] != 0).all()


def test_a_season_before_the_series_is_persistence() -> None:
    """The last value stands in for rows that are not there, not the series' first."""
    forecast = naive_forecast("seasonal_naive", SERIES[["b"]], np.array([1]), 5, 4)
    assert forecast[0, :, 0].tolist() == [20, 20, 10, 20, 20]


def test_ridge_learns_targets_that_are_never_known_together() -> None:
    """Targets measured in turns, or many with some gap in every row, each have their windows."""
    wave = np.sin(np.arange(400) / 3)[:, None].repeat(2, axis=1).astype(np.float32)
    train, validation = np.arange(3, 303), np.arange(313, 393)
    turns = wave.copy()
    turns[::2, 0] = turns[1::2, 1] = np.nan
    forecast = ridge_forecast(wave, turns, train, validation, 4, 2)
    expected = windows.ahead(wave, validation, 2)
    np.testing.assert_allclose(forecast, expected, atol=0.05)

    many = wave[:, :1].repeat(60, axis=1)
    many[np.random.default_rng(1).random(many.shape) < 0.05] = np.nan
    forecast = ridge_forecast(wave, many, train, validation, 4, 1)
    np.testing.assert_allclose(forecast, expected[:, :1, :1].repeat(60, axis=2), atol=0.05)


SEASONS = {"seasonal_naive": {"season": 6}, "seasonal_ridge": {"seasons": [6]}}


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_as_a_model_is_its_row_of_the_report(
    project: Project, name: str, tmp_path: Path
) -> None:
    """Trained, saved and served from raw rows with gaps, it has the scores that stand beside it."""
    table = toy_table()
    table["level"] += 20  # no forecast is below the card's minimum
    project.write(table)
    model = {"name": name} | SEASONS.get(name, {})
    own = {"train.model": model, "train.residual": "none", "evaluate.baselines": [name]}
    experiment = Experiment(toy_params(own), toy_card())
    scored = run_experiment(experiment, Layout(tmp_path, project.root)).metrics
    for span, rows in (("test", "baselines"), ("validation", "validation_baselines")):
        for score, value in scored[rows][name].items():
            assert scored[span][score] == pytest.approx(value, rel=1e-9), (span, score)
    history = pd.read_csv(Layout(tmp_path).history)
    assert list(history) == ["epoch", "train/loss", "validation/loss", "kept"]
    assert np.isfinite(history).all(axis=None)


@pytest.mark.parametrize("name", ["ridge", "linear"])
def test_a_line_through_a_known_column_is_found_to_the_row(
    project: Project, name: str, tmp_path: Path
) -> None:
    """A target that a known column alone decides is forecast exactly, though no past tells it."""
    table = toy_table(missing=0)
    table["level"] = 50 - 2 * table["flow"]
    project.write(table)
    model = {"name": name, "alphas": [1e-6]}
    own = {"train.model": model, "train.residual": "none", "window.known_ahead": ["flow"]}
    experiment = Experiment(toy_params(own), toy_card())
    scored = run_experiment(experiment, Layout(tmp_path, project.root)).metrics
    assert scored["test"]["rmse"] < 1e-3 < 1 < scored["baselines"]["persistence"]["rmse"]

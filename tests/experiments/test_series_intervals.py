"""Forecasts of many series in groups, and intervals of each series' own."""

from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config.reading import read_experiment
from pipeline.evaluation import forecasts
from pipeline.experiments.run import run_experiment
from pipeline.experiments.validate import validate
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.conformal import Calibration, Method
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.forecasting.learning import Held, calibrate, calibrations
from tests.toys import PANEL, Project, toy_times

LENGTHS = {"calm": 400, "few": 60, "wild": 420}
NOISE = {"calm": 1.0, "few": 1.0, "wild": 10.0}
OWN = {"evaluate.calibration.by_series": True}
SETTINGS: dict[str, Any] = {
    "window.look_back": 4,
    "window.horizon": 2,
    "train.model": {"name": "persistence"},
    "train.residual": "none",
    "evaluate.baselines": ["persistence", "linear"],
    "evaluate.calibration.bins": 1,
}


def table() -> pd.DataFrame:
    """Three sites of noise around 50, one of them wild, one with few rows; values are missing."""
    random, parts = np.random.default_rng(4), []
    for name, length in LENGTHS.items():
        level = 50 + random.normal(0, NOISE[name], length).round(2)
        level[random.random(length) < 0.05] = np.nan
        times = toy_times(length).strftime("%Y-%m-%d %H:%M")
        parts.append(pd.DataFrame({"time": times, "site": name, "level": level, "size": 1.0}))
    return pd.concat(parts, ignore_index=True)


def run(root: Path, most: int = forecasts.MOST, **settings: Any) -> Project:
    """All five steps, with so many values in a group of series."""
    root.mkdir()
    project = Project(root).write(table(), card=PANEL, params=SETTINGS | settings)
    with chdir(root), pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecasts, "MOST", most)
        run_experiment(read_experiment(), Layout(root))
        scores = validate(read_experiment(), Layout(root))
        artifacts.write_json(root / "data/validation.json", scores)
    return project


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Intervals of all series together."""
    return run(tmp_path_factory.mktemp("of") / "all")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Intervals of each series that has errors enough, made in groups of one series."""
    return run(tmp_path_factory.mktemp("of") / "each", most=1, **OWN)


def read(project: Project) -> pd.DataFrame:
    """predictions.parquet."""
    return pd.read_parquet(project.root / "data/reports/predictions.parquet")


def learned(project: Project) -> Calibration:
    """What the intervals are made of."""
    return Calibration.model_validate_json(project.read("data/calibration/calibration.json"))


def served(project: Project) -> Forecaster:
    """The model, as it is served."""
    return Forecaster.load(stage_files(Layout(project.root), "toy"))


def test_groups_decide_nothing(pooled: Project, tmp_path: Path) -> None:
    """Series by series or all at once, every file has the same bytes, on validation as well."""
    again = run(tmp_path / "again", most=1)
    assert again.written() == pooled.written()
    differing = {path for path in pooled.written() if pooled.read(path) != again.read(path)}
    assert differing == set()
    assert b'"series": {' not in pooled.read("data/calibration/calibration.json")


def test_a_series_intervals_are_of_its_own_errors(own: Project) -> None:
    """By the rank among its own errors on validation; those of all are in the file as before."""
    every = read(own).query("span == 'validation'")
    calibration = learned(own)
    assert set(calibration.series) == {"calm", "wild"}
    for name in ("calm", "wild"):
        rows = every[every["site"] == name]
        forecast, seen = (rows[k].to_numpy().reshape(-1, 2, 1) for k in ("forecast", "observed"))
        alone = calibrate(calibration.method, forecast, seen, ["level"])
        assert calibration.series[name].cells(calibration.method) == alone.cells
    assert sum(calibration.cells[0].n) == every.query("step == 1")["observed"].notna().sum()


def test_ends_of_their_own_are_kept_by_series() -> None:
    """Of quantiles too: both ends of each step, where one step has errors for them and one few."""
    y = np.random.default_rng(1).normal(size=(60, 2, 1))
    y[:25, 1] = np.nan
    given = (0.1, 0.25, 0.5, 0.75, 0.9)
    quantiles = np.broadcast_to(np.linspace(-1, 1, 5), (*y.shape, 5))
    method = Method(levels=(80, 95), given=given, quantiles=(0.5,))
    rows = {"one": np.arange(60)}
    [made] = calibrations(method, Held(quantiles), Held(y), ["level"], [None], rows)
    back = made.series["one"].cells(method)
    assert [cell.levels["95"].upper != cell.levels["95"].errors for cell in back] == [True, False]
    for mine, cell in zip(back, made.cells, strict=True):
        for level, learned in mine.levels.items():
            assert learned.ranks == cell.levels[level].ranks
            assert (learned.errors, learned.upper) == (
                cell.levels[level].errors, cell.levels[level].uppers
            )  # fmt: skip


def test_intervals_of_their_own_hold_in_each_series(pooled: Project, own: Project) -> None:
    """Those of all are too wide for the calm site and too narrow for the wild one."""
    of_all, of_each = (
        pd.read_parquet(one.root / "data/reports/by_series.parquet").set_index("site")
        for one in (pooled, own)
    )
    assert of_all.loc["calm", "coverage_80"] > 0.95
    assert of_all.loc["wild", "coverage_80"] < 0.7
    for name in ("calm", "wild"):
        assert of_each.loc[name, "coverage_80"] == pytest.approx(0.8, abs=0.12)
    assert of_each.loc["few"].equals(of_all.loc["few"])
    halves = (read(one).query("span == 'validation' and site == 'wild'") for one in (pooled, own))
    narrow, wide = ((half["hi-80"] - half["lo-80"]).mean() for half in halves)
    assert wide > 1.3 * narrow


def test_series_with_few_errors_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They have the intervals of all series, which is said with the number that is needed."""
    run(tmp_path / "said", **OWN)
    said = capsys.readouterr().err
    expected = "1 of 3 series have fewer than 19 observed values at some step of validation, so "
    assert f"{expected}they have the intervals of all series together: few" in said


def test_own_intervals_are_served_as_they_were_scored(own: Project) -> None:
    """To the last digit, in whatever order; a new series has the intervals of all."""
    test = read(own).query("span == 'test'")
    newest = test.groupby("site", observed=True).tail(2)
    ends = newest.groupby("site", observed=True)["origin"].max()
    rows = table()
    rows = rows[pd.to_datetime(rows["time"]).to_numpy() <= rows["site"].map(ends).to_numpy()]
    answer = served(own).predict(rows.sort_values("time", kind="stable"), origins=None)
    named = [("calm", 2), ("few", 2), ("wild", 2)]
    assert [*answer.groupby("site").size().items()] == named
    for name in ("forecast", "lo-80", "hi-80", "lo-95", "hi-95"):
        np.testing.assert_array_equal(answer[name], newest[name])
    new = served(own).predict(rows[rows["site"] == "wild"].assign(site="new"))
    calibration, made = learned(own), new["forecast"].to_numpy().reshape(1, 2, 1)
    low, high = calibration.bands(made)[80.0]
    np.testing.assert_array_equal(new["lo-80"], low.ravel())
    np.testing.assert_array_equal(new["hi-80"], high.ravel())

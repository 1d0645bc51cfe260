"""Many series from a table to scores and a served model, by the same five steps as one."""

import json
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.experiments.evaluate import Evaluation
from pipeline.experiments.run import run_experiment
from pipeline.files.layout import Layout
from pipeline.forecasting import endpoints
from pipeline.forecasting.forecaster import Forecaster, portable, stage_files
from pipeline.monitoring import usual
from tests.test_leakage import LEARNED
from tests.toys import PANEL, Project, toy_times

LENGTHS = {"a": 160, "b": 120, "c": 44, "d": 12}
CARD = PANEL | {"inputs": ["level", "size"], "season": 4}
SETTINGS: dict[str, Any] = {
    "window.look_back": 8,
    "window.horizon": 3,
    "window.known_ahead": ["hour", "seasonal:level"],
    "train.epochs": 2,
    "train.loss_weights": "persistence",
    "evaluate.baselines": ["persistence", "seasonal_naive", "drift", "last_change", "ridge",
                           "linear"],
}  # fmt: skip


def table() -> pd.DataFrame:
    """Four sites of other lengths, starts and sizes, each with a season of four rows and noise."""
    random, rows, times = np.random.default_rng(3), [], toy_times(200)
    for number, (name, length) in enumerate(LENGTHS.items(), 1):
        season = np.tile([0.0, 1, 3, 1], length)[:length]
        level = 10**number * (3 + season + random.normal(0, 0.2, length))
        level[7:9] = np.nan
        for time, value in zip(times[10 * number :], level.round(3), strict=False):
            row = {"time": f"{time:%Y-%m-%d %H:%M}", "site": name, "level": value}
            rows.append(row | {"size": float(number)})
    return pd.DataFrame(rows)


def run(project: Project) -> Evaluation:
    """All five steps in one process."""
    with chdir(project.root):
        return run_experiment(read_experiment(), Layout(project.root))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Evaluation]:
    """A network trained on all sites, and its scores."""
    project = Project(tmp_path_factory.mktemp("panel"))
    project.write(table(), card=CARD, params=SETTINGS)
    return project, run(project)


@pytest.fixture(scope="module")
def own(made: tuple[Project, Evaluation]) -> Forecaster:
    """Its model."""
    return Forecaster.load(stage_files(Layout(made[0].root), "toy"))


def read(project: Project) -> pd.DataFrame:
    """What was forecast, a row for each span, series, origin and step."""
    return pd.read_parquet(project.root / "data/reports/predictions.parquet")


def test_scores_are_those_of_all_series_and_of_each(made: tuple[Project, Evaluation]) -> None:
    """Pooled over all rows, by series in by_series.parquet, and MASE as the mean over series."""
    project, evaluation = made
    test = read(project).query("span == 'test'").dropna(subset=["observed"])
    error = (test["forecast"] - test["observed"]).abs()
    assert evaluation.metrics["test"]["mae"] == pytest.approx(error.mean())
    assert evaluation.metrics["test"]["n"] == len(test)
    each = pd.read_parquet(project.root / "data/reports/by_series.parquet").set_index("site")
    by = error.groupby(test["site"].astype(str)).mean()
    assert each["mae"].to_dict() == pytest.approx(by.to_dict())
    train = table().query("site == 'a'")["level"].iloc[:80]
    naive = (train - train.shift(4)).abs().mean()
    assert each.loc["a", "mase"] == pytest.approx(by["a"] / naive)
    many = evaluation.metrics["series"]
    assert (many["count"], many["mase"]) == (len(each), pytest.approx(each["mase"].mean()))
    beaten = (each["skill_persistence"] > 0).mean()
    assert many["beats"]["persistence"] == pytest.approx(beaten)
    assert "mase" not in evaluation.metrics["test"]


def test_what_was_observed_is_known_beside_own_units(made: tuple[Project, Evaluation]) -> None:
    """Of each number the lowest and the highest in training, as the table has them."""
    project, evaluation = made
    with chdir(project.root):
        usual.write(read_experiment(), Layout(), evaluation)
    found = json.loads((project.root / "data/calibration/usual.json").read_text())
    level = found["columns"]["level"]
    train = table()
    train = train[train.groupby("site").cumcount() < train["site"].map(LENGTHS) / 2]
    assert level["observed"] == [train["level"].min(), train["level"].max()]
    assert -10 < level["lowest"] < level["highest"] < 10


def test_a_series_without_a_scored_origin_is_named(tmp_path: Path) -> None:
    """In metrics.json, which the report and the screen quote."""
    project, rows = Project(tmp_path), table()
    rows = rows[(rows["site"] != "d") | (rows.groupby("site").cumcount() < 8)]
    rule = SETTINGS | {"train.model": {"name": "persistence"}, "window.known_ahead": []}
    project.write(rows, card=CARD, params=rule | {"train.residual": "none"})
    assert run(project).metrics["series"]["unscored"] == ["d"]


def test_a_short_series_gets_its_last_value(made: tuple[Project, Evaluation]) -> None:
    """From the model and from every baseline, so that nobody gains; it is listed."""
    project, evaluation = made
    quality = json.loads((project.root / "data/windows/quality.json").read_text())
    assert quality["short"]["d"] > 0 and "d" in quality["untrained"]
    forecasts = evaluation.forecasts["validation"]
    (place,) = [part for name, part in forecasts.series() if name == "d"]
    last = table().query("site == 'd'")["level"].iloc[5]  # half of the rows are for training
    for values in forecasts.of(place).by.values():
        assert values == pytest.approx(np.full((1, 3, 1), last))


def test_what_is_scored_is_what_is_served(
    made: tuple[Project, Evaluation], own: Forecaster
) -> None:
    """Raw rows of several series give the scored digits, by DataFrame, JSON and CSV."""
    scored = read(made[0]).query("span == 'test' and site != 'd'")
    newest = scored.groupby("site", observed=True).tail(3)
    ends = newest.groupby("site", observed=True)["origin"].max()
    rows = table().query("site != 'd'")
    kept = rows[pd.to_datetime(rows["time"]).to_numpy() <= rows["site"].map(ends).to_numpy()]
    answer = own.predict(kept)
    assert list(answer)[:5] == ["site", "origin", "time", "target", "forecast"]
    np.testing.assert_array_equal(answer["forecast"], newest["forecast"])
    np.testing.assert_array_equal(answer["lo-80"], newest["lo-80"])
    shuffled = own.predict(kept.sort_values("time", kind="stable"))
    pd.testing.assert_frame_equal(shuffled, answer)
    request = {"dataframe_split": json.loads(kept.to_json(orient="split", index=False))}
    by_json = json.loads(endpoints.answer(own, "application/json", json.dumps(request).encode()))
    by_csv = json.loads(endpoints.answer(own, "text/csv", kept.to_csv(index=False).encode()))
    for told in (by_json["predictions"], by_csv["predictions"]):
        pd.testing.assert_frame_equal(pd.DataFrame(told), portable(answer), check_dtype=False)
    request["params"] = {"series": ["b"]}
    one = json.loads(endpoints.answer(own, "application/json", json.dumps(request).encode()))
    assert {row["site"] for row in one["predictions"]} == {"b"}


@pytest.mark.usefixtures("tracking_store")
def test_nothing_is_learned_from_any_series_test_span(
    made: tuple[Project, Evaluation], projects: Callable[[str], Project]
) -> None:
    """Other values there, above all in the first series, and state and weights are the same."""
    whole = made[0]
    other = table()
    share = other.groupby("site").cumcount() / other["site"].map(LENGTHS)
    other.loc[share >= 0.75, "level"] *= -1000
    again = projects("again").write(other, card=CARD, params=SETTINGS)
    again.run("ingest", "impute_scale", "window", "train")
    assert again.read("data/ingested/series.parquet") != whole.read("data/ingested/series.parquet")
    for path in LEARNED:
        assert again.read(path) == whole.read(path), path


def test_no_series_decides_anothers_forecast(own: Forecaster) -> None:
    """Whatever stands in other series' rows, or that they are not there, changes no digit."""
    rows = table().query("site != 'd'")
    expected = own.predict(rows, series=["b"])["forecast"]
    others = rows.assign(level=rows["level"].where(rows["site"] == "b", 10**8))
    for changed in (others, rows.query("site == 'b'")):
        found = own.predict(changed, series=["b"])["forecast"]
        np.testing.assert_array_equal(found, expected)


def test_a_new_series_is_forecast_and_told(
    own: Forecaster, caplog: pytest.LogCaptureFixture
) -> None:
    """It is scaled like all series together; a line says so."""
    rows = table().query("site == 'b'").assign(site="new", size=99.0)
    answer = own.predict(rows)
    assert np.isfinite(answer["forecast"]).all()
    assert (
        "series new: expected a series of the training (a, b, c, d), found a new one" in caplog.text
    )


@pytest.mark.parametrize(
    ("rows", "asked", "said"),
    [
        (lambda rows: rows.groupby("site").tail(3), {}, "series a: expected at least"),
        (lambda rows: rows, {"series": ["e"]}, "series: expected series of input (a, b, c, d)"),
        (lambda rows: rows.assign(site=None), {}, "expected the name of a series in every row"),
        (lambda rows: rows.drop(columns="site"), {}, "site"),
    ],
    ids=["too few rows", "unknown", "nameless", "no column of names"],
)
def test_what_is_wrong_with_a_request(own: Forecaster, rows: Any, asked: Any, said: str) -> None:
    """One line for each series, which names it."""
    with pytest.raises(PipelineError) as raised:
        own.predict(rows(table()), **asked)
    assert said in str(raised.value)


def test_too_few_rows_are_told_of_every_series_at_once(own: Forecaster) -> None:
    """A request is mended in one go."""
    with pytest.raises(PipelineError) as raised:
        own.predict(table().groupby("site").tail(3))
    assert all(f"series {name}:" in str(raised.value) for name in LENGTHS)


def test_forecasts_start_at_the_times_of_day_of_the_card(tmp_path: Path) -> None:
    """Only from these rows forecasts are scored; windows of training start anywhere."""
    clock = ["05:00", "11:00", "17:00", "23:00"]
    project = Project(tmp_path).write(
        table().query("site != 'd'"),
        card=CARD | {"origins": clock, "split": {"train": 0.3, "validation": 0.7, "test": 1.0}},
        params=SETTINGS | {"evaluate.levels": [50]},
    )
    project.run("ingest", "impute_scale", "window")
    series = pd.read_parquet(project.root / "data/ingested/series.parquet")
    for span in ("validation", "test"):
        runs = np.load(project.root / f"data/windows/{span}.npy")
        assert {*series.index[runs[:, 0]].strftime("%H:%M")} == {*clock}
        assert (runs[:, 1] - runs[:, 0] == 1).all()
    train = np.load(project.root / "data/windows/train.npy")
    assert (train[:, 1] - train[:, 0]).max() > 10
    for wrong, said in (("23", "time of day"), ("25:00", "time of day"), ("23:30", "has rows")):
        project.write(card=CARD | {"origins": wrong}, params=SETTINGS)
        with pytest.raises(PipelineError, match=said):
            project.run("window")


def test_the_report_has_the_best_and_the_worst(made: tuple[Project, Evaluation]) -> None:
    """Its table, what they beat, and pictures of one series, of skill and of the worst."""
    from pipeline.reports import report

    project, evaluation = made
    with chdir(project.root):
        report.write(read_experiment(), Layout(project.root), evaluation)
    text = (project.root / "data/reports/report.md").read_text()
    assert "## By series" in text
    for name in pd.read_parquet(project.root / "data/reports/by_series.parquet")["site"]:
        assert f"\n| {name} | " in text
    drawn = {path.stem for path in (project.root / "data/reports/plots").iterdir()}
    assert {"skill_by_series", "worst_series", "forecast", "windows", "coverage"} <= drawn

"""Real backtests of toys: what a fit sees, what its folds score, one series and several."""

import re
import shutil
import sqlite3
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import api
from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.experiments.backtest import fit as fits
from pipeline.experiments.backtest.fit import Fit, Outcome
from pipeline.experiments.backtest.places import Kept
from pipeline.experiments.backtest.plan import Settings
from pipeline.experiments.backtest.study import FORECASTS, SCORES, Backtest
from pipeline.experiments.executors import Inline
from pipeline.experiments.run import run_experiment
from pipeline.files.layout import Layout
from pipeline.files.records import parse
from pipeline.reports import backtest_page, backtest_pictures, backtest_text
from tests.repositories import NO_STORE, copied, kill_when, run, toy_repository
from tests.toys import PANEL, Project, toy_table, toy_times

RIDGE: dict[str, Any] = {
    "train.model": {"name": "ridge"},
    "train.residual": "none",
    "evaluate.baselines": ["persistence", "seasonal_naive"],
}
SPLIT = {"train": 160, "validation": 220, "test": 276}  # the last four rows are in no span
PLAN = {"folds": 3, "step": 12, "refit": 2, "gap": 2}


def begun(root: Path, settings: dict[str, Any]) -> Backtest:
    """A backtest in a project, as the command begins it."""
    layout = Layout(root)
    base = read_experiment(layout)
    wanted = parse(settings, Settings, "backtest")
    wanted.check(base)
    directory, _ = Kept.of(wanted, base, layout).begin("toy", root)
    return Kept.read(directory).backtest(root, directory)


def toy(root: Path, table: pd.DataFrame | None = None) -> Project:
    """A project of one series and a linear model."""
    made = toy_table(280) if table is None else table
    return Project(root).write(made, card={"split": SPLIT}, params=RIDGE)


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> tuple[Backtest, dict[str, Any]]:
    """A backtest of a toy and its scores."""
    made = begun(toy(tmp_path_factory.mktemp("backtest")).root, PLAN)
    made.run(Inline())
    return made, made.collect()


def read(made: Backtest) -> pd.DataFrame:
    """Every forecast."""
    return pd.read_parquet(made.directory / FORECASTS)


def test_folds_are_scored_as_their_forecasts_say(tested: tuple[Backtest, dict[str, Any]]) -> None:
    """Of the model, each baseline and the intervals; then the mean and the spread."""
    made, found = tested
    table = read(made).dropna(subset=["observed"])
    own: dict[str, list[float]] = {"model": [], "persistence": [], "seasonal_naive": []}
    for fold, tree in zip((1, 2, 3), found["folds"], strict=True):
        part = table[table["fold"] == fold]
        assert tree["n"] == len(part)
        for name, errors in own.items():
            off = part["forecast" if name == "model" else name] - part["observed"]
            errors.append(float(np.sqrt((off**2).mean())))
            assert tree["scores"][name]["rmse"] == pytest.approx(errors[-1])
            first = float(np.sqrt((off[part["step"] == 1] ** 2).mean()))
            assert tree["by_horizon"][name]["h01"]["rmse"] == pytest.approx(first)
        for kind, scores in (("", tree["scores"]["model"]), ("rolling-", tree["rolling"])):
            held = part["observed"].between(part[f"{kind}lo-80"], part[f"{kind}hi-80"]).mean()
            assert scores["coverage_80"] == pytest.approx(held)
    for name, errors in own.items():
        assert found["mean"]["scores"][name]["rmse"] == pytest.approx(np.mean(errors))
        assert found["spread"]["scores"][name]["rmse"] == pytest.approx(np.std(errors, ddof=1))
    assert [tree["fit"] for tree in found["folds"]] == [1, 1, 2]


def test_forecasts_are_in_the_form_of_the_field(tested: tuple[Backtest, dict[str, Any]]) -> None:
    """A row for each fold, origin, step and target, with what came and with every forecast."""
    made, _ = tested
    table = read(made)
    assert list(table)[:10] == [
        "fold", "origin", "time", "step", "target", "forecast", "observed", "lo-80", "hi-80",
        "lo-95",
    ]  # fmt: skip
    assert list(table)[11:] == [
        "rolling-lo-80", "rolling-hi-80", "rolling-lo-95", "rolling-hi-95", "persistence",
        "seasonal_naive",
    ]  # fmt: skip
    assert len(table) == 3 * (12 - 2) * 3
    times = toy_times(280)
    assert (table["origin"].min(), table["time"].max()) == (times[239], times[275])
    by_time = toy_table(280).set_index("time")["level"]
    wanted = by_time[table["time"].dt.strftime("%Y-%m-%d %H:%M")].to_numpy()
    np.testing.assert_array_equal(table["observed"], wanted)


def test_a_fit_is_the_experiment_with_its_split(
    tested: tuple[Backtest, dict[str, Any]], tmp_path: Path
) -> None:
    """Its parameters, run by the five steps alone, give its model and its forecasts."""
    made, _ = tested
    fit = made.fits[0]
    layout = Layout(tmp_path, made.project)
    run_experiment(fit.experiment, layout)
    for name in ("model_json", "weights", "scaler", "imputer", "history", "calibration"):
        other: Path = getattr(fit.layout, name)
        assert getattr(layout, name).read_bytes() == other.read_bytes(), name
    alone = pd.read_parquet(layout.predictions).query("span == 'test'")
    kept = read(made).query("fold < 3").merge(alone, on=["origin", "time", "step"])
    assert len(kept) == 2 * 10 * 3
    np.testing.assert_array_equal(kept["forecast_x"], kept["forecast_y"])
    np.testing.assert_array_equal(kept["lo-95_x"], kept["lo-95_y"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_later_changes_a_network(tmp_path: Path) -> None:
    """Neither its weights nor the epoch at which it stops: the history has the same bytes."""
    params = {"train.epochs": 4, "train.patience": 1, "evaluate.baselines": ["persistence"]}
    made = []
    for name, value in (("as it was", None), ("corrupted", 9e6)):
        (tmp_path / name).mkdir()
        table = toy_table(280)
        project = toy(tmp_path / name)
        project.write(card={"split": SPLIT}, params=params)
        first = int(begun(project.root, PLAN).calendar.origins(2)[0])
        if value:
            table.loc[table.index > first, "level"] = value
            table.loc[table.index > first, "wind"] = "N"
        project.write(table, card={"split": SPLIT}, params=params)
        of = begun(project.root, PLAN)
        fit = Fit(of.directory, of.project, of.base, of.settings, 1)
        fits.run(fit)
        made.append((fit.outcome().sha256, fit.layout.history.read_bytes()))
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"folds": 99}, "found 99, which leave 0; at most 17 fit"),
        ({"folds": "six"}, 'backtest: folds: expected a valid integer, found "six"'),
        ({"step": 0}, "backtest: step: expected greater than or equal to 1, found 0"),
        ({"gap": 12}, "backtest: gap: expected less than step (12 rows), or it swallows a fold"),
        ({"refit": "never"}, "backtest: refit: expected a valid integer, found"),
        ({"origins": ["05:30"]}, "found 05:30"),
        ({"origins": ["08:00"]}, "span of fit 1, at 08:00: expected at least 19 observed values"),
        ({"workers": 0}, "workers: expected at least 1, found 0"),
    ],
)
def test_from_python_too_what_cannot_be_is_one_line(
    project: Project, wrong: dict[str, Any], said: str
) -> None:
    """And it leaves no directory behind."""
    project.write(toy_table(280), card={"split": SPLIT}, params=RIDGE)
    base = api.experiment("toy", project=project.root)
    with pytest.raises(PipelineError) as caught:
        api.backtest(base, project=project.root, **{"folds": 3, "step": 12} | wrong)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert Kept.known(project.root) == []


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_after_its_first_origin_changes_a_fit(
    tested: tuple[Backtest, dict[str, Any]], tmp_path: Path, number: int
) -> None:
    """Whatever the raw table says later, model, scaler and calibration have the same bytes."""
    made, _ = tested
    fit = made.fits[number]
    first = int(made.calendar.origins(fit.folds.start)[0])
    table = toy_table(280)
    later = table.index > first - PLAN["gap"]
    table.loc[later, "level"] = 9e6
    table.loc[later, "flow"] = np.where(np.arange(later.sum()) % 3, 7e5, np.nan)
    table.loc[later, "wind"] = "N"
    other = begun(toy(tmp_path, table).root, PLAN)
    again = Fit(other.directory, other.project, other.base, other.settings, number)
    fits.run(again)
    assert again.outcome().sha256 == fit.outcome().sha256
    for name in ("model_json", "weights", "scaler", "imputer", "history", "calibration"):
        path: Path = getattr(fit.layout, name)
        assert getattr(again.layout, name).read_bytes() == path.read_bytes(), name
    table = toy_table(280)
    table.loc[: first - 20, "level"] = 5 + np.arange(first - 19) % 7
    third = begun(toy(tmp_path / "other", table).root, PLAN)
    earlier = Fit(third.directory, third.project, third.base, third.settings, number)
    fits.run(earlier)
    assert earlier.outcome().sha256 != fit.outcome().sha256  # so the test can fail


def test_rolling_intervals_follow_errors_once_they_are_known(
    tested: tuple[Backtest, dict[str, Any]],
) -> None:
    """A step's intervals are as calibrated until the first error so far ahead is known."""
    made, _ = tested
    table = read(made)
    first = table["origin"].min()
    for step in (1, 2, 3):
        own = table[table["step"] == step]
        waiting = own["origin"] < first + step * pd.Timedelta("1h")
        assert (own["rolling-hi-80"][waiting] == own["hi-80"][waiting]).all()
        moved = own["rolling-hi-80"][~waiting] != own["hi-80"][~waiting]
        assert moved.mean() > 0.8  # what was not observed teaches nothing
    assert (table["rolling-lo-80"] >= 0).all()  # the card's minimum
    assert (table["rolling-lo-95"] <= table["rolling-lo-80"]).all()


def test_a_finished_backtest_runs_nothing_again(tested: tuple[Backtest, dict[str, Any]]) -> None:
    """And one that lacks a fit runs that fit alone, to the same bytes; a half one is no result."""
    made, _ = tested
    again = begun(made.project, PLAN)
    assert again.directory == made.directory
    assert again.waiting == []
    before = (made.directory / SCORES).read_bytes()
    lost = made.fits[1].file
    kept = lost.read_bytes()
    lost.unlink()
    with pytest.raises(PipelineError, match="expected the results of 2 fits, found 1"):
        again.collect()
    ran: list[int] = []
    again.run(Inline(), lambda fit, outcome: ran.append(fit.number))
    again.collect()
    assert ran == [1]
    assert (made.directory / SCORES).read_bytes() == before
    lost.write_bytes(kept)
    assert begun(made.project, PLAN | {"gap": 1}).directory != made.directory


def test_a_fit_that_cannot_be_names_itself(tmp_path: Path) -> None:
    """Its fold, and the line that the stage would end with."""
    project = toy(tmp_path)
    project.write(card={"split": {**SPLIT, "validation": 170}}, params=RIDGE)
    made = begun(project.root, PLAN)
    with pytest.raises(PipelineError, match=r"^fit 1 \(folds 1 to 2\): split.validation: expected"):
        made.run(Inline())


def test_the_page_and_the_tables_tell_of_every_fold(
    tested: tuple[Backtest, dict[str, Any]],
) -> None:
    """The model beside each baseline fold by fold, what intervals hold, and three pictures."""
    made, found = tested
    header, lines = backtest_text.by_fold_table(made, found)
    assert header == ["fold", "from", "fit", "n", "model", "persistence", "seasonal naive"]
    assert [line[0] for line in lines] == ["1", "2", "3", "mean", "spread"]
    assert lines[0][1] == "2014-01-11 00:00:00"
    told = backtest_text.notes(made, found)
    assert re.match(r"The model is better than [a-z ]+, the best baseline .* in \d of 3", told[0])
    assert told[2].startswith("Intervals of 80% hold ")
    assert "2 fits learn from all rows before validation and a gap of 2" in backtest_text.plan(
        made, found
    )
    page = backtest_page.html(made, found)
    assert page.count("data:image/png;base64,") == 3
    assert "<h2>RMSE (m) by fold</h2>" in page


def test_the_line_where_a_model_is_fitted_again_has_a_name(
    tested: tuple[Backtest, dict[str, Any]],
) -> None:
    """Once in the legend, however many there are; a backtest with one fit has none."""
    made, found = tested
    many = deepcopy(found)
    for place, fold in enumerate(many["folds"][:2]):
        fold["fit"] = -place  # a fit for each of the first two, and two folds of the last
    many["folds"].append(many["folds"][-1])
    once = {**found, "folds": [fold | {"fit": 1} for fold in found["folds"]]}
    for folds, named in ((found, 1), (many, 1), (once, 0)):
        figure = backtest_pictures.coverage(made, folds)
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert labels.count("fitted again") == named


SITES: dict[str, Any] = PANEL | {
    "inputs": ["level"],
    "season": 4,
    "split": {"train": 0.5, "validation": 0.75, "test": 1.0},
}
OF_DAY = ["05:00", "11:00", "17:00", "23:00"]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Backtest, dict[str, Any]]:
    """A backtest of two series of other lengths, with a model of each."""
    random, rows, times = np.random.default_rng(3), [], toy_times(400)
    for number, (name, length) in enumerate({"a": 320, "b": 280}.items(), 1):
        level = 10 * number + np.tile([0.0, 1, 3, 1], length)[:length]
        level = (level + random.normal(0, 0.3, length)).round(3)
        own = times[10 * number :][:length].strftime("%Y-%m-%d %H:%M")
        parts = {"time": own, "site": name, "level": level, "size": float(number)}
        rows.append(pd.DataFrame(parts))
    project = Project(tmp_path_factory.mktemp("sites"))
    params = RIDGE | {"evaluate.levels": [50]}
    project.write(pd.concat(rows), card=SITES, params=params)
    plan = {"folds": 2, "step": 24, "origins": OF_DAY, "local": True}
    made = begun(project.root, plan)
    made.run(Inline())
    return made, made.collect()


def test_folds_of_a_panel_are_of_each_series(sites: tuple[Backtest, dict[str, Any]]) -> None:
    """From the times of day that are asked for, and in the rows before each one's own end."""
    made, found = sites
    table = read(made)
    assert list(table)[:4] == ["site", "fold", "origin", "time"]
    assert {*table["origin"].dt.strftime("%H:%M")} <= {*OF_DAY}
    ends = table.groupby("site", observed=True)["time"].max()
    assert ends["a"] != ends["b"]
    assert found["folds"][0]["from"] is None
    counts = table.groupby(["site", "fold"], observed=True)["origin"].nunique()
    assert counts.min() >= 3
    assert table["site"].is_monotonic_increasing
    for fold, tree in zip((1, 2), found["folds"], strict=True):
        part = table[table["fold"] == fold]
        for name, column in {"model": "forecast", "local": "local"}.items():
            off = (part[column] - part["observed"]).abs()
            assert tree["scores"][name]["mae"] == pytest.approx(off.mean())
            by = off.groupby(part["site"], observed=True).mean()
            own = {site: one["mae"] for site, one in tree["by_series"][name].items()}
            assert own == pytest.approx(by.to_dict())
    header, lines = backtest_text.series(made, found)
    assert header == ["mean MAE of", "model", "local", "persistence", "seasonal naive"]
    assert {line[0] for line in lines} == {"a", "b"}
    assert not any("MASE" in line for line in backtest_text.notes(made, found))
    lacking = deepcopy(found)
    del lacking["folds"][0]["by_series"]["model"]["b"]["mase"]
    assert any(
        line.startswith("The MASE is the mean over 3 of 4 series of folds")
        for line in backtest_text.notes(made, lacking)
    )


def test_a_local_model_is_that_of_its_series_alone(
    sites: tuple[Backtest, dict[str, Any]], tmp_path: Path
) -> None:
    """As `ingest.series` with one name has it; no other series' rows change it."""
    made, _ = sites
    [fit] = [one for one in made.fits if one.number == 1 and one.series == (1, "b")]
    assert fit.experiment.params.ingest.series == ("b",)
    layout = Layout(tmp_path, made.project)
    run_experiment(fit.experiment, layout)
    alone = pd.read_parquet(layout.predictions).query("span == 'test'")
    kept = read(made).query("fold == 2 and site == 'b'").merge(alone, on=["origin", "step"])
    assert len(kept) >= 9
    np.testing.assert_array_equal(kept["local"], kept["forecast_y"])


# A backtest of a repository with two small networks.
COMMAND = (sys.executable, "-m", "pipeline", "backtest", "--folds", "3", "--step", "9")
REFIT = ("--refit", "1", "--window", "150")


def ended(directory: Path) -> tuple[bytes, bytes, list[Outcome]]:
    """Scores, forecasts, and the results of fits without the seconds that they took."""
    [place] = Kept.known(directory)
    made = Kept.read(place).backtest(directory, place)
    outcomes = [fit.outcome().model_copy(update={"seconds": 0}) for fit in made.fits]
    return (place / SCORES).read_bytes(), (place / FORECASTS).read_bytes(), outcomes


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy repository with a backtest by one worker."""
    directory = toy_repository(tmp_path_factory.mktemp("tested") / "toy")
    said = run(directory, *COMMAND, *REFIT, env=NO_STORE)
    assert "fit 3 (fold 3): RMSE" in said
    assert "did not take the backtest" in said
    assert "3 fits learn from the 150 rows before validation." in said
    return directory


def fresh(repository: Path, directory: Path) -> Path:
    """A copy of a repository without its backtest."""
    made = Path(shutil.copytree(repository, directory, symlinks=True))
    Kept.delete(Kept.known(made)[0])
    return made


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_workers_find_what_one_does(repository: Path, tmp_path: Path) -> None:
    """The same bytes of scores, forecasts and models."""
    other = fresh(repository, tmp_path / "two")
    run(other, *COMMAND, *REFIT, "--workers", "2", env=NO_STORE)
    assert ended(other) == ended(repository)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_backtest_that_is_killed_goes_on_to_the_same(repository: Path, tmp_path: Path) -> None:
    """kill -9 once the first fit has ended, while the second runs; no fit that ended runs again."""
    other = fresh(repository, tmp_path / "killed")
    first, second = (f"data/backtests/*/fits/000{i}/all" for i in (0, 1))

    def begun() -> bool:
        return any(other.glob(f"{first}/result.json")) and any(other.glob(second))

    kill_when(begun, other, *COMMAND, *REFIT, env=NO_STORE)
    done = [*other.glob(f"{first}/result.json")]
    when = done[0].stat().st_mtime_ns
    assert not [*other.glob("data/backtests/*/fits/0002/all/result.json")]
    run(other, *COMMAND, *REFIT, env=NO_STORE)
    assert done[0].stat().st_mtime_ns == when
    assert ended(other) == ended(repository)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_backtests_are_listed_shown_and_deleted(repository: Path, tmp_path: Path) -> None:
    """By their names; what cannot be asked for ends in one line and leaves nothing."""
    other = Path(shutil.copytree(repository, tmp_path / "listed", symlinks=True))
    [place] = Kept.known(other)
    bare = COMMAND[:4]
    assert place.name in run(other, *bare, "--list")
    assert "3 folds of 9 rows" in run(other, *bare, "--show", place.name)
    for asked, line in {
        ("--folds", "3", "--step", "0"): "error: backtest: step: expected greater than or equal",
        (*COMMAND[4:], "--workers", "0"): "error: workers: expected at least 1, found 0",
        (*COMMAND[4:], "--gap", "9"): "error: backtest: gap: expected less than step (9 rows)",
        (*COMMAND[4:], "--refit", "often"): "error: --refit: expected a number or never, found of",
        ("--folds", "99", "--step", "9"): "error: backtest: folds: expected so many folds",
        ("--delete", "none"): f"expected a backtest ({place.name}), found none",
    }.items():
        said = run(other, *bare, *asked, status=1).splitlines()
        assert line in said[-1]
        assert len(said) <= 2  # a line of what is new
    run(other, *bare, "--delete", place.name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_make_backtest_is_compared_and_decides(finished_toy: Path, tmp_path: Path) -> None:
    """The committed run's own backtest puts it beside others, and is among the rules it meets."""
    directory = copied(finished_toy, tmp_path / "made")
    with sqlite3.connect(directory / "mlflow.db") as database:
        [[logged]] = database.execute("SELECT run_uuid FROM runs")
    make = ("make", "-s", "--old-file=setup")
    said = run(directory, *make, "compare", "BY=backtest", status=None)
    assert "expected a backtest of these runs (1), found none" in said
    said = run(directory, *make, "promote", f"RUN={logged}", "BY=backtest", status=None)
    assert "NO   backtest: the run has no backtest" in said
    plan = "ARGS=--folds 3 --step 9 --refit never"
    said = run(directory, *make, "backtest", plan)
    assert "1 fit learns from all rows before validation." in said
    said = run(directory, *make, "compare", "BY=backtest")
    assert "once, expanding" in said
    assert logged[:8] in said
    said = run(directory, *make, "promote", f"RUN={logged}", "BY=backtest", "DRY=--dry-run")
    assert "baselines: mean RMSE" in said
    assert "champion: there is no champion yet" in said

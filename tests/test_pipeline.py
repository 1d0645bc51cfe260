"""The whole path through `dvc repro`, on the real table with a very small network."""

import io
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from pipeline.commands import unchanged
from tests.forking import command
from tests.full_repository import ROOT, environment, repository, run
from tests.repositories import copied, set_params

__all__ = ["repository"]  # a fixture
NUMBERS = ["forecast", "lo-80", "hi-80", "lo-95", "hi-95"]


@pytest.fixture(scope="module")
def client(repository: Path) -> mlflow.MlflowClient:
    """A client of the repository's own store."""
    return mlflow.MlflowClient(f"sqlite:///{repository}/mlflow.db")


@pytest.fixture(scope="module")
def logged(client: mlflow.MlflowClient) -> mlflow.entities.Run:
    """The run that the repository's pipeline logged."""
    experiment = client.get_experiment_by_name("beijing_pm25")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    return found


def metrics_of(repository: Path) -> dict:
    """The repository's metrics.json."""
    return json.loads((repository / "data/reports/metrics.json").read_text())


def numbers(tree: dict) -> list[float]:
    """Every number in a nested mapping."""
    return [
        number
        for value in tree.values()
        for number in (numbers(value) if isinstance(value, dict) else [value])
    ]


def test_metrics_hold_every_score_finite_and_sorted(repository: Path) -> None:
    """metrics.json has the model's and the rules' scores, each finite, keys in order."""
    metrics = metrics_of(repository)
    for span in ("test", "validation"):
        assert set(metrics[span]) >= {"r2", "mae", "rmse", "mape", "smape", "mase", "n", "wql"}
        assert 0.7 < metrics[span]["coverage_80"] < 0.9 < metrics[span]["coverage_95"] < 1
        assert list(metrics[f"{span}_by_horizon"]) == [f"h{step:02d}" for step in range(1, 25)]
    rules = {"persistence", "seasonal_naive", "drift", "last_change", "ridge", "linear"}
    assert set(metrics["baselines"]) == set(metrics["skill"]) == rules
    brief = {"r2", "mae", "rmse", "mape", "wql", "coverage_80", "width_95", "winkler_80"}
    assert all(brief < s.keys() for s in metrics["baselines"].values())
    assert metrics.pop("best_baseline") == "ridge"
    assert all(math.isfinite(number) for number in numbers(metrics))
    metrics = metrics_of(repository)
    text = (repository / "data/reports/metrics.json").read_text()
    assert text == json.dumps(metrics, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_naive_rules_score_what_they_must(repository: Path) -> None:
    """On 2014, 24 hours ahead, the rules' errors are those of the definitions."""
    metrics = metrics_of(repository)
    rules, steps = metrics["baselines"], metrics["baselines_by_horizon"]["persistence"]
    assert metrics["test"]["n"] == 207_312
    assert rules["persistence"]["rmse"] == pytest.approx(79.230, abs=5e-4)
    assert rules["persistence"]["mae"] == pytest.approx(49.970, abs=5e-4)
    assert steps["h01"]["rmse"] == pytest.approx(22.165, abs=5e-4)
    assert steps["h24"]["rmse"] == pytest.approx(99.622, abs=5e-4)
    assert rules["seasonal_naive"]["rmse"] == pytest.approx(99.619, abs=5e-4)
    assert rules["drift"]["rmse"] == pytest.approx(79.246, abs=5e-4)


def test_predictions_hold_every_scored_origin_once(repository: Path) -> None:
    """predictions.parquet has 24 steps of 8,737 test origins, and its errors are the metrics'."""
    table = pd.read_parquet(repository / "data/reports/predictions.parquet")
    test = table[table["span"] == "test"]
    assert test["origin"].nunique() == 8_737
    assert len(test) == 8_737 * 24
    assert not test.duplicated(["origin", "step"]).any()
    assert (test["forecast"] >= 0).all()
    error = (test["forecast"] - test["observed"]).dropna()
    assert np.sqrt((error**2).mean()) == pytest.approx(metrics_of(repository)["test"]["rmse"])


def test_a_second_run_does_nothing(repository: Path) -> None:
    """An up-to-date pipeline says so and leaves the tree clean."""
    assert "Data and pipelines are up to date." in run(repository, "dvc", "repro")
    assert run(repository, "git", "status", "--porcelain") == ""


def test_make_asks_dvc_again_once_a_file_has_changed(finished_toy: Path, tmp_path: Path) -> None:
    """What DVC found up to date stays so until a file is new, gone, or other, by whatever clock."""
    directory = copied(finished_toy, tmp_path / "toy")

    def asked() -> bool:
        said = run(directory, "make", "-s", "--old-file=setup")
        return said != "Nothing has changed since DVC found everything up to date.\n"

    assert asked()
    assert not asked()
    later = time.time() + 3600
    os.utime(directory / ".dvc/tmp/asked", (later, later))  # and then the clock was set back
    params = directory / "params.yaml"
    params.write_text(params.read_text() + "# the same in other bytes\n")
    os.utime(params, (0, 0))
    assert asked()
    assert not asked()
    (directory / "data/windows/test.npy").unlink()
    assert asked()
    assert (directory / "data/windows/test.npy").exists()
    assert asked()  # since DVC has just written a file
    assert not asked()
    (directory / "pipeline/reproduction/new.py").touch()  # no stage's, so that none runs
    assert asked()


def test_what_lies_behind_a_link_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table in a folder that data/ only links to is looked at as any other."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/raw").symlink_to(tmp_path / "elsewhere")
    states = [unchanged.state()]
    for content in ("1", "12"):
        (tmp_path / "elsewhere/toy.csv").write_text(content)
        states.append(unchanged.state())
    assert len(set(states)) == 3


def test_the_run_holds_parameters_curves_and_scores(
    repository: Path, client: mlflow.MlflowClient, logged: mlflow.entities.Run
) -> None:
    """MLflow has flat parameters, loss curves with real steps, scores, data set, tags, a note."""
    assert logged.info.status == "FINISHED"
    assert logged.data.params["window.look_back"] == "12"
    assert logged.data.params["train.model.units"] == "4"
    assert logged.data.params["train.seed"] == "1"
    scores, metrics = logged.data.metrics, metrics_of(repository)
    for name in ("r2", "mae", "rmse", "mape"):
        assert scores[f"test/{name}"] == pytest.approx(metrics["test"][name])
        assert scores[f"persistence/{name}"] == pytest.approx(
            metrics["baselines"]["persistence"][name]
        )
    assert scores["test/rmse_h24"] == pytest.approx(metrics["test_by_horizon"]["h24"]["rmse"])
    assert scores["skill/ridge"] == pytest.approx(metrics["skill"]["ridge"])
    history = pd.read_csv(repository / "data/reports/history.csv")
    for name in ("train/loss", "validation/loss", "learning_rate"):
        curve = client.get_metric_history(logged.info.run_id, name)
        assert [point.step for point in curve] == list(range(1, len(history) + 1))
        assert [point.value for point in curve] == pytest.approx(list(history[name]))
    assert scores["best/epoch"] == history["kept"].argmax() + 1
    tags = logged.data.tags
    assert tags["git.commit"] == run(repository, "git", "rev-parse", "HEAD~1").strip()
    assert tags["git.dirty"] == "false"
    assert (tags["dvc.stage"], tags["dvc.experiment"]) == ("train", "small")
    assert "Beijing" in tags["mlflow.note.content"]
    (used,) = logged.inputs.dataset_inputs
    assert used.dataset.name == "beijing_pm25"
    assert json.loads(used.dataset.profile)["num_rows"] == 43_824
    assert json.loads(used.dataset.profile)["sha256"].startswith("4127f868")


def test_the_run_holds_report_and_pictures(
    client: mlflow.MlflowClient, logged: mlflow.entities.Run
) -> None:
    """The artifacts have the report, its pictures and the settings the bytes depend on."""
    run_id = logged.info.run_id
    names = [file.path for file in client.list_artifacts(run_id, "report")]
    pictures = [file.path for file in client.list_artifacts(run_id, "report/plots")]
    assert {"report/report.md", "report/metrics.json", "report/history.csv"} <= set(names)
    assert "report/plots/error_by_horizon.png" in pictures
    assert "environment.json" in [file.path for file in client.list_artifacts(run_id)]


SERVE = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
raw = pd.read_csv("data/raw/beijing_pm25/beijing_pm25.csv").drop(columns="No")
times = pd.to_datetime(raw[["year", "month", "day", "hour"]])
answers = []
for origin in json.load(open("origins.json")):
    row = times.searchsorted(pd.Timestamp(origin))
    answers.append(model.predict(raw.iloc[row - 36 : row + 1]))
many = model.predict(raw, params={"origins": json.load(open("origins.json"))})
pd.concat(answers).to_parquet("one_by_one.parquet")
many.to_parquet("at_once.parquet")
"""


def test_the_logged_model_gives_the_scored_forecasts(
    repository: Path, logged: mlflow.entities.Run
) -> None:
    """In another process, without pickle, raw rows give evaluate's forecasts, in gaps as well."""
    table = pd.read_parquet(repository / "data/reports/predictions.parquet")
    table = table[table["span"] == "test"]
    raw = pd.read_csv(ROOT / "data/raw/beijing_pm25/beijing_pm25.csv")
    raw.index = pd.to_datetime(raw[["year", "month", "day", "hour"]])
    scored = pd.DatetimeIndex(table["origin"].unique())
    gap = scored[raw.loc[scored, "pm2.5"].isna()]
    choose = np.random.default_rng(0).choice
    origins = [*choose(gap, 10, replace=False), *choose(scored.difference(gap), 40, replace=False)]
    text = [str(pd.Timestamp(origin)) for origin in origins]
    (repository / "origins.json").write_text(json.dumps(text))
    (model,) = logged.outputs.model_outputs
    command = [sys.executable, "-c", SERVE, f"models:/{model.model_id}"]
    env = environment() | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{repository}/mlflow.db",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "PYTHONPATH": "",
    }
    subprocess.run(command, cwd=repository, env=env, check=True)
    expected = table.assign(origin=table["origin"].astype(str)).set_index(["origin", "step"])
    for name in ("one_by_one", "at_once"):
        served = pd.read_parquet(repository / f"{name}.parquet")
        assert list(served.columns) == ["origin", "time", "target", *NUMBERS]
        wanted = np.concatenate([expected.loc[origin, NUMBERS] for origin in text])
        np.testing.assert_allclose(served[NUMBERS], wanted, rtol=0, atol=1e-6)
    for leftover in ("origins.json", "one_by_one.parquet", "at_once.parquet"):
        (repository / leftover).unlink()


WITHOUT = """
import sys
absent = ("tensorflow", "keras", "mlflow", "sklearn", "matplotlib", "dvc")
sys.modules.update(dict.fromkeys(absent))  # importing any of them is now an error
import pandas as pd
from pipeline.files.layout import HERE
from pipeline.forecasting.forecaster import Forecaster, stage_files
forecaster = Forecaster.load(stage_files(HERE, "beijing_pm25"), "numpy")
raw = pd.read_csv("data/raw/beijing_pm25/beijing_pm25.csv")
forecaster.predict(raw, sys.argv[1:]).to_csv(sys.stdout, index=False)
"""


def test_numpy_alone_makes_the_same_forecast(repository: Path) -> None:
    """Where TensorFlow, MLflow and the rest cannot be imported, forecasts are the same to 1e-5."""
    table = pd.read_parquet(repository / "data/reports/predictions.parquet")
    table = table[table["span"] == "test"]
    origins = [str(origin) for origin in table["origin"].unique()[::500]]
    said = run(repository, sys.executable, "-c", WITHOUT, *origins)
    answer = pd.read_csv(io.StringIO(said))
    wanted = table[table["origin"].astype(str).isin(origins)][NUMBERS]
    np.testing.assert_allclose(answer[NUMBERS], wanted, rtol=1e-5, atol=1e-5)


def sync(repository: Path, store: str) -> str:
    """What `python -m pipeline sync` prints, with this store."""
    return command(repository, "sync", env={"MLFLOW_TRACKING_URI": store})


def test_a_deleted_store_is_filled_again_exactly_once(repository: Path, tmp_path: Path) -> None:
    """`python -m pipeline sync` makes the run from the files on disk, once."""
    store = f"sqlite:///{tmp_path}/other.db"
    said = [sync(repository, store) for _ in range(2)]
    assert "sent as run" in said[0]
    assert said[1] == "nothing to send: the store has everything\n"
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("beijing_pm25")
    assert experiment is not None
    (restored,) = client.search_runs([experiment.experiment_id])
    assert restored.data.tags["pipeline.restored"] == "true"
    assert restored.data.tags["pipeline.environment"].startswith("unknown: restored from files")
    assert len(client.get_metric_history(restored.info.run_id, "train/loss")) == 2
    assert restored.data.metrics["test/rmse"] == metrics_of(repository)["test"]["rmse"]


def test_what_the_present_parameters_did_not_make_is_not_sent(
    repository: Path, tmp_path: Path
) -> None:
    """Edited parameters would stand beside scores that are not theirs: sync says so and ends."""
    params = repository / "params.yaml"
    before = params.read_bytes()
    set_params(repository, {"train.seed": 9})
    try:
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/other.db"}
        said = command(repository, "sync", env=store, status=1)
    finally:
        params.write_bytes(before)
    assert said.startswith("error: nothing is sent: the files here were not made by the present")
    assert "(train: params.yaml: train modified)" in said
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize("parameters", [True, False], ids=["parameters", "nothing yet"])
def test_a_run_that_was_cut_off_as_it_began_is_completed(
    repository: Path, logged: mlflow.entities.Run, tmp_path: Path, parameters: bool
) -> None:
    """A store that died after a run's first or second call gets the rest, in the same run."""
    store = f"sqlite:///{tmp_path}/other.db"
    client = mlflow.MlflowClient(store)
    experiment = client.create_experiment("beijing_pm25", (tmp_path / "artifacts").as_uri())
    known = ("pipeline.process", "pipeline.experiment")  # the process has ended
    tags = {key: logged.data.tags[key] for key in known}
    begun = client.create_run(experiment, tags=tags, run_name=logged.info.run_name)
    if parameters:
        pairs = [mlflow.entities.Param(*pair) for pair in logged.data.params.items()]
        client.log_batch(begun.info.run_id, params=pairs)
    assert f"sent as run {begun.info.run_id}\n" in sync(repository, store)
    (completed,) = client.search_runs([experiment])
    assert completed.data.params == logged.data.params
    assert completed.inputs.dataset_inputs == logged.inputs.dataset_inputs
    assert completed.data.metrics.keys() == logged.data.metrics.keys() - {"time/fit_seconds"}


def test_dvc_shows_something_worth_reading(repository: Path) -> None:
    """dvc metrics show, plots show and exp show name the scores, pictures and parameters."""
    shown = run(repository, "dvc", "metrics", "show", "--json")
    assert set(json.loads(shown)[""]["data"]["data/reports/summary.json"]["data"]) == {
        "test",
        "validation",
        "skill",
    }
    assert "html" in run(repository, "dvc", "plots", "show", "-o", "plots_shown")
    page = (repository / "plots_shown/index.html").read_text()
    assert "error_by_horizon.png" in page
    assert "Loss by epoch" in page
    table = run(repository, "dvc", "exp", "show", "--csv", "--all-commits")
    assert "test.rmse" in table
    assert "window.look_back" in table


def test_a_misspelt_key_stops_the_pipeline(repository: Path) -> None:
    """An unknown key ends with one line that names it and the nearest known one."""
    params = repository / "params.yaml"
    whole = params.read_text()
    params.write_text(whole.replace("look_back:", "lookback:"))
    try:
        said = run(repository, sys.executable, "-m", "pipeline", "check", status=1)
    finally:
        params.write_text(whole)
    assert said == (
        "error: params.yaml: window.lookback: unknown key in window; did you mean look_back? "
        "(and 1 more)\n"
    )

"""`monitor`, from a finished pipeline to an alarm."""

import json
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from tests.repositories import copied, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PIPELINE = (sys.executable, "-m", "pipeline")


@pytest.fixture(scope="module")
def served(finished_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A toy repository with forecasts in the log, and the version of the model that made them."""
    here = copied(finished_toy, tmp_path_factory.mktemp("monitored") / "toy")
    mlflow.set_tracking_uri(f"sqlite:///{here / 'mlflow.db'}")
    mlflow.set_registry_uri(f"sqlite:///{here / 'mlflow.db'}")  # whatever another test has set
    (trained,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    client = mlflow.MlflowClient()
    model = client.get_logged_model(trained.outputs.model_outputs[0].model_id)
    client.create_registered_model("toy")
    client.create_model_version(
        "toy", model.artifact_location, trained.info.run_id, model_id=model.model_id
    )
    client.set_registered_model_alias("toy", "champion", "1")
    table = pd.read_csv(here / "data/raw/toy/toy.csv")
    table.iloc[230:].to_csv(here / "came.csv", index=False)
    origins = table["time"].iloc[249:297].tolist()
    options = ("--input", "data/raw/toy/toy.csv", "--output", "forecast.csv", "--log", "log")
    champion = ("--model", "models:/toy@champion")
    run(here, *PIPELINE, "predict", *champion, *options, "--origins", *origins)
    return here, "models:/toy/1"


def test_what_came_is_scored_as_test_was(served: tuple[Path, str]) -> None:
    """The test span's own forecasts and rows get the scores that the model's run has of them."""
    here, uri = served
    said = run(
        here, *PIPELINE, "monitor", "--actuals", "came.csv", "--forecasts", "log", status=None
    )
    found = json.loads((here / "monitor.json").read_text())
    assert found["model"] == uri
    metrics = json.loads((here / "data/reports/metrics.json").read_text())
    ours, theirs = found["scores"]["level"], metrics["test"]
    for name in ("n", "mae", "rmse", "coverage_80", "coverage_95"):
        assert ours["all"][name] == pytest.approx(theirs[name], rel=1e-5), name
        assert found["test"]["level"]["all"][name] == pytest.approx(theirs[name])
        step = metrics["test_by_horizon"]["h02"][name]
        assert found["test"]["level"]["2"][name] == pytest.approx(step)
    (logged,) = mlflow.search_runs(experiment_names=["toy-monitoring"], output_format="list")
    assert logged.data.tags["monitor.model"] == uri
    assert logged.data.metrics["live/level/rmse"] == pytest.approx(theirs["rmse"], rel=1e-5)
    version = mlflow.MlflowClient().get_model_version("toy", "1")
    assert version.tags["monitor.run"] == logged.info.run_id
    assert f"in MLflow as run {logged.info.run_id}" in said
    assert 'src="data:image/png' in (here / "monitor.html").read_text()


def test_a_changed_unit_ends_with_exit_code_1(served: tuple[Path, str]) -> None:
    """A target in centimetres is an alarm in one line, and the page says so."""
    here, _ = served
    came = pd.read_csv(here / "came.csv")
    came["level"] *= 100
    came.to_csv(here / "cm.csv", index=False)
    options = ("--actuals", "cm.csv", "--forecasts", "forecast.csv", "--no-log")
    said = run(here, *PIPELINE, "monitor", *options, status=1)
    assert "alarm: column level: outside is 1, over its limit" in said
    assert "Traceback" not in said


def test_forecasts_of_another_model_are_left_out(served: tuple[Path, str]) -> None:
    """An answer whose content is not the model's is counted; of these alone it is an alarm."""
    here, _ = served
    (file,) = (here / "log").iterdir()
    line = json.loads(file.read_text().splitlines()[0]) | {"content": "other"}
    both = here / "both"
    both.mkdir()
    (both / file.name).write_text(file.read_text() + json.dumps(line) + "\n")
    options = ("--actuals", "came.csv", "--forecasts", "both", "--no-log")
    said = run(here, *PIPELINE, "monitor", *options, status=None)
    assert f"left out: {len(line['data'])} forecasts of another model" in said
    (both / file.name).write_text(json.dumps(line) + "\n")
    said = run(here, *PIPELINE, "monitor", *options, status=1)
    assert "joined with what came: 0 forecasts.\n" in said
    assert "alarm: expected forecasts of models:/toy/1 for which something came" in said

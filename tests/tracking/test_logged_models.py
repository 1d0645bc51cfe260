"""Models as MLflow's models page has them: ranked by their scores, each with what it is."""

from pathlib import Path

import mlflow
import pytest

from pipeline.config.reading import read_experiment
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.reports.formatting import number
from pipeline.tracking import store
from tests.repositories import copied

SCORE = "metrics.test/rmse"


@pytest.fixture
def toy(finished_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a repository whose pipeline has run, as working directory, its store as store."""
    directory = copied(finished_toy, tmp_path / "toy")
    monkeypatch.chdir(directory)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return directory


@pytest.mark.usefixtures("toy")
def test_models_are_ranked_by_their_scores_on_a_data_set() -> None:
    """search_logged_models sorts and filters by a score on this table; another table's is none."""
    client, of = store.connect(), store.dataset(read_experiment(), HERE)
    group = client.get_experiment_by_name("toy").experiment_id
    (run,) = client.search_runs([group])
    (first,) = client.search_logged_models([group])
    rmse = artifacts.read_json(HERE.metrics)["test"]["rmse"]
    better, elsewhere = (
        client.create_logged_model(group, name, source_run_id=run.info.run_id)
        for name in ("better", "elsewhere")
    )
    other = store.dataset(read_experiment(), HERE)
    other._digest = "0" * 12
    for model, table in ((better, of), (elsewhere, other)):
        scores = {"test/rmse": rmse / 2}
        client.log_batch(run.info.run_id, store.metrics(scores, model=model.model_id, of=table))

    named = {"dataset_name": of.name, "dataset_digest": of.digest}
    ranked = client.search_logged_models(
        [group], datasets=[named], order_by=[{"field_name": SCORE, "ascending": True, **named}]
    )
    places = [model.model_id for model in ranked]
    assert places.index(better.model_id) < places.index(first.model_id)
    found = client.search_logged_models(
        [group], f"metrics.`test/rmse` < {rmse * 0.9}", datasets=[named]
    )
    assert [model.model_id for model in found] == [better.model_id]
    (point,) = (m for m in client.get_logged_model(first.model_id).metrics if m.key == "test/rmse")
    assert (point.value, point.dataset_name, point.dataset_digest) == (rmse, of.name, of.digest)
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == (of.name, of.digest)


@pytest.mark.usefixtures("toy")
def test_a_models_page_says_what_it_is() -> None:
    """Signature, example, scores and coverage on test, and a link to the report in its run."""
    client = store.connect()
    group = client.get_experiment_by_name("toy").experiment_id
    (run,) = client.search_runs([group])
    (model,) = client.search_logged_models([group])
    note = model.tags["mlflow.note.content"]
    test = artifacts.read_json(HERE.metrics)["test"]
    assert "Forecasts level of toy 3 steps of 1h ahead, with lstm." in note
    assert f"**On test:** RMSE {number(test['rmse'])} m over {test['n']:,} observed" in note
    assert f"Intervals of 80% hold {test['coverage_80']:.1%}" in note
    assert f"; of 95% hold {test['coverage_95']:.1%}" in note
    assert f"(#/experiments/{group}/runs/{run.info.run_id}/artifacts/report/report.html)" in note
    assert "report/report.html" in [
        file.path for file in client.list_artifacts(run.info.run_id, "report")
    ]
    assert "columns time, level, wind, as in the artifact `input_example.json`" in note
    assert "columns origin, time, target, forecast, lo-80, hi-80, lo-95, hi-95." in note
    info = mlflow.models.get_model_info(f"models:/{model.model_id}")
    assert info.signature.outputs.input_names()[-4:] == ["lo-80", "hi-80", "lo-95", "hi-95"]
    assert info.saved_input_example_info is not None

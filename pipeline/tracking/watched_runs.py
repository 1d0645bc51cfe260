"""A model in service in the MLflow store: its files, and a run for each look at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import yaml  # MLflow's reader of its MLmodel
from mlflow.entities import RunTag

from pipeline.errors import PipelineError
from pipeline.forecasting.forecaster import bundled_files
from pipeline.repository import provenance
from pipeline.tracking import store

STATE, RUN = "monitor.state", "monitor.run"  # tags of the version that was watched
PAGE, FOUND = "monitor.html", "monitor.json"


@dataclass(frozen=True)
class Model:
    """A logged model: what it is called, its files by name, and where it came from."""

    uri: str
    files: Mapping[str, Path]
    run: str | None  # that trained it
    model: str | None  # MLflow's id of it


def find(uri: str, into: Path) -> Model:
    """The model of a URI, whose files go to a directory, or of a directory that MLflow wrote.

    PipelineError if there is none, or none of this pipeline.
    """
    local = Path(uri)
    try:
        if not local.is_dir():
            store.connect()
            local = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(into)))
        about = yaml.safe_load((local / "MLmodel").read_text(encoding="utf-8"))
    except (*store.unavailable(), yaml.YAMLError) as error:
        raise PipelineError(
            f"--model {uri}: expected a model: {store.reason(error).rstrip('.')}"
        ) from None
    files = bundled_files(local / "artifacts/forecaster")
    if not files["model.json"].exists():
        raise PipelineError(f"--model {uri}: expected a model that this pipeline logged")
    return Model(uri, files, about.get("run_id"), about.get("model_id"))


def log(model: Model, dataset: str, scores: Mapping[str, float], found: Any, page: str) -> str:
    """Log what was found as a run of the data set's monitoring, at the model's version; its id.

    Scores carry the model's id; the version says in tags what the newest look at it found.
    """
    client = store.connect()
    group = store.experiment_id(client, f"{dataset}-monitoring")
    state = "alarm" if found["alarms"] else "no alarm"
    tags = {"monitor.model": model.uri, "monitor.trained_in": model.run or "", STATE: state}
    run = client.create_run(group, run_name=model.uri, tags=provenance.tags(dataset) | tags)
    run_id = str(run.info.run_id)
    points = store.metrics(dict(scores), model=model.model)
    for i in range(0, len(points), 1000):
        client.log_batch(run_id, points[i : i + 1000])
    client.log_dict(run_id, found, FOUND)
    client.log_text(run_id, page, PAGE)
    client.set_terminated(run_id)
    name, _, version = model.uri.removeprefix("models:/").partition("/")
    if model.uri.startswith("models:/") and version.isdecimal():
        for tag in (RunTag(STATE, state), RunTag(RUN, run_id)):
            client.set_model_version_tag(name, version, tag.key, tag.value)
    return run_id

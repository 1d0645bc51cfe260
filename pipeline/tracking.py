"""The one place that talks to MLflow: where runs go, what they hold, and sending what is lacking.

A run is linked to its files by content: train tags it with one digest over model.json, weights,
imputer and scaler, and whoever has scores for these files looks for the newest run so tagged.
"""

import hashlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Before mlflow is imported: an absent server must cost seconds, not the minutes of its defaults.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import h5py
import mlflow
import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from sqlalchemy.exc import SQLAlchemyError

from pipeline import (
    artifacts,
    description,
    determinism,
    features,
    forecaster,
    paths,
    provenance,
    series,
)
from pipeline.cards import Card
from pipeline.config import Params, read_experiment, targets
from pipeline.description import Epoch
from pipeline.imputation import Imputer
from pipeline.models.spec import Spec

CONTENT, SCORES = "pipeline.content", "pipeline.scores"
LOSS = "train/loss"
# What a served model needs, at the versions that made its scores.
REQUIREMENTS = ("keras", "mlflow", "numpy", "pandas", "pyarrow", "pydantic", "PyYAML", "tensorflow")
# What a store that is down, full, locked or broken raises.
UNAVAILABLE = (MlflowException, OSError, SQLAlchemyError)


def root() -> Path:
    """The repository's root; of the parent repository where DVC works in a temporary copy."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def store() -> str:
    """The tracking URI: MLFLOW_TRACKING_URI, or SQLite at the repository's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlflow.db'}"


def connect() -> mlflow.MlflowClient:
    """A client of the store."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # success needs no line
    mlflow.set_tracking_uri(store())
    mlflow.set_registry_uri(store())
    # What a database refuses is said once, in one line, by whoever asked.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return mlflow.MlflowClient()


def experiment_id(client: mlflow.MlflowClient, name: str) -> str:
    """The experiment's id; it is made if need be, its artifacts at the repository's root."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        local = store().startswith("sqlite:")
        location = (root() / "mlartifacts").as_uri() if local else None
        try:
            return str(client.create_experiment(name, location))
        except MlflowException:  # another process was first
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return str(experiment.experiment_id)


class TrainingRun:
    """A run that is logged while it trains. If the store fails, training goes on without it."""

    def __init__(self, params: Params, card: Card) -> None:
        self.offline = False
        self.started = time.time()

        def start() -> None:
            self.client = connect()
            for run in _abandoned(self.client, experiment_id(self.client, params.ingest.dataset)):
                self.client.set_terminated(run.info.run_id, "KILLED")
            self.id = _create(self.client, params, card)
            _describe(self.client, self.id, params, card)

        self._send(start)

    def epoch(self, number: int, scores: Epoch) -> None:
        """Log one epoch's scores; the first epoch is step 1."""
        self._send(lambda: self.client.log_batch(self.id, _metrics(scores, number + 1)))

    def finish(self, history: Sequence[Epoch]) -> None:
        """Log the best epoch and link the run to the files just written."""
        best = {**description.best(history), "time/fit_seconds": time.time() - self.started}
        tags = [RunTag(CONTENT, content())]
        self._send(lambda: self.client.log_batch(self.id, _metrics(best), tags=tags))

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        self._send(lambda: self.client.set_terminated(self.id, status))

    def _send(self, action: Callable[[], object]) -> None:
        if self.offline:
            return
        try:
            action()
        except UNAVAILABLE as error:
            self.offline = True
            _warn(error)


@contextmanager
def training_run(params: Params, card: Card) -> Iterator[TrainingRun]:
    """An MLflow run around a training; it ends as FAILED or KILLED if the training does."""
    run = TrainingRun(params, card)
    try:
        yield run
    except BaseException as error:
        run.end("KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED")
        raise
    run.end("FINISHED")


def publish_or_warn(page: str) -> None:
    """`publish`, where a store that cannot be reached must not fail the stage."""
    try:
        publish(page)
    except UNAVAILABLE as error:
        _warn(error)


def publish(page: str) -> str | None:
    """Send what the store lacks of the files on disk: the run itself, scores, pictures, the model.

    Args:
        page: the report as HTML, which is no file: it holds the date.

    Returns:
        The id of the run that now holds them, or None if the store lacked nothing.
    """
    params, card = read_experiment()
    client = connect()
    experiment = experiment_id(client, params.ingest.dataset)
    linked, scored = content(), _digest(paths.METRICS, paths.REPORT, paths.HISTORY)
    _offer_view(client, experiment, params, card)
    run = _find(client, experiment, linked)
    if run and run.data.tags.get(SCORES) == scored:
        return None
    table = pd.read_csv(paths.HISTORY, float_precision="round_trip").drop(columns="epoch")
    history: list[Any] = table.to_dict("records")
    if run:
        run_id = str(run.info.run_id)
    else:
        run_id = _unfinished(client, experiment, params, card, history) or _create(
            client, params, card, restored=True
        )
        _describe(client, run_id, params, card)
        logged = len(client.get_metric_history(run_id, LOSS))
        lost = [
            metric
            for step, scores in enumerate(history[logged:], start=logged + 1)
            for metric in _metrics(scores, step)
        ]
        _log_metrics(client, run_id, lost + _metrics(description.best(history)))
        client.set_tag(run_id, CONTENT, linked)
    client.set_tag(run_id, provenance.PROCESS, provenance.process())
    # The model first: MLflow asks for the history of every metric that is there before it.
    _send_scores(client, run_id, _log_model(run_id, params, card))
    client.log_text(run_id, page, "report/report.html")
    client.log_batch(run_id, tags=[RunTag(SCORES, scored)])
    client.set_terminated(run_id, "FINISHED")
    return run_id


def content() -> str:
    """One digest over everything that makes a forecast: model.json, weights, imputer, scaler."""
    return _digest(paths.MODEL_JSON, paths.WEIGHTS, paths.IMPUTER, paths.SCALER)


def _digest(*files: Path) -> str:
    return hashlib.sha256("".join(series.sha256(file) for file in files).encode()).hexdigest()


def _find(client: mlflow.MlflowClient, experiment: str, linked: str) -> Run | None:
    runs = client.search_runs(
        [experiment], f"tags.`{CONTENT}` = '{linked}'", order_by=["start_time DESC"], max_results=1
    )
    return runs[0] if runs else None


def _offer_view(client: mlflow.MlflowClient, experiment: str, params: Params, card: Card) -> None:
    """Give the experiment a view of its runs, best first, unless somebody gave it one."""
    error = "rmse" if len(targets(params, card)) == 1 else "mse_scaled"
    known = client.get_experiment(experiment).tags
    for key, value in description.view(experiment, error, time.time()).items():
        if key not in known:
            client.set_experiment_tag(experiment, key, value)


def _abandoned(client: mlflow.MlflowClient, experiment: str) -> list[Run]:
    """Runs that are said to be running, by a process of this host that is gone."""
    return [
        run
        for run in client.search_runs([experiment], "attributes.status = 'RUNNING'")
        if provenance.gone(run.data.tags.get(provenance.PROCESS, ""))
    ]


def _unfinished(
    client: mlflow.MlflowClient, experiment: str, params: Params, card: Card, history: list[Epoch]
) -> str | None:
    """The run of this very training that the store lost sight of, known by what it holds."""
    wanted = {name: str(value) for name, value in description.hyperparameters(params, card)}
    for run in _abandoned(client, experiment):
        logged = [point.value for point in client.get_metric_history(run.info.run_id, LOSS)]
        if (
            run.info.run_name == description.name(params)
            and run.data.params in ({}, wanted)
            and logged == [epoch[LOSS] for epoch in history[: len(logged)]]
        ):
            return str(run.info.run_id)
    return None


def _create(client: mlflow.MlflowClient, params: Params, card: Card, restored: bool = False) -> str:
    """A new run with its tags; its id."""
    tags = {"mlflow.note.content": description.note(params, card), **provenance.tags()}
    if restored:
        tags["pipeline.restored"] = "true"  # made from saved files, not while training
    run = client.create_run(
        experiment_id(client, params.ingest.dataset), tags=tags, run_name=description.name(params)
    )
    return str(run.info.run_id)


def _describe(client: mlflow.MlflowClient, run_id: str, params: Params, card: Card) -> None:
    """Log parameters, data set and environment; what the run holds of them already stays."""
    client.log_batch(
        run_id, params=[Param(k, str(v)) for k, v in description.hyperparameters(params, card)]
    )
    raw = paths.raw_table(params.ingest.dataset)
    quality = artifacts.read_json(paths.QUALITY)
    digest = quality["sha256"]
    dataset = Dataset(
        name=params.ingest.dataset,
        digest=digest[:12],
        source_type="local",
        source=json.dumps({"path": str(raw), "sha256": digest, "origin": card.source}),
        profile=json.dumps({"num_rows": quality["rows"], "sha256": digest}),
    )
    context = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run_id, [DatasetInput(dataset, context)])
    client.log_dict(run_id, determinism.settings(), "environment.json")


def _metrics(scores: dict[str, float], step: int = 0, model: str | None = None) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, step, model) for name, value in scores.items()]


def _log_metrics(client: mlflow.MlflowClient, run_id: str, metrics: list[Metric]) -> None:
    for i in range(0, len(metrics), 1000):  # MLflow takes no more at once
        client.log_batch(run_id, metrics[i : i + 1000])


def _send_scores(client: mlflow.MlflowClient, run_id: str, model: str) -> None:
    scores = description.flat_scores(artifacts.read_json(paths.METRICS))
    scores["model/weights"] = _weights()
    _log_metrics(client, run_id, _metrics(scores, model=model))
    for file in (paths.METRICS, paths.HISTORY, paths.REPORT):
        client.log_artifact(run_id, str(file), "report")
    client.log_artifacts(run_id, str(paths.PLOTS), "report/plots")


def _weights() -> int:
    """How many numbers the network has learned."""
    sizes: list[int] = []

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and not name.startswith("optimizer/")
            and item.dtype.kind == "f"  # seeds are whole numbers
        ):
            sizes.append(item.size)

    with h5py.File(paths.WEIGHTS, "r") as file:
        file.visititems(visit)
    return sum(sizes)


def _log_model(run_id: str, params: Params, card: Card) -> str:
    """The Forecaster as a pyfunc made from code, weights and JSON, no pickle; the model's id."""
    determinism.settle(params.train.seed)  # MLflow tries the model here
    example = _example(params, card)
    package = Path(__file__).parent
    with tempfile.TemporaryDirectory() as directory, mlflow.start_run(run_id=run_id):
        forecaster.bundle(params.ingest.dataset, Path(directory))
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(package / "serving.py"),
            artifacts={"forecaster": directory},
            code_paths=[str(package)],
            signature=signature(),
            input_example=example,
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        )
    return str(info.model_id)


def _example(params: Params, card: Card) -> pd.DataFrame:
    """The newest raw rows, as many as a forecast needs, typed as a caller would send them."""
    spec = artifacts.read_json_record(paths.MODEL_JSON, Spec)
    raw = paths.raw_table(params.ingest.dataset)
    imputer = artifacts.read_json_record(paths.IMPUTER, Imputer)
    table = series.typed(series.read_table(raw, card), card, features.columns(spec.inputs, card))
    rows = forecaster.rows_needed(spec, card, imputer)
    if card.wide:  # a row is a day, and the first and the last may be used in part
        rows = -(-rows // card.steps_a_day) + 1
    return table.tail(rows).reset_index(drop=True)


def signature() -> ModelSignature:
    """The served model's answer and its one parameter, origins.

    It names no input columns: MLflow would silently drop the columns it was not told of, and
    refuse whole numbers where it was told of decimals. The Forecaster checks columns and types
    itself, and says which column or row is wrong; the input example shows them.
    """
    answer: list[ColSpec | TensorSpec] = [
        *(ColSpec(DataType.string, name) for name in ("origin", "time", "target")),
        ColSpec(DataType.double, "forecast"),
    ]
    origins = ParamSpec("origins", DataType.string, default=[], shape=(-1,))
    return ModelSignature(outputs=Schema(answer), params=ParamSchema([origins]))


def _warn(error: Exception) -> None:
    reason = str(error).splitlines()[0][:200]
    print(
        f"warning: MLflow at {store()} did not take the run ({reason}); everything is on disk: "
        "python -m pipeline.sync sends it later",
        file=sys.stderr,
    )

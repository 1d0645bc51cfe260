"""Sends what the MLflow store lacks of the files on disk: the run, its scores, pictures, the model.

It finds a run by the content of its files (`store.CONTENT`), so that nothing is sent twice. The
same training with other scores is another run: other code made them, or other rows. But a run that
is evaluated with other settings by the same code has its scores, report and model replaced.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Dataset, Metric, Run, RunTag
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

import pipeline
from pipeline.config.experiment import Experiment
from pipeline.config.params import Boosting
from pipeline.data.sources import reading
from pipeline.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting import forecaster
from pipeline.forecasting.conformal import columns
from pipeline.forecasting.example import newest
from pipeline.lstm.weights import arrays_by_layer
from pipeline.models.spec import Spec
from pipeline.preparation.imputation import Imputer
from pipeline.repository import dvc, provenance
from pipeline.runtime import determinism
from pipeline.tracking import labels, store
from pipeline.tracking.store import CONTENT, EVALUATE, EXPERIMENT, LOSS, NOT_KNOWN, SCORES

# Of a run made from files, and the run that was logged while they were trained.
RESTORED, TRAINED_IN = "pipeline.restored", "pipeline.trained_in"
CALIBRATION, CODE = "pipeline.calibration", "scores.pipeline.code"  # sha256 of both
REPEATED_BY = "pipeline.repeated_by"  # of a run that never gets scores, since this one has them
# What a served model needs, at the versions that made its scores.
LIBRARIES = "keras mlflow numpy pandas pyarrow pydantic ruamel.yaml"
PACKAGE = Path(pipeline.__file__).parent
SERVED = "__init__.py config data errors.py files forecasting lstm models preparation runtime"


def publish_or_warn(
    experiment: Experiment, layout: Layout, page: str, example: pd.DataFrame
) -> None:
    """`publish`, where a store that cannot be reached must not fail the stage."""
    try:
        publish(experiment, layout, page, example)
    except PipelineError as error:  # the repository was moved since it trained
        store.warn(error)
    except store.unavailable() as error:
        store.warn(error)


def publish(
    experiment: Experiment, layout: Layout, page: str, example: pd.DataFrame | None = None
) -> str | None:
    """Send what the store lacks of the files on disk: the run itself, scores, pictures, the model.

    `page` is the report as HTML, which is no file: it holds the date. `example` has raw rows to
    show a caller; without them, the table is read for its newest. Returns the id of the run that
    now holds them, or None if the store lacked nothing.
    """
    client = store.connect()
    group = store.experiment_id(client, experiment.dataset)
    linked = store.content(layout)
    scored = store.digest(layout.metrics, layout.report, layout.history)
    store.offer_view(client, group, metrics.deciding(artifacts.read_json(layout.metrics)["test"]))
    same_files = f"tags.`{CONTENT}` = '{linked}'"
    trained = client.search_runs([group], same_files, order_by=["start_time DESC"])
    of = store.digest_of(experiment, layout)
    alike = [run for run in trained if run.data.tags.get(EXPERIMENT) == of]
    waiting = [run for run in alike if not run.data.tags.keys() & {SCORES, REPEATED_BY}]
    here = provenance.tags(experiment.dataset)
    by = provenance.of_scores(here | {provenance.ENVIRONMENT: json.dumps(determinism.settings())})
    by |= _evaluated(experiment, layout)
    before: dict[str, Any] = {}  # scores that these replace
    if waiting:
        run_id = str(waiting[0].info.run_id)
    else:
        source = next((run for run in trained if RESTORED not in run.data.tags), None)
        tags = here | _origin(source)
        same = [run.data.tags for run in alike if run.data.tags.get(SCORES) == scored]
        # What a dirty tree made is another run than the same made by what is committed.
        if any(provenance.clean(known) or not provenance.clean(tags | by) for known in same):
            return None
        if other := next((run for run in alike if _only_settings_differ(run.data.tags, by)), None):
            run_id = str(other.info.run_id)
            before = mlflow.artifacts.load_dict(f"runs:/{run_id}/{store.SCORES_FILE}")
        else:
            run_id = _from_files(client, group, experiment, layout, tags)
            if source:
                times = {k: v for k, v in source.data.metrics.items() if k.startswith("time/")}
                _log_metrics(client, run_id, store.metrics(times))
            client.set_tag(run_id, CONTENT, linked)
    client.set_tag(run_id, provenance.PROCESS, provenance.process())
    # The model first: MLflow asks for the history of every metric that is there before it.
    model = log_model(run_id, experiment, layout, example)
    _send_scores(client, run_id, layout, model, store.dataset(experiment, layout), before)
    client.log_text(run_id, page, "report/report.html")
    client.log_batch(run_id, tags=[RunTag(k, v) for k, v in {SCORES: scored, **by}.items()])
    if not before:
        client.set_terminated(run_id, "FINISHED")
    for run in waiting[1:]:  # whose training DVC lost, and which was therefore repeated
        if provenance.gone(run.data.tags.get(provenance.PROCESS, "")):
            client.set_tag(run.info.run_id, REPEATED_BY, run_id)
            client.set_terminated(run.info.run_id, "KILLED")
    return run_id


def _evaluated(experiment: Experiment, layout: Layout) -> dict[str, str]:
    """Tags of what was evaluated, how and by which code."""
    settings = experiment.params.evaluate.model_dump(mode="json")
    tags = {
        EVALUATE: json.dumps(settings, sort_keys=True),
        CODE: store.digest(*sorted(PACKAGE.rglob("*.py"))),
    }
    if layout.calibration.exists():
        tags[CALIBRATION] = artifacts.sha256(layout.calibration)
    return tags


def _only_settings_differ(known: Mapping[str, str], by: Mapping[str, str]) -> bool:
    """Whether a run with these tags was evaluated by the same code with other settings.

    What is committed does not give way to what is not.
    """
    return (
        known.get(CODE) == by[CODE]
        and known.get(EVALUATE, by[EVALUATE]) != by[EVALUATE]
        and provenance.clean(known) <= provenance.clean({**known, **by})
    )


def _origin(source: Run | None) -> dict[str, str]:
    """Tags of a run made from files: by which code and on which machine they were trained.

    `source` is the run that was logged meanwhile, if the store has it.
    """
    tags = {RESTORED: "true", provenance.ENVIRONMENT: NOT_KNOWN}
    if source is None:
        with suppress(PipelineError):
            # Of evaluate, which may be running, DVC would say nothing.
            if not dvc.stale("train"):  # dvc.lock has the model as made by the code that lies here
                return tags
        return tags | {provenance.DIRTY: "unknown"}
    keys = (provenance.COMMIT, provenance.SOURCE, provenance.DIRTY, provenance.ENVIRONMENT)
    known = {key: source.data.tags[key] for key in keys if key in source.data.tags}
    return tags | known | {TRAINED_IN: str(source.info.run_id)}


def _from_files(
    client: MlflowClient, group: str, experiment: Experiment, layout: Layout, tags: dict[str, str]
) -> str:
    """A run with what a training logs, from the files that it left; its id."""
    table = pd.read_csv(layout.history, float_precision="round_trip").drop(columns="epoch")
    best = labels.best(table.to_dict("records"))  # type: ignore[arg-type]
    history: list[Any] = table.drop(columns="kept").to_dict("records")
    run_id = _unfinished(client, group, store.digest_of(experiment, layout), history)
    run_id = run_id or store.create(client, experiment, layout, tags)
    store.describe(client, run_id, experiment, layout)
    logged = len(client.get_metric_history(run_id, LOSS))
    lost = [
        metric
        for step, scores in enumerate(history[logged:], start=logged + 1)
        for metric in store.metrics(scores, step)
    ]
    _log_metrics(client, run_id, lost + store.metrics(best))
    return run_id


def _unfinished(client: MlflowClient, group: str, of: str, history: list[Any]) -> str | None:
    """The run of this very training that the store lost sight of, known by what it holds."""
    for run in store.abandoned(client, group):
        logged = [point.value for point in client.get_metric_history(run.info.run_id, LOSS)]
        begun = [epoch[LOSS] for epoch in history[: len(logged)]]
        if run.data.tags.get(EXPERIMENT) == of and logged == begun:
            return str(run.info.run_id)
    return None


def _log_metrics(client: MlflowClient, run_id: str, metrics: list[Metric]) -> None:
    for i in range(0, len(metrics), 1000):  # MLflow takes no more at once
        client.log_batch(run_id, metrics[i : i + 1000])


def _send_scores(
    client: MlflowClient,
    run_id: str,
    layout: Layout,
    model: str,
    of: Dataset,
    before: dict[str, Any],
) -> None:
    scores = labels.flat_scores(artifacts.read_json(layout.metrics))
    # MLflow deletes no metric: one that is no more is no number.
    gone = labels.flat_scores(before).keys() - scores.keys() if before else ()
    _log_metrics(client, run_id, store.metrics(dict.fromkeys(gone, math.nan)))
    with h5py.File(layout.weights, "r") as file:
        arrays = [array for _, group in arrays_by_layer(file).values() for array in group]
    # What the network has learned, and no whole number such as a seed.
    scores["model/weights"] = sum(array.size for array in arrays if array.dtype.kind == "f")
    _log_metrics(client, run_id, store.metrics(scores, model=model, of=of))
    for file in (layout.metrics, layout.history, layout.report):
        client.log_artifact(run_id, str(file), "report")
    client.log_artifacts(run_id, str(layout.plots), "report/plots")


def log_model(
    run_id: str, experiment: Experiment, layout: Layout, example: pd.DataFrame | None
) -> str:
    """The Forecaster as a pyfunc made from code, weights and JSON, no pickle; the model's id."""
    determinism.settle(experiment.params.train.seed)  # MLflow tries the model here
    calibration = forecaster.read_calibration(layout.calibration)
    answer = signature(
        calibration.method.levels if calibration else (),
        experiment.card.series,
        "time" if experiment.card.step.tells else "step",
    )
    example = _example(experiment, layout) if example is None else example
    # The newest has the last step. And MLflow says of it what the run has at this very step, which
    # are no scores, since they have none.
    run = store.connect().get_run(run_id)
    step = len(run.outputs.model_outputs) if run.outputs else 0
    about: dict[str, str] = {}
    if layout.metrics.exists():  # a refit has none
        names = [str(name) for name in example], answer.outputs.input_names()
        scores, group = artifacts.read_json(layout.metrics), run.info.experiment_id
        about["mlflow.note.content"] = labels.model_note(experiment, scores, *names, run_id, group)
    with tempfile.TemporaryDirectory() as directory, mlflow.start_run(run_id=run_id):
        files, code = Path(directory, "forecaster"), Path(directory, PACKAGE.name)
        files.mkdir()
        forecaster.bundle(layout, experiment.dataset, files)
        shutil.copytree(PACKAGE, code, ignore=_not_served)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code / "forecasting/served_model.py"),
            artifacts={"forecaster": str(files)},
            code_paths=[str(code)],
            signature=answer,
            input_example=example,
            pip_requirements=requirements(experiment),
            tags=about,
            step=step,
        )
    return str(info.model_id)


def requirements(experiment: Experiment) -> list[str]:
    """What the served model needs, as pip reads it."""
    train = experiment.params.train
    boosted = any(isinstance(one, Boosting) for one in (train.model, *train.mixed))
    names = LIBRARIES + " lightgbm" * boosted
    pinned = [f"{name}=={version(name)}" for name in names.split()]
    found = determinism.tensorflow()
    whole = f"tensorflow=={version(found)}"
    if found == "tensorflow":
        return [*pinned, whole]
    # Where that build is; elsewhere, the whole is for processors alone as well.
    there = "sys_platform == 'linux' and platform_machine == 'x86_64'"
    other = "sys_platform != 'linux' or platform_machine != 'x86_64'"
    return [*pinned, f"{found}=={version(found)}; {there}", f"{whole}; {other}"]


def _not_served(directory: str, names: list[str]) -> set[str]:
    top = set(names) - set(SERVED.split()) if Path(directory) == PACKAGE else set()
    return {"__pycache__", *top}


def _example(experiment: Experiment, layout: Layout) -> pd.DataFrame:
    spec = artifacts.read_json_record(layout.model_json, Spec)
    card = experiment.card
    raw = layout.raw_table(experiment.dataset, card.file)
    imputer = artifacts.read_json_record(layout.imputer, Imputer)
    return newest(reading.read_table(raw, card), spec, card, imputer)


def signature(
    levels: Sequence[float], series: str | None = None, when: str = "time"
) -> ModelSignature:
    """The answer of a model with intervals of these levels, and its parameters.

    `series` is the column with the names of many, `when` the column that says of which row a
    forecast is: its time, or the step where no time is told.

    It names no input columns: MLflow would silently drop the columns it was not told of, and
    refuse whole numbers where it was told of decimals. The Forecaster checks columns and types
    itself, and says which column or row is wrong; the input example shows them.
    """
    double = DataType.double
    answer: list[ColSpec | TensorSpec] = [
        *(ColSpec(DataType.string, name) for name in ([series] if series else [])),
        ColSpec(DataType.string, "origin"),
        ColSpec(DataType.string if when == "time" else DataType.long, when),
        ColSpec(DataType.string, "target"),
        ColSpec(double, "forecast"),
        # Optional, since a request may choose among the levels.
        *(ColSpec(double, name, required=False) for level in levels for name in columns(level)),
    ]
    kinds = {"origins": DataType.string, "levels": double}
    kinds |= {"series": DataType.string} if series else {}
    params = [ParamSpec(name, kind, default=[], shape=(-1,)) for name, kind in kinds.items()]
    return ModelSignature(outputs=Schema(answer), params=ParamSchema(params))

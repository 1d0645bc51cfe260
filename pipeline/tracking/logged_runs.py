"""Runs read back from the MLflow store: for comparison and promotion."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from math import isnan
from operator import itemgetter
from typing import Any

import mlflow
from mlflow.entities import Run, RunTag
from mlflow.exceptions import MlflowException

from pipeline.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.evaluation.forecasts import MODEL
from pipeline.tracking import store
from pipeline.tracking.labels import CARD, view_address

BESIDE = {"validation": "validation_", "test": ""}  # how a baseline's scores on a span begin
NEWEST = 50  # runs that are looked at when none is named
# What runs of older code did not log.
OLDER = {CARD: "not logged", "train.ensemble": "1", "train.members": "none", "train.mix": "none"}
ID = re.compile(r"[0-9a-f]{1,32}")  # of a run, or how it starts


@dataclass(frozen=True)
class Trial:
    """One run with scores."""

    id: str
    name: str
    data: str  # sha256 of the raw table
    params: dict[str, str]
    scores: dict[str, float]
    tags: dict[str, str]
    model: str | None  # the logged model's id
    experiment: str  # the id of MLflow's experiment

    @property
    def basis(self) -> dict[str, str]:
        """What two runs must share for their scores to be comparable."""
        keys = ("ingest.dataset", "window.targets", "window.horizon", "window.split")
        return {
            "data": self.data[:12],
            **{key: self.params.get(key, "") for key in keys},
            **{f"{span} n": f"{self.scores[f'{span}/n']:.0f}" for span in ("validation", "test")},
        }

    @property
    def kept(self) -> int:
        """The epoch whose weights the model has, from 1."""
        return int(self.scores["best/epoch"])

    @property
    def metric(self) -> metrics.Metric:
        """The one that decides."""
        return metrics.deciding(self.scores, "test/")

    def error(self, span: str, who: str = MODEL, step: str = "") -> float:
        """By that metric, on validation or test, of the model or a baseline; of a step, as _h01."""
        place = f"{span}/" if who == MODEL else f"{who}/{BESIDE[span]}"
        return self.metric.error(self.scores, place, step)

    def baselines(self, span: str) -> dict[str, float]:
        """The error of each baseline of the run on validation or test, the smallest first.

        Empty on validation for a run that was logged before these scores were.
        """
        form = re.compile(rf"([^/]+)/{BESIDE[span]}{self.metric.name}")
        names = {name[1] for key in self.scores if (name := form.fullmatch(key))} - set(BESIDE)
        errors = {name: self.error(span, name) for name in names}
        return dict(sorted(errors.items(), key=lambda item: (item[1], item[0])))

    @property
    def short(self) -> str:
        """The DVC experiment's name, if it has one, and how the id starts."""
        name = self.tags.get("dvc.experiment")
        return f"{name} ({self.id[:8]})" if name else self.id[:8]

    @property
    def steps(self) -> list[str]:
        """The steps ahead that have scores of their own: _h01, _h02, ..."""
        form = re.compile(rf"test/{self.metric.name}(_h\d+)")
        return sorted({step[1] for key in self.scores if (step := form.fullmatch(key))})


@contextmanager
def answering() -> Iterator[None]:
    """What a store that cannot be used says, as one line."""
    try:
        yield
    except store.unavailable() as error:
        raise PipelineError(f"{store.shown()}: {store.reason(error)}") from None


def find(wanted: str) -> Trial:
    """The run with this id, with an id that starts so, or of the DVC experiment so named.

    PipelineError if there is none, or more than one, or it has no scores.
    """
    matches = _matching(store.connect(), wanted)
    if len(matches) != 1:
        several = ", ".join(run.info.run_id for run in matches) or "none"
        raise PipelineError(
            f"run {wanted}: expected the id of one run in {store.shown()}, found {several}"
        )
    if store.SCORES not in matches[0].data.tags:
        raise PipelineError(
            f"run {wanted}: expected a run with scores, found one without (status "
            f"{matches[0].info.status}); the evaluate stage adds them, and "
            "python -m pipeline sync sends what the store lacks"
        )
    return _trial(matches[0])


def unscored(run_id: str) -> Trial:
    """The run with this id, be it one without scores."""
    return _trial(store.connect().get_run(run_id))


def of_files(dataset: str, content: str) -> Trial:
    """The newest run with scores of a model, by its content; PipelineError if there is none."""
    client = store.connect()
    group = client.get_experiment_by_name(dataset)
    where = f"tags.`{store.CONTENT}` = '{content}' AND tags.`{store.SCORES}` != ''"
    ids = [group.experiment_id] if group else []
    runs = client.search_runs(ids, where, order_by=["start_time DESC"], max_results=1)
    if not ids or not runs:
        raise PipelineError(
            f"{store.shown()}: expected the run of the model just trained, found none; "
            "python -m pipeline sync sends it"
        )
    return _trial(runs[0])


def _matching(client: mlflow.MlflowClient, wanted: str) -> list[Run]:
    """The first few runs whose id or DVC experiment this may name."""
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    named = [f'tags.`dvc.experiment` = "{wanted}"'] if '"' not in wanted else []
    if ID.fullmatch(wanted):
        named.append(f"attributes.run_id LIKE '{wanted}%'")
    found = [run for where in named for run in client.search_runs(ids, where, max_results=5)]
    return list({run.info.run_id: run for run in found}.values())


def newest(experiment: str) -> list[Trial]:
    """The newest runs with scores of an experiment, the newest first."""
    client = store.connect()
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    runs = client.search_runs(
        [found.experiment_id],
        f"tags.`{store.SCORES}` != ''",
        order_by=["start_time DESC"],
        max_results=NEWEST,
    )
    return [_trial(run) for run in runs]


def curve(trial: Trial, metric: str) -> list[float]:
    """A metric's value at each epoch."""
    points = store.connect().get_metric_history(trial.id, metric)
    return [point.value for point in sorted(points, key=lambda point: point.step)]


def losses(trial: Trial) -> list[tuple[list[float], list[float], int]]:
    """Training and validation loss by epoch, and the kept epoch; of an ensemble, each member's."""
    train, validation = curve(trial, "train/loss"), curve(trial, "validation/loss")
    if trial.params["train.ensemble"] == "1" and trial.params["train.members"] == "none":
        return [(train, validation, trial.kept)]
    found = []
    for _, own in groupby(
        zip(curve(trial, "member"), train, validation, strict=False), itemgetter(0)
    ):
        _, of_train, of_validation = map(list, zip(*own, strict=True))
        found.append((of_train, of_validation, of_validation.index(min(of_validation)) + 1))
    return found


def baselines_by_horizon(trial: Trial) -> dict[str, list[float]]:
    """Each baseline's test error at each step ahead, the best of them first."""
    store.connect()
    scores = mlflow.artifacts.load_dict(f"runs:/{trial.id}/{store.SCORES_FILE}")
    return {
        name: [metrics.error(score) for score in scores["baselines_by_horizon"][name].values()]
        for name in trial.baselines("test")
    }


def card(trial: Trial) -> dict[str, Any]:
    """The data set's card as the run kept it; nothing of an older run, which kept none."""
    files = store.connect().list_artifacts(trial.id)
    if store.CARD_FILE not in [file.path for file in files]:
        return {}
    kept: dict[str, Any] = mlflow.artifacts.load_dict(f"runs:/{trial.id}/{store.CARD_FILE}")
    return kept


def log_page(trials: Sequence[Trial], page: str) -> str:
    """Log a comparison's page as a run of its own experiment; its id."""
    client = store.connect()
    datasets = dict.fromkeys(trial.params["ingest.dataset"] for trial in trials)
    experiment = store.experiment_id(client, f"{'-'.join(datasets)}-comparisons")
    tags = {"comparison.runs": ",".join(trial.id for trial in trials)}
    run = client.create_run(experiment, run_name=f"{len(trials)} runs", tags=tags)
    client.log_text(run.info.run_id, page, "comparison.html")
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def address(experiment: str) -> str:
    """Where the UI shows the runs of an experiment, best first: the server, or `make ui`."""
    local = not store.store().startswith("http")
    server = "http://127.0.0.1:5000" if local else store.shown().rstrip("/")
    return f"{server}/{view_address(experiment)}" + (" (make ui)" if local else "")


def has_signature(trial: Trial) -> bool:
    """Whether the run's model has a signature."""
    with suppress(MlflowException):
        if trial.model:
            return mlflow.models.get_model_info(f"models:/{trial.model}").signature is not None
    return False


def tag(trial: Trial, tags: dict[str, str]) -> None:
    """Set tags of a run."""
    store.connect().log_batch(trial.id, tags=[RunTag(key, value) for key, value in tags.items()])


def _trial(run: Run) -> Trial:
    datasets = run.inputs.dataset_inputs if run.inputs else []
    models = run.outputs.model_outputs if run.outputs else []
    return Trial(
        id=run.info.run_id,
        name=run.info.run_name,
        data=json.loads(str(datasets[0].dataset.profile))["sha256"] if datasets else "",
        params={**OLDER, **run.data.params},
        scores={name: score for name, score in run.data.metrics.items() if not isnan(score)},
        tags=dict(run.data.tags),
        model=max(models, key=lambda model: model.step).model_id if models else None,
        experiment=run.info.experiment_id,
    )

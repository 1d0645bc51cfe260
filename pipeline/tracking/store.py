"""The MLflow store: how it is reached, and what each run in it holds; `live_run` logs a training.

A run is linked to its files by content: train tags it with one digest over model.json, weights,
imputer and scaler, and with one over parameters, card and table. Whoever has scores for them gives
them to the run so tagged that has none yet; a run's scores are replaced by those of the same code
with other settings of evaluate alone.
"""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from pipeline.config.experiment import Experiment
from pipeline.data import panel, splits
from pipeline.evaluation.metrics import Metric as Score
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.repository import provenance
from pipeline.runtime import process
from pipeline.runtime.progress import say
from pipeline.tracking import database, labels
from pipeline.tracking.database import StoreError

CONTENT, SCORES, EXPERIMENT = "pipeline.content", "pipeline.scores", "pipeline.experiment"
CHOSEN = "pipeline.chosen"  # what was `auto`
EVALUATE = "pipeline.evaluate"  # the settings of evaluate, as JSON
LEARNED = "pipeline.learned_until"  # the last time that model or intervals have learned from
# The machine that trained, as JSON, or NOT_KNOWN.
NOT_KNOWN = "unknown: restored from files, and this store has no run of their training"
REFIT = "refit.of"  # of a refit to all rows, the run that it repeats
CARD_FILE, SCORES_FILE = "card.json", "report/metrics.json"
LOSS = "train/loss"
# Of S3's client, which whoever keeps artifacts there has installed.
_S3 = {"botocore.exceptions": ("BotoCoreError", "ClientError"), "boto3.exceptions": ("Boto3Error",)}
NO_ANSWER = "requests"  # whose errors say that a tracking server gave none; S3 has its own
_PASSWORD = re.compile(r"(://[^\s:/@]*:)\S+(?=@)|([?&]password=)[^\s&]+")


def store() -> str:
    """The tracking URI: MLFLOW_TRACKING_URI, or SQLite at the repository's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or database.address(database.own())


def served() -> bool:
    """Whether it is a server, which many processes may write to; a database takes one at a time."""
    return store().startswith(("http://", "https://"))


def unbroken() -> AbstractContextManager[None]:
    """Let a signal to end wait for what is written within.

    Ctrl-C within a database's transaction leaves it open in this process, and what is written next,
    such as how the run ended, would wait for its lock. A server's own process has the transaction.
    """
    return nullcontext() if served() else process.unbroken()


def masked(text: object) -> str:
    """A text in which no address shows its password."""
    return _PASSWORD.sub(r"\1\2***", str(text))


def shown() -> str:
    """The tracking URI as a message may show it."""
    return masked(store())


def connect() -> MlflowClient:
    """A client of the store.

    StoreError if its address names none; PipelineError if it is the repository's own, but moved.
    """
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # success needs no line
    # What a database refuses is said once, in one line, by whoever asked.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    uri = store()
    try:
        if file := database.behind(uri):
            if file == database.own():
                database.check_moved(file)
            database.ensure(file)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        return MlflowClient()
    except (ImportError, ValueError, ArgumentError) as error:  # no driver; malformed
        raise StoreError(
            "MLFLOW_TRACKING_URI: expected the address of a store, as http://HOST:5000, or of a "
            f"database whose driver is installed, found: {masked(error).splitlines()[0]}"
        ) from None


def unavailable() -> tuple[type[Exception], ...]:
    """What a store that is down, full, locked or broken raises, for an `except`."""
    loaded = [(sys.modules[name], kinds) for name, kinds in _S3.items() if name in sys.modules]
    s3 = (getattr(module, kind) for module, kinds in loaded for kind in kinds)
    return MlflowException, OSError, SQLAlchemyError, StoreError, *s3


def experiment_id(client: MlflowClient, name: str) -> str:
    """The experiment's id; it is made if need be, its artifacts at the repository's root."""
    experiment = client.get_experiment_by_name(name)
    if experiment and experiment.lifecycle_stage == "deleted":
        raise StoreError(
            f"its experiment {name} was deleted; mlflow experiments restore --experiment-id "
            f"{experiment.experiment_id} brings it back"
        )
    if experiment is None:
        local = store().startswith("sqlite")
        location = (database.root() / database.FOLDER).as_uri() if local else None
        try:
            return str(client.create_experiment(name, location))
        except MlflowException:  # another process was first
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return str(experiment.experiment_id)


def offer_view(client: MlflowClient, group: str, by: Score) -> None:
    """Give the experiment a view of its runs, best first, unless somebody gave it one."""
    known = client.get_experiment(group).tags
    for key, value in labels.view(group, by, time.time()).items():
        if key not in known:
            client.set_experiment_tag(group, key, value)


def content(layout: Layout) -> str:
    """One digest over everything that makes a forecast: model.json, weights, imputer, scaler."""
    return digest(layout.model_json, layout.weights, layout.imputer, layout.scaler)


def digest_of(experiment: Experiment, layout: Layout) -> str:
    """One digest over what a run is of: parameters, what the card decides, and the table."""
    table = artifacts.read_json(layout.quality)["sha256"]
    return artifacts.checksum([*labels.hyperparameters(experiment).items(), ("table", table)])


def digest(*files: Path) -> str:
    """One sha256 over the contents of files."""
    return artifacts.digest(*files)


def abandoned(client: MlflowClient, experiment: str) -> list[Run]:
    """Runs that are said to be running, by a process of this host that is gone.

    A half run below another, such as a search's, is not ended: what it is of makes it again.
    """
    return [
        run
        for run in client.search_runs([experiment], "attributes.status = 'RUNNING'")
        if MLFLOW_PARENT_RUN_ID not in run.data.tags
        and provenance.gone(run.data.tags.get(provenance.PROCESS, ""))
    ]


def create(
    client: MlflowClient, experiment: Experiment, layout: Layout, tags: Mapping[str, str]
) -> str:
    """A new run, tagged with what it is of and, by the tags given, where it comes from; its id."""
    of = digest_of(experiment, layout)
    about = {"mlflow.note.content": labels.note(experiment), EXPERIMENT: of}
    group, name = experiment_id(client, experiment.dataset), labels.name(experiment)
    run = client.create_run(group, tags={**about, **tags}, run_name=name)
    return str(run.info.run_id)


def reopen(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> bool:
    """Let a run that ended run on, with these tags; False if the store has no such run."""
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    if found.info.lifecycle_stage == "deleted":
        return False
    client.update_run(run_id, status="RUNNING")
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    return True


def describe(client: MlflowClient, run_id: str, experiment: Experiment, layout: Layout) -> None:
    """Log parameters, data set and machine; what the run holds of them already stays.

    And in a tag up to when the table is learned from: what is later may compare models.
    """
    logged = [Param(name, str(value)) for name, value in labels.hyperparameters(experiment).items()]
    client.log_batch(run_id, params=logged)
    context = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run_id, [DatasetInput(dataset(experiment, layout), context)])
    machine = client.get_run(run_id).data.tags.get(provenance.ENVIRONMENT, NOT_KNOWN)
    if machine != NOT_KNOWN:
        client.log_dict(run_id, json.loads(machine), "environment.json")
    card = experiment.card
    client.log_dict(run_id, labels.card_tree(card), CARD_FILE)
    timeline = panel.read(layout.series, card, []).timeline(card)
    learned = splits.learned_until(experiment, timeline)
    client.set_tag(run_id, LEARNED, str(learned))


def dataset(experiment: Experiment, layout: Layout) -> Dataset:
    """The table as MLflow knows it: the data set's name, and how the table's sha256 begins."""
    card, quality = experiment.card, artifacts.read_json(layout.quality)
    raw, sha256 = layout.raw_table(experiment.dataset, card.file), quality["sha256"]
    return Dataset(
        name=experiment.dataset,
        digest=sha256[:12],
        source_type="local",
        source=json.dumps({"path": str(raw), "sha256": sha256, "origin": card.source}),
        profile=json.dumps({"num_rows": quality["rows"], "sha256": sha256}),
    )


def metrics(
    scores: dict[str, float], step: int = 0, model: str | None = None, of: Dataset | None = None
) -> list[Metric]:
    """Scores as MLflow takes them, of now, of an epoch (from 1).

    Those of a logged model and of a data set, by both of which MLflow ranks models.
    """
    now = int(time.time() * 1000)
    name, digest = (of.name, of.digest) if of else (None, None)
    return [
        Metric(key, float(value), now, step, model, name, digest) for key, value in scores.items()
    ]


def reason(error: BaseException) -> str:
    """The first line of what MLflow says; of a login refused or a server that is down, what to do.

    A server's silence comes as a chain of exceptions, whose last words are the system's.
    """
    if getattr(error, "error_code", "") == "UNAUTHENTICATED":
        return (
            "the server refused the user or password; expected them in MLFLOW_TRACKING_USERNAME "
            "and MLFLOW_TRACKING_PASSWORD"
        )
    chain = [error]
    while cause := _behind(chain[-1]):
        chain.append(cause)
    if any(type(one).__module__.startswith(NO_ANSWER) for one in chain):
        system = (one.strerror for one in chain if isinstance(one, OSError) and one.strerror)
        why = masked(next(system, chain[-1])).lower()
        return f"no answer ({why}); is the tracking server up?"
    return masked(error).splitlines()[0][:300] if str(error) else type(error).__name__


def _behind(error: BaseException) -> BaseException | None:
    """What an exception came of; urllib3 has some among its arguments."""
    within = (one for one in error.args if isinstance(one, BaseException))
    return error.__cause__ or error.__context__ or next(within, None)


def warn(error: Exception) -> None:
    """Say in one line that the store did not take the run, and what sends it later."""
    say(
        f"warning: MLflow at {shown()} did not take the run ({reason(error)}); everything is on "
        "disk: python -m pipeline sync sends it later"
    )

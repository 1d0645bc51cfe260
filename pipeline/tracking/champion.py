"""The registered model: which version is the champion, who takes its place, and loading it.

The registered model has the data set's name. Each version says in a tag which version it
replaced, so that every promotion can be taken back.
"""

import logging
import os
import sys
from contextlib import ExitStack

import mlflow
import yaml  # MLflow's reader of its MLmodel
from mlflow.entities.model_registry import ModelVersion

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.forecaster import Forecaster
from pipeline.repository import provenance
from pipeline.tracking import database, logged_runs, store
from pipeline.tracking.labels import SERVING

ALIAS = "champion"
REPLACED, DECISION = "promotion.replaced", "promotion.decision"
ROLLED_BACK = "rolled back"


def current(name: str) -> ModelVersion | None:
    """The champion among the versions of the registered model, if there is one."""
    client = store.connect()
    found = client.search_registered_models(f"name='{name}'")
    version = found[0].aliases.get(ALIAS) if found else None
    return client.get_model_version(name, str(version)) if version else None


def crown(trial: logged_runs.Trial, tags: dict[str, str]) -> str:
    """Register the run's model and make it the champion; its version.

    The alias moves last, and what was made before it is removed if something fails.
    """
    name = trial.params["ingest.dataset"]
    client = store.connect()
    before = current(name)
    with ExitStack() as undo:
        if not client.search_registered_models(f"name='{name}'"):
            client.create_registered_model(name)
            undo.callback(client.delete_registered_model, name)
        model = client.get_logged_model(str(trial.model))
        of_run = client.search_model_versions(f"name='{name}' and run_id='{trial.id}'")
        known = [one for one in of_run if one.source == model.artifact_location]
        if known:  # it was champion once
            version = str(known[0].version)
        else:
            made = client.create_model_version(
                name,
                model.artifact_location,
                trial.id,
                model_id=model.model_id,
                description=model.tags.get("mlflow.note.content", SERVING),
            )
            version = str(made.version)
            undo.callback(client.delete_model_version, name, version)
        for key, value in tags.items():
            client.set_model_version_tag(name, version, key, value)
        if before:
            client.set_model_version_tag(name, version, REPLACED, str(before.version))
        client.set_registered_model_alias(name, ALIAS, version)
        undo.pop_all()
    return version


def serves(version: ModelVersion, trial: logged_runs.Trial) -> bool:
    """Whether a version is the run's model, the newest one where it was evaluated again."""
    if str(version.run_id) != trial.id or trial.model is None:
        return str(version.run_id) == trial.id
    model = store.connect().get_logged_model(trial.model)
    return bool(version.source == model.artifact_location)


def judged_by(version: ModelVersion) -> str:
    """The run whose scores are those of a version: its own, or of a refit, the run it repeats."""
    return str(version.tags.get(store.REFIT) or version.run_id)


def holder(name: str) -> ModelVersion:
    """The champion; PipelineError if there is none."""
    champion = current(name)
    if champion is None:
        raise PipelineError(
            f"models:/{name}@{ALIAS}: expected a champion, found none; make promote RUN=ID makes "
            "a run's model the champion"
        )
    return champion


def predecessor(name: str) -> tuple[ModelVersion, ModelVersion]:
    """The champion and the version that it replaced; PipelineError if there is none."""
    champion = holder(name)
    replaced = champion.tags.get(REPLACED)
    if replaced is None:
        raise PipelineError(
            f"models:/{name}@{ALIAS}: expected a champion before version {champion.version}, "
            "found none"
        )
    return champion, store.connect().get_model_version(name, replaced)


def restore(holder: ModelVersion, before: ModelVersion) -> None:
    """Give the alias back to the version before."""
    client = store.connect()
    client.set_registered_model_alias(before.name, ALIAS, str(before.version))
    client.set_model_version_tag(holder.name, str(holder.version), DECISION, ROLLED_BACK)


def undone(name: str, run: str, refit: bool = False) -> str:
    """The newest version that is a run's model, or its refit, if it was rolled back; or nothing."""
    versions = store.connect().search_model_versions(f"name='{name}'")
    own = [one for one in versions if run == (one.tags.get(store.REFIT) if refit else one.run_id)]
    newest = max(own, key=lambda one: int(one.version), default=None)
    back = newest is not None and newest.tags.get(DECISION) == ROLLED_BACK
    return str(newest.version) if newest and back else ""


def _of_other_code(uri: str, error: Exception, stored: bool) -> PipelineError:
    """What to say of a model that this code cannot read: which code can, as its run knows."""
    commit = ""
    if stored:
        run = store.connect().get_run(mlflow.models.get_model_info(uri).run_id)
        commit = f", at commit {run.data.tags.get(provenance.COMMIT, 'unknown')}"
    return PipelineError(
        f"--model {uri}: expected a model that this code can read; mlflow models serve runs the "
        f"code that made it{commit}. Found {str(error).removesuffix(artifacts.REMEDY)}"
    )


def pinned(uri: str) -> str:
    """A model's URI with its version in the place of an alias, which may move on meanwhile."""
    try:
        return version_of(uri)
    except store.unavailable():  # whoever loads it says why
        return uri


def version_of(uri: str) -> str:
    """The same as `pinned`, but a store that cannot be used raises its own error."""
    name, at, alias = uri.removeprefix("models:/").partition("@")
    if not (at and uri.startswith("models:/")):
        return uri
    version = store.connect().get_model_version_by_alias(name, alias)
    return f"models:/{name}/{version.version}"


def load(uri: str, backend: Backend = "tensorflow") -> Forecaster:
    """The Forecaster of a logged or registered model.

    `uri` is models:/NAME@champion, models:/NAME/VERSION, models:/ID, runs:/ID/model or a directory.
    PipelineError if it is no model, not one of this pipeline's, or one that this code cannot read.
    """
    where = ""
    # What lies here needs no store; Path would raise an error of its own for a long text.
    if not os.path.exists(uri):  # noqa: PTH110
        if store.store() == database.address(own := database.own()) and not own.exists():
            raise PipelineError(
                f"--model {uri}: expected a directory, or a model in a store; found no {own}, and "
                "MLFLOW_TRACKING_URI names no other store"
            )
        store.connect()
        where = f" in {store.shown()}"
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    path = list(sys.path)
    try:
        os.environ["FORECAST_BACKEND"] = backend
        served = mlflow.pyfunc.load_model(uri).unwrap_python_model()
    except store.unavailable() as error:
        cause = error.__cause__
        if isinstance(cause, ImportError) and str(cause.name).startswith("pipeline"):
            raise _of_other_code(uri, cause, bool(where)) from None
        reason = store.reason(error).rstrip(".")
        if uri.endswith(f"@{ALIAS}") and "not found" in reason:
            reason += "; make promote RUN=ID makes a run's model the champion"
        raise PipelineError(f"--model {uri}: expected a model{where}: {reason}") from None
    except yaml.YAMLError as error:
        raise PipelineError(
            f"--model {uri}: expected a whole MLmodel, found {store.reason(error)}"
        ) from None
    except PipelineError as error:
        raise _of_other_code(uri, error, bool(where)) from None
    finally:
        # MLflow puts the model's code first, for good: workers that begin later would import that.
        sys.path[:] = path
    if not isinstance(forecaster := getattr(served, "forecaster", None), Forecaster):
        raise PipelineError(
            f"--model {uri}: expected a model that this pipeline logged, found "
            f"{type(served).__name__}"
        )
    return forecaster

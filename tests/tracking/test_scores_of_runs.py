"""Whose scores stand under which run: nothing is replaced, and nothing untrue is said of a run."""

import json
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow.cli import cli

from pipeline.commands import promote, sync
from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.repository import provenance
from pipeline.runtime import determinism
from pipeline.tracking import champion, database, labels, live_run, logged_runs, publishing, store
from tests.forking import command
from tests.repositories import commit, copied, run, set_params
from tests.toys import from_yaml, made_up_calibration, to_yaml

FINISHED, KILLED = "FINISHED", "KILLED"


@pytest.fixture
def toy(finished_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a repository whose pipeline has run, as working directory, its store as store."""
    directory = copied(finished_toy, tmp_path / "toy")
    monkeypatch.chdir(directory)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # It takes seconds, and other tests look at the model.
    monkeypatch.setattr(publishing, "log_model", lambda *_: None)
    return directory


@pytest.fixture
def trained(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Logs one more training that gives the files on disk, by a process that is gone; its id."""

    def train() -> str:
        history: Any = [{"train/loss": 1.0, "validation/loss": 1.0, "kept": 1}]
        host = provenance.process().partition(" ")[0]
        with monkeypatch.context() as patch:
            patch.setattr(provenance, "process", lambda: f"{host} 1 0")
            with live_run.training_run(read_experiment(), HERE) as log:
                log.finish(history, 1.0)
        return log.run

    return train


def send() -> str | None:
    """Send what the store lacks; the run's id."""
    return publishing.publish(read_experiment(), HERE, "a page")


def logged() -> list[mlflow.entities.Run]:
    """The runs of the toy series, the first one first."""
    client = store.connect()
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], order_by=["start_time ASC"]))


def clean(found: mlflow.entities.Run) -> tuple[bool, str]:
    """What promotion says of the code that made a run."""
    (reason,) = (
        reason
        for reason in promote.judge(logged_runs.find(found.info.run_id), None, servable=True)
        if reason.rule == "clean"
    )
    return reason.holds, reason.found


def score(rmse: float, **others: float | None) -> None:
    """Other scores, as other code, rows or settings give them; None takes one out."""
    metrics = artifacts.read_json(HERE.metrics)
    found = metrics["test"] | {"rmse": rmse} | others
    metrics["test"] = {name: value for name, value in found.items() if value is not None}
    artifacts.write_json(HERE.metrics, metrics)


def test_what_was_auto_is_a_tag_of_its_run(trained: Callable[[], str]) -> None:
    """A run says what was chosen for each `auto`; where there was none, it has no such tag."""
    (first,) = logged()
    assert store.CHOSEN not in first.data.tags
    chosen = {"train.epochs": 24, "train.mix": []}
    artifacts.write_json(HERE.model_json, artifacts.read_json(HERE.model_json) | {"chosen": chosen})
    found = store.connect().get_run(trained())
    assert json.loads(found.data.tags[store.CHOSEN]) == chosen


def test_scores_of_uncommitted_code_are_a_run_of_their_own(toy: Path) -> None:
    """The committed run keeps its scores and stays clean; the other is not, until it is committed.

    Back at the first scores, the store has them.
    """
    before = artifacts.read_json(HERE.metrics)["test"]["rmse"]
    assert send() is None
    code = toy / "pipeline/evaluation/metrics.py"
    code.write_text(code.read_text() + "# better scores\n")
    score(0.2)
    assert send() is not None
    assert send() is None
    first, second = logged()
    assert json.loads(first.data.tags["pipeline.environment"]) == determinism.settings()
    assert (first.data.metrics["test/rmse"], second.data.metrics["test/rmse"]) == (before, 0.2)
    assert clean(first) == (True, "code and cards were committed")
    assert clean(second) == (
        False,
        "training: code and cards were committed; scores: code or cards had changes that were not "
        "committed",
    )
    same = ("git.commit", "mlflow.source.git.commit", "pipeline.environment", "pipeline.content")
    assert [first.data.tags[key] for key in same] == [second.data.tags[key] for key in same]
    assert second.data.tags["pipeline.trained_in"] == first.info.run_id
    assert second.data.metrics["time/fit_seconds"] == first.data.metrics["time/fit_seconds"]

    commit(toy, "other scores")
    assert send() is not None
    assert send() is None
    *_, third = logged()
    assert clean(third)[0]
    assert third.data.tags["git.commit"] == first.data.tags["git.commit"]
    assert third.data.tags["scores.git.commit"] == run(toy, "git", "rev-parse", "HEAD").strip()
    environment = json.loads(third.data.tags["scores.pipeline.environment"])
    assert environment == determinism.settings()
    score(before)
    assert send() is None
    assert len(logged()) == 3


@pytest.mark.slow
def test_uncommitted_code_makes_no_champion(toy: Path) -> None:
    """A metric changed in the tree alone: evaluate's scores are a run that promotion refuses."""
    before = artifacts.read_json(HERE.metrics)["test"]["rmse"]
    code = toy / "pipeline/evaluation/metrics.py"
    honest = 'Metric("rmse", lambda y, f: (y - f) ** 2'
    assert honest in code.read_text()
    code.write_text(code.read_text().replace(honest, f"{honest} / 100"))
    assert "Stage 'train' didn't change, skipping" in run(toy, "dvc", "repro")
    first, second = logged()
    assert first.data.metrics["test/rmse"] == before
    assert second.data.metrics["test/rmse"] == pytest.approx(before / 10)
    said = command(toy, "promote", second.info.run_id, "--dry-run", status=None)
    assert "NO   clean: training: code and cards were committed; scores: code or cards had" in said


@pytest.mark.slow
def test_a_new_level_trains_nothing_and_adds_no_run(toy: Path) -> None:
    """DVC trains nothing; the one run has the new scores and a model that answers the level.

    The champion keeps the model that it has until the run is promoted again.
    """
    (before,) = logged()
    trial = logged_runs.find(before.info.run_id)
    first = labels.flat_scores(artifacts.read_json(HERE.metrics))
    assert champion.crown(trial, {}) == "1"
    said = run(toy, "dvc", "exp", "run", "-S", "evaluate.levels=[50]")
    assert "Stage 'train' didn't change, skipping" in said
    (after,) = logged()
    assert after.info.run_id == trial.id
    assert after.data.tags["pipeline.calibration"] == artifacts.sha256(HERE.calibration)
    assert after.data.tags["pipeline.calibration"] != before.data.tags["pipeline.calibration"]
    again = logged_runs.find(trial.id)
    now = labels.flat_scores(artifacts.read_json(HERE.metrics))
    assert {name: again.scores[name] for name in now} == now
    assert again.scores.keys() - now.keys() == trial.scores.keys() - first.keys()
    assert "test/coverage_80" in first.keys() - now.keys()

    holder = champion.holder("toy")
    assert again.model != trial.model
    assert (champion.serves(holder, trial), champion.serves(holder, again)) == (True, False)
    assert champion.crown(again, {}) == champion.crown(again, {}) == "2"
    assert champion.serves(champion.holder("toy"), again)
    table = pd.read_csv(toy / "data/raw/toy/toy.csv")
    for uri, bounds in {
        f"runs:/{trial.id}/model": ["lo-50", "hi-50"],
        "models:/toy@champion": ["lo-50", "hi-50"],
        "models:/toy/1": ["lo-80", "hi-80", "lo-95", "hi-95"],
    }.items():
        columns = ["origin", "time", "target", "forecast", *bounds]
        assert list(champion.load(uri, "numpy").predict(table)) == columns
        signature = mlflow.models.get_model_info(uri).signature
        assert signature.outputs.input_names() == columns
    run(toy, "dvc", "repro")
    assert send() is None
    assert len(logged()) == 1


def test_another_experiment_with_the_same_training_is_another_run(toy: Path) -> None:
    """Other test rows, or a card whose minimum changes no score; back again, nothing is sent."""
    original = HERE.card("toy").read_text()
    card = from_yaml(original)
    for changes in ({"columns": card["columns"] | {"level": {"unit": "m", "minimum": -1e6}}}, {}):
        HERE.card("toy").write_text(to_yaml(card | changes) + "# a remark\n")
        assert (send() is None) == (not changes)
    split = card["split"] | {"test": 299}
    HERE.card("toy").write_text(to_yaml(card | {"split": split}))
    score(0.3)
    assert send() is not None
    ends = [json.loads(run.data.params["window.split"])["test"] for run in logged()]
    assert ends == ["300", "300", "299"] or ends == [300, 300, 299]
    assert len({run.data.metrics["test/rmse"] for run in logged()}) == 2
    run(toy, "git", "checkout", "-q", ".")
    assert send() is None


def test_other_settings_of_evaluate_are_the_same_run(toy: Path) -> None:
    """Its scores are replaced once, those that are no more are gone; its training stays as it was.

    Other code with the settings, and code that is not committed, make another run.
    """
    score(0.3, coverage_80=0.75)
    evaluated = str(send())
    _, first = logged()
    assert first.data.metrics["test/coverage_80"] == 0.75
    made_up_calibration(["level"], 3, [50])
    set_params(toy, {"evaluate.stretch": 30})
    score(0.2, coverage_80=None, coverage_50=0.5)
    assert send() == evaluated
    assert send() is None
    _, second = logged()
    assert logged_runs.find(evaluated).scores.keys() - first.data.metrics.keys() == {
        "test/coverage_50"
    }
    assert "test/coverage_80" not in logged_runs.find(evaluated).scores
    assert second.data.metrics["test/rmse"] == 0.2
    assert second.info.end_time == first.info.end_time
    changed = {key for key, tag in second.data.tags.items() if first.data.tags.get(key) != tag}
    assert changed == {"pipeline.evaluate", "pipeline.scores", "pipeline.calibration"}
    assert second.data.tags["pipeline.calibration"] == artifacts.sha256(HERE.calibration)
    kept = mlflow.artifacts.load_dict(f"runs:/{evaluated}/report/metrics.json")
    assert kept["test"]["rmse"] == 0.2

    set_params(toy, {"evaluate.stretch": 40})
    score(0.1)
    code = toy / "pipeline/evaluation/metrics.py"
    code.write_text(code.read_text() + "# better scores\n")
    assert send() not in (None, evaluated)
    commit(toy, "other code")
    set_params(toy, {"evaluate.stretch": 50})
    score(0.05)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "PACKAGE", toy / "pipeline")
        assert send() not in (None, evaluated)
        assert send() is None
    assert len(logged()) == 4


def test_scores_of_another_commit_say_so(toy: Path, trained: Callable[[], str]) -> None:
    """A training that waits for its scores gets them from whoever has them, and is tagged so."""
    waiting = trained()
    code = toy / "pipeline/evaluation/metrics.py"
    code.write_text(code.read_text() + "# better scores\n")
    assert send() == waiting
    *_, found = logged()
    assert (found.data.tags["git.dirty"], found.data.tags["scores.git.dirty"]) == ("false", "true")
    assert not clean(found)[0]


def test_a_training_that_dvc_lost_is_not_left_behind(toy: Path, trained: Callable[[], str]) -> None:
    """Killed before DVC's lock it is repeated: the repetition has the scores, the first says so."""
    lost, again = trained(), trained()
    assert send() == again
    _, first, second = logged()
    assert (first.info.run_id, first.info.status) == (lost, KILLED)
    assert first.data.tags["pipeline.repeated_by"] == again
    assert second.info.status == FINISHED
    assert "test/rmse" in second.data.metrics
    score(0.2)
    assert send() not in (None, lost, again)
    assert send() is None


@pytest.fixture
def empty(toy: Path, tracking_store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another store for the copy, which knows nothing of its training."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_store)
    client = store.connect()
    store.experiment_id(client, "toy")
    before = {found.info.run_id for found in logged()}  # other tests' runs
    yield
    for found in logged():
        if found.info.run_id not in before:
            client.delete_run(found.info.run_id)


@pytest.mark.usefixtures("empty")
def test_a_run_says_nothing_of_a_machine_that_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Restored elsewhere it has no environment.json, and its tag says why."""
    monkeypatch.setattr(determinism, "processor", lambda: "another processor")
    sent = send()
    assert send() is None
    client = store.connect()
    restored = client.get_run(str(sent))
    assert restored.data.tags["pipeline.restored"] == "true"
    assert restored.data.tags["pipeline.environment"].startswith("unknown: restored from files")
    files = [file.path for file in client.list_artifacts(str(sent))]
    assert files == ["card.json", "report"]
    assert clean(restored)[0]


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("own", [True, False], ids=["this experiment's", "another's"])
def test_a_run_that_was_cut_off_is_completed_if_it_is_this_one(own: bool) -> None:
    """The tag it began with tells; another experiment's run is left alone."""
    client = store.connect()
    host = provenance.process().partition(" ")[0]
    of = store.digest_of(read_experiment(), HERE) if own else "another"
    tags = {provenance.PROCESS: f"{host} 1 0", store.EXPERIMENT: of}
    begun = client.create_run(store.experiment_id(client, "toy"), tags=tags).info.run_id
    assert (send() == begun) == own
    assert client.get_run(begun).info.status == (FINISHED if own else "RUNNING")


@pytest.mark.usefixtures("empty")
def test_what_other_code_trained_is_not_called_clean(toy: Path) -> None:
    """Without a run of the training, dvc.lock tells whether the code here made the weights."""
    code = toy / "pipeline/training/fit.py"
    code.write_text(code.read_text() + "# another training\n")
    commit(toy, "another training")
    restored = store.connect().get_run(str(send()))
    holds, why = clean(restored)
    assert not holds
    assert why.startswith("training: of unknown commit")
    assert why.endswith("; scores: code and cards were committed")


def test_a_moved_directory_keeps_its_runs(
    finished_toy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Found before training, mended by one command: run, model and version have their files here.

    So has a run that was logged in between, whose files went to the old place.
    """
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    old, new = copied(finished_toy, tmp_path / "old"), tmp_path / "now 100% here"
    old.rename(new)
    address = database.address(new / "mlflow.db")
    client = mlflow.MlflowClient(address, address)
    experiment = str(client.get_experiment_by_name("toy").experiment_id)
    between = client.create_run(experiment).info.run_id
    client.log_text(between, "in between", "note.txt")
    (first,) = client.search_runs([experiment], "tags.`pipeline.scores` != ''")
    model = first.outputs.model_outputs[0].model_id
    client.create_registered_model("toy")
    client.create_model_version("toy", client.get_logged_model(model).artifact_location)
    assert (old / "mlartifacts").exists()

    monkeypatch.chdir(new)
    with pytest.raises(PipelineError, match=f"their addresses in {old}/mlartifacts: ") as caught:
        live_run.training_run(read_experiment(), HERE).__enter__()
    monkeypatch.setattr(sys, "argv", str(caught.value).rpartition("python -m pipeline ")[2].split())
    sync.main()
    assert f"addresses now point to {new}/mlartifacts instead of {old}" in (capsys.readouterr().out)
    shutil.rmtree(old)
    with closing(sqlite3.connect(new / "mlflow.db")) as connection:
        assert str(old) not in "".join(connection.iterdump())
    with closing(sqlite3.connect(new / "mlflow.db.before-move")) as connection:
        assert str(old) in "".join(connection.iterdump())
    sync.main()
    assert "nothing to do" in capsys.readouterr().out

    store.connect()
    load = mlflow.artifacts.load_text
    assert load(f"runs:/{between}/note.txt") == "in between"
    assert "rmse" in load(f"runs:/{first.info.run_id}/report/metrics.json")
    for uri in (f"models:/{model}", "models:/toy/1"):
        assert mlflow.models.get_model_info(uri).signature is not None


@pytest.mark.usefixtures("toy")
def test_ctrl_c_within_a_write_ends_the_run(
    interrupted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The store takes the epoch first, and then that the run was killed."""
    with (
        pytest.raises(KeyboardInterrupt),
        live_run.training_run(read_experiment(), HERE) as log,
    ):
        log.epoch(0, {store.LOSS: 0.5})
    assert interrupted
    run = store.connect().get_run(log.run)
    assert run.info.status == KILLED
    assert run.data.metrics[store.LOSS] == 0.5
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("interrupted", ["runs"], indirect=True)
def test_ctrl_c_as_a_run_is_made_ends_it(
    interrupted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No run is left that says it is running."""
    with (
        pytest.raises(KeyboardInterrupt),
        live_run.training_run(read_experiment(), HERE),
    ):
        pytest.fail("it was interrupted before")
    assert interrupted
    client = store.connect()
    group = client.get_experiment_by_name("toy").experiment_id
    states = [run.info.status for run in client.search_runs([group])]
    assert states == ["KILLED", *["FINISHED"] * len(states[1:])]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("toy")
def test_a_deleted_experiment_is_said_to_be_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither training nor sync fails without a word on it; the command it names brings it back."""
    client = store.connect()
    experiment = client.get_experiment_by_name("toy").experiment_id
    client.delete_experiment(experiment)
    with live_run.training_run(read_experiment(), HERE):
        pass
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    command = re.search(r"its experiment toy was deleted; (mlflow .*) brings it back", said)
    assert command is not None
    assert CliRunner().invoke(cli, command[1].split()[1:]).exit_code == 0
    score(0.2)
    assert send() is not None
    assert send() is None

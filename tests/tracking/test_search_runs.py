"""A search in the MLflow store: one run above its trials, sent exactly once."""

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.commands import search as command
from pipeline.config.changes import NAME
from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.experiments.executors import Executor, Inline
from pipeline.experiments.search import places
from pipeline.experiments.search.settings import Settings
from pipeline.experiments.search.study import Search
from pipeline.experiments.workers import ALONE, Workers, executor
from pipeline.files.layout import Layout
from pipeline.files.records import parse
from pipeline.repository import provenance
from pipeline.tracking import families, logged_runs, search_runs, store
from pipeline.tracking.search_runs import TrialRun
from tests import browser as pages
from tests.serving import free_port, serving
from tests.toys import Project, toy_table

# Baselines, which take no time; the last cannot be.
SETTINGS: dict[str, Any] = {
    "trials": 9,
    "generation": 3,
    "sampler": "grid",
    "seeds": 2,
    "ranges": {
        NAME: {"choice": ["ridge", "persistence"]},
        "window.look_back": {"choice": [8, 12, 200]},
    },
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A search whose trials are there."""
    root = tmp_path_factory.mktemp("logged")
    model = {"train.model": {"name": "ridge"}, "train.residual": "none"}
    split = {"train": 160, "validation": 220, "test": 280}
    Project(root).write(toy_table(280), card={"split": split}, params=model)
    layout = Layout(root)
    base = read_experiment(layout)
    kept = places.Kept.of(parse(SETTINGS, Settings, "search.yaml"), base, layout)
    directory, _ = places.begin("search", kept, root)
    search = kept.search(root, directory)
    search.run(Inline())
    return search


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An MLflow store of this test's own."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    yield uri


def generations(search: Search) -> list[list[Any]]:
    """The trials as the search ends them."""
    return [search.finished[i : i + 3] for i in range(0, len(search.finished), 3)]


def again(search: Search) -> Search:
    """The same search in a process that has read nothing of it yet."""
    return Search(search.settings, search.base, search.project, search.directory)


def log(search: Search, generations: int = 99, at: Executor | None = None) -> None:
    """Send a search, or as many generations as there were before a kill."""
    left = iter(range(generations))

    class KilledError(Exception):
        pass

    def sent(runs: search_runs.SearchRuns, one: Any) -> None:
        if next(left, None) is None:
            raise KilledError
        runs.trials_of(one)

    try:
        runs = search_runs.SearchRuns(search, at or Inline())
        runs.begin()
        search.run(None, done=lambda one: sent(runs, one))
        runs.finish("<html></html>")
    except KilledError:
        pass


def logged() -> tuple[Run, dict[int, Run]]:
    """The search's run, and those of its trials by number."""
    client = MlflowClient()
    group = client.get_experiment_by_name("toy")
    assert group is not None
    runs = client.search_runs([group.experiment_id])
    parents = [run for run in runs if search_runs.TRIAL not in run.data.tags]
    children = [run for run in runs if search_runs.TRIAL in run.data.tags]
    numbers = [int(run.data.tags[search_runs.TRIAL]) for run in children]
    assert len(parents) == 1
    assert len(set(numbers)) == len(numbers)
    return parents[0], dict(zip(numbers, children, strict=True))


@pytest.mark.usefixtures("local")
def test_a_search_is_a_run_above_its_trials(found: Search) -> None:
    """Each with the scores, settings and tags that people filter by; the best stands above."""
    log(again(found))
    parent, children = logged()
    best = found.best
    assert set(children) == {one.number for one in found.finished if not one.repeats}
    for number, run in children.items():
        one = found.finished[number]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        for tag in (search_runs.SEARCH, "pipeline.environment"):
            assert run.data.tags[tag] == parent.data.tags[tag]
        assert run.info.status == ("FAILED" if one.failed else "FINISHED")
        if one.failed:
            assert "expected at least one window" in run.data.tags["mlflow.note.content"]
            continue
        assert run.data.metrics["validation/rmse"] == pytest.approx(one.error(found.metric))
        assert run.data.params[NAME] == one.runs[0].params.train.model.name
        assert run.inputs.dataset_inputs[0].dataset.name == "toy"
        assert "best/epoch" in run.data.metrics
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["validation/rmse"] == pytest.approx(best.error(found.metric))
    assert parent.data.tags["pipeline.best_trial"] == str(best.number)
    assert children[best.number].info.run_id in parent.data.tags["mlflow.note.content"]
    files = [file.path for file in MlflowClient().list_artifacts(parent.info.run_id, "search")]
    assert files == ["search/search.html", "search/settings.json"]
    group = MlflowClient().get_experiment(parent.info.experiment_id)
    assert "Runs, best first" in group.tags["mlflow.note.content"]
    # No trial has test scores, so none is compared or promoted.
    assert logged_runs.newest("toy") == []


@pytest.mark.usefixtures("local")
def test_a_pruned_trial_is_a_killed_run(found: Search) -> None:
    """With its settings, its line and the losses until then, and without a score."""
    other = again(found)
    other.run(None)
    [outcome] = other.finished[0].outcomes[:1]
    stopped = outcome.model_copy(
        update={"pruned": "loss 3 after 2 epochs", "losses": (4.0, 3.0), "scores": {}}
    )
    runs = search_runs.SearchRuns(other, Inline())
    runs.begin()
    runs.trials_of([other.finished[0], replace(other.finished[2], outcomes=(stopped, stopped))])
    _, children = logged()
    run = children[2]
    assert run.info.status == "KILLED"
    assert run.data.tags["mlflow.note.content"].endswith("pruned: loss 3 after 2 epochs")
    assert run.data.params["window.look_back"] == "12"
    assert run.data.metrics["validation/loss"] == 3
    assert "validation/rmse" not in run.data.metrics


@pytest.mark.usefixtures("local")
def test_a_search_is_sent_exactly_once(found: Search) -> None:
    """Killed after any generation and run again, it is the same runs; a half one is replaced."""
    log(again(found), generations=1)
    first, few = logged()
    client = store.connect()
    half = client.create_run(
        first.info.experiment_id,
        tags={
            search_runs.SEARCH: found.directory.name,
            search_runs.TRIAL: "4",
            MLFLOW_PARENT_RUN_ID: first.info.run_id,
            provenance.PROCESS: f"{socket.gethostname()} 0 0",
        },
    )
    # A training that begins ends what was left running, but not this, which would then seem whole.
    left = [run.info.run_id for run in store.abandoned(client, first.info.experiment_id)]
    assert left == []
    log(again(found))
    log(again(found))
    parent, children = logged()
    assert parent.info.run_id == first.info.run_id
    assert parent.info.status == "FINISHED"
    assert half.info.run_id not in {run.info.run_id for run in children.values()}
    assert set(few) == {0, 2}  # trial 1 repeats the first
    assert {n: run.info.run_id for n, run in children.items() if n in few} == {
        n: run.info.run_id for n, run in few.items()
    }
    assert set(children) == {one.number for one in found.finished if not one.repeats}


@pytest.mark.usefixtures("local")
def test_a_search_that_runs_is_left_alone(found: Search, tmp_path: Path) -> None:
    """A second command on it ends in one line before it asks the store for what is half there."""
    refused = pytest.raises(PipelineError, match="another process runs this search")
    with places.held(found.directory), refused:
        command.run(again(found), ALONE)
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize("interrupted", ["runs"], indirect=True)
def test_ctrl_c_as_the_parent_is_made_ends_it(found: Search, interrupted: list[str]) -> None:
    """The search's run does not say that it is running, and the next command goes on with it."""
    with pytest.raises(KeyboardInterrupt), search_runs.logged(again(found), Inline()):
        pytest.fail("it was interrupted before")
    assert interrupted
    parent, children = logged()
    assert (parent.info.status, children) == ("KILLED", {})
    log(again(found))
    again_parent, children = logged()
    assert again_parent.info.run_id == parent.info.run_id
    assert again_parent.info.status == "FINISHED"
    assert children


@pytest.mark.usefixtures("local")
def test_ctrl_c_within_a_write_ends_the_search(
    found: Search, interrupted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The store takes the trial's scores first, then that the search was killed; no trial twice."""
    other = again(found)
    with (
        pytest.raises(KeyboardInterrupt),
        families.open_until_the_end(search_runs.SearchRuns(other, Inline())) as runs,
    ):
        other.run(None, done=runs.trials_of)
    assert interrupted
    parent, children = logged()
    [(first, child)] = children.items()
    assert (parent.info.status, child.info.status) == ("KILLED", "FINISHED")
    assert child.data.metrics["validation/rmse"] == pytest.approx(
        found.finished[first].error(found.metric)
    )
    assert "MLflow" not in capsys.readouterr().err  # it was never without the store
    log(again(found))
    again_parent, children = logged()
    assert again_parent.info.run_id == parent.info.run_id
    assert again_parent.info.status == "FINISHED"
    assert children[first].info.run_id == child.info.run_id


def test_a_store_that_is_down_stops_no_search(
    found: Search, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One warning says how the results get there later."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    log(again(found))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].endswith("its results are on disk, and the same command sends them later")


@dataclass(frozen=True)
class Dying(TrialRun):
    """A trial's run; the first worker that writes trial 2's dies when half of it is there."""

    mark: Path
    parent: int = field(default_factory=os.getpid)

    def log(self, client: MlflowClient, run_id: str) -> str:
        """Log all of it, in another process than the parent's."""
        assert os.getpid() != self.parent
        ended = super().log(client, run_id)
        if self.number == 2 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ended


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_workers_write_to_a_server(
    found: Search,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Each trial once, in order, though a worker dies as it writes and the server goes away."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", base)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    database, kept = f"sqlite:///{tmp_path / 'mlflow.db'}", str(tmp_path / "artifacts")
    command = ["mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", database, "--artifacts-destination", kept]
    monkeypatch.setattr(search_runs, "TrialRun", partial(Dying, mark=tmp_path / "died"))
    with executor(Workers(2)) as at:
        with serving(command, f"{base}/health", tmp_path / "server.log"):
            log(again(found), generations=2, at=at)
            before, few = logged()
        assert not capfd.readouterr().err
        log(again(found), at=at)
        said = capfd.readouterr()
        assert said.err.count("\n") == 1
        assert "the same command sends them later" in said.err
        with serving(command, f"{base}/health", tmp_path / "server.log"):
            log(again(found), at=at)
            parent, children = logged()
    assert "View run trial" not in capfd.readouterr().out
    assert parent.info.run_id == before.info.run_id
    assert len(few) < len(children)
    assert set(children) == {one.number for one in found.finished if not one.repeats}
    assert (tmp_path / "died").exists()
    for number, run in children.items():
        assert run.info.status == ("FAILED" if found.finished[number].failed else "FINISHED")
        if number in few:
            assert run.info.run_id == few[number].info.run_id
    begun = sorted(children, key=lambda number: children[number].info.start_time)
    assert begun == sorted(children)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_best_trial_is_two_clicks_away(found: Search, local: str, tmp_path: Path) -> None:
    """From the table of runs to the search, and from its note to the trial with its scores."""
    if not pages.installed():
        pytest.skip("the UI was not checked: no chromium and chromedriver on PATH")
    log(again(found))
    parent, _ = logged()
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = ["mlflow", "ui", "--backend-store-uri", local, "--workers", "1", "--port", str(port)]
    runs = f"{base}/#/experiments/{parent.info.experiment_id}/runs"
    with (
        serving(command, f"{base}/health", tmp_path / "ui.log"),
        pages.chromium() as browser,
    ):
        name = f"search {found.directory.name}"
        pages.open_page(browser, f"{runs}?workflowType=machine_learning", name)
        pages.wait(browser, lambda: pages.elements(browser, "a", name)[0].click() or True)
        best = pages.targets(browser, "The best trial")[0]
        pages.open_page(browser, best, "validation/rmse")
        score = f"{found.best.error(found.metric):.4f}"[:5]
        pages.shown(browser, f"trial {found.best.number}: ", score)

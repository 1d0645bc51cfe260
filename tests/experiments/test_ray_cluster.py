"""Tasks on a Ray cluster: the bytes of one process, whatever dies or fills up meanwhile."""

import resource
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.config.changes import NAME
from pipeline.errors import PipelineError
from pipeline.experiments import ray_cluster
from pipeline.experiments.backtest.study import FORECASTS, SCORES
from pipeline.experiments.executors import DiedError, Executor, Inline
from pipeline.experiments.search.study import Search
from pipeline.experiments.workers import Workers, executor
from pipeline.files import artifacts
from tests.experiments.backtest import test_fits
from tests.experiments.search import test_trials
from tests.experiments.test_executors import Word, write
from tests.toys import Project, to_yaml, toy_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PATIENCE = 90  # seconds for what takes ten on an idle machine
SEARCH = {
    "trials": 6,
    "sampler": "grid",
    "ranges": {NAME: {"choice": ["lstm", "gru"]}, "window.look_back": {"choice": [8, 9, 200]}},
}
BACKTEST = {"folds": 2, "step": 12}


def project(root: Path) -> Path:
    """A project of one series and a small network."""
    made = Project(root)
    split = {"train": 160, "validation": 220, "test": 280}
    made.write(toy_table(280), card={"split": split, "inputs": ["level", "wind"]})
    (root / "search.yaml").write_text(to_yaml(SEARCH))
    return made.root


def results(search: Search) -> list[Any]:
    """How each trial ended, the sums of its model's files among it, without the seconds it took."""
    took = {"seconds": 0, "fit_seconds": 0}
    runs = [run for one in search.finished for run in one.runs]
    return [run.outcome().model_copy(update=took) for run in runs]


@dataclass(frozen=True)
class Alone:
    """What one process makes."""

    root: Path
    trials: list[Any]
    tested: tuple[bytes, bytes, list[dict[str, str]]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """A search and a backtest by this process."""
    root = project(tmp_path_factory.mktemp("alone"))
    search = test_trials.begun(root, SEARCH)
    search.run(Inline())
    assert [one.scored for one in search.finished].count(False) == 2
    return Alone(root, results(search), tested(root, Inline()))


def tested(root: Path, at: Executor) -> tuple[bytes, bytes, list[dict[str, str]]]:
    """A backtest's scores and forecasts, and the sums of its models' files."""
    made = test_fits.begun(root, BACKTEST)
    made.run(at)
    made.collect()
    sums = [fit.outcome().sha256 for fit in made.fits]
    return (made.directory / SCORES).read_bytes(), (made.directory / FORECASTS).read_bytes(), sums


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of three nodes on this machine: one to ask, and two that work."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ray_cluster.ENVIRONMENT | ray_cluster.LOOPBACK).items():
            patch.setenv(name, value)
        patch.setenv(ray_cluster.TOKEN, secrets.token_urlsafe())
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            made.add_node(num_cpus=2)
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def at(nodes: Any) -> Iterator[Executor]:
    """Its workers."""
    with executor(Workers(executor="ray", address=nodes.address)) as found:
        yield found


def test_a_node_that_goes_changes_no_byte(
    nodes: Any, at: Executor, alone: Alone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search's node is killed while both work: its trial runs again elsewhere, all are the same."""
    search = test_trials.begun(project(tmp_path), SEARCH)
    begun = [search.directory / f"trials/{number:04d}" for number in range(2)]

    def remove() -> None:
        end = time.monotonic() + PATIENCE
        while not all(path.exists() for path in begun) and time.monotonic() < end:
            time.sleep(0.05)
        nodes.remove_node([*nodes.worker_nodes][0], allow_graceful=False)

    remover = threading.Thread(target=remove)
    remover.start()
    search.run(at)
    remover.join()
    assert "its task runs again" in capsys.readouterr().err
    assert len([node for node in at.ray.nodes() if node["Alive"]]) == 2
    assert results(search) == alone.trials


def test_a_backtest_has_the_bytes_of_one_process(
    at: Executor, alone: Alone, tmp_path: Path
) -> None:
    """Scores, forecasts and each fit's model."""
    assert tested(project(tmp_path), at) == alone.tested


def test_a_task_whose_worker_is_killed_is_told_after_three_attempts(
    at: Executor, tmp_path: Path
) -> None:
    """SIGKILL, as when the system is out of memory: two deaths are none, three leave their line."""

    def died(task: Word, error: DiedError) -> Path:
        task.path.write_text(str(error))
        return task.path

    wanted = [
        Word(tmp_path / "lives.txt", "lived", deaths=2),
        Word(tmp_path / "dies.txt", "", 0, 3),
    ]
    found = {path.name: path.read_text() for _, path in at.map(write, wanted, died)}
    assert found["lives.txt"] == "lived"
    assert found["dies.txt"] == (
        "expected its worker to stay alive, found WorkerCrashedError, 3 times; is memory short?"
    )


def write_much(task: Word) -> Path:
    """Write more than the disk has room for."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, kept[1]))
    try:
        artifacts.write_text(task.path, task.text * 9000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
        signal.signal(signal.SIGXFSZ, ignored)
    return task.path


def test_a_full_disk_is_one_line(at: Executor, tmp_path: Path) -> None:
    """It names the file, and what stood there is whole."""
    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(PipelineError, match=r"^[^\n]*a\.txt: [^\n]*File too large[^\n]*$"):
        list(at.map(write_much, [Word(tmp_path / "a.txt", "more")]))
    assert (tmp_path / "a.txt").read_text() == "before"


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A process and all that it started."""
    return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]


def listening(processes: list[psutil.Process]) -> set[str]:
    """The addresses at which processes listen."""
    found = set[str]()
    for one in processes:
        with_ports = one.net_connections("inet")
        found |= {c.laddr.ip for c in with_ports if c.status == psutil.CONN_LISTEN}
    return found

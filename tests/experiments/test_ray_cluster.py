"""Tasks on a Ray cluster: the bytes of one process, whatever dies or fills up meanwhile."""

import resource
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.config.changes import NAME
from pipeline.errors import PipelineError
from pipeline.experiments import ray_cluster, team_fits
from pipeline.experiments.backtest.study import FORECASTS, SCORES
from pipeline.experiments.executors import DiedError, Executor, Inline
from pipeline.experiments.search import places
from pipeline.experiments.search.study import Search
from pipeline.experiments.team_fits import Team
from pipeline.experiments.workers import Workers, executor
from pipeline.files import artifacts
from pipeline.training import checkpoint, team
from tests.experiments import test_team_fits
from tests.experiments.backtest import test_fits
from tests.experiments.search import test_trials
from tests.experiments.test_executors import Word, write
from tests.processes import below, kill, words
from tests.repositories import NO_STORE, environment, kill_when
from tests.toys import ROOT, Project, to_yaml, toy_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
AT_WORK = "ray::_do"  # what Ray calls a process that works on a task
PATIENCE = 180  # seconds for what takes ten on an idle machine
SEARCH = {
    "trials": 5,
    "generation": 5,
    "sampler": "grid",
    "ranges": {NAME: {"choice": ["lstm", "gru"]}, "window.look_back": {"choice": [8, 200]}},
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
    assert {one.scored for one in search.finished} == {True, False}
    return Alone(root, results(search), backtested(root, Inline()))


def backtested(root: Path, at: Executor) -> tuple[bytes, bytes, list[dict[str, str]]]:
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
        patch.setenv("PYTHONPATH", str(ROOT))
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


def workers(node: Any) -> list[psutil.Process]:
    """The processes that a node of Ray has at work."""
    [raylet] = node.all_processes["raylet"]
    return below(psutil.Process(raylet.process.pid), AT_WORK)


def working(nodes: Any) -> list[psutil.Process]:
    """The processes that all nodes have at work."""
    return [one for node in nodes.worker_nodes for one in workers(node)]


def none_works(nodes: Any) -> None:
    """Wait until no process is at work: one that is told to end does so a moment later."""
    end = time.monotonic() + PATIENCE
    while found := working(nodes):
        assert time.monotonic() < end, found
        time.sleep(0.1)


# This one connects to the cluster itself, which a process does once at a time: so before those that
# share a connection.
def test_a_network_by_three_nodes_has_the_bytes_of_one_process(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One leads, two have a part each; one of these goes, and the same command goes on later.

    A worker that dies before all are there has its place again, and who finds no place is told.
    """
    monkeypatch.setattr(checkpoint, "EVERY", 0)
    layout, three = test_team_fits.begun(tmp_path), Team(3, Workers(1, "ray", nodes.address))
    whole = test_team_fits.trained(layout, Team(1))
    looked = list[Any]()

    def gather(server: socket.socket, *rest: Any) -> Any:
        looked.append(listening([psutil.Process()]))
        end = time.monotonic() + PATIENCE
        while not (found := working(nodes)):
            assert time.monotonic() < end
            time.sleep(0.05)
        found[0].kill()
        return team.gather(server, *rest)

    def look() -> None:
        looked.append([len(workers(node)) for node in nodes.worker_nodes])
        looked.append(listening(psutil.Process().children(recursive=True)))

    with monkeypatch.context() as patch:
        patch.setattr(team_fits, "gather", gather)
        assert test_team_fits.trained(layout, three, look) == whole
    assert "ray: WorkerCrashedError: its task runs again" in capsys.readouterr().err
    assert looked == [{"127.0.0.1"}, [1, 1], {"127.0.0.1"}]
    none_works(nodes)

    def remove() -> None:
        node = next(iter(nodes.worker_nodes))
        [worker] = workers(node)
        nodes.remove_node(node, allow_graceful=False)
        kill(worker)  # which ends by itself, if it looks for its node in time

    test_team_fits.lost(layout, three, remove)
    assert "its task runs again" not in capsys.readouterr().err
    none_works(nodes)
    with monkeypatch.context() as patch:
        patch.setattr(team, "START", 1)
        with pytest.raises(PipelineError, match="2 workers at the same time within 1 sec"):
            test_team_fits.trained(layout, three)
    nodes.add_node(num_cpus=2)
    assert test_team_fits.trained(layout, three) == whole
    assert "train: goes on after epoch 2" in capsys.readouterr().err
    assert [*tmp_path.glob(".partial-*")] == []


def test_who_leads_and_is_killed_leaves_no_worker(nodes: Any, tmp_path: Path) -> None:
    """SIGKILL in the middle of a stage: the workers on the nodes end by themselves."""
    layout = test_team_fits.begun(tmp_path, epochs=10**6, patience=10**6)
    env = {"TRAIN_EXECUTOR": "ray", "TRAIN_WORKERS": "3", "RAY_ADDRESS": nodes.address}
    kill_when(
        lambda: [*layout.checkpoint.glob("*.npz")] and len(working(nodes)) == 2,
        tmp_path,
        *(sys.executable, "-m", "pipeline.stages.train"),
        env=NO_STORE | env,
    )
    none_works(nodes)


def test_a_node_that_goes_changes_no_byte(
    nodes: Any, at: Executor, alone: Alone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search's node is killed while it works on a trial, which runs again elsewhere."""
    search = test_trials.begun(project(tmp_path), SEARCH)

    def held() -> tuple[Any, psutil.Process]:
        """A node, and the process on it that works on a trial and can no longer end it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for node in nodes.worker_nodes:
                for one in workers(node):
                    with suppress(psutil.NoSuchProcess):
                        one.suspend()
                        if AT_WORK in words(one):
                            return node, one
                        one.resume()
            time.sleep(0.05)
        raise TimeoutError

    def remove() -> None:
        node, worker = held()
        nodes.remove_node(node, allow_graceful=False)
        kill(worker)

    with ThreadPoolExecutor(1) as beside:
        removed = beside.submit(remove)
        search.run(at)
        removed.result()
    assert "its task runs again" in capsys.readouterr().err
    end = time.monotonic() + PATIENCE  # the cluster learns it a while after who waits for a task
    while len([node for node in at.ray.nodes() if node["Alive"]]) != 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert results(search) == alone.trials


def test_a_backtest_has_the_bytes_of_one_process(
    at: Executor, alone: Alone, tmp_path: Path
) -> None:
    """Scores, forecasts and each fit's model."""
    assert backtested(project(tmp_path), at) == alone.tested


def test_a_task_whose_worker_is_killed_is_told_after_three_attempts(
    at: Executor, tmp_path: Path
) -> None:
    """SIGKILL, as when the system is out of memory: one death is none, three leave their line."""

    def died(task: Word, error: DiedError) -> Path:
        task.path.write_text(str(error))
        return task.path

    wanted = [
        Word(tmp_path / "lives.txt", "lived", deaths=1),
        Word(tmp_path / "dies.txt", "", deaths=3),
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


def test_a_second_cluster_and_an_address_of_nobody_are_refused(nodes: Any, at: Executor) -> None:
    """At once, in one line: Ray would try for a quarter of an hour."""
    refused = pytest.raises(PipelineError, match="ray: expected this process to be in no cluster")
    with refused, executor(Workers(1, "ray", nodes.address)):
        pass
    with pytest.raises(PipelineError, match=r"expected a cluster at 127\.0\.0\.1:9, found: Conn"):
        ray_cluster._reach("127.0.0.1:9")


def hoard(task: Word) -> Path:
    """Take more memory than there is, also if others give some back meanwhile."""
    held = bytearray(3 * 2**30)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(PATIENCE)
    return task.path


def test_a_task_that_takes_too_much_memory_is_told(
    nodes: Any, at: Executor, tmp_path: Path
) -> None:
    """Ray ends it before the system ends others: three attempts, and a line."""
    for node in [*nodes.worker_nodes]:
        nodes.remove_node(node)
    memory = psutil.virtual_memory()
    full = (memory.total - memory.available + 2**29) / memory.total
    nodes.add_node(num_cpus=2, env_vars={"RAY_memory_usage_threshold": f"{full:.3f}"})
    with pytest.raises(DiedError, match="found OutOfMemoryError, 3 times; is memory short"):
        list(at.map(hoard, [Word(tmp_path / "a.txt", "")]))


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A process and all that it started."""
    return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]


def listening(processes: list[psutil.Process]) -> set[str]:
    """The addresses at which processes listen, those of IPv4 as such."""
    found = set[str]()
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            sockets = one.net_connections("inet")
            found |= {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN}
    return {ip.removeprefix("::ffff:") for ip in found}


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A process does nothing meanwhile, and goes on then."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


STRANGER = "import ray, sys; ray.init(address=sys.argv[1])"


def test_a_cluster_of_ones_own_is_closed_to_others(alone: Alone, tmp_path: Path) -> None:
    """Loopback alone, one token, in no file; the bytes of one process, and nobody left."""
    root, home = project(tmp_path / "project"), tmp_path / "home"
    home.mkdir()
    env = environment(NO_STORE | {"PYTHONPATH": str(ROOT), "HOME": str(home)})
    command = [sys.executable, "-m", "pipeline", "search", "--executor", "ray", "--workers", "2"]
    asking = subprocess.Popen(command, cwd=root, env=env, stderr=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE
    while not [*root.glob("data/searches/*/trials/*")]:
        assert asking.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    with stopped(asking):  # or its search could end before the stranger has asked
        processes = family(asking)
        assert len(processes) > 5
        assert listening(processes) == {"127.0.0.1"}
        [address] = {
            word.removeprefix("--gcs-address=")
            for one in processes
            for word in words(one)
            if word.startswith("--gcs-address=")
        }
        other = env | ray_cluster.ENVIRONMENT | ray_cluster.LOOPBACK | {"RAY_AUTH_TOKEN": "another"}

        stranger = subprocess.Popen(
            [sys.executable, "-c", STRANGER, address],
            env=other,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert stranger.stderr is not None
        assert next(line for line in stranger.stderr if "InvalidAuthToken" in line)
        stranger.kill()
        stranger.wait()
    assert asking.poll() is None
    assert asking.wait(PATIENCE) == 0
    assert psutil.wait_procs(processes[1:], timeout=PATIENCE)[1] == []
    [directory] = places.known(root)
    search = places.read(directory).search(root, directory)
    search.run(None)
    assert results(search) == alone.trials
    assert not [path for path in home.rglob("*") if "token" in path.name]

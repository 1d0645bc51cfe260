"""What dies, fills up or breaks under the pipeline: real processes, signals and limits."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, closing, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from urllib.request import urlopen

import boto3
import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
from moto.server import ThreadedMotoServer

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.repository import lockfile
from pipeline.tracking.store import digest
from tests.forking import command
from tests.processes import kill
from tests.repositories import (
    NO_STORE,
    STAGES,
    commit,
    copied,
    environment,
    outputs,
    run,
    set_params,
    stage,
)
from tests.serving import free_port
from tests.toys import from_yaml

pytestmark = pytest.mark.timeout(900)
PATIENCE = 120  # seconds for what takes two on an idle machine
LONG = {"train.epochs": 5000, "train.patience": 5000}


@pytest.fixture
def toy(finished_toy: Path, tmp_path: Path) -> Path:
    """A toy repository whose pipeline has run, its own copy for each test."""
    return copied(finished_toy, tmp_path / "toy")


@pytest.fixture
def windowed(toy: Path) -> Path:
    """The same before its training: neither a store, nor a model, nor scores."""
    (toy / "mlflow.db").unlink()
    for folder in ("model", "reports"):
        shutil.rmtree(toy / "data" / folder)
    return toy


@pytest.fixture(scope="module")
def finished(finished_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, for tests that change nothing."""
    return copied(finished_toy, tmp_path_factory.mktemp("finished") / "toy")


def until(true: Callable[[], object], what: str) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def start(
    directory: Path, *command: str, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command of the environment; what it says goes to the file said.txt."""
    with (directory / "said.txt").open("ab") as said:
        return subprocess.Popen(
            command, cwd=directory, env=environment(env), stdout=said, stderr=subprocess.STDOUT
        )


def query(database: Path, sql: str) -> list[tuple]:
    """Rows of an MLflow store; none while it is being made."""
    try:
        # Not read-only: a server that was killed as it wrote leaves what only a writer rolls back.
        with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True)) as connection:
            return connection.execute(sql).fetchall()
    except sqlite3.Error:
        return []


def statuses(database: Path) -> list[str]:
    """The states of a store's runs, first run first."""
    return [row[0] for row in query(database, "SELECT status FROM runs ORDER BY start_time")]


def epochs(database: Path) -> int:
    """How many epochs a store's runs have logged together."""
    (row,) = query(database, "SELECT count(*) FROM metrics WHERE key = 'train/loss'") or [(0,)]
    return row[0]


def stage_of(dvc: subprocess.Popen[bytes]) -> psutil.Process:
    """The stage that a dvc process runs, not the shell between them."""

    found: list[psutil.Process] = []

    def seen() -> bool:
        for child in psutil.Process(dvc.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(word.startswith("pipeline.stages.") for word in child.cmdline()):
                    found.append(child)
        return bool(found)

    until(seen, "the stage's process")
    return found[0]


# The interpreter of a stage that stops itself once: as it begins, or with an output written beside.
STOPPING = """#!{python} -E
import os, runpy, signal, sys, time
event, place, starts, left = {event!r}, {place}, {starts!r}, [1]
def watch(name, values):
    if name == event and left and str(values[place]).startswith(tuple(starts)):
        left.clear()
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(5)  # of work that is left, once it goes on
sys.addaudithook(watch)
sys.path[0] = os.getcwd()
runpy.run_module(sys.argv[-1], run_name="__main__", alter_sys=True)
"""


def held(
    directory: Path, name: str, shell: str, *, writing: bool
) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    """A dvc that waits for a stage, and the stage, which has stopped before its end.

    A dvc killed as it reads the end of its stage may leave its own lock half written.
    """
    places = [os.path.realpath(directory / path) for path in outputs_of(directory, name)]
    begins = ("import", 0, [f"pipeline.experiments.{name}"])  # it has seen who called it
    event, place, starts = ("os.rename", 1, places) if writing else begins
    python = directory.parent / "bin/python"
    python.parent.mkdir(exist_ok=True)
    python.write_text(
        STOPPING.format(python=sys.executable, event=event, place=place, starts=starts)
    )
    python.chmod(0o755)
    env = {**NO_STORE, "SHELL": shell}
    env["PATH"] = os.pathsep.join([str(python.parent), environment()["PATH"]])
    dvc = start(directory, "dvc", "repro", "-f", "-s", name, env=env)
    process = stage_of(dvc)
    until(lambda: process.status() == psutil.STATUS_STOPPED, f"{name} to stop")
    return dvc, process


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shell"), [*zip(STAGES, cycle(("bash", "dash")))])
def test_killed_processes_cost_nothing(toy: Path, name: str, shell: str) -> None:
    """kill -9 of dvc, the stage, both: no orphan stays, the next run gives a clean run's bytes."""
    found = shutil.which(shell)  # bash becomes the stage, dash stays between it and dvc
    assert found, f"expected {shell} on PATH"
    clean = outputs(toy)
    for victims in (["dvc"], ["stage"], ["dvc", "stage"]):
        dvc, process = held(toy, name, found, writing="stage" in victims)
        if "dvc" in victims:
            dvc.kill()
        if "stage" in victims:
            assert any(written(toy / path) for path in outputs_of(toy, name))
            process.kill()
        else:
            process.resume()
        dvc.wait(PATIENCE)
        assert psutil.wait_procs([process], timeout=PATIENCE)[1] == [], "an orphan runs on"
        if victims == ["dvc"]:
            assert "\ninterrupted\n" in (toy / "said.txt").read_text()
    assert run(toy, "dvc", "repro", "-f", "-s", name, "--no-run-cache", env=NO_STORE)
    assert "up to date" in run(toy, "dvc", "repro", env=NO_STORE)
    assert outputs(toy) == clean


def outputs_of(directory: Path, name: str) -> list[str]:
    """The paths that a stage writes."""
    with chdir(directory):
        return lockfile.declared()[name]


def written(path: Path) -> bool:
    """Whether a part of an output is there, or the file beside it that will replace it."""
    return any(path.rglob("*")) or path.with_name(f".partial-{path.name}").exists()


@pytest.mark.slow
def test_a_killed_run_does_not_stay_running(windowed: Path) -> None:
    """SIGTERM and Ctrl-C end the MLflow run as KILLED; after kill -9 the next training does."""
    toy = windowed
    store = toy / "mlflow.db"
    command = (sys.executable, "-m", "pipeline.stages.train")
    for number, sent in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGINT), start=1):
        set_params(toy, LONG | {"train.seed": number})  # or it would go on in the same run
        before = epochs(store)
        process = start(toy, *command)
        until(lambda before=before: epochs(store) > before, "an epoch")
        assert statuses(store) == ["KILLED"] * (number - 1) + ["RUNNING"]
        process.send_signal(sent)
        assert process.wait(PATIENCE) != 0
    assert statuses(store) == ["KILLED"] * 3
    said = (toy / "said.txt").read_text()
    assert said.count("\ninterrupted\n") == 2
    assert "Traceback" not in said
    assert not (toy / "data/model/model.json").exists()


# Dies in the middle of writing the second state: a part of it is on disk, the first is whole.
DYING = """
import os, signal
import numpy
from pipeline.runtime import process
real, written = numpy.savez, []
def dying(file, **arrays):
    written.append(1)
    if len(written) == 2:
        file.write(b"PK and no more")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    real(file, **arrays)
numpy.savez = dying
process.start("pipeline.stages.train")
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bytes(windowed: Path, tmp_path: Path) -> None:
    """kill -9 of dvc and stage, and in a state's writing; dropout, XLA, early stop: one run."""
    toy, clean = windowed, tmp_path / "clean"
    shutil.copytree(toy, clean, symlinks=True)
    changes = {
        "train.acceleration": "xla",
        "train.epochs": 300,
        "train.learning_rate": 0.02,
        "train.patience": 30,
    }
    for directory in (toy, clean):
        set_params(directory, changes)
    assert "input_dropout: 0.4" in (toy / "params.yaml").read_text()
    assert "name: cosine" in (toy / "params.yaml").read_text()
    begin = ("dvc", "repro", "-s", "train")
    run(clean, *begin, env=NO_STORE)
    assert not (clean / "data/checkpoint").exists()

    store, kept = toy / "mlflow.db", toy / "data/checkpoint/lstm.npz"
    dvc = start(toy, *begin)
    process = stage_of(dvc)
    until(lambda: epochs(store) >= 3 and kept.exists(), "three epochs")
    # A stage whose dvc is gone ends its run as KILLED within a second, so it is killed first; and a
    # dvc that sees its stage die writes its lock: it sees nothing more.
    dvc.send_signal(signal.SIGSTOP)
    process.kill()
    dvc.kill()
    dvc.wait(PATIENCE)
    psutil.wait_procs([process], timeout=PATIENCE)
    before = kept.read_bytes()
    assert statuses(store) == ["RUNNING"]
    said = run(toy, sys.executable, "-c", DYING, status=-signal.SIGKILL)
    assert "train: goes on after epoch " in said
    assert (kept.parent / ".partial-lstm.npz").read_bytes() == b"PK and no more"
    assert kept.read_bytes() != before
    said = run(toy, *begin)
    assert re.search(r"train: goes on after epoch \d+ of MLflow run \w+; rm -r data/check", said)

    for name in (
        "data/model/model.weights.h5",
        "data/model/model.json",
        "data/reports/history.csv",
    ):
        assert (toy / name).read_bytes() == (clean / name).read_bytes(), name
    total = len(pd.read_csv(toy / "data/reports/history.csv"))
    assert 30 < total < 300  # it stopped early
    assert statuses(store) == ["FINISHED"]
    steps = query(store, "SELECT step FROM metrics WHERE key = 'train/loss' ORDER BY step")
    assert [step for (step,) in steps] == list(range(1, total + 1))
    assert not kept.parent.exists()


@contextmanager
def tracking_server(directory: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real `mlflow server` that answers; it is killed at the end, with all it started."""
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{directory}/server.db"]
    command += ["--artifacts-destination", str(directory / "artifacts")]
    # Without jobs, of which there are none here, it is up in a third of the time.
    server = start(directory, *command, env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
    try:
        until(lambda: answers(port), "the tracking server")
        yield server
    finally:
        kill_tree(server)


def answers(port: int) -> bool:
    """Whether the tracking server is up."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of a process and all its children."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(True)]
    except psutil.NoSuchProcess:
        return
    for member in family:  # which may end as their parent does
        kill(member)
    process.wait()


@pytest.mark.slow
def test_a_tracking_server_that_dies_loses_nothing(windowed: Path, tmp_path: Path) -> None:
    """It dies in training and stays down: all files are written, and sync sends the rest, once."""
    toy = windowed
    set_params(toy, {"train.epochs": 40, "train.patience": 40})
    port = free_port()
    env = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    with tracking_server(tmp_path, port) as server:
        training = start(toy, sys.executable, "-m", "pipeline.stages.train", env=env)
        until(lambda: epochs(tmp_path / "server.db") > 1, "two epochs")
        kill_tree(server)
        assert training.wait(PATIENCE) == 0
    known = epochs(tmp_path / "server.db")
    began = time.monotonic()
    warning = stage(toy, "evaluate", env=env)
    assert time.monotonic() - began < PATIENCE
    assert "python -m pipeline sync sends it later" in warning
    assert "python -m pipeline sync sends it later" in (toy / "said.txt").read_text()
    total = len(pd.read_csv(toy / "data/reports/history.csv"))
    assert 1 < known < total
    # They ran without DVC, and sync asks what is up to date.
    run(toy, "dvc", "commit", "-f", "train", "evaluate")
    with tracking_server(tmp_path, port):
        assert "sent as run" in command(toy, "sync", env=env)
        assert "nothing to send" in command(toy, "sync", env=env)
    assert statuses(tmp_path / "server.db") == ["FINISHED"]
    steps = query(tmp_path / "server.db", "SELECT step FROM metrics WHERE key = 'train/loss'")
    assert sorted(step for (step,) in steps) == list(range(1, total + 1))
    assert list((tmp_path / "artifacts").rglob("report.md"))
    assert list((tmp_path / "artifacts").rglob("model.weights.h5"))


@pytest.mark.slow
def test_an_experiment_that_a_server_missed_keeps_its_name(toy: Path, tmp_path: Path) -> None:
    """What `dvc exp run -n NAME` made while the server was down, sync sends under that name."""
    run(toy, "dvc", "exp", "run", "-n", "down", "-S", "train.seed=2", env=NO_STORE)
    store = f"sqlite:///{tmp_path / 'other.db'}"
    assert "sent as run" in command(toy, "sync", env={"MLFLOW_TRACKING_URI": store})
    client = mlflow.MlflowClient(store)
    (sent,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert sent.info.run_name.startswith("down: ")
    assert sent.data.tags["dvc.experiment"] == "down"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "limit"),
    [
        ("ingest", "data/ingested/series.parquet", 4),
        ("train", "data/model/model.weights.h5", 8),
        ("evaluate", "data/reports/predictions.parquet", 16),
    ],
    ids=["Parquet", "weights", "predictions"],
)
def test_a_full_disk_leaves_the_last_file_whole(
    toy: Path, name: str, file: str, limit: int
) -> None:
    """One line says which file could not be written; the file that stood there is untouched."""
    before = (toy / file).read_bytes()
    command = f"ulimit -f {limit}; exec {sys.executable} -B -m pipeline.stages.{name}"
    said = run(toy, "bash", "-c", command, status=1, env=NO_STORE)
    *before_it, last = said.strip().splitlines()
    assert last.startswith(f"error: {file}: could not be written, the old file is kept: ")
    assert last.endswith("is the disk full?")
    remarks = ("warning: ", "data/")  # of what they saw before, as that the store is down
    assert [line for line in before_it if not line.startswith(remarks)] == []
    assert (toy / file).read_bytes() == before
    assert list((toy / file).parent.glob(".partial-*")) == []


def test_a_full_file_system_leaves_the_last_file_whole(tmp_path: Path) -> None:
    """On a file system of 64 KiB with no room left, arrays, frames and JSON say so and stay."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        small, large = np.zeros(100), np.random.default_rng(1).random(20_000)
        write: dict[str, Callable[[Path, np.ndarray], None]] = {
            "a.npy": artifacts.write_array,
            "a.parquet": lambda path, array: artifacts.write_frame(
                path, pd.DataFrame({"a": array})
            ),
            "a.json": lambda path, array: artifacts.write_json(path, array.tolist()),
        }
        for name, function in write.items():
            function(tmp_path / name, small)
            before = (tmp_path / name).read_bytes()
            with pytest.raises(PipelineError, match=rf"{name}: could not be written"):
                function(tmp_path / name, large)
            assert (tmp_path / name).read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(write)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_locked_store_does_not_stop_a_training(toy: Path) -> None:
    """While another process locks the SQLite store, training warns in one line and goes on."""
    hold = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(toy / "mlflow.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert hold.stdout is not None
        assert hold.stdout.readline() == b"locked\n"
        weights = toy / "data/model/model.weights.h5"
        before = weights.read_bytes()
        weights.unlink()
        said = stage(toy, "train", env={})
    finally:
        hold.kill()
        hold.wait()
    assert weights.read_bytes() == before
    assert said.count("database is locked") == 1
    assert "python -m pipeline sync sends it later" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_artifacts_in_an_s3_that_is_down_are_sent_later(toy: Path, tmp_path: Path) -> None:
    """Training and evaluation warn in one line each and go on; when it is back, sync sends all."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    env = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",  # or each that is refused is tried five times
        "MLFLOW_S3_ENDPOINT_URL": address,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
    }
    mlflow.MlflowClient(env["MLFLOW_TRACKING_URI"]).create_experiment("toy", "s3://forecasts/runs")
    for name in ("train", "evaluate"):
        said = stage(toy, name, env=env)
        assert said.count("Could not connect to the endpoint URL") == 1
        assert "python -m pipeline sync sends it later" in said
        assert "Traceback" not in said
    run(toy, "dvc", "commit", "-f", "train", "evaluate")
    assert "Could not connect to the endpoint URL" in command(toy, "sync", env=env, status=1)
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    store.start()
    try:
        names = ("aws_access_key_id", "aws_secret_access_key")
        keys = {name: env[name.upper()] for name in names}
        region = env["AWS_DEFAULT_REGION"]
        s3 = boto3.client("s3", endpoint_url=address, region_name=region, **keys)
        s3.create_bucket(Bucket="forecasts")
        assert "sent as run" in command(toy, "sync", env=env)
        assert "nothing to send" in command(toy, "sync", env=env)
        sent = [entry["Key"] for entry in s3.list_objects_v2(Bucket="forecasts")["Contents"]]
    finally:
        store.stop()
    for file in ("environment.json", "report.md", "model.weights.h5"):
        assert any(key.endswith(file) for key in sent), file


@pytest.mark.slow
def test_experiments_at_once_are_all_there(toy: Path) -> None:
    """Two queued with two workers, one --temp retried on DVC's lock: three runs, none mixed."""
    run(toy, "git", "add", "-f", "data/raw/toy/toy.csv")  # or the copies would lack it
    commit(toy, "data")
    run(toy, "dvc", "exp", "run", "--queue", "-S", "train.seed=11,12")
    retry = (
        "for i in {1..30}; do dvc exp run --temp -S train.seed=$0 && exit; sleep 1; done; exit 1"
    )
    temp = start(toy, "bash", "-c", retry, "13")
    # To a file: its workers keep what it writes to, so that a pipe would end with them alone.
    assert start(toy, "dvc", "queue", "start", "-j", "2").wait(PATIENCE) == 0
    store = toy / "mlflow.db"

    def finished() -> bool:
        return len(query(store, "SELECT 1 FROM tags WHERE key = 'pipeline.scores'")) == 1 + 3

    try:
        assert temp.wait(5 * PATIENCE) == 0, (toy / "said.txt").read_text()
        until(finished, "the queued experiments")
    finally:
        kill_tree(temp)
        for process in psutil.process_iter(["cwd"]):  # a worker that waits for more
            if process.info["cwd"] == str(toy):
                kill(process)
    until(lambda: statuses(store) == ["FINISHED"] * 4, "four finished runs")
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    runs = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    seeds = {logged.data.params["train.seed"]: logged for logged in runs}
    assert set(seeds) == {"1", "11", "12", "13"}
    assert len({logged.data.tags["pipeline.content"] for logged in runs}) == 4
    for seed, logged in seeds.items():
        own = toy / "mlartifacts" / logged.info.run_id / "artifacts"
        metrics = artifacts.read_json(own / "report/metrics.json")
        assert metrics["test"]["rmse"] == logged.data.metrics["test/rmse"]
        assert f"seed {seed}" in logged.info.run_name
        assert f"| train.seed | {seed} |" in (own / "report/report.md").read_text()
        (model,) = logged.outputs.model_outputs
        (spec,) = (toy / "mlartifacts").glob(f"models/{model.model_id}/**/model.json")
        others = ("model.weights.h5", "imputer.json", "scaler.json")
        content = digest(spec, *(spec.parent / name for name in others))
        assert content == logged.data.tags["pipeline.content"]


BREAK: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "other bytes": lambda content: b"\0\xff" * (len(content) // 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", BREAK)
@pytest.mark.parametrize(
    "file", ["model/model.weights.h5", "model/model.json", "prepared/scaler.json"]
)
def test_a_broken_file_is_found_before_use(finished: Path, file: str, how: str) -> None:
    """A model is not built from it; the line names the file and the command that mends it."""
    from pipeline.files.layout import HERE
    from pipeline.forecasting.forecaster import Forecaster, stage_files

    path = finished / "data" / file
    whole = path.read_bytes()
    path.write_bytes(BREAK[how](whole))
    try:
        with chdir(finished), pytest.raises(PipelineError) as caught:
            Forecaster.load(stage_files(HERE, "toy"))
    finally:
        path.write_bytes(whole)
    line = str(caught.value)
    assert line.startswith(f"data/{file}: expected a whole file, found ")
    assert line.endswith("; remove it and run: dvc repro")
    assert "\n" not in line


@pytest.mark.slow
def test_one_flipped_bit_is_mended(toy: Path) -> None:
    """`dvc repro` sees weights that differ from dvc.lock in one bit, and restores them."""
    clean = outputs(toy)
    weights = toy / "data/model/model.weights.h5"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.unlink()
    weights.write_bytes(content)
    run(toy, "dvc", "repro", env=NO_STORE)
    assert outputs(toy) == clean


@pytest.mark.slow
def test_broken_locks_are_found_before_dvc_reads_them(toy: Path) -> None:
    """`make check` names a broken dvc.lock or .dvc/tmp/rwlock with the command that mends it."""
    lock, rwlock = toy / "dvc.lock", toy / ".dvc/tmp/rwlock"
    whole = lock.read_bytes()
    for content in (
        whole[: len(whole) // 2],
        b"schema: [",
        b"\0",
        whole.replace(b"md5: ", b"md5: x"),
    ):
        lock.write_bytes(content)
        said = command(toy, "check", status=1)
        assert re.fullmatch(r"error: dvc\.lock.*restore it with: git checkout dvc\.lock.*\n", said)
        run(toy, "git", "checkout", "dvc.lock")
    rwlock.write_text('{"write": {"data')
    said = command(toy, "check", status=1)
    assert said.endswith("when no dvc command runs, remove it with: rm .dvc/tmp/rwlock\n")
    run(toy, *said.rsplit(": ", 1)[1].split())
    (toy / ".dvc/tmp/lock").write_text("left behind")
    assert command(toy, "check") == ""
    assert "up to date" in run(toy, "dvc", "repro", env=NO_STORE)


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_training(toy: Path) -> None:
    """The epoch is named, the run is FAILED, and no model, old or new, is passed on."""
    steep = {"train.optimizer": "sgd", "train.learning_rate": 1e9, "train.loss": "mse"}
    set_params(toy, steep)
    said = run(toy, "dvc", "repro", status=None)
    assert re.search(r"error: train: \w+/loss is (nan|inf) in epoch 1, expected a finite", said)
    assert "Traceback" not in said
    assert statuses(toy / "mlflow.db") == ["FINISHED", "FAILED"]
    for file in outputs_of(toy, "train"):
        assert not (toy / file).exists()
    recorded = from_yaml((toy / "dvc.lock").read_text())["stages"]["train"]["params"]
    assert recorded["params.yaml"]["train"]["learning_rate"] != 1e9
    assert "train" in run(toy, "dvc", "status")


@pytest.mark.slow
def test_parameters_that_are_edited_while_training_are_not_recorded(windowed: Path) -> None:
    """DVC takes no seed's weights for another's; with the parameters put back, they can stay."""
    toy = windowed
    set_params(toy, {"train.epochs": 150, "train.patience": 150})
    dvc = start(toy, "dvc", "repro", "train")
    until(lambda: epochs(toy / "mlflow.db"), "an epoch")
    set_params(toy, {"train.seed": 7})
    assert dvc.wait(PATIENCE) != 0
    said = (toy / "said.txt").read_text()
    assert "error: params.yaml or the card was changed while the stage ran" in said
    recorded = from_yaml((toy / "dvc.lock").read_text())["stages"]["train"]["params"]
    assert recorded["params.yaml"]["train"]["seed"] == 1
    assert "train" in run(toy, "dvc", "status")
    set_params(toy, {"train.seed": 1})
    run(toy, "dvc", "commit", "-f", "train", env=NO_STORE)
    assert "up to date" in run(toy, "dvc", "repro", "train", env=NO_STORE)


def test_who_reads_a_command_may_stop_reading() -> None:
    """A pipe into `head` ends the command without a word, with exit code 1."""
    code = "from pipeline.runtime.process import run; run(lambda: print('a line\\n' * 100_000))"
    command = [sys.executable, "-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "a line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE) == 1


def test_another_broken_pipe_is_not_silent() -> None:
    """A pipe that breaks elsewhere, as to a server, is told."""
    code = "import os; from pipeline.runtime.process import run; r, w = os.pipe(); os.close(r)"
    command = [sys.executable, "-c", f"{code}; run(lambda: os.write(w, b'.'))"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr

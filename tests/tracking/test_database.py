"""MLflow's database: made whole or not at all, migrated beside, found under any path."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir, closing, suppress
from functools import partial
from pathlib import Path
from random import Random

import mlflow
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from mlflow.store.db import utils
from sqlalchemy import Engine, event, make_url

from pipeline.errors import PipelineError
from pipeline.tracking import database, logged_runs, store
from pipeline.tracking.database import StoreError
from tests.forking import started
from tests.repositories import ROOT, environment

NASTY = "50% of %2F 'all' \"these\" ?x=1 #größe; $HOME"


def in_a_child(action: Callable[[], object], kill_at: int | None = None) -> int:
    """The exit code of a process that does this, killed for real before its n-th SQL statement."""
    process = started(_child, action, kill_at)
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def _child(action: Callable[[], object], kill_at: int | None) -> None:
    done = 0

    def before_statement(*_: object) -> None:
        nonlocal done
        done += 1
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", before_statement)
    action()


def works(file: Path) -> bool:
    """Whether MLflow logs a run to it."""
    client = mlflow.MlflowClient(database.address(file))
    run = client.create_run("0")
    return client.get_run(run.info.run_id).info.status == "RUNNING"


def in_place(file: Path) -> None:
    """What MLflow does by itself where there is no database."""
    utils._initialize_tables(utils.create_sqlalchemy_engine(database.address(file)))


def execute(file: Path, *statements: str) -> list[tuple]:
    """What a database answers to the last of some statements."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


@pytest.fixture(scope="module")
def made_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as an MLflow of three steps ago has it, with one run."""
    file = tmp_path_factory.mktemp("before") / "mlflow.db"
    config = utils._get_alembic_config(database.address(file))
    steps = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
    engine = utils.create_sqlalchemy_engine(database.address(file))
    utils.InitialBase.metadata.create_all(engine)
    command.upgrade(config, steps[3])
    engine.dispose()
    execute(
        file,
        "INSERT INTO experiments (experiment_id, name, lifecycle_stage, artifact_location) "
        "VALUES (0, 'Default', 'active', 'file:///runs')",
        "INSERT INTO runs (run_uuid, status, lifecycle_stage, experiment_id, artifact_uri) "
        "VALUES ('mine', 'FINISHED', 'active', 0, 'file:///runs/mine')",
    )
    return file


@pytest.fixture
def older(made_before: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copy(made_before, tmp_path))


def test_a_kill_while_the_database_is_made_leaves_none(tmp_path: Path) -> None:
    """kill -9 at the beginning, midway and late: no database, and the next process makes one."""
    file = tmp_path / "mlflow.db"
    for statement in (1, 150, 500):
        assert in_a_child(partial(database.ensure, file), statement) == -signal.SIGKILL
        assert not file.exists()
    database.ensure(file)
    assert works(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_kill_at_any_statement_leaves_a_usable_place(tmp_path: Path) -> None:
    """Wherever in its making a process is killed, the next one logs a run."""
    for statement in range(20, 1000, 89):
        file = tmp_path / f"{statement}.db"
        assert in_a_child(partial(database.ensure, file), statement) in (0, -signal.SIGKILL)
        database.ensure(file)
        assert works(file)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The seconds that a command takes which makes the database."""
    return run_for(tmp_path_factory.mktemp("whole") / "place")[1]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_may_be_ended_at_any_moment(
    tmp_path: Path, sent: signal.Signals, whole: float
) -> None:
    """At random moments, by each signal: no traceback, and the next process makes the database."""
    random = Random(int(sent))
    for attempt in range(3):
        place = tmp_path / str(attempt)
        said, _ = run_for(place, sent, random.uniform(0.3, 1) * whole)
        assert "Traceback" not in said
        database.ensure(place / "mlflow.db")
        assert works(place / "mlflow.db")
        assert not list(place.glob(".partial-*"))


def run_for(
    place: Path, sent: signal.Signals | None = None, seconds: float = 0
) -> tuple[str, float]:
    """What a command says that makes the database in a new directory, and how long it runs.

    If it is sent a signal, then after these seconds.
    """
    place.mkdir()
    (place / "params.yaml").touch()  # of a project
    command = [sys.executable, "-m", "pipeline", "store-uri"]
    began = time.monotonic()
    env = environment({"PYTHONPATH": str(ROOT)})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=place, env=env, **pipes) as process:
        if sent is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            process.send_signal(sent)
        return process.communicate()[0], time.monotonic() - began


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C while the database is made takes away what was begun."""
    file = tmp_path / "mlflow.db"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            database.ensure(file)
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db.lock"]


def test_two_processes_at_once_make_one_database(tmp_path: Path) -> None:
    """The second waits for the first and uses what that one made."""
    file = tmp_path / "mlflow.db"
    makers = [started(database.ensure, file) for _ in range(2)]
    for maker in makers:
        maker.join(120)
    assert [maker.exitcode for maker in makers] == [0, 0]
    assert works(file)


def test_a_database_that_mlflow_left_half_made_is_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It holds no run: a new one is made, the old file is kept and named."""
    file = tmp_path / "mlflow.db"
    assert in_a_child(partial(in_place, file), 400) == -signal.SIGKILL
    half = file.read_bytes()
    database.ensure(file)
    assert works(file)
    said = capsys.readouterr().err.strip()
    assert said.startswith("note: mlflow.db was replaced by a new one, because it was incomplete ")
    assert said.endswith("the old file is kept as mlflow.db.old1")
    assert "\n" not in said
    assert (tmp_path / "mlflow.db.old1").read_bytes() == half


def test_an_older_database_is_migrated_beside(
    older: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kill meanwhile leaves it as it was; then its run is in the new one, and it stays beside."""
    before = older.read_bytes()
    assert in_a_child(partial(database.ensure, older), 20) == -signal.SIGKILL
    assert older.read_bytes() == before
    database.ensure(older)
    assert works(older)
    assert ("mine",) in execute(older, "SELECT run_uuid FROM runs")
    assert older.with_name("mlflow.db.old1").read_bytes() == before
    assert "mlflow.db was migrated" in capsys.readouterr().err


def test_a_half_migrated_database_with_runs_is_left_alone(older: Path) -> None:
    """The line counts its runs and says how to go on; no byte of it changes."""
    # As if MLflow had been killed in place: a later step's column is there, its mark is not.
    execute(older, "ALTER TABLE jobs ADD COLUMN creator VARCHAR(255)")
    before = older.read_bytes()
    with pytest.raises(StoreError) as caught:
        database.ensure(older)
    assert "found one with 1 runs that it cannot (" in str(caught.value)
    assert "duplicate column name" in str(caught.value)
    assert str(caught.value).endswith("start a new one with: mv mlflow.db mlflow.db.old")
    assert "\n" not in str(caught.value)
    assert older.read_bytes() == before


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    """A file of other bytes is neither used nor overwritten."""
    file = tmp_path / "mlflow.db"
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="that can be read, found: file is not a database"):
        database.ensure(file)
    assert file.read_bytes() == b"no database at all" * 100


@given(st.lists(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1)))
def test_an_address_leads_back_to_its_file(names: list[str]) -> None:
    """SQLAlchemy reads every path out of its address as it went in, and MLflow makes no other."""
    file = Path("/", *(name for name in names if name not in (".", "..")), "mlflow.db")
    uri = database.address(file)
    assert make_url(uri).database == str(file)
    assert database.behind(uri) == file
    assert not uri.startswith("sqlite:///") or uri.removeprefix("sqlite:///") == str(file)


def test_a_directory_may_have_any_name(tmp_path: Path, anywhere: pytest.MonkeyPatch) -> None:
    """Runs and artifacts are inside it, whatever it is called; nothing is made beside it."""
    directory = tmp_path / NASTY
    directory.mkdir()
    with chdir(directory):
        client = store.connect()
        experiment = store.experiment_id(client, "toy")
        run = client.create_run(experiment)
        client.log_text(run.info.run_id, "kept", "report/report.md")
        text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/report/report.md")
    assert text == "kept"
    assert list((directory / "mlartifacts").rglob("report.md"))
    assert (directory / "mlflow.db").exists()
    assert [path.name for path in tmp_path.iterdir()] == [NASTY]


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("mysql+nosuchdriver://user:secret@127.0.0.1/runs", "mysql.nosuchdriver"),
        ("mssql+pyodbc://user:secret@127.0.0.1/runs", "No module named 'pyodbc'"),
        ("postgresql://user:secret@127.0.0.1:port/runs", "'port'"),
        ("http://[", "Invalid IPv6 URL"),
        ("sqlite:/mlflow.db", "Could not parse"),
        ("sqlite://host/mlflow.db", "Invalid SQLite URL"),
    ],
)
def test_an_address_that_cannot_be_used_does_not_stop_a_training(
    anywhere: pytest.MonkeyPatch, uri: str, found: str
) -> None:
    """No driver, no number for a port, no host: one line, as of a store that is down."""
    anywhere.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(store.unavailable()) as caught:
        store.connect()
    line = str(caught.value)
    assert line.startswith("MLFLOW_TRACKING_URI: expected the address of a store, as ")
    assert found in line
    assert "\n" not in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://user:secret@10.0.0.1/runs", "postgresql://user:***@10.0.0.1/runs"),
        ("mysql+pymysql://user:sec/r@et@10.0.0.1", "mysql+pymysql://user:***@10.0.0.1"),
        ("http://user:secret@10.0.0.1:5000/a", "http://user:***@10.0.0.1:5000/a"),
        ("postgresql:///runs?user=me&password=secret&port=1", "&password=***&port=1"),
    ],
)
def test_no_message_shows_a_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uri: str, shown: str
) -> None:
    """The address of the store is said without its password, and so is what a library says."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    refused = mlflow.MlflowException(f"API request to {uri}/api failed with no answer")
    store.warn(refused)
    said = [capsys.readouterr().err]
    with pytest.raises(PipelineError) as caught, logged_runs.answering():
        raise refused
    for text in [*said, str(caught.value), store.shown(), logged_runs.address("1")]:
        assert "secret" not in text
        assert "sec/r@et" not in text
    assert all(text.count(shown) == 2 for text in (said[0], str(caught.value)))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert store.shown() == "http://127.0.0.1:5000"

"""The SQLite file in which MLflow keeps runs: its address, how to create it safely, and to move it.

MLflow creates and migrates a database step by step in place, and cannot continue one that was left
half-way. Here both happen in a separate file, which replaces the database once it is complete.
Runs name their files by absolute addresses, which are mended where the repository was moved.
"""

import fcntl
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from sqlalchemy import event, make_url
from sqlalchemy.engine import URL

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.runtime.progress import say

FOLDER = "mlartifacts"
# Where MLflow's database has addresses of files.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


class StoreError(PipelineError):
    """A store that cannot be used, which must not stop a training."""


def root() -> Path:
    """The repository's root; of the parent repository where DVC works in a temporary copy."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def own() -> Path:
    """The repository's own database."""
    return root() / "mlflow.db"


def address(file: Path) -> str:
    """The tracking URI of a database, whatever characters its path has."""
    plain = URL.create("sqlite", database=str(file)).render_as_string()
    # Unless a driver is named, MLflow makes the directory that a quoted path seems to name.
    return plain.replace("sqlite:", "sqlite+pysqlite:", 1) if "%" in plain else plain


def behind(uri: str) -> Path | None:
    """The database behind a tracking URI; None if that is a server or a database in memory."""
    if not uri.startswith("sqlite"):
        return None
    url = make_url(uri)
    in_memory = url.database in (None, "", ":memory:") or "uri" in url.query
    return None if in_memory else Path(str(url.database)).absolute()


def ensure(file: Path) -> None:
    """Create the database, or migrate it, unless it has the format of the installed MLflow.

    The old file is kept: a copy is migrated, or, if that is not possible and there are no runs in
    it, a new one is created. StoreError if it cannot be read, or has runs and cannot be migrated.
    """
    if _current(file):
        return
    with _alone(file):
        if _current(file):  # another process was first
            return
        with artifacts.swapping(file) as beside:
            if file.exists() and file.stat().st_size:
                _renew(file, beside)
            else:
                _make(beside)


def _renew(file: Path, beside: Path) -> None:
    """Migrate a copy, or make a new one for what held no run; link the old one beside."""
    how = "migrated to the format of the installed MLflow"
    try:
        _make(beside, file)
    except Exception as error:  # whatever a migration meets in what another left half-way
        if runs := _runs(file):
            raise StoreError(
                f"{file}: expected a database that MLflow can migrate, found one with {runs} runs "
                f"that it cannot ({str(error).splitlines()[0]}); restore an earlier "
                f"copy, or start a new one with: mv {file.name} {file.name}.old"
            ) from None
        how = "replaced by a new one, because it was incomplete and held no run"
        _make(beside)
    old = next(old for i in count(1) if not (old := Path(f"{file}.old{i}")).exists())
    old.hardlink_to(file)
    say(f"note: {file.name} was {how}; the old file is kept as {old.name}")


def _make(beside: Path, old: Path | None = None) -> None:
    """A database as the MLflow installed has it, empty or with all that the old one holds."""
    from mlflow.store.db import utils
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # success needs no line
    beside.unlink(missing_ok=True)  # of a process that was killed
    if old:
        with closing(connected(old)) as source, closing(sqlite3.connect(beside)) as copy:
            source.backup(copy)
    engine = utils.create_sqlalchemy_engine(address(beside))
    event.listen(engine, "connect", _hurry)
    if utils._is_empty_database(engine):
        utils._initialize_tables(engine)
    else:
        utils._upgrade_db(engine)
    engine.dispose()
    # With a URI: MLflow's own path for its first experiment breaks in a directory with quotes.
    store = SqlAlchemyStore(address(beside), (root() / FOLDER).as_uri())
    store.engine.dispose()


def _hurry(connection: sqlite3.Connection, _: object) -> None:
    """Do not wait for the disk at each step, since nobody uses the file before it is whole."""
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")


def _current(file: Path) -> bool:
    """Whether the last step of making a database was taken, by the MLflow installed."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    steps = _ask(file, "SELECT version_num FROM alembic_version", "alembic_version")
    return steps == [(_get_latest_schema_revision(),)]


def _runs(file: Path) -> int:
    """How many runs there are; a migration keeps them elsewhere while it changes their table."""
    tables = ("runs", "_alembic_tmp_runs")
    return sum(row[0] for t in tables for row in _ask(file, f"SELECT count(*) FROM {t}", t))  # noqa: S608


def _ask(file: Path, sql: str, table: str) -> list[tuple[Any, ...]]:
    """What the database answers; nothing if it, or the table, is not there."""
    if not file.exists():
        return []
    try:
        with closing(connected(file)) as connection:
            there = "SELECT 1 FROM sqlite_master WHERE name = ?"
            if not connection.execute(there, (table,)).fetchone():
                return []
            return connection.execute(sql).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"{file}: expected a database that can be read, found: {error}") from None


def connected(file: Path) -> sqlite3.Connection:
    """The database, which is not made; what a kill left half written is rolled back."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Wait until no other process makes the database; a process that ends lets go."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f"{file.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def check_moved(database: Path) -> None:
    """PipelineError with the remedy if the database's addresses point elsewhere."""
    here = database.with_name(FOLDER)
    try:
        with closing(connected(database)) as connection:
            before = _elsewhere(connection, here)
    except sqlite3.Error:  # none yet, or of no use: whoever opens it says so
        return
    if before:
        raise PipelineError(
            f"{database}: expected its runs' files in {here}, found their addresses in "
            f"{_path(before[0])}: this directory was moved or copied; fix it with: "
            "python -m pipeline sync --moved"
        )


def mend_moved(database: Path) -> str:
    """Have the runs find their files beside the database again; what was done, in words.

    Files that runs left where the directory was before are copied from there; the database as it
    was is kept. PipelineError if it is absent, in use or broken, or a file cannot be written.
    """
    here, kept = database.with_name(FOLDER), database.with_name(f"{database.name}.before-move")
    try:
        with closing(connected(database)) as connection:
            before = _elsewhere(connection, here)
            if not before:
                return f"nothing to do: the runs' files are in {here}"
            with closing(sqlite3.connect(kept)) as copy:
                connection.backup(copy)
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                changed = sum(_move(connection, old, here) for old in before)
    except (sqlite3.Error, OSError) as error:
        raise PipelineError(
            f"{database}: expected a database that can be changed: {error}"
        ) from None
    return (
        f"{changed} addresses now point to {here} instead of "
        f"{', '.join(str(_path(old)) for old in before)}; the old database is kept as {kept.name}"
    )


def _elsewhere(connection: sqlite3.Connection, here: Path) -> list[str]:
    """The addresses of other folders that hold files of the pipeline's experiments."""
    found = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    return [
        address
        for (address,) in found
        if address.startswith("file:") and address.endswith(f"/{FOLDER}") and _path(address) != here
    ]


def _move(connection: sqlite3.Connection, old: str, here: Path) -> int:
    """Replace how addresses begin, and copy the files that are not here; how many there were."""
    changed = 0
    for table, column in ADDRESSES:
        for (address,) in connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall():  # noqa: S608
            if not f"{address}/".startswith(f"{old}/"):
                continue
            source, target = _path(address), here / _path(address).relative_to(_path(old))
            if source.is_dir() and not target.exists():
                shutil.copytree(source, target)
            changed += connection.execute(
                f"UPDATE {table} SET {column} = ? WHERE {column} = ?",  # noqa: S608
                (here.as_uri() + address.removeprefix(old), address),
            ).rowcount
    return changed


def _path(address: str) -> Path:
    return Path(unquote(urlparse(address).path))

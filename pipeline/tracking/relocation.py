"""A repository that was moved: the runs in its database name their files by absolute addresses."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

from pipeline.errors import PipelineError
from pipeline.tracking.database import connected

FOLDER = "mlartifacts"
# Where MLflow's database has addresses of files.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def check(database: Path) -> None:
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


def mend(database: Path) -> str:
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

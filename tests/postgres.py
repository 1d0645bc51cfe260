"""A PostgreSQL server of the tests' own."""

import getpass
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.serving import free_port


def postgresql(name: str) -> str | None:
    """One of PostgreSQL's programs, on PATH or where Debian puts it."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    path = os.pathsep.join([*map(str, places), os.environ["PATH"]])
    return shutil.which(name, path=path)


def as_postgres(*command: str) -> None:
    """Run as postgres if we are root, since PostgreSQL refuses root."""
    # Where a user's PATH may not lead, as with PostgreSQL's own programs.
    runuser = shutil.which("runuser", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    prefix = [str(runuser), "-u", "postgres", "--"] if getpass.getuser() == "root" else []
    subprocess.run([*prefix, *command], cwd="/", check=True, stdout=subprocess.DEVNULL, timeout=120)


@contextmanager
def server(*databases: str) -> Iterator[str]:
    """The address of a PostgreSQL server on a port of this machine, with these databases.

    The test skips where there is none.
    """
    initdb, pg_ctl, createdb = map(postgresql, ("initdb", "pg_ctl", "createdb"))
    if not initdb or not pg_ctl or not createdb:
        warnings.warn("no PostgreSQL: what needs it was NOT checked", stacklevel=1)
        pytest.skip("no PostgreSQL, so this was not checked (apt-get install postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    if getpass.getuser() == "root":
        shutil.chown(directory, "postgres")
    data, port = str(directory / "data"), str(free_port())
    as_postgres(initdb, "-D", data, "-U", "mlflow", "--auth=trust", "-E", "UTF8")
    options = f"-h 127.0.0.1 -p {port} -k {directory}"
    as_postgres(pg_ctl, "-D", data, "-w", "-l", f"{directory}/log", "-o", options, "start")
    try:
        for name in databases:
            as_postgres(createdb, "-h", "127.0.0.1", "-p", port, "-U", "mlflow", name)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}"
    finally:
        as_postgres(pg_ctl, "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(directory, ignore_errors=True)

"""A shared tracking server: PostgreSQL, artifacts through the server, passwords, a restart."""

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import mlflow
import pytest

from tests.forking import command
from tests.repositories import copied, environment, run
from tests.serving import free_port, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
RIDGE = ("-S", "~train.model", "-S", "+train.model={name: ridge}", "-S", "train.residual=none")
PASSWORD = "a-long-enough-password"  # noqa: S105


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


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A PostgreSQL server on a port of this machine, with the databases runs and users."""
    initdb, pg_ctl, createdb = map(postgresql, ("initdb", "pg_ctl", "createdb"))
    if not initdb or not pg_ctl or not createdb:
        warnings.warn("no PostgreSQL: the shared server was NOT checked", stacklevel=1)
        pytest.skip("the shared server was not checked: no PostgreSQL (apt-get install postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    if getpass.getuser() == "root":
        shutil.chown(directory, "postgres")
    data, port = str(directory / "data"), str(free_port())
    as_postgres(initdb, "-D", data, "-U", "mlflow", "--auth=trust", "-E", "UTF8")
    options = f"-h 127.0.0.1 -p {port} -k {directory}"
    as_postgres(pg_ctl, "-D", data, "-w", "-l", f"{directory}/log", "-o", options, "start")
    try:
        for name in ("runs", "users"):
            as_postgres(createdb, "-h", "127.0.0.1", "-p", port, "-U", "mlflow", name)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}"
    finally:
        as_postgres(pg_ctl, "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(directory, ignore_errors=True)


class Server:
    """`mlflow server` with passwords over PostgreSQL; it can be started again on its port."""

    def __init__(self, database: str, directory: Path) -> None:
        self.directory = directory
        self.address = f"http://127.0.0.1:{free_port()}"
        self.database = database
        (directory / "auth.ini").write_text(
            "[mlflow]\n"
            "default_permission = EDIT\n"
            f"database_uri = {database}/users\n"
            "admin_username = admin\n"
            f"admin_password = {PASSWORD}\n"
            "auth_cache_ttl_seconds = 60\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )

    def running(self) -> AbstractContextManager[object]:
        """The server's process, once it answers."""
        host, port = self.address.removeprefix("http://").split(":")
        command = ["mlflow", "server", "--app-name", "basic-auth", "--host", host, "--port", port]
        command += ["--backend-store-uri", f"{self.database}/runs", "--workers", "2"]
        command += ["--artifacts-destination", str(self.directory / "artifacts")]
        env = {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.directory / "auth.ini"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-this-test",
        }
        return serving(command, f"{self.address}/health", self.directory / "server.log", env)

    def user(self, name: str, password: str = PASSWORD) -> dict[str, str]:
        """What a user's shell exports."""
        return {
            "MLFLOW_TRACKING_URI": self.address,
            "MLFLOW_TRACKING_USERNAME": name,
            "MLFLOW_TRACKING_PASSWORD": password,
        }


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The server, not started yet."""
    return Server(database, tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def copies(finished_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three copies of the toy repository, which was trained with seed 1."""
    directory = tmp_path_factory.mktemp("copies")
    return [copied(finished_toy, directory / name) for name in ("ada", "admin", "restored")]


def logged(server: Server) -> list[mlflow.entities.Run]:
    """The runs of the experiment that the server has, asked with the right password."""
    client = mlflow.MlflowClient(server.address)
    found = client.get_experiment_by_name("toy")
    return list(client.search_runs([found.experiment_id])) if found else []


def started(directory: Path, user: dict[str, str], *flags: str) -> subprocess.Popen[str]:
    """An experiment that has begun."""
    return subprocess.Popen(
        ["dvc", "exp", "run", *flags],
        cwd=directory,
        env=environment() | user,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_whole_story_on_a_shared_server(
    server: Server, copies: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Experiments of two users log while the server restarts; nothing is lost or twice."""
    for name, value in server.user("admin").items():
        monkeypatch.setenv(name, value)
    user, (first, second, third) = server.user("ada"), copies
    with server.running():
        client = f"get_app_client('basic-auth', {server.address!r})"
        code = (
            f"from mlflow.server import get_app_client; {client}.create_user('ada', {PASSWORD!r})"
        )
        run(first, sys.executable, "-c", code, env=server.user("admin"))
        wrong = command(first, "compare", env=server.user("ada", "wrong"), status=1)
        assert wrong.startswith(f"error: {server.address}: the server refused the user or password")
        assert wrong.count("\n") == 1
        # Networks as small as these lose to ridge, which is a model too.
        experiments = [
            started(first, user, "-S", "train.seed=2"),
            started(second, server.user("admin"), *RIDGE),
        ]
        deadline = time.monotonic() + 600
        while not logged(server) and time.monotonic() < deadline:
            time.sleep(0.2)
    with server.running():
        said = [experiment.communicate(timeout=900)[0] for experiment in experiments]
        for experiment, output in zip(experiments, said, strict=True):
            assert experiment.returncode == 0, output
            assert "Traceback" not in output
        assert "sent as run" in command(third, "sync", env=user)
        for directory in copies[:2]:
            command(directory, "sync", env=user)
        for directory in copies:
            assert "nothing to send" in command(directory, "sync", env=user)
        scored = [run for run in logged(server) if "test/rmse" in run.data.metrics]
        models = [
            (run.data.params["train.model.name"], run.data.params["train.seed"]) for run in scored
        ]
        assert sorted(models) == [("lstm", "1"), ("lstm", "2"), ("ridge", "1")]

        table = command(first, "compare", env=user)
        assert "1 2" in table
        assert "±" in table
        worst = max(scored, key=lambda run: run.data.metrics["validation/rmse"]).info.run_id
        (best,) = (r.info.run_id for r in scored if r.data.params["train.model.name"] == "ridge")
        command(first, "promote", best, env=user)
        refused = command(first, "promote", worst, status=1, env=user)
        assert "not promoted: baselines, champion" in refused
        model = "models:/toy@champion"
        files = ["--input", "data/raw/toy/toy.csv", "--output", "forecast.csv"]
        assert "3 rows" in command(first, "predict", "--model", model, *files, env=user)
    gone = command(first, "promote", best, "--dry-run", status=1, env=user)
    assert gone.startswith(f"error: {server.address}: ")
    assert gone.count("\n") == 1

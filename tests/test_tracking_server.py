"""A shared tracking server: PostgreSQL, artifacts through the server, passwords, a restart."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import mlflow
import pytest

from tests import postgres
from tests.forking import command
from tests.repositories import copied, environment, run
from tests.serving import free_port, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
RIDGE = ("-S", "~train.model", "-S", "+train.model={name: ridge}", "-S", "train.residual=none")
PASSWORD = "a-long-enough-password"  # noqa: S105


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A PostgreSQL server on a port of this machine, with the databases runs and users."""
    with postgres.server("runs", "users") as address:
        yield address


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

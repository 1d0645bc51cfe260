"""Server processes that tests start themselves, on a free port of this machine."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from tests.full_repository import environment


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to nobody who asks for any.

    So it is still free when, half a minute later, the server is up for which it is.
    """
    while True:
        port = 20_000 + secrets.randbelow(10_000)  # above Ray's, below those that Linux gives
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def serving(
    command: Sequence[str], ping: str, log: Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, once `ping` answers; ended with its children at the end."""
    with log.open("ab") as output:
        server = subprocess.Popen(
            command,
            cwd=log.parent,
            # Half a dozen processes less: nothing here is a job.
            env=environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | (env or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 180
        while not _answers(ping):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield server
    finally:
        stop(server)


def stop(server: subprocess.Popen[bytes]) -> None:
    """End a server and its children."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).status_code < 500
    except requests.RequestException:
        return False

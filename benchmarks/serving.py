"""Part 11: the server under load on loopback, beside `mlflow models serve` of a stock Keras model.

Clients send their next request when the last one is answered. Both servers are single processes;
the clients share the machine with them.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from benchmarks import prediction, project
from benchmarks.measure import ROOT, Row, row
from pipeline.forecasting.forecaster import bundled_files
from pipeline.tracking import publishing

SECONDS = 60.0  # that each load lasts
CLIENTS, ORIGINS = (1, 8, 32), (1, 100)
REQUESTS = 50_000  # over which memory is watched
SETTLED = 0.1  # of them, after which it should not grow any more
HEALTHY = 180  # seconds that a server has to start
LOOK_BACK = project.PARAMS["window"]["look_back"]
KERAS = "mlflow models serve, Keras"
HEAD = "POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "


@dataclass(frozen=True)
class Load:
    """What a server made of a load."""

    seconds: list[float]  # of each request, rising
    errors: int
    lasted: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.seconds) / self.lasted

    def at(self, share: float) -> float:
        """Milliseconds that this share of requests took at most."""
        return 1000 * self.seconds[min(int(share * len(self.seconds)), len(self.seconds) - 1)]


def rows(quick: bool) -> Iterator[Row]:
    """Latency, throughput and errors by clients and origins of each server; memory of one."""
    seconds = 1.0 if quick else SECONDS
    clients, origins = ((2,), (1,)) if quick else (CLIENTS, ORIGINS)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        ours = ["-m", "pipeline", "serve", "--model", str(_ours(directory))]
        programs = {
            "ours, NumPy": ([*ours, "--backend", "numpy"], _raw),
            "ours, TensorFlow": ([*ours, "--backend", "tensorflow"], _raw),
            KERAS: (_stock(directory), _windows),
        }
        found: dict[tuple[str, int, int], Load] = {}
        for program, (command, body) in programs.items():
            with _serving(command, directory) as (port, _):
                for many in origins:
                    content = body(many)
                    asyncio.run(_load(port, content, 2, min(seconds, 3)))  # warm
                    for count in clients:
                        load = asyncio.run(_load(port, content, count, seconds))
                        found[program, many, count] = load
                        yield from _figures(program, many, count, load)
        for (program, many, count), load in found.items():
            if program != KERAS:
                ratio = load.rate / found[KERAS, many, count].rate
                case = f"{_case(many, count)}: requests a second"
                yield row("serving", case, f"{program} over {KERAS}", ratio, "x", at_least=1)
        yield from _memory(programs["ours, NumPy"][0], directory, 200 if quick else REQUESTS)


def _case(origins: int, clients: int) -> str:
    return f"{origins} origin{'s' * (origins > 1)} a request, {clients} clients"


def _figures(program: str, origins: int, clients: int, load: Load) -> Iterator[Row]:
    case = _case(origins, clients)
    aimed = (program, origins, clients) == ("ours, NumPy", 1, 8)
    yield row("serving", f"{case}: p50", program, load.at(0.5), "ms")
    yield row(
        "serving", f"{case}: p99", program, load.at(0.99), "ms", at_most=60 if aimed else None
    )
    yield row("serving", f"{case}: requests a second", program, load.rate, "a second")
    yield row("serving", f"{case}: errors", program, load.errors, "requests", at_most=0)


def _memory(command: list[str], directory: Path, requests: int) -> Iterator[Row]:
    """How much larger the process is after all requests than after the first of them."""
    with _serving(command, directory) as (port, process):
        sizes = []
        for share in (SETTLED, 1 - SETTLED):
            load = asyncio.run(_load(port, _raw(1), 8, np.inf, round(share * requests)))
            sizes.append(psutil.Process(process.pid).memory_info().rss / 2**20)
    case = f"{requests:,} requests of 1 origin"
    name = "ours, NumPy"
    yield row("serving", f"{case}: memory", name, sizes[1], "MB")
    after = f"{case}: memory over that after {round(SETTLED * requests):,}"
    yield row("serving", after, name, sizes[1] / sizes[0], "x", at_most=1.05)
    yield row("serving", f"{case}: errors", name, load.errors, "requests", at_most=0)


async def _load(
    port: int, body: bytes, clients: int, seconds: float, requests: float = np.inf
) -> Load:
    """So many clients ask for so long, or until so many requests were sent."""
    content = f"{HEAD}{len(body)}\r\n\r\n".encode() + body
    took: list[float] = []
    began, sent, wrong = time.perf_counter(), 0, 0

    async def client() -> None:
        nonlocal sent, wrong
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() - began < seconds and sent < requests:
            sent, start = sent + 1, time.perf_counter()
            writer.write(content)
            try:
                status = await _answer(reader)
            except (OSError, asyncio.IncompleteReadError):
                status = 0
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            took.append(time.perf_counter() - start)
            wrong += status != 200
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return Load(sorted(took), wrong, time.perf_counter() - began)


async def _answer(reader: asyncio.StreamReader) -> int:
    """The status of the next answer, which is read to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = head.split("content-length: ", 1)[1].split("\r\n", 1)[0]
    await reader.readexactly(int(length))
    return int(head.split(" ", 2)[1])


def _raw(origins: int) -> bytes:
    """Raw rows, and from which of them to forecast."""
    times = pd.date_range("2000-01-01", periods=LOOK_BACK + 16 + origins, freq="10s").astype("str")
    data = [[time, float(i)] for i, time in enumerate(times)]
    rows = {"dataframe_split": {"columns": ["time", "level"], "data": data}}
    return json.dumps(rows | {"params": {"origins": list(times[-origins:])}}).encode()


def _windows(origins: int) -> bytes:
    """What a network takes: windows that somebody has cut and scaled before."""
    windows = np.arange(origins * LOOK_BACK, dtype=float).reshape(origins, LOOK_BACK, 1) / 1000
    return json.dumps({"inputs": windows.tolist()}).encode()


def _ours(directory: Path) -> Path:
    """The Forecaster of the part prediction, as MLflow keeps it."""
    import mlflow

    bundle, served = directory / "bundle", directory / "served"
    bundle.mkdir()
    for name, file in prediction.model(directory).items():
        if file.exists():
            file.rename(bundled_files(bundle)[name])
    mlflow.pyfunc.save_model(
        served,
        python_model=str(ROOT / "pipeline/forecasting/served_model.py"),
        artifacts={"forecaster": str(bundle)},
        signature=publishing.signature(()),
        pip_requirements=[],
    )
    return served


def _stock(directory: Path) -> list[str]:
    """A Keras model of the same size, as people log and serve one."""
    import keras
    import mlflow

    network = keras.Sequential(
        [keras.Input((LOOK_BACK, 1)), keras.layers.LSTM(64), keras.layers.Dense(1)]
    )
    example = np.zeros((1, LOOK_BACK, 1), np.float32)
    signature = mlflow.models.infer_signature(example, network.predict(example, verbose=0))
    where = directory / "stock"
    mlflow.keras.save_model(network, str(where), signature=signature, pip_requirements=[])
    return ["-m", "mlflow", "models", "serve", "-m", str(where), "--env-manager", "local"]


@contextmanager
def _serving(
    command: Sequence[str], directory: Path
) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """A server's port and process once it is there; ended with its children."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    env: dict[str, Any] = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    with (directory / "server.log").open("w+") as said:
        server = subprocess.Popen(
            [sys.executable, *command, "--port", str(port)],
            cwd=directory, env=env, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
        try:
            _wait(server, port, said.name)
            yield port, server
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _wait(server: "subprocess.Popen[bytes]", port: int, said: str) -> None:
    """Until it takes connections; RuntimeError with its last words if it does not."""
    deadline = time.monotonic() + HEALTHY
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                words = Path(said).read_text(encoding="utf-8")[-2000:]
                raise RuntimeError(words) from None
            time.sleep(0.2)

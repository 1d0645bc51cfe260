"""The server's process: ready or not, patient to a point, ended well, and given a new champion."""

import asyncio
import json
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from anyio import Semaphore
from h11._connection import DEFAULT_MAX_INCOMPLETE_EVENT_SIZE
from starlette.exceptions import HTTPException

from pipeline.errors import PipelineError
from pipeline.files.layout import HERE
from pipeline.forecasting import endpoints
from pipeline.forecasting.forecaster import Forecaster, bundled_files
from pipeline.forecasting.service import Served, Service, follow
from tests.forecasting.test_stored import STORED
from tests.repositories import NO_STORE
from tests.serving import free_port, serving
from tests.toys import ROOT, made_up_calibration, toy_table

pytestmark = pytest.mark.timeout(300)


def rows() -> dict[str, object]:
    """Raw rows in a request's form."""
    table = toy_table()
    split = table.astype(object).where(table.notna(), None).to_dict("split", index=False)
    return {"dataframe_split": split}


@pytest.fixture(scope="module")
def here() -> Forecaster:
    """A model in this process."""
    return Forecaster.load(bundled_files(STORED), "numpy")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, as MLflow keeps it."""
    where = tmp_path_factory.mktemp("server") / "model"
    mlflow.pyfunc.save_model(
        where,
        python_model=str(ROOT / "pipeline/forecasting/served_model.py"),
        artifacts={"forecaster": str(STORED)},
        pip_requirements=[],
    )
    return where


def test_a_server_that_stops_is_not_ready(here: Forecaster) -> None:
    """503 from the signal on, while what is under way is answered."""
    service = Service(Served("m", here))
    ready = next(one for one in endpoints.app(service).routes if one.path == "/ready")  # type: ignore[attr-defined]
    assert asyncio.run(ready.endpoint(None)).status_code == 200  # type: ignore[attr-defined]
    service.stopping = True
    with pytest.raises(HTTPException, match="503: the server stops"):
        asyncio.run(ready.endpoint(None))  # type: ignore[attr-defined]


def test_several_faults_are_told_apart(here: Forecaster) -> None:
    """A fault of each series stands in the one line of an answer, between semicolons."""
    handlers = endpoints.app(Service(Served("m", here))).exception_handlers
    faults = PipelineError("series a:  no rows", "series b: no rows")
    answered: Any = handlers[PipelineError](None, faults)  # type: ignore[arg-type]
    assert json.loads(answered.body)["message"] == "series a: no rows; series b: no rows"


def test_memory_of_requests_together_is_bounded(here: Forecaster) -> None:
    """What would be too much is refused as busy, and finds room once others are done."""
    service = Service(Served("m", here))
    with endpoints._held(service) as hold:
        hold(endpoints.TOGETHER)
        with (
            endpoints._held(service) as another,
            pytest.raises(HTTPException, match="503: busy: too many large requests"),
        ):
            another(1)
    assert service.held == 0
    with endpoints._held(service) as hold:
        hold(1)
    assert service.held == 0


def test_a_turn_that_does_not_come_is_said() -> None:
    """503 in one line, and when to ask again."""

    async def wait() -> None:
        turns = Semaphore(1)
        await endpoints._turn(turns, 0.05)
        with pytest.raises(HTTPException, match=r"expected a turn within 0\.05 s") as said:
            await endpoints._turn(turns, 0.05)
        assert (said.value.status_code, said.value.headers) == (503, {"Retry-After": "1"})

    asyncio.run(wait())


def test_a_small_request_waits_for_no_large_one(
    here: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a large one is answered, a small one gets its answer, and a second large one waits."""
    sizes: list[int] = []
    begun, done = threading.Event(), threading.Event()

    def answer(_: Forecaster, kind: str, content: bytes, keep: object) -> str:
        sizes.append(len(content))
        if len(content) > endpoints.SMALL:
            begun.set()
            done.wait(100)
        return "{}"

    app = endpoints.app(Service(Served("m", here)))

    async def send(size: int) -> int:
        said: list[dict[str, Any]] = []
        about = {"type": "http", "method": "POST", "path": "/invocations", "query_string": b""}
        kind = [(b"content-type", endpoints.JSON.encode())]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b" " * size}

        async def take(part: Any) -> None:
            said.append(part)

        await app(about | {"headers": kind}, receive, take)
        return int(said[0]["status"])

    async def ask() -> None:
        large = [asyncio.create_task(send(endpoints.SMALL + 1)) for _ in range(2)]
        assert await asyncio.to_thread(begun.wait, 100)
        assert await send(endpoints.SMALL) == 200
        assert sizes == [endpoints.SMALL + 1, endpoints.SMALL]
        done.set()
        assert await asyncio.gather(*large) == [200, 200]

    monkeypatch.setattr(endpoints, "answer", answer)
    asyncio.run(ask())


def test_a_model_that_cannot_be_taken_leaves_the_one_in_service(here: Forecaster) -> None:
    """It is told once, whatever is wrong and however often it is tried; the next one is taken."""
    service, told, asked = Service(Served("models:/toy/1", here)), list[str](), iter(range(9))
    end = threading.Event()

    def newest() -> str:
        number = next(asked)
        if number == 6:
            end.set()
        return "models:/toy/1" if number < 2 else f"models:/toy/{2 + number // 5}"

    def load(name: str) -> Forecaster:
        if name.endswith("2"):
            raise PipelineError("broken")
        return here

    follow(service, newest, load, 0.001, told.append, end)
    assert told == [
        "warning: broken; models:/toy/1 stays",
        "models:/toy/3 answers from now on",
    ]
    assert service.now.name == "models:/toy/3"


def raw_request(port: int, *more: str) -> tuple[socket.socket, bytes]:
    """A connection, and the bytes of a right request, with more headers."""
    body = json.dumps(rows()).encode()
    head = ["Host: a", "Content-Type: application/json", f"Content-Length: {len(body)}", *more]
    whole = "\r\n".join(["POST /invocations HTTP/1.1", *head, "", ""]).encode() + body
    return socket.create_connection(("127.0.0.1", port), 60), whole


def until(holds: Callable[[], object], seconds: float = 100) -> None:
    """Wait until something holds; an AssertionError if it takes too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def closed(port: int) -> bool:
    """Whether nobody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.slow
def test_a_server_that_is_stopped_ends_well(model: Path) -> None:
    """On Ctrl-C and SIGTERM what is under way is answered; exit code 0 and no stack trace."""
    env = NO_STORE | {"PYTHONPATH": str(ROOT)}
    for number in (signal.SIGINT, signal.SIGTERM):
        port, log = free_port(), model.parent / f"{number.name}.log"
        command = [sys.executable, "-m", "pipeline", "serve", "--model", str(model)]
        command += ["--backend", "numpy", "--port", str(port)]
        with serving(command, f"http://127.0.0.1:{port}/ping", log, env) as server:
            client, whole = raw_request(port, "Expect: 100-continue")
            client.sendall(whole[:-10])
            said = client.makefile("rb")
            assert said.readline() == b"HTTP/1.1 100 Continue\r\n"  # the server has begun with it
            assert said.readline() == b"\r\n"
            server.send_signal(number)
            until(partial(closed, port))
            client.sendall(whole[-10:])
            answer = said.read()  # the server closes at its end
            assert answer.startswith(b"HTTP/1.1 200 OK") and b'"predictions"' in answer
            assert server.wait(100) == 0
        assert log.read_text().splitlines()[1:] == ["stopped"]


@pytest.fixture(scope="module")
def followed(
    model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, mlflow.MlflowClient]]:
    """The port of a server of the champion, which looks often for another, and its registry.

    Version 2 of the model has intervals, version 1, which is the champion, has none.
    """
    root = tmp_path_factory.mktemp("followed")
    uri = f"sqlite:///{root}/store.db"
    other = shutil.copytree(model, root / "other")
    with chdir(root):
        made_up_calibration(["level"], 3, levels=(50,))
        shutil.copy(HERE.calibration, other / "artifacts/stored")
    client = mlflow.MlflowClient(uri, uri)
    client.create_registered_model("toy")
    for source in (model, other):
        client.create_model_version("toy", source.as_uri())
    client.set_registered_model_alias("toy", "champion", "1")
    port = free_port()
    command = [sys.executable, "-m", "pipeline", "serve", "--model", "models:/toy@champion"]
    command += ["--backend", "numpy", "--follow", "0.3", "--patience", "5", "--port", str(port)]
    env = {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}
    with serving(command, f"http://127.0.0.1:{port}/ping", root / "serve.log", env):
        yield port, client
    said = (root / "serve.log").read_text()
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_new_champion_is_taken_without_a_lost_request(
    followed: tuple[int, mlflow.MlflowClient],
) -> None:
    """Four clients ask all the while: each answer is whole and of the model that it names."""
    port, client = followed
    ended = threading.Event()
    answers: list[tuple[int, str, bool]] = []

    def ask() -> None:
        with requests.Session() as session:
            while not ended.is_set():
                answer = session.post(
                    f"http://127.0.0.1:{port}/invocations", json=rows(), timeout=60
                )
                first = answer.json()["predictions"][0]
                answers.append((answer.status_code, answer.headers["X-Model"], "lo-50" in first))

    def by(version: str) -> list[tuple[int, str, bool]]:
        return [one for one in list(answers) if one[1] == f"models:/toy/{version}"]

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        try:
            until(lambda: len(by("1")) > 8 or any(one.done() for one in asked))
            client.set_registered_model_alias("toy", "champion", "2")
            ready = f"http://127.0.0.1:{port}/ready"
            until(lambda: requests.get(ready, timeout=60).json()["model"] == "models:/toy/2")
            until(lambda: len(by("2")) > 8 or any(one.done() for one in asked))
        finally:
            ended.set()
        for one in asked:
            one.result()
    of = {version: by(version) for version in "12"}
    assert len(of["1"]) > 8 and len(of["2"]) > 8 and len(answers) == sum(map(len, of.values()))
    assert {one[0] for one in answers} == {200}
    assert {one[2] for one in of["1"]} == {False} and {one[2] for one in of["2"]} == {True}


@pytest.mark.slow
def test_a_request_that_does_not_come_is_let_go(
    followed: tuple[int, mlflow.MlflowClient],
) -> None:
    """A body in part gets 408 in one line; headers in part, or none, no answer, but an end."""
    port, _ = followed
    began, clients = time.monotonic(), []
    for part in (-10, 20, 0):
        client, whole = raw_request(port)
        client.sendall(whole[:part] if part else b"")
        clients.append(client)
    body, headers, nothing = (client.makefile("rb").read() for client in clients)
    assert time.monotonic() - began > 4.5
    assert headers == nothing == b"" and body.startswith(b"HTTP/1.1 408 ")
    said = json.loads(body.partition(b"\r\n\r\n")[2])["message"]
    assert said.startswith("request: expected its end within 5 s, found")


@pytest.mark.slow
def test_what_is_no_http_gets_one_line(followed: tuple[int, mlflow.MlflowClient]) -> None:
    """Bytes that are no request, and headers longer than the server keeps."""
    port, _ = followed
    # One byte too many: were there more, a server that ends before they come resets the connection.
    long = b"GET / HTTP/1.1\r\nA: ".ljust(DEFAULT_MAX_INCOMPLETE_EVENT_SIZE + 1, b"x")
    for sent in (b"\x16\x03\x01 hello\r\n\r\n", long):
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(sent)
            answer = client.makefile("rb").read()
        status, _, body = answer.partition(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 400 ") and body.count(b"\n") == 0

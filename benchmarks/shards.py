"""Part 12: a batch cut in two parts, computed by one process and shared by two; what they send."""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from socket import create_server
from statistics import median
from typing import Any

import tensorflow as tf

from benchmarks.measure import Row, in_turn, ratio, row
from benchmarks.networks import ours
from pipeline.config.params import Train
from pipeline.experiments.executors import Processes
from pipeline.runtime import determinism
from pipeline.training import team
from pipeline.training.batches import Examples, order
from pipeline.training.fit import compiled
from pipeline.training.parts import follow

SHARDS, TOKEN = 2, b"benchmark"
LSTM = {"kind": "lstm", "look_back": 24, "features": 16, "horizon": 24}
CASES: dict[str, dict[str, Any]] = {
    "two LSTM(64), 24 x 16, batch 64": LSTM | {"units": [64, 64], "batch": 64, "steps": 60},
    "two LSTM(64), 24 x 16, batch 256": LSTM | {"units": [64, 64], "batch": 256, "steps": 30},
    "two LSTM(256), 24 x 16, batch 256": LSTM | {"units": [256, 256], "batch": 256, "steps": 6},
}


@dataclass(frozen=True)
class Helping:
    """What the other process does: its part of so many fits."""

    case: dict[str, Any]
    fits: int
    address: tuple[str, int]
    file: Path


def run(helping: Helping) -> Path:
    """Take part in them all."""
    determinism.settle(1)
    worker = team.join(helping.address, TOKEN, team.Hello(place=1, host="", process=0, about={}), 2)
    trained, examples, settings = _made(helping.case, SHARDS, worker)
    for _ in range(helping.fits):
        follow(trained, worker, examples, settings.batch_size)
    helping.file.write_text("done")
    return helping.file


def rows(quick: bool) -> Iterator[Row]:
    """The speed of two processes over that of one, and of one without a cut; bytes an update."""
    for name, case in CASES.items():
        own = case | {"steps": 2} if quick else case
        rounds = 1 if quick else 5
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
            at = Processes(1)
            try:
                with create_server(("127.0.0.1", 0)) as server:
                    helping = Helping(own, rounds + 1, server.getsockname(), Path(folder) / "done")
                    done = thread.submit(lambda: [*at.map(run, [helping])])  # noqa: B023
                    leader = team.gather(server, 2, TOKEN, lambda *_: None, lambda: None)
                with closing(leader):
                    yield from _measured(name, own, leader, rounds)
                done.result(60)
            finally:
                at.stop()


def _measured(name: str, case: dict[str, Any], leader: team.Leader, rounds: int) -> Iterator[Row]:
    crossed = _counted(leader)
    shared, *_ = made = _made(case, SHARDS, leader)
    programs = {
        "no cut": _epoch(*_made(case, 1)),
        "1 process": _epoch(*_made(case, SHARDS)),
        "2 processes": _epoch(*made),
    }
    in_turn(programs, 1)  # all are warm
    crossed.clear()
    took = in_turn(programs, rounds)
    for program, seconds in took.items():
        yield row("shards", name, program, 1000 * median(seconds) / case["steps"], "ms an update")
    faster = ratio(took["1 process"], took["2 processes"])
    yield row("shards", name, "2 processes over 1", faster, "x the speed")
    yield row("shards", name, "2 processes over no cut", ratio(took["no cut"], took["2 processes"]),
              "x the speed")  # fmt: skip
    part = tf.constant(0, tf.int64), tf.constant(case["batch"]), tf.constant(0)
    seconds = in_turn({"": _timed(lambda: shared.sums(*part).numpy())}, 10)[""]
    yield row("shards", name, "one part by itself", 1000 * median(seconds), "ms")
    yield row("shards", name, "numbers of a part's sums", len(shared.sums(*part)), "float32")
    yield row("shards", name, "through the leader", sum(crossed) / (rounds * case["steps"]),
              "bytes an update")  # fmt: skip


def _made(case: dict[str, Any], shards: int, at: team.Alone = team.ALONE) -> Any:
    network, examples, settings = ours(case)
    settings = settings.model_copy(update={"shards": shards})
    return compiled(network, examples, settings, at), examples, settings


def _epoch(trained: Any, examples: Examples, settings: Train) -> Callable[[], float]:
    """An epoch without validation."""
    positions = order(examples.train, settings.batch_size)
    given = {"callbacks": [trained.epochs], "shuffle": False, "verbose": 0}
    return _timed(lambda: trained.fit(positions, **given))


def _timed(work: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return seconds


def _counted(leader: team.Leader) -> list[int]:
    """The bytes of each message that it sends or receives from now on."""
    crossed: list[int] = []
    for link in leader.links:
        send, receive = link.connection.send_bytes, link.connection.recv_bytes

        def sent(data: bytes, send: Any = send) -> None:
            crossed.append(len(data))
            send(data)

        def received(receive: Any = receive) -> bytes:
            data: bytes = receive()
            crossed.append(len(data))
            return data

        link.connection.send_bytes = sent  # type: ignore[method-assign, assignment]
        link.connection.recv_bytes = received  # type: ignore[method-assign, assignment]
    return crossed

"""A network whose batches are cut in parts, fitted by several processes to the bytes of one."""

import io
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.experiments.executors import Processes
from pipeline.experiments.resume import Key
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models.spec import Spec
from pipeline.runtime import determinism
from pipeline.runtime.progress import say
from pipeline.training import team
from pipeline.training.team import ALONE, Alone, Hello, LostError

WORKERS = "TRAIN_WORKERS"  # the variable that says how many processes share a batch's parts
HERE = "127.0.0.1"  # nobody beyond this machine may connect
LEAVING = 2  # seconds that a worker has to say what ended it
DONE = 60  # and to end when all is done


@dataclass(frozen=True)
class Seat:
    """What a worker does: its parts of every batch."""

    experiment: Experiment
    layout: Layout
    place: int  # from 1; who leads has place 0
    count: int  # processes, the leader among them
    address: tuple[str, int]
    token: bytes
    file: Path  # for what it was


def train_workers() -> int:
    """How many processes the shell wants for the parts of a batch; 1 if it does not say."""
    text = os.environ.get(WORKERS, "1")
    if not text.isdecimal() or text == "0":
        raise PipelineError(f"{WORKERS}: expected a number of processes, found {text}")
    return int(text)


def check(spec: Spec, workers: int, sharing: int) -> None:
    """PipelineError where members side by side would each start processes of their own."""
    if spec.ensemble > 1 and workers > 1 and sharing > 1:
        raise PipelineError(
            f"{WORKERS}: expected 1 where the members of an ensemble are fitted side by side in "
            f"{workers} processes, found {sharing}"
        )


def run(seat: Seat) -> Path:
    """Take part until the training ends; nothing is left to do if it has ended already."""
    settings = seat.experiment.params.train
    determinism.settle(settings.seed)  # before anything else loads TensorFlow
    about = Key.of(seat.experiment, seat.layout).model_dump(mode="json")
    hello = Hello(place=seat.place, host=socket.gethostname(), process=os.getpid(), about=about)
    worker = team.join(seat.address, seat.token, hello, seat.count)
    if worker:
        with closing(worker.link), redirect_stderr(io.StringIO()):
            from pipeline.training.ensemble import take_part

            take_part(prepared(seat.experiment, seat.layout), settings, worker)
    artifacts.write_json(seat.file, {"place": seat.place, "took_part": worker is not None})
    return seat.file


@contextmanager
def led(experiment: Experiment, layout: Layout, workers: int) -> Iterator[Alone]:
    """Who shares the parts of each batch with this process: as many workers, at most, as parts.

    Raises:
        PipelineError: a worker has other data, code or another machine, does not come, or is lost
            in the middle; the line names it.
    """
    count = min(workers, shards := experiment.params.train.shards)
    if count < workers:
        say(
            f"{WORKERS}: {count} of {workers} processes share the parts of a batch, since "
            f"train.shards is {shards}"
        )
    if count == 1:
        yield ALONE
        return
    key, token, at = Key.of(experiment, layout), secrets.token_bytes(32), Processes(count - 1)

    def equal(who: str, about: dict[str, Any]) -> None:
        if changes := key.changes(Key.model_validate(about)):
            raise PipelineError(
                f"train: {who}: expected the data, code and machine of worker 1, which leads; "
                f"beside that one's, {changes[0]}"
            )

    with (
        tempfile.TemporaryDirectory(prefix="team-") as directory,
        ThreadPoolExecutor(1) as thread,
    ):
        try:
            with socket.create_server((HERE, 0)) as server:
                seats = [
                    Seat(experiment, layout, place, count, server.getsockname(), token,
                         Path(directory) / f"{place}.json")
                    for place in range(1, count)
                ]  # fmt: skip
                done = thread.submit(lambda: [*at.map(run, seats)])

                def waiting() -> None:
                    if done.done():
                        done.result()
                        raise PipelineError(
                            "train: expected the workers to connect, found them gone"
                        )

                leader = team.gather(server, count, token, equal, waiting)
            with closing(leader):
                try:
                    yield leader
                except LostError:
                    with suppress(TimeoutError):
                        done.result(LEAVING)  # what it says itself is better
                    raise
                done.result(DONE)
        finally:
            at.stop()

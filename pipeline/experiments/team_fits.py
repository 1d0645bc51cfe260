"""A network whose batches are cut in parts, fitted by several processes to the bytes of one.

The others are tasks as all that leaves this process, of an executor's: processes here, or those of
a Ray cluster's nodes. What they say while they work goes by connections of their own.
"""

import io
import os
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.experiments import workers
from pipeline.experiments.executors import DiedError, Processes
from pipeline.experiments.ray_cluster import Ray
from pipeline.experiments.resume import Key
from pipeline.experiments.task import prepared
from pipeline.experiments.workers import Workers
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models.spec import Spec
from pipeline.runtime import determinism
from pipeline.runtime.progress import say
from pipeline.training.team import (
    ALONE,
    Alone,
    Hello,
    LostError,
    NobodyError,
    gather,
    join,
)

# The variables that say how many processes share a batch's parts, and where the others are.
WORKERS, EXECUTOR = "TRAIN_WORKERS", "TRAIN_EXECUTOR"
LEAVING = 2  # seconds that a worker has to say what ended it
DONE = 60  # and to end when all is done


@dataclass(frozen=True)
class Team:
    """How many processes share the parts of a batch, and where those are that this one leads."""

    count: int = 1  # this one among them
    where: Workers = workers.ALONE

    @classmethod
    def of_shell(cls) -> "Team":
        """What the shell wants; if it does not say, this process alone."""
        return cls(workers.number_in_shell(WORKERS), workers.place_in_shell(EXECUTOR))

    def others(self) -> Workers:
        """Who is led; at an address as many as it has processors for."""
        return self.where if self.where.address else replace(self.where, count=self.count - 1)


NO_OTHERS = Team()


@dataclass(frozen=True)
class Seat:
    """What a worker does: its parts of every batch."""

    experiment: Experiment
    layout: Layout
    place: int  # from 1; who leads has place 0
    count: int  # processes, the leader among them
    address: tuple[str, int]
    token: bytes = field(repr=False)
    file: Path  # for whom it found

    @property
    def who(self) -> str:
        """In a message."""
        return f"worker {self.place + 1} of {self.count}"


def check(spec: Spec, members: Workers, team: Team) -> None:
    """PipelineError where members side by side would each start processes of their own."""
    if spec.ensemble > 1 and members.several and team.count > 1:
        raise PipelineError(
            f"{WORKERS}: expected 1 where the members of an ensemble are fitted side by side, "
            f"found {team.count}"
        )


def run(seat: Seat) -> Path:
    """Take part until the training ends; nothing is left to do if nobody leads any more."""
    settings = seat.experiment.params.train
    determinism.settle(settings.seed)  # before anything else loads TensorFlow
    about = Key.of(seat.experiment, seat.layout).model_dump(mode="json")
    hello = Hello(place=seat.place, host=socket.gethostname(), process=os.getpid(), about=about)
    found = ""
    try:
        worker = join(seat.address, seat.token, hello, seat.count)
    except NobodyError as error:
        found = str(error)
    else:
        with closing(worker.link), redirect_stderr(io.StringIO()):
            from pipeline.training.ensemble import take_part

            take_part(prepared(seat.experiment, seat.layout), settings, worker)
    artifacts.write_json(seat.file, {"host": hello.host, "found": found})
    return seat.file


@contextmanager
def led(experiment: Experiment, layout: Layout, team: Team) -> Iterator[Alone]:
    """Who shares the parts of each batch with this process: as many workers, at most, as parts.

    Raises:
        PipelineError: a worker has other data, code or another machine, does not come, or is lost
            in the middle; the line names it.
    """
    shards = experiment.params.train.shards
    if shards < team.count:
        say(
            f"{WORKERS}: {shards} of {team.count} processes share the parts of a batch, since "
            f"train.shards is {shards}"
        )
        team = replace(team, count=shards)
    if team.count == 1:
        yield ALONE
        return
    there = Layout(layout.root.resolve(), layout.project.resolve())  # workers are called elsewhere
    with (
        team.where.temporary("team", there.root) as directory,
        workers.apart(team.others()) as at,
        ThreadPoolExecutor(1) as thread,
    ):
        try:
            with _listening(at.host) as server:
                address, token = server.getsockname(), secrets.token_bytes(32)
                seats = [
                    Seat(experiment, there, place, team.count, address, token,
                         directory / f"{place}.json")
                    for place in range(1, team.count)
                ]  # fmt: skip
                left = Queue[tuple[Seat, Path]]()
                done = thread.submit(_seated, at, seats, left)
                waiting = partial(_all_stay, done, left)
                equal = partial(_check_equal, Key.of(experiment, there))
                leader = gather(server, team.count, token, equal, waiting)
            at.attempts = 1  # who dies from now on is missed
            with closing(leader):
                try:
                    yield leader
                except LostError:
                    with suppress(TimeoutError, DiedError):
                        done.result(LEAVING)  # what it says itself is better
                    raise
            wait([done], DONE)  # the model is made: how they end changes nothing
        finally:
            at.stop()


@contextmanager
def _listening(host: str) -> Iterator[socket.socket]:
    """A socket that listens at one address of this machine, at any port; PipelineError if none."""
    try:
        server = socket.create_server((host, 0))
    except OSError as error:
        raise PipelineError(
            "train: expected an address of this machine to lead the workers from, found "
            f"{host}: {error.strerror or error}"
        ) from None
    with server:
        yield server


def _seated(at: Processes | Ray, seats: list[Seat], left: Queue[tuple[Seat, Path]]) -> None:
    """Run the workers, and note who has left."""

    def died(seat: Seat, error: DiedError) -> Path:
        raise DiedError(f"train: {seat.who}: {error}")

    for seat, path in at.map(run, seats, died):
        left.put((seat, path))


def _all_stay(done: Future[None], left: Queue[tuple[Seat, Path]]) -> None:
    """PipelineError of a worker that has ended before all were there."""
    with suppress(Empty):
        seat, path = left.get_nowait()
        host, port = seat.address
        found = artifacts.read_json(path)
        raise PipelineError(
            f"train: {seat.who} ({found['host']}): expected to reach who leads, at {host}:{port}, "
            f"found: {found['found']}"
        )
    if done.done():
        done.result()


def _check_equal(own: Key, who: str, about: dict[str, Any]) -> None:
    """PipelineError of a worker that would compute something else."""
    if changes := own.changes(Key.model_validate(about)):
        raise PipelineError(
            f"train: {who}: expected the data, code and machine of worker 1, which leads; "
            f"beside that one's, {changes[0]}"
        )

"""Who does many tasks: how many workers there are, and where; what a command or the shell says."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.experiments import ray_cluster
from pipeline.experiments.executors import Executor, Inline, Processes
from pipeline.experiments.ray_cluster import Ray

PROCESSES, RAY = KINDS = ("processes", "ray")
# Variables of the shell: who fits the members of an ensemble; Ray's own, for where its cluster is.
WORKERS, EXECUTOR, ADDRESS = "MEMBER_WORKERS", "MEMBER_EXECUTOR", "RAY_ADDRESS"


@dataclass(frozen=True)
class Workers:
    """How many tasks run at a time, and where; PipelineError of what cannot be.

    One process is this one. A Ray cluster at an address takes as many tasks as it has processors
    for; without an address Ray starts a cluster of its own on this machine.
    """

    count: int = 1
    executor: str = PROCESSES
    address: str | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise PipelineError(f"workers: expected at least 1, found {self.count}")
        if self.executor not in KINDS:
            raise PipelineError(f"executor: expected {' or '.join(KINDS)}, found {self.executor}")
        if self.address and self.executor != RAY:
            raise PipelineError(
                f"address: expected the executor {RAY} with it, found {self.executor}"
            )
        if self.address and self.count > 1:
            raise PipelineError(
                "workers: expected none with the address of a cluster, whose processors decide, "
                f"found {self.count}"
            )
        if self.executor == RAY:
            ray_cluster.check(self.address)

    @classmethod
    def of(cls, workers: "int | Workers") -> "Workers":
        """So many processes, or what it is already."""
        return cls(workers) if isinstance(workers, int) else workers

    @property
    def several(self) -> bool:
        """Whether tasks leave this process."""
        return self.count > 1 or self.executor == RAY

    def at_most(self, tasks: int) -> "Workers":
        """No more than there are tasks."""
        return replace(self, count=min(self.count, tasks))

    def of_shell(self) -> dict[str, str]:
        """The variables from which `of_members` makes them again."""
        found = {WORKERS: str(self.count), EXECUTOR: self.executor}
        return found | ({ADDRESS: self.address} if self.address else {})

    @contextmanager
    def temporary(self, name: str, near: Path = Path()) -> Iterator[Path]:
        """A directory for tasks' files, which is gone afterwards; absolute.

        The nodes of a cluster do not share this machine's temporary directory, so for them it is
        in the project, or near another place that they see.
        """
        made = (
            tempfile.TemporaryDirectory(prefix=f".partial-{name}-", dir=near)
            if self.address
            else tempfile.TemporaryDirectory(prefix=f"{name}-")
        )
        with made as directory:
            yield Path(directory).resolve()


ALONE = Workers()


@contextmanager
def executor(workers: Workers) -> Iterator[Executor]:
    """What runs tasks; its workers end with it."""
    if workers.several:
        with apart(workers) as at:
            yield at
    else:
        yield Inline()


@contextmanager
def apart(workers: Workers) -> Iterator[Processes | Ray]:
    """What runs tasks outside this process, a single one as well; its workers end with it."""
    if workers.executor == RAY:
        with ray_cluster.cluster(workers.count, workers.address) as ray:
            yield ray
    else:
        processes = Processes(workers.count)
        try:
            yield processes
        finally:
            processes.stop()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a command what `workers_of` reads."""
    add = parser.add_argument
    add("--workers", type=int, default=1, metavar="N", help="processes; default 1, this one")
    add("--executor", choices=KINDS, default=PROCESSES, help="ray: the workers are those of a "
        "Ray cluster, see docs/cluster.md; default %(default)s")  # fmt: skip
    add("--address", metavar="HOST:PORT", help=f"of the cluster; default {ADDRESS}, or, where the "
        "shell does not say it, one that is started on this machine")  # fmt: skip


def workers_of(options: argparse.Namespace) -> Workers:
    """The workers that a command was given."""
    return _at(options.workers, options.executor, options.address)


def of_members() -> Workers:
    """The workers that the shell wants for the members of an ensemble; by default this process."""
    return replace(place_in_shell(EXECUTOR), count=number_in_shell(WORKERS))


def number_in_shell(name: str) -> int:
    """How many processes a variable of the shell wants; 1 if it does not say."""
    text = os.environ.get(name, "1")
    if not text.isdecimal() or int(text) == 0:
        raise PipelineError(f"{name}: expected a number of processes, found {text}")
    return int(text)


def place_in_shell(name: str) -> Workers:
    """A worker where a variable of the shell wants it; a process if it does not say."""
    kind = os.environ.get(name, PROCESSES)
    if kind not in KINDS:
        raise PipelineError(f"{name}: expected {' or '.join(KINDS)}, found {kind}")
    return _at(1, kind)


def _at(count: int, kind: str, address: str | None = None) -> Workers:
    return Workers(count, kind, address or (os.environ.get(ADDRESS) if kind == RAY else None))

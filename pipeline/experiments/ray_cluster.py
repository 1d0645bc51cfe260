"""Tasks on a Ray cluster, one that is there or one of its own: plain core tasks and nothing else.

Through Ray go what a task is (parameters, paths) and where its file lies; whatever is computed goes
by files, in a folder that all nodes see.
"""

import logging
import os
import platform
import re
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import PipelineError
from pipeline.experiments import executors
from pipeline.experiments.executors import ATTEMPTS, Answer, DiedError
from pipeline.runtime import determinism, extras, process
from pipeline.runtime.determinism import GPUS, NONE, THREADS
from pipeline.runtime.progress import say

T = TypeVar("T")
THREADS_OF_LIBRARIES = "OMP_NUM_THREADS"  # where it is not set, Ray sets another one
TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - the variable's name
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody is told what is run here
}
# Made for other systems, it has Ray take 127.0.0.1 for this machine's address: no process of a
# cluster that so begins listens beyond it. Ray reads it as it is imported.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
STORE = 100 * 2**20  # bytes of shared memory of a cluster of its own: nothing large goes through it
LOOK = 0.5  # seconds from one look to the next at whether it was stopped
PATIENCE = 60  # seconds until a folder on the network shows a file that another node wrote


class Ray:
    """Runs tasks on the nodes of a cluster, each with as many processors as a task has threads."""

    def __init__(self, ray: Any) -> None:
        self.ray, self.here, self.told = ray, determinism.settings(), set[str]()
        self.host = str(ray.util.get_node_ip_address())  # by which its nodes see this machine
        self.attempts, self.stopped = ATTEMPTS, threading.Event()
        # Attempts are counted here: of a worker that ran out of memory, Ray makes as many as it is
        # told of others, or no end of them.
        self.remote = ray.remote(num_cpus=THREADS, max_retries=0)(_do)

    def map(
        self,
        work: Callable[[T], Path],
        tasks: Sequence[T],
        died: Callable[[T, DiedError], Path] | None = None,
    ) -> Iterator[tuple[T, Path]]:
        """See `Executor`."""
        errors = self.ray.exceptions
        waiting = {self.remote.remote(work, task): (task, 1) for task in tasks}
        try:
            while waiting and not self.stopped.is_set():
                ended, _ = self.ray.wait([*waiting], timeout=LOOK)
                if not ended:
                    continue
                task, attempt = waiting.pop(ended[0])
                try:
                    found, host, settings = self.ray.get(ended[0])
                except errors.RayTaskError as error:  # not even begun: what it needs is not there
                    raise PipelineError(
                        "ray: expected code and libraries of this process on each node, found "
                        f"{_last(error)}"
                    ) from None
                except errors.RayError as error:
                    if attempt < self.attempts:
                        say(f"ray: {type(error).__name__}: its task runs again")
                        waiting[self.remote.remote(work, task)] = task, attempt + 1
                        continue
                    lost = executors.died_of(type(error).__name__, attempt)
                    if died is None:
                        raise lost from None
                    yield task, died(task, lost)
                    continue
                self._compare(host, settings)
                path, sha256 = executors.file_of(found)
                yield task, executors.as_written(_arrived(path, host), sha256)
        finally:
            for left in waiting:
                self.ray.cancel(left, force=True)

    def stop(self) -> None:
        """End the tasks of a `map` in another thread, and that; whatever they do."""
        self.stopped.set()

    def _compare(self, host: str, settings: dict[str, Any]) -> None:
        """Say once of each node if what decides a result's bytes is not as here."""
        if host not in self.told and (found := differences(self.here, settings)):
            say(f"warning: {host}: another {found}: last digits may differ")
        self.told.add(host)


def differences(here: dict[str, Any], there: dict[str, Any]) -> str:
    """The settings that are not the same, each by the words in which they differ."""
    found = []
    for name in here:
        own, other = (str(of.get(name, "none")).split() for of in (here, there))
        if own != other:
            words = (" ".join(w for w in a if w not in b) for a, b in ((other, own), (own, other)))
            theirs, ours = (word or "nothing more" for word in words)
            found.append(f"{name} ({theirs}; here {ours})")
    return ", ".join(found)


def check(address: str | None) -> None:
    """PipelineError unless Ray is installed and can be told where it may listen."""
    if address and not re.fullmatch(r"[^/]+:\d+", address):
        raise PipelineError(
            f"address: expected HOST:PORT, on a node of the cluster; found {address}"
        )
    _library(address)


@contextmanager
def cluster(count: int, address: str | None) -> Iterator[Ray]:
    """The cluster at an address, or for the time being one on this machine for so many tasks."""
    ray, kept = _library(address), signal.getsignal(signal.SIGTERM)
    if ray.is_initialized():
        raise PipelineError(
            "ray: expected this process to be in no cluster yet, found it in one; call "
            "ray.shutdown() first"
        )
    if address:
        _reach(address)
    try:
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": _of_workers()},
                **({} if address else _own(count)),
            )
        except (ConnectionError, ray.exceptions.AuthenticationError):
            raise PipelineError(
                f"ray: expected a cluster at {address} that takes the token in {TOKEN} or {TOKEN}"
                "_PATH, found none; see docs/cluster.md"
            ) from None
        except RuntimeError as error:  # another Python or Ray, say
            said = " ".join(str(error).split())[:400]
            raise PipelineError(f"ray: expected a cluster to work in, found: {said}") from None
        with suppress(ValueError):  # not the main thread, in which Ray leaves it as well
            signal.signal(signal.SIGTERM, kept)  # Ray's own ends this process without its last line
        nodes = [node for node in ray.nodes() if node["Alive"]]
        able = sum(int(node["Resources"].get("CPU", 0)) // THREADS for node in nodes)
        if not able:
            raise PipelineError(
                f"ray: expected a node with {THREADS} processors at least, found none among "
                f"{len(nodes)}"
            )
        place = address or f"this machine, with {STORE // 2**20} MiB of shared memory"
        say(f"ray: {able} tasks at a time on {place}; nodes: {len(nodes)}")
        yield Ray(ray)
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """PipelineError if nobody listens there: Ray itself tries for a quarter of an hour."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise PipelineError(
            f"ray: expected a cluster at {address}, found: {error.strerror or error}; "
            "see docs/cluster.md"
        ) from None


def _own(count: int) -> dict[str, Any]:
    return {
        "num_cpus": count * THREADS,
        "num_gpus": 0,
        "object_store_memory": STORE,
        "include_dashboard": False,
    }


def _of_workers() -> dict[str, str]:
    """What libraries read as a worker's process begins, before any code of ours."""
    return {
        THREADS_OF_LIBRARIES: os.environ.get(THREADS_OF_LIBRARIES, str(THREADS)),
        GPUS: os.environ.get(GPUS, NONE),
        "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1",
    }


def _library(address: str | None) -> Any:
    """Ray, told what it reads as it is imported; PipelineError if it was imported before."""
    asked = ENVIRONMENT | ({} if address else LOOPBACK)
    if not address and sys.modules.get("ray") and not asked.items() <= os.environ.items():
        raise PipelineError(
            "ray: expected it not to be imported before it starts a cluster here, which it would "
            "open to the network; found it imported; run this first in a new process"
        )
    os.environ.update(asked)
    if not address:
        os.environ.setdefault(TOKEN, secrets.token_urlsafe(32))  # or Ray writes one to a file
    return extras.ray()


def _do(work: Callable[[T], Path], task: T) -> tuple[Answer, str, dict[str, Any]]:
    """What a worker does of a task: the answer, and where and how it was computed."""
    process.settle()
    return executors.answer(work, task), platform.node(), determinism.settings()


def _arrived(path: Path, host: str) -> Path:
    """The file, as soon as it is seen here; PipelineError if it never is."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise PipelineError(
                f"{path}: expected the file that {host} wrote, found none; do all nodes share "
                "this folder?"
            )
        time.sleep(0.1)
    return path


def _last(error: Exception) -> str:
    """The last line of an error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]

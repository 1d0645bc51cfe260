"""Many tasks, in this process or in several; each leaves a file, the same wherever it ran."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.runtime import process

T = TypeVar("T")
LOOPBACK = "127.0.0.1"  # an address at which nobody beyond this machine can connect
# A file and its sha256, or what the task failed of.
Answer: TypeAlias = tuple[tuple[Path, str] | None, Exception | None]
ATTEMPTS = 3  # at a task whose worker dies
SPAWN = multiprocessing.get_context("spawn")  # a fresh interpreter: TensorFlow survives no fork


class DiedError(PipelineError):
    """A task's worker died each time."""


class Executor(Protocol):
    """Runs tasks."""

    def map(
        self,
        work: Callable[[T], Path],
        tasks: Sequence[T],
        died: Callable[[T, DiedError], Path] | None = None,
    ) -> Iterator[tuple[T, Path]]:
        """Each task with the file that `work` wrote of it, in the order in which they end.

        Args:
            work: a module's function; in a process of its own, it and the task are pickled.
            died: writes the file of a task whose worker died each time; without it that is an
                error.

        Raises:
            PipelineError: of the work; a file has another content than its worker wrote.
        """
        ...


class Inline:
    """Runs tasks in this process, one after the other."""

    def map(
        self,
        work: Callable[[T], Path],
        tasks: Sequence[T],
        died: Callable[[T, DiedError], Path] | None = None,
    ) -> Iterator[tuple[T, Path]]:
        """See `Executor`."""
        for task in tasks:
            yield task, work(task)


class Processes:
    """Runs tasks in a few processes, each a fresh interpreter that stays for many tasks."""

    host = LOOPBACK  # where its workers reach this process

    def __init__(self, count: int) -> None:
        self.attempts = ATTEMPTS
        self.threads = ThreadPoolExecutor(count)
        self.workers = [_Worker() for _ in range(count)]
        self.idle = [*self.workers]

    def map(
        self,
        work: Callable[[T], Path],
        tasks: Sequence[T],
        died: Callable[[T, DiedError], Path] | None = None,
    ) -> Iterator[tuple[T, Path]]:
        """See `Executor`."""

        def one(task: T) -> tuple[T, Path]:
            worker = self.idle.pop()  # one for each thread
            try:
                path, sha256 = self._done(worker, work, task)
            except DiedError as error:
                if died is None or worker.closed:
                    raise
                return task, died(task, error)
            finally:
                self.idle.append(worker)
            return task, as_written(path, sha256)

        for future in as_completed([self.threads.submit(one, task) for task in tasks]):
            yield future.result()

    def _done(self, worker: "_Worker", work: Callable[[T], Path], task: T) -> tuple[Path, str]:
        attempt, ended = 0, ""
        while attempt < self.attempts and not worker.closed:
            try:
                return worker.do(work, task)
            except EOFError:
                attempt, ended = attempt + 1, worker.end()
        raise died_of(ended, attempt)

    def stop(self) -> None:
        """End the workers, whatever they do."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        for worker in self.workers:
            worker.closed = True
            worker.end()
        self.threads.shutdown()


class _Worker:
    """A process that is started when it is first needed, and again when it died."""

    def __init__(self) -> None:
        self.process: Any = None
        self.connection: Any = None
        self.closed = False  # for good
        self.changing = threading.Lock()

    def do(self, work: Callable[[T], Path], task: T) -> tuple[Path, str]:
        """The file and its sha256; EOFError if the process died or the worker is closed."""
        with self.changing:
            if self.closed:
                raise EOFError
            if self.process is None:
                self.connection, theirs = SPAWN.Pipe()
                self.process = SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
                self.process.start()
                theirs.close()
        try:
            self.connection.send((work, task))
            found = self.connection.recv()
        except OSError as error:
            raise EOFError from error
        return file_of(found)

    def end(self) -> str:
        """End the process; how it ended."""
        with self.changing:
            if self.process is None:
                return "none"
            self.process.terminate()
            self.process.join()
            code, self.process = self.process.exitcode, None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _serve(connection: Connection) -> None:
    """What a worker does until the other end closes, or the process there is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; who waits ends this one
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent:
            parent.join()
        os._exit(1)  # as a kill would: an orphan must not write beside who goes on

    threading.Thread(target=end_with_parent, daemon=True).start()
    process.settle()
    while True:
        try:
            work, task = connection.recv()
        except EOFError:
            return
        connection.send(answer(work, task))


def answer(work: Callable[[T], Path], task: T) -> Answer:
    """Do a task; what its worker sends back: the file and its sha256, or what it failed of."""
    try:
        path = work(task)
        return (path, artifacts.sha256(path)), None
    except PipelineError as error:
        return None, PipelineError(str(error))
    except Exception:
        return None, RuntimeError(traceback.format_exc())


def file_of(found: Answer) -> tuple[Path, str]:
    """The file and its sha256 as a worker sent them; raises what the task failed of."""
    done, failed = found
    if failed or not done:
        raise failed or RuntimeError("a worker sent nothing")
    return done


def as_written(path: Path, sha256: str) -> Path:
    """The file; PipelineError if its worker wrote another content."""
    if (found := artifacts.sha256(path)) != sha256:
        raise PipelineError(f"{path}: expected what its worker wrote, found sha256 {found}")
    return path


def died_of(how: str, attempts: int) -> DiedError:
    """What is told of a task whose worker died each of so many times, the last time so."""
    times = f"{attempts} times" if attempts > 1 else "once"
    return DiedError(f"expected its worker to stay alive, found {how}, {times}; is memory short?")

"""Many tasks, in this process or in several; each leaves a file, the same wherever it ran."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.runtime import process

T = TypeVar("T")
ATTEMPTS = 3  # at a task whose worker dies
HELP = "processes; default 1, this one"  # of a command's --workers
WORKERS = "MEMBER_WORKERS"  # the variable that says how many fit the members of an ensemble
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

    def __init__(self, count: int) -> None:
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
            if (found := artifacts.sha256(path)) != sha256:
                raise PipelineError(f"{path}: expected what its worker wrote, found sha256 {found}")
            return task, path

        for future in as_completed([self.threads.submit(one, task) for task in tasks]):
            yield future.result()

    def _done(self, worker: "_Worker", work: Callable[[T], Path], task: T) -> tuple[Path, str]:
        for _ in range(ATTEMPTS):
            try:
                return worker.do(work, task)
            except EOFError:
                ended = worker.end()
                if worker.closed:
                    break
        raise DiedError(
            f"expected its worker to stay alive, found {ended}, {ATTEMPTS} times; is memory short?"
        )

    def stop(self) -> None:
        """End the workers, whatever they do."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        for worker in self.workers:
            worker.closed = True
            worker.end()
        self.threads.shutdown()


@contextmanager
def executor(workers: int) -> Iterator[Executor]:
    """What runs tasks with so many workers: 1 is this process; PipelineError of none."""
    check(workers)
    if workers == 1:
        yield Inline()
        return
    processes = Processes(workers)
    try:
        yield processes
    finally:
        processes.stop()


def check(workers: int) -> None:
    """PipelineError of no workers."""
    if workers < 1:
        raise PipelineError(f"workers: expected at least 1, found {workers}")


def member_workers() -> int:
    """How many processes the shell wants for the members of an ensemble; 1 if it does not say."""
    text = os.environ.get(WORKERS, "1")
    if not text.isdecimal() or text == "0":
        raise PipelineError(f"{WORKERS}: expected a number of processes, found {text}")
    return int(text)


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
            done, failed = self.connection.recv()
        except OSError as error:
            raise EOFError from error
        if failed:
            raise failed
        path, sha256 = done
        return path, sha256

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
        try:
            path = work(task)
            answer: Any = ((path, artifacts.sha256(path)), None)
        except PipelineError as error:
            answer = (None, PipelineError(str(error)))
        except Exception:
            answer = (None, RuntimeError(traceback.format_exc()))
        connection.send(answer)

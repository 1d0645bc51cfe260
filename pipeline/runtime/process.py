"""How a process of ours begins, with its settings, and ends: on an error, a signal, its parent."""

import atexit
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from pipeline.errors import PipelineError
from pipeline.runtime import determinism

PARENT = os.getppid()  # as early as can be: a parent that dies later is noticed
BARS = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"  # for each few files that MLflow copies
DEFAULTS = {  # of MLflow, where the shell says nothing
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nobody is told what is run here
    # An absent server costs seconds, not the minutes of MLflow's own defaults.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    BARS: "false",
}
MARK = "params.yaml"  # of a project's directory
GRACE = 10  # seconds that an orphan has to close what is open
_interrupted = threading.Event()
_called_in: Path | None = None  # if that is a directory below the project's


def settle() -> None:
    """Make this process ours before TensorFlow, MLflow or matplotlib read its environment."""
    determinism.settle_environment()
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    # Loading TensorFlow or MLflow makes a million objects, all of which stay: with Python's own
    # threshold, looking for garbage among them takes a quarter of the time.
    gc.set_threshold(50_000)
    # Nor is any looked for at the end, when all of it goes anyway: that took a second a process.
    atexit.register(gc.freeze)


@contextmanager
def without_bars() -> Iterator[None]:
    """Let MLflow draw no bars meanwhile in a process that is not ours, unless the shell wants them.

    The environment is then as it was.
    """
    if BARS in os.environ:
        yield
        return
    os.environ[BARS] = DEFAULTS[BARS]
    try:
        yield
    finally:
        del os.environ[BARS]


def enter_project() -> Path | None:
    """Go to the nearest directory with a params.yaml, from here upwards; None if there is none."""
    global _called_in
    here = Path.cwd()
    root = next((place for place in (here, *here.parents) if (place / MARK).is_file()), None)
    if root and root != here:
        _called_in = here
        os.chdir(root)
    return root


def path(text: str) -> Path:
    """A path of the command line, which is relative to where the command was called."""
    if _called_in is None:
        return Path(text)
    place, root = Path(os.path.normpath(_called_in / text)), Path.cwd()
    return place.relative_to(root) if place.is_relative_to(root) else place


def start(module: str) -> None:
    """Settle this process, then import a module and run its `main`."""

    def main() -> None:
        command = import_module(module).main
        if library := sys.modules.get("matplotlib"):
            library.rcdefaults()  # a picture must not depend on the user's matplotlibrc
        command()

    settle()
    run(main)


def run(main: Callable[[], object]) -> None:
    """Call `main`; end with exit code 1 and one line on standard error if the user must act."""
    # SIGTERM as Ctrl-C, so that what is open is closed, a run in MLflow as well.
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_end_with_dvc, daemon=True).start()
    try:
        main()
        sys.stdout.flush()
    except PipelineError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except BrokenPipeError:
        if _is_read():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit tries again
        sys.exit(1)
    except Exception:
        if _interrupted.is_set():  # and a library, as it tidied up, failed in another way
            sys.exit("interrupted")
        raise
    finally:
        # What is left is the end of Python, where an exception is printed and goes nowhere.
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is _interrupt:
                signal.signal(number, signal.SIG_DFL)


def _is_read() -> bool:
    """Whether the output is still being read: `| head` stops early."""
    try:
        print(flush=True)
    except BrokenPipeError:
        return False
    return True


def end_if_interrupted() -> None:
    """Raise KeyboardInterrupt again after a signal: a library may have caught the first.

    TensorFlow, for one, has a bare `except` where it frees a function.
    """
    if _interrupted.is_set():
        raise KeyboardInterrupt


@contextmanager
def unbroken() -> Iterator[None]:
    """Let a first signal to end wait until what is within has ended; a second does not wait.

    Of use in the main thread, in which Python handles signals; elsewhere it does nothing.
    """
    came: list[int] = []
    handlers: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def wait(number: int, _: object) -> None:
        came.append(number)
        restore()

    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in handlers:
            signal.signal(number, wait)
    try:
        yield
    finally:
        restore()
        for number in came:
            signal.raise_signal(number)


def _interrupt(*_: object) -> None:
    _interrupted.set()
    raise KeyboardInterrupt


def _end_with_dvc() -> None:
    """End this process once DVC is gone: an orphan must not write into the next run's outputs."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(PARENT)
        # DVC itself, or the shell that it calls, which stays if it is dash or fish.
        is_shell = any("pipeline.stages." in word for word in parent.cmdline())
        above = parent.ppid()
        while os.getppid() == PARENT and (parent.ppid() == above or not is_shell):
            time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)

"""Commands in processes of their own, forked from one that has imported MLflow already.

That import takes longer than most commands. The project's own code is imported anew, from the
directory that the command runs in, as `python -m pipeline` does.
"""

import os
import runpy
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

from tests.repositories import environment

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # which MLflow reads as it is imported
# From a process that runs no threads of TensorFlow's, as the tests' own may.
FORK = get_context("forkserver")
FORK.set_forkserver_preload(
    ["mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store", "hypothesis", "pytest"]
)
PATH = list(sys.path)


def started(target: Callable[..., object], *arguments: object) -> BaseProcess:
    """A process that does this, with the path that this module was imported with.

    MLflow puts the code of each model that a test has loaded first on the path, for good.
    """
    process = FORK.Process(target=target, args=arguments)
    with mock.patch.object(sys, "path", PATH):
        process.start()
    return process


def command(
    directory: Path,
    name: str,
    *arguments: str,
    status: int | None = 0,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run `python -m pipeline NAME` in a repository; what it says.

    Raises:
        AssertionError: it ends with another status; None is any.
    """
    with tempfile.TemporaryDirectory() as said:
        files = [Path(said, stream) for stream in ("stdout", "stderr")]
        process = started(_child, directory, (name, *arguments), environment(env), files)
        process.join()
        output = "".join(file.read_text(encoding="utf-8") for file in files)
    assert status in (None, process.exitcode), f"{name} {arguments}\n{output}"
    return output


def _child(
    directory: Path, arguments: tuple[str, ...], env: dict[str, str], files: list[Path]
) -> None:
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(directory)
    for module in [m for m in sys.modules if m.partition(".")[0] == "pipeline"]:
        del sys.modules[module]
    sys.path.insert(0, str(directory))
    sys.argv = ["__main__.py", *arguments]
    runpy.run_module("pipeline", run_name="__main__", alter_sys=True)

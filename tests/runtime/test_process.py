"""What a process of ours is like, and that importing the package makes no process so."""

import json
import os
import signal
import subprocess
import sys
from contextlib import chdir

import pytest

from pipeline.reproduction.committed_results import Machine
from pipeline.runtime import determinism, process
from tests.test_architecture import MODULES, closure, imports
from tests.toys import ROOT

OURS = ("KERAS_", "TF_", "CUDA_", "MLFLOW_", "MPLBACKEND")
# Loads libraries, then modules; what the second changed of the process, by name.
IMPORT = """
import gc, importlib, logging, os, signal, sys, threading, warnings
import matplotlib, numpy, pandas

def state():
    loggers = {"": logging.root, **logging.root.manager.loggerDict}
    kinds = {name: (kind.level, kind.handlers, kind.propagate, kind.disabled)
             for name, kind in loggers.items() if isinstance(kind, logging.Logger)}
    return {
        "environment": dict(os.environ), "path": list(sys.path), "directory": os.getcwd(),
        "threshold": gc.get_threshold(), "threads": threading.active_count(),
        "pictures": dict(matplotlib.rcParams), "warnings": list(warnings.filters),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "loggers": {name: kind for name, kind in kinds.items() if kind != (0, [], True, False)},
        "numbers": numpy.geterr(), "recursion": sys.getrecursionlimit(),
    }

libraries, modules = (names.split() for names in sys.argv[1:])
for name in libraries:
    try:
        importlib.import_module(name)
    except ImportError:
        pass  # something that a module holds
before = state()
for name in modules:
    importlib.import_module(name)
after = state()
print("changed:", *(name for name in before if before[name] != after[name]))
"""
EVERY = [file.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for file in MODULES]
FEW = ["pipeline.__main__", "pipeline.stages.window", "pipeline.reports.pictures"]


def shell(**variables: str) -> dict[str, str]:
    """A user's environment, without what the tests' own process has set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true"} | variables


def python(code: str, *arguments: str, **variables: str) -> str:
    """The last line that a program prints in a fresh process."""
    command = [sys.executable, "-c", code, *arguments]
    env = shell(**variables)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("modules", [FEW, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_importing_changes_nothing(modules: list[str]) -> None:
    """Environment, collector, pictures, signals, logging: as the libraries leave them."""
    files = set[str]().union(*map(closure, modules))
    names = sorted({name for file in files for name in imports(file) if name[:8] != "pipeline"})
    found = python(IMPORT, " ".join(names), " ".join(modules), TF_NEW_SWITCH="1", MPLBACKEND="svg")
    assert found == "changed:"


def test_a_process_of_ours_is_settled_before_it_loads_libraries() -> None:
    """Whatever imports them first: TensorFlow, MLflow and matplotlib find the settings made."""
    code = (
        "import json, os, sys, types; from pipeline.runtime import process;"
        "print(sorted({'tensorflow', 'mlflow', 'matplotlib'} & sys.modules.keys()));"
        "sys.modules['command'] = types.SimpleNamespace("
        "main=lambda: print(json.dumps(dict(os.environ))));"
        "process.start('command')"
    )
    env = json.loads(
        python(code, TF_NEW_SWITCH="1", MPLBACKEND="svg", MLFLOW_HTTP_REQUEST_TIMEOUT="7")
    )
    assert env.items() >= determinism.ENVIRONMENT.items()
    assert env["CUDA_VISIBLE_DEVICES"] == "-1"
    assert "CUBLAS_WORKSPACE_CONFIG" not in env
    assert env["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert not {"TF_NEW_SWITCH", "MPLBACKEND"} & env.keys()


def test_a_user_chooses_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA_VISIBLE_DEVICES of the shell stays, and results are known to be made on another one."""
    with chdir(ROOT):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        usual = Machine.here()
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
        process.settle()
        chosen = Machine.here()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:2"  # or cuDNN's sums may differ
    assert usual.difference(chosen) == "CUDA_VISIBLE_DEVICES in the shell is 0, not unset"
    assert determinism.settings()["env.CUDA_VISIBLE_DEVICES"] == "0"


def test_nothing_looks_for_garbage_at_the_end() -> None:
    """What a process of ours has loaded is not looked through as it ends, since all of it goes."""
    program = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 1000));"
        "from pipeline.runtime import process; process.settle()"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


FAILING = """
import os, signal
from pipeline.runtime import process
def main():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except BaseException:
        raise ValueError("a library that tidies up")
process.run(main)
"""


def test_an_interrupt_that_a_library_answers_with_an_error_is_an_interrupt() -> None:
    """A database's library, say, that cannot roll back: a line, and no traceback."""
    done = subprocess.run(
        [sys.executable, "-c", FAILING], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "interrupted\n")


def test_a_signal_waits_for_what_must_not_be_broken_off() -> None:
    """The first one comes at the end; a second one at once. Handlers are as before."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    done = []
    with pytest.raises(KeyboardInterrupt), process.unbroken():
        signal.raise_signal(signal.SIGINT)
        done.append("after the first")
    with pytest.raises(KeyboardInterrupt), process.unbroken():
        signal.raise_signal(signal.SIGINT)
        done.append("after another first")
        signal.raise_signal(signal.SIGINT)
        done.append("after a second")
    assert done == ["after the first", "after another first"]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before

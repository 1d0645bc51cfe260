"""No pickle, anywhere: in what is logged, and in what loads it."""

import os
import pickletools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repositories import NO_STORE, ROOT, environment, outputs, run
from tests.toys import from_yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SUFFIXES = {".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth", ".keras"}
LOAD = """
import pickle, sys
import mlflow, pandas as pd
def refuse(*a, **k): raise AssertionError("a pickle is loaded")
pickle.load = pickle.loads = refuse
model = mlflow.pyfunc.load_model(sys.argv[1])
raw = pd.read_csv(sys.argv[2])
print(len(model.predict(raw.tail(40))))
"""


def is_pickle(content: bytes) -> bool:
    """Whether bytes are a pickle: its opcodes, from the first byte to a last one, STOP."""
    try:
        last = None
        for last, _, _ in pickletools.genops(content):  # noqa: B007
            pass
    except Exception:
        return False
    return last is not None


def test_nobody_is_told_what_is_run() -> None:
    """On a machine that is no CI's, neither MLflow nor DVC reports its use."""
    code = (
        "from pipeline.runtime import process; process.settle();"
        "import mlflow.telemetry as t; print(t.get_telemetry_client())"
    )
    kept = ("PATH", "HOME", "LANG")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    told = [sys.executable, "-c", code]
    done = subprocess.run(told, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
    analytics = run(ROOT, "dvc", "config", "core.analytics")
    assert analytics.strip() == "false"


def test_the_search_finds_a_pickle() -> None:
    """A pickle of any protocol is known as one; text and arrays are not."""
    import pickle

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert is_pickle(pickle.dumps({"a": [1, 2.0]}, protocol))
    assert not is_pickle(b"train: 1\n")


def test_nothing_that_is_written_is_a_pickle(finished_toy: Path) -> None:
    """No stage output and no artifact of the logged run and model is a pickle, by name or bytes."""
    files = outputs(finished_toy)
    artifacts = finished_toy / "mlartifacts"
    logged = {str(f): f.read_bytes() for f in artifacts.rglob("*") if f.is_file()}
    assert any(name.endswith("MLmodel") for name in logged)
    for name, content in (files | logged).items():
        assert Path(name).suffix not in SUFFIXES, name
        assert not is_pickle(content), name
    (description,) = [from_yaml(c) for name, c in logged.items() if name.endswith("MLmodel")]
    flavor = description["flavors"]["python_function"]
    assert Path(flavor["model_code_path"]).name == "served_model.py"
    assert "python_model" not in flavor


def test_the_logged_model_loads_where_pickle_is_forbidden(
    finished_toy: Path, tmp_path: Path
) -> None:
    """With pickles forbidden, by MLflow's switch and in Python itself, the model forecasts."""
    (model,) = {file.parent for file in (finished_toy / "mlartifacts").rglob("MLmodel")}
    raw = finished_toy / "data/raw/toy/toy.csv"
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(model), str(raw)],
        cwd=tmp_path,
        env=environment(NO_STORE | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3"

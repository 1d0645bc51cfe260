"""A logged model's own code: what a forecast needs, nothing else; and models of other code."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tracking import publishing
from tests.repositories import NO_STORE, environment
from tests.test_architecture import closure

LOAD = """
import sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
import pipeline
print(pipeline.__file__)
print(len(model.predict(pd.read_csv(sys.argv[2]).tail(40))))
"""


def test_a_model_s_code_is_what_it_imports() -> None:
    """The packages that are copied are those that a served model imports, all the way down."""
    files = closure("pipeline.forecasting.served_model")
    needed = {Path(file).relative_to("pipeline").parts[0] for file in files}
    assert needed | {"__init__.py"} == set(publishing.SERVED)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "numpy"])
def test_a_logged_model_forecasts_by_its_own_code(
    finished_toy: Path, tmp_path: Path, backend: str
) -> None:
    """In a process that cannot import the repository; commands and tracking are not in it."""
    (model,) = {file.parent for file in (finished_toy / "mlartifacts").rglob("MLmodel")}
    code = model / "code/pipeline"
    assert {file.name for file in code.iterdir()} - {"__pycache__"} == set(publishing.SERVED)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(model), str(finished_toy / "data/raw/toy/toy.csv")],
        cwd=tmp_path,
        env=environment(NO_STORE | {"FORECAST_BACKEND": backend}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [str(code / "__init__.py"), "3"], done.stderr

"""A logged model's own code: what a forecast needs, nothing else; and models of other code."""

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.tracking import champion, publishing
from tests.forecasting.test_stored import FORECAST, STORED
from tests.repositories import NO_STORE, copied, environment, run
from tests.test_architecture import closure
from tests.toys import from_yaml, toy_table

LOAD = """
import sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
import pipeline
print(pipeline.__file__)
print(len(model.predict(pd.read_csv(sys.argv[2]).tail(40))))
"""

# What the served_model.py of logged models imports, from the first to the present one: it travels
# with a model, and where it is loaded finds the package that is installed there.
IMPORTS = {
    "the first": """
from pipeline.errors import PipelineError
from pipeline.forecasting.forecaster import Backend, Forecaster, bundled_files, portable
""",
    "with Keras settled": """
from pipeline.errors import PipelineError
from pipeline.forecasting.forecaster import Backend, Forecaster, bundled_files, portable
from pipeline.runtime import determinism
settle = determinism.settle_keras
""",
    "of ensembles": """
from pipeline.errors import PipelineError
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.forecaster import Forecaster, bundled_files, portable
from pipeline.runtime import determinism
settle = determinism.settle_keras
""",
}


@pytest.mark.parametrize("which", IMPORTS)
def test_older_logged_models_find_what_they_import(which: str) -> None:
    """Each name that some served_model.py took from the package is where it was, and works."""
    there: dict[str, Any] = {}
    exec(IMPORTS[which], there)  # noqa: S102
    assert get_args(there["Backend"]) == ("tensorflow", "numpy")
    assert there["PipelineError"] is PipelineError
    model = there["Forecaster"].load(there["bundled_files"](STORED), "numpy")
    asked = model.predict(toy_table(), None)  # by place, before there were levels and series
    named = model.predict(toy_table(), origins=None, levels=None, series=None)
    for forecast in map(there["portable"], (asked, named)):
        assert isinstance(forecast["origin"].iloc[0], str)
        np.testing.assert_allclose(forecast["forecast"], FORECAST, rtol=1e-5)


def test_the_present_model_imports_what_is_held_here() -> None:
    """Who changes what served_model.py imports adds it above, and leaves what is there."""
    text = (publishing.PACKAGE / "forecasting/served_model.py").read_text()
    own = [line for line in text.splitlines() if line.startswith("from pipeline")]
    assert own == [line for line in IMPORTS["of ensembles"].splitlines() if "import" in line]


def test_a_model_s_code_is_what_it_imports() -> None:
    """The packages that are copied are those that a served model imports, all the way down."""
    files = closure("pipeline.forecasting.served_model")
    needed = {Path(file).relative_to("pipeline").parts[0] for file in files}
    assert needed | {"__init__.py"} == set(publishing.SERVED.split())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "numpy"])
def test_a_logged_model_forecasts_by_its_own_code(
    finished_toy: Path, tmp_path: Path, backend: str
) -> None:
    """Where the repository cannot be imported, and whatever backend the shell names for Keras."""
    (model,) = {file.parent for file in (finished_toy / "mlartifacts").rglob("MLmodel")}
    code = model / "code/pipeline"
    found = {file.name for file in code.iterdir()} - {"__pycache__"}
    assert found == set(publishing.SERVED.split())
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(model), str(finished_toy / "data/raw/toy/toy.csv")],
        cwd=tmp_path,
        env=environment(NO_STORE | {"FORECAST_BACKEND": backend, "KERAS_BACKEND": "jax"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [str(code / "__init__.py"), "3"], done.stderr


@pytest.mark.slow
def test_the_commit_that_reads_an_older_model_is_named(
    finished_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose code has modules that are here no more: its run says which commit has them."""
    toy = copied(finished_toy, tmp_path / "toy")
    (model,) = {file.parent for file in (toy / "mlartifacts").rglob("MLmodel")}
    (model / "served_model.py").write_text("from pipeline.forecaster import Forecaster\n")
    monkeypatch.chdir(toy)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_id = from_yaml((model / "MLmodel").read_text())["run_id"]
    commit = run(toy, "git", "rev-parse", "HEAD~1").strip()
    with pytest.raises(PipelineError) as caught:
        champion.load(f"runs:/{run_id}/model", "numpy")
    assert str(caught.value) == (
        f"--model runs:/{run_id}/model: expected a model that this code can read; mlflow models "
        f"serve runs the code that made it, at commit {commit}. Found No module "
        "named 'pipeline.forecaster'"
    )

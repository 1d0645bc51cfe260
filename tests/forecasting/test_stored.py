"""A model that was logged by earlier code: what its files say stays readable."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.params import Train
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.records import parse
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.forecaster import Forecaster, bundled_files
from pipeline.models.spec import Spec
from tests.toys import toy_table

STORED = Path(__file__).parent / "stored"  # by the first code that wrote a format
FORECAST = [6.351810954827937, 6.438203695633069, 6.446592852528565]


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_a_stored_model_forecasts_what_it_did(backend: Backend) -> None:
    """Of format 1, whatever keys training has had since."""
    made = Forecaster.load(bundled_files(STORED), backend).predict(toy_table())
    np.testing.assert_allclose(made["forecast"], FORECAST, rtol=1e-5)
    assert list(made) == ["origin", "time", "target", "forecast"]


def test_a_stored_model_has_no_intervals() -> None:
    """It was logged before there were any: whoever asks for them is told so."""
    with pytest.raises(PipelineError) as caught:
        Forecaster.load(bundled_files(STORED), "numpy").predict(toy_table(), levels=[80])
    assert str(caught.value) == (
        "levels: expected none of a model that was logged without calibration, found 80"
    )


def test_a_model_knows_nothing_of_its_training() -> None:
    """No key of `train` but those that shape the network is in model.json, and what was auto."""
    shaping = {"model", "residual", "normalisation", "quantiles", "ensemble", "members", "mix"}
    assert Spec.model_fields.keys() & Train.model_fields.keys() == shaping
    stored = artifacts.read_json(STORED / "model.json")
    assert parse(stored, Spec, "model.json").model_dump(mode="json") == stored
    # Of which a model may have none.
    others = {"quantiles", "known_ahead", "known_features", "holidays", "season"}
    others |= {"ensemble", "members", "mix", "chosen"}
    assert stored.keys() == Spec.model_fields.keys() - others


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "model.json: format: expected 1, found 2"),
        ({"residual": "squared"}, "model.json: residual: expected "),
    ],
)
def test_another_form_is_one_line(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    """It names the file, the key, what was expected and what was found."""
    shutil.copytree(STORED, tmp_path, dirs_exist_ok=True)
    tree = artifacts.read_json(tmp_path / "model.json")
    artifacts.write_json(tmp_path / "model.json", tree | changes)
    with pytest.raises(PipelineError) as caught:
        Forecaster.load(bundled_files(tmp_path), "numpy")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)

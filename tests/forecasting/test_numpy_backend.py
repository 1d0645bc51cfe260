"""Forecasts with NumPy alone."""

from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.sources import reading
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE
from pipeline.forecasting import numpy_backend
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.models.registry import build
from pipeline.models.spec import Spec
from pipeline.preparation.scaling import Scale, Scaler
from tests.toys import shaped, toy_params

SCALER = Scaler(
    columns={
        "level": Scale(center=1.0, scale=0.5, transform="log1p", mean=3.0, deviation=2.0),
        "flow": Scale(center=2.0, scale=3.0, mean=2.0, deviation=3.0),
    }
)


@pytest.mark.parametrize("name", ["lstm", "rnn"])
@pytest.mark.parametrize("residual", ["none", "last", "damped", "seasonal"])
@pytest.mark.parametrize("units", [[5], [4, 3]])
@pytest.mark.parametrize(("activation", "loss"), [("tanh", "mse"), ("relu", "pinball")])
def test_it_forecasts_as_tensorflow_does(
    name: str, residual: str, units: list[int], activation: str, loss: str, tmp_path: Path
) -> None:
    """Every stack of LSTM or plain layers and every residual gives the same forecast to 1e-5.

    Of points, and of quantiles, whose past is not standardised but scaled as an input.
    """
    changes = {
        "train.model.name": name,
        "window.look_back": 6,
        "window.horizon": 3,
        "train.residual": residual,
        "train.model.units": units,
        "train.model.activation": activation,
        "train.loss": loss,
    }
    params = toy_params(changes)
    names = ("level", "flow")
    spec = Spec(
        dataset="toy",
        inputs=names,
        features=names,
        targets=names,
        **shaped(params),
    )
    network = build(spec, SCALER)
    random = np.random.default_rng(1)
    network.set_weights([random.normal(0, 0.3, w.shape) for w in network.get_weights()])
    network.save_weights(tmp_path / "model.weights.h5")
    windows = random.normal(size=(7, 6, 2)).astype(np.float32)
    [steps] = numpy_backend.load(spec, SCALER, tmp_path / "model.weights.h5")
    forecast = steps(windows)
    assert forecast.shape == ((7, 3, 2, 11) if loss == "pinball" else (7, 3, 2))
    assert (np.diff(forecast) >= 0).all() or loss == "mse"
    np.testing.assert_allclose(forecast, network.predict_on_batch(windows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"train.model.name": "rnn"},
        {"train.model.units": [5]},
        {"train.model.units": [5, 4, 4]},
        {"window.horizon": 4},
        {"train.residual": "damped"},
        {"train.loss": "pinball"},
        {"window.inputs": ["level"]},
    ],
    ids=str,
)
def test_weights_of_another_model_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    """Their shapes are held to those that model.json asks for, as Keras holds them."""

    def spec(changes: dict[str, Any]) -> Spec:
        params = toy_params(
            {"train.model.units": [5, 4], "window.inputs": list(SCALER.columns)} | changes
        )
        names = params.window.inputs or ()
        return Spec(
            dataset="toy", inputs=names, features=names, targets=("level",), **shaped(params)
        )

    build(spec({}), SCALER).save_weights(tmp_path / "model.weights.h5")
    numpy_backend.load(spec({}), SCALER, tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match=r"weights of .* where model\.json has "):
        numpy_backend.load(spec(changes), SCALER, tmp_path / "model.weights.h5")


@pytest.mark.parametrize(
    "changes",
    [{"train.model.name": "gru"}, {"train.normalisation": "last"}],
    ids=["gru", "normalisation"],
)
def test_what_numpy_cannot_run_is_refused(changes: dict[str, str], tmp_path: Path) -> None:
    """The message names what was found and the backend that can."""
    params = toy_params(changes)
    spec = Spec(
        dataset="toy",
        inputs=("level",),
        features=("level",),
        targets=("level",),
        **shaped(params),
    )
    with pytest.raises(PipelineError, match=r"expected a model of rnn or lstm.*use backend tensor"):
        numpy_backend.load(spec, SCALER, tmp_path / "none.weights.h5")


def test_a_forecast_from_gaps_alone_is_told(
    finished_toy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a whole look-back has no value of the target, a line says so; the forecast is made."""
    with chdir(finished_toy):
        forecaster = Forecaster.load(stage_files(HERE, "toy"), "numpy")
        table = reading.read_table(Path("data/raw/toy/toy.csv"), forecaster.card)
    forecaster.predict(table)
    assert caplog.messages == []
    table.loc[len(table) - forecaster.spec.look_back :, "level"] = ""
    assert len(forecaster.predict(table, where="rows")) == forecaster.spec.horizon
    (line,) = caplog.messages
    assert line.startswith("rows: no level was observed in the 6 rows up to 2014-01-13 11:00:00: ")

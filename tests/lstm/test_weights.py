"""Weights that Keras saved, read and run without Keras."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import pipeline.lstm
from pipeline.lstm.elman import Elman, forward
from pipeline.lstm.stack import forecast
from pipeline.lstm.weights import read_keras_weights

STEPS, FEATURES, OUTPUTS = 12, 3, 4


def build(kind="LSTM", units=(6, 5), activation="tanh", head="head", **options):
    """A small model of the pipeline's form, with dropout between its layers."""
    keras.utils.set_random_seed(11)
    inputs = x = keras.Input((STEPS, FEATURES))
    for n, h in enumerate(units, start=1):
        layer = getattr(keras.layers, kind)
        x = layer(
            h,
            activation=activation,
            return_sequences=n < len(units),
            bias_initializer="glorot_uniform" if options.get("use_bias", True) else "zeros",
            name=f"recurrent_{n}",
            **options,
        )(x)
        x = keras.layers.Dropout(0.2, name=f"dropout_{n}")(x)
    return keras.Model(inputs, keras.layers.Dense(OUTPUTS, name=head)(x))


def saved(model, folder: Path) -> Path:
    """The path of the model's weights."""
    path = folder / "model.weights.h5"
    model.save_weights(path)
    return path


def sample_windows():
    """Random windows."""
    return np.random.default_rng(12).normal(size=(7, STEPS, FEATURES)).astype("float32")


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("units", [(6,), (6, 5, 4)], ids=["one layer", "three layers"])
def test_the_forecast_is_that_of_keras(units, activation, use_bias, tmp_path):
    """Weights from the file give Keras' forecast to 1e-5, in float32."""
    model = build(units=units, activation=activation, use_bias=use_bias, dropout=0.1)
    X = sample_windows()
    layers, head, _ = read_keras_weights(saved(model, tmp_path))
    found = forecast(layers, head, X.astype("float64"), activation)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.asarray(model(X)), rtol=0, atol=1e-5)


def test_a_trained_model_with_its_optimizer_is_read(tmp_path):
    """What else the file holds, the optimizer's state and dropout's, is passed over."""
    model = build()
    model.compile("adam", "mse")
    X = sample_windows()
    model.train_on_batch(X, np.ones((len(X), OUTPUTS)))
    layers, head, _ = read_keras_weights(saved(model, tmp_path))
    np.testing.assert_allclose(forecast(layers, head, X), np.asarray(model(X)), rtol=0, atol=1e-5)


def test_a_plain_network_is_read_too(tmp_path):
    """SimpleRNN layers become `Elman` weights, and give Keras' forecast."""
    model = build("SimpleRNN")
    h = X = sample_windows()
    layers, head, _ = read_keras_weights(saved(model, tmp_path))
    for p in layers:
        assert isinstance(p, Elman)
        h = forward(p, h).h
    for found in (h[:, -1] @ head.W + head.b, forecast(layers, head, X)):
        np.testing.assert_allclose(found, np.asarray(model(X)), rtol=0, atol=1e-5)


WITHOUT_TENSORFLOW = """
import sys
for name in ("tensorflow", "keras", "matplotlib", "rich", "mlflow"):
    sys.modules[name] = None  # importing it raises ImportError
import numpy as np
from pipeline.lstm.stack import forecast
from pipeline.lstm.weights import read_keras_weights
weights, windows, out = sys.argv[1:]
layers, head, _ = read_keras_weights(weights)
np.save(out, forecast(layers, head, np.load(windows)))
assert sys.modules["tensorflow"] is None and sys.modules["keras"] is None
"""


def test_a_forecast_needs_no_tensorflow(tmp_path):
    """A process in which TensorFlow and Keras cannot be imported forecasts all the same."""
    model, X = build(), sample_windows()
    weights, windows, out = saved(model, tmp_path), tmp_path / "X.npy", tmp_path / "y.npy"
    np.save(windows, X)
    root = Path(pipeline.lstm.__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, str(weights), str(windows), str(out)],
        env=os.environ | {"PYTHONPATH": str(root)},
        check=True,
    )
    np.testing.assert_allclose(np.load(out), np.asarray(model(X)), rtol=0, atol=1e-5)


def test_files_that_are_not_weights_are_refused(tmp_path):
    """A missing file, and one that is not HDF5, are named."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_keras_weights(tmp_path / "nowhere.weights.h5")
    (tmp_path / "text.weights.h5").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.weights\.h5: expected an HDF5 file"):
        read_keras_weights(tmp_path / "text.weights.h5")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: build(head="output"), "expected a layer head with weights, found: output, recur"),
        (lambda: build(units=()), "expected a layer recurrent_1 with weights, found: head"),
        (lambda: build("GRU"), r"group layers/gru \(recurrent_1\): expected a recurrent kernel"),
        (
            lambda: keras.Sequential(
                [
                    keras.Input((STEPS, FEATURES)),
                    keras.layers.LSTM(2, name="recurrent_1"),
                    keras.layers.Dense(3, name="between"),
                    keras.layers.Dense(OUTPUTS, name="head"),
                ]
            ),
            "expected weights of recurrent_1 and head alone, found: between, head, recurrent_1",
        ),
        (
            lambda: keras.Sequential(
                [
                    keras.Input((STEPS, FEATURES)),
                    keras.layers.LSTM(2, return_sequences=True, name="recurrent_1"),
                    keras.layers.SimpleRNN(2, name="recurrent_2"),
                    keras.layers.Dense(OUTPUTS, name="head"),
                ]
            ),
            r"simple_rnn \(recurrent_2\): expected LSTM weights as in recurrent_1, found Elman",
        ),
    ],
    ids=["no head", "no recurrent layer", "gru", "another layer", "two kinds"],
)
def test_other_models_are_refused(model, message, tmp_path):
    """The error names file and layer, what was expected and what was found."""
    path = saved(model(), tmp_path)
    with pytest.raises(ValueError, match=rf"model\.weights\.h5.*{message}"):
        read_keras_weights(path)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (
            "layers/lstm_1/cell/vars/0",
            r"layers/lstm_1 \(recurrent_2\): expected shapes \[\[6, 20\], \[5, 20\], \[20\]\], "
            r"found \[\[1, 1\], \[5, 20\], \[20\]\]",
        ),
        (
            "layers/dense/vars/0",
            r"layers/dense \(head\): expected shapes .*, found \[\[1, 1\], \[4\]\]",
        ),
    ],
)
def test_arrays_of_another_shape_are_refused(group, message, tmp_path):
    """The error names file, group, expected and found shapes."""
    path = saved(build(), tmp_path)
    with h5py.File(path, "a") as file:
        del file[group]
        file[group] = np.zeros((1, 1), "float32")
    with pytest.raises(ValueError, match=rf"model\.weights\.h5: group {message}"):
        read_keras_weights(path)

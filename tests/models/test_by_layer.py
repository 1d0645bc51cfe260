"""What networks are on a GPU, as far as a processor can tell: which layers, in which places."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.config.params import Params
from pipeline.errors import PipelineError
from pipeline.files.aligned import aligned_zeros
from pipeline.models import by_layer
from pipeline.models.registry import build
from pipeline.models.spec import Spec
from pipeline.preparation.scaling import Scale, Scaler
from pipeline.runtime import determinism
from pipeline.training import batches, fit, train_step
from tests.toys import shaped, toy_params
from tests.training.test_fit import examples, weights
from tests.training.test_fit import spec as small

SCALER = Scaler(columns={"level": Scale()})
GPU = {"/physical_device:GPU:0": "a card"}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow is said to have a GPU."""
    monkeypatch.setattr(determinism, "gpus", lambda: GPU)


def network(name: str, **more: Any) -> tuple[keras.Model, Params]:
    """A network of one input, its weights as seed 1 gives them."""
    changes = {
        "train.model.name": name,
        "train.model.input_dropout": 0.3,
        "train.model.dropout": 0.2,
    }
    params = toy_params(changes | {"train.model.units": [4, 3]} | more)
    names = ("level",)
    spec = Spec(dataset="toy", inputs=names, features=names, targets=names, **shaped(params))
    determinism.settle(1)
    return build(spec, SCALER), params


def recurrent(model: keras.Model) -> list[keras.layers.RNN]:
    """Its recurrent layers, those inside of others too."""
    return [one for one in model._flatten_layers() if isinstance(one, keras.layers.RNN)]


NETWORKS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "gru": {},
    "bilstm": {},
    "seq2seq_lstm": {},
    "attention_lstm": {},
    "cnn_lstm": {},
    "segment_lstm": {"train.model.segment": 2},
    "segment_gru": {"train.model.segment": 2, "train.model.units": [4]},
}


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("lstm", "gru", "bilstm") else pytest.param(name, marks=pytest.mark.slow)
        for name in NETWORKS
    ],
)
def test_layers_one_after_another_forecast_as_in_one_loop(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same seed: weights, dropped units, gradients; each reads the other's file."""
    windows = np.random.default_rng(1).normal(size=(5, 8, 1)).astype(np.float32)

    def told(model: keras.Model) -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(windows, training=True) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        return [model.predict_on_batch(windows), *(np.asarray(one) for one in gradients)]

    loop, _ = network(name, **NETWORKS[name])
    assert not any(isinstance(one, by_layer.RNN) for one in recurrent(loop))
    random = np.random.default_rng(2)
    loop.set_weights([random.normal(0, 0.3, one.shape) for one in loop.get_weights()])
    loop.save_weights(tmp_path / "loop.weights.h5")
    monkeypatch.setattr(determinism, "gpus", lambda: GPU)
    other, _ = network(name, **NETWORKS[name])
    assert recurrent(other)
    assert all(isinstance(one, by_layer.RNN) for one in recurrent(other))
    other.load_weights(tmp_path / "loop.weights.h5")
    for one, two in zip(told(loop), told(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    other.save_weights(tmp_path / "other.weights.h5")
    loop.set_weights([0 * one for one in loop.get_weights()])
    loop.load_weights(tmp_path / "other.weights.h5")
    assert weights(loop).tobytes() == weights(other).tobytes()


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("name", "more", "asked"),
    [
        ("lstm", {}, ["lstm", "lstm"]),
        ("gru", {}, ["gru", "gru"]),
        ("bilstm", {}, ["lstm"] * 4),
        ("rnn", {}, []),
        ("lstm", {"train.model.activation": "relu"}, []),
    ],
)
def test_cudnn_is_asked_where_it_has_a_kernel(
    name: str, more: dict[str, Any], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras' own way to cuDNN's kernel, once for each layer; elsewhere the loop stays."""
    found: list[str] = []

    def absent(kind: str) -> Any:
        def kernel(*_: Any, **__: Any) -> Any:
            found.append(kind)
            raise NotImplementedError

        return kernel

    for kind in ("lstm", "gru"):
        monkeypatch.setattr(keras.src.backend, kind, absent(kind))
    model, _ = network(name, **more)
    found.clear()
    model(np.zeros((2, 8, 1), np.float32))
    assert found == asked
    assert all(isinstance(one, by_layer.RNN) for one in recurrent(model)) == bool(asked)


@pytest.mark.usefixtures("gpu")
def test_xla_is_refused_on_a_gpu() -> None:
    """By the name of the parameter, before anything is compiled."""
    settings = toy_params({"train.acceleration": "xla"}).train
    with pytest.raises(PipelineError, match=r"train\.acceleration: expected none on a GPU.*GPU:0"):
        fit.compiled(build(small(), SCALER2), examples(), settings)


SCALER2 = Scaler(columns={"level": Scale(), "flow": Scale()})


def fitted(**settings: Any) -> bytes:
    """The weights of a tiny network after an epoch."""
    train = toy_params({"train.epochs": 1} | settings).train
    determinism.settle(1)
    made = build(small(), SCALER2)
    fit.fit(made, examples(), train)
    return weights(made).tobytes()


def test_what_does_not_repeat_is_refused_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bits of a gradient, or a kernel without a deterministic form; else the fit begins."""
    monkeypatch.setattr(determinism, "gpus", lambda: GPU)
    assert fitted()
    exact = train_step.mean

    def shaky(*given: Any) -> Any:
        return lambda *of: exact(*given)(*of) * (1 + tf.random.normal([]) * 1e-6)

    monkeypatch.setattr(train_step, "mean", shaky)
    with pytest.raises(
        PipelineError, match=r"on .*GPU:0 \(a card\), found other bits in those of "
    ):
        fitted()

    def absent(*_: Any) -> Any:
        raise tf.errors.UnimplementedError(None, None, "no deterministic kernel of Cumsum\nat x.py")

    monkeypatch.setattr(train_step, "mean", lambda *_: absent)
    with pytest.raises(
        PipelineError, match=r"found none: no deterministic kernel of Cumsum; train"
    ):
        fitted()


def test_a_series_is_copied_to_a_gpu_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor it is shared; on a GPU it would be sent again for each batch."""
    shared: list[Any] = []
    share = tf.experimental.dlpack.from_dlpack
    monkeypatch.setattr(
        tf.experimental.dlpack, "from_dlpack", lambda it: shared.append(it) or share(it)
    )
    array = aligned_zeros(8, 1)
    batches._held(array)
    assert len(shared) == 1
    monkeypatch.setattr(determinism, "gpus", lambda: GPU)
    batches._held(array)
    assert len(shared) == 1

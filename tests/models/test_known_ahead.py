"""What is known ahead: its shapes, cut from one table, and that every model uses it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from pipeline.config.experiment import Experiment
from pipeline.data.windows import ahead
from pipeline.errors import PipelineError
from pipeline.forecasting import numpy_backend
from pipeline.forecasting.forecaster import Network
from pipeline.models.baselines import FittedBaseline
from pipeline.models.registry import MODELS, build
from pipeline.models.spec import Spec
from pipeline.models.task import Seen, Task, forecasts
from pipeline.preparation.features import Gaps
from pipeline.preparation.scaling import Scale, Scaler
from pipeline.runtime import determinism
from pipeline.training import fit
from pipeline.training.batches import Examples
from tests.toys import toy_card, toy_params, toy_times

CARD = toy_card(columns={"a": {}, "b": {}}, inputs=["a"], targets=["a"], excluded=[])


SCALER = Scaler(columns={"a": Scale(), "b": Scale()})
# Of these each network gets the keys that it knows.
OWN: dict[str, dict[str, Any]] = {
    "cnn_lstm": {"filters": 4, "kernel": 2, "pool": 2},
    "attention_lstm": {"filters": 4},
    "segment_lstm": {"segment": 1},
    "segment_gru": {"segment": 1},
}
QUICK = ("lstm", "seq2seq_lstm", "segment_gru")  # one of each way to read what is known ahead


def experiment(*known: str, **train: Any) -> Experiment:
    """A model that sees three rows of `a`, and two steps of what is known ahead."""
    size = {"window.look_back": 3, "window.horizon": 2, "window.known_ahead": [*known]}
    changes = {"train.residual": "none", **{f"train.{key}": train[key] for key in train}}
    return Experiment(toy_params(size | changes), CARD)


def spec(*known: str, **train: Any) -> Spec:
    """The same model, as it is built."""
    return Spec.of(experiment(*known, **train))


def seen(made: Spec) -> Seen:
    """A table of eight hours as models see it: a is 10, 20, 30, ..., and b 1 more."""
    a = 10.0 * np.arange(1, 9)
    frame = pd.DataFrame({"a": a, "b": a + 1}, index=toy_times(8))
    gaps = Gaps(np.zeros(frame.shape, np.uint8), 1)
    return Seen.of(made, CARD, SCALER, frame, frame.to_numpy(np.float32), ["a", "b"], gaps)


def test_windows_and_the_steps_that_follow_them() -> None:
    """From two origins, windows [B, L, F] end at the origin, and steps [B, H, G] begin after it."""
    made = spec("b")
    windows, steps = seen(made).inputs(made, np.array([2, 4]))
    assert windows.tolist() == [[[10], [20], [30]], [[30], [40], [50]]]
    assert steps.tolist() == [[[41], [51]], [[61], [71]]]


def test_a_step_has_its_own_hour() -> None:
    """Columns and calendar terms stand beside each other; six hours are a quarter of a day."""
    made = spec("hour", "b")
    assert made.known_features == ("hour_sin", "hour_cos", "b")
    steps = seen(made).steps(made, np.array([5]))
    angle = np.pi / 2 + np.array([0, np.pi / 12])
    expected = np.stack([np.sin(angle), np.cos(angle), [71, 81]], axis=1)
    np.testing.assert_allclose(steps, [expected], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected", "rows"),
    [
        ("seasonal:1:a", [30, 40], 3),  # twice a season of one row: the origin's value is the last
        ("seasonal:2:a", [30, 40], 3),
        ("seasonal:3:a", [20, 30], 3),
        ("seasonal:4:a", [10, 20], 4),
        ("seasonal:4:difference:a", [0, 10], 5),  # of the first row there is none
        ("seasonal:2:b", [31, 41], 3),
    ],
)
def test_a_step_has_what_was_there_whole_seasons_before(
    name: str, expected: list[float], rows: int
) -> None:
    """The newest that is known from the origin for both steps; a longer season takes more rows."""
    made = spec(name)
    assert seen(made).steps(made, np.array([3])).tolist() == [[[each] for each in expected]]
    assert made.rows_seen(CARD.season) == rows


def test_without_anything_known_ahead_there_are_windows_alone() -> None:
    """What a network takes is then no list, and model.json is that of before."""
    made = spec()
    assert seen(made).inputs(made, np.array([2])).shape == (1, 3, 1)
    assert {"known_ahead", "known_features", "holidays"}.isdisjoint(made.model_dump(mode="json"))
    assert spec("b").model_dump(mode="json")["known_ahead"] == ["b"]
    assert Spec.model_validate_json(spec("b").model_dump_json()) == spec("b")


def test_steps_after_the_last_row_are_lacking() -> None:
    """The time up to which there are to be rows is told, and the one that was found."""
    made = spec("b")
    told = r"expected rows up to 2014-01-01 08:00:00 .* \(b\), found 2014-01-01 07:00:00"
    with pytest.raises(PipelineError, match=told):
        seen(made).steps(made, np.array([5, 6]))


BASELINES = ("ridge", "linear", "boosting")  # that take what is known ahead


def network_of(name: str, *known: str, **train: Any) -> tuple[Spec, keras.Model]:
    """A small network with fresh weights."""
    model = {"name": name, "units": [6], **OWN.get(name, {})}
    made = spec(*known, model=model, **train)
    determinism.settle(1)
    return made, build(made, SCALER)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_reads_what_is_known_of_its_steps(name: str) -> None:
    """A step's forecast follows what is known of that step, and of none after it."""
    _, network = network_of(name, "b", loss="pinball")
    windows, steps = (np.random.default_rng(1).normal(size=(4, rows, 1)) for rows in (3, 2))
    other = steps.copy()
    other[:, 1] += 1
    one, two = (keras.ops.convert_to_numpy(network([windows, some])) for some in (steps, other))
    assert one.shape == (4, 2, 1, 11)
    np.testing.assert_array_equal(one[:, 0], two[:, 0])
    assert (one[:, 1, 0] != two[:, 1, 0]).any(axis=1).all()


@pytest.mark.parametrize("loss", ["mse", "pinball"])
@pytest.mark.parametrize("name", ["lstm", "rnn"])
def test_numpy_reads_what_is_known_ahead(name: str, loss: str, tmp_path: Path) -> None:
    """Its forecasts are TensorFlow's to 1e-5; weights of another shape are told."""
    made, network = network_of(name, "b", "hour", loss=loss)
    random = np.random.default_rng(1)
    network.set_weights([random.normal(0, 0.3, w.shape) for w in network.get_weights()])
    network.save_weights(path := tmp_path / "model.weights.h5")
    inputs = [random.normal(size=(4, *size)).astype(np.float32) for size in ((3, 1), (2, 3))]
    [steps] = numpy_backend.load(made, SCALER, path)
    forecast = steps(inputs)
    np.testing.assert_allclose(forecast, network.predict_on_batch(inputs), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="known ahead"):
        numpy_backend.load(spec("b", model=made.model.model_dump(), loss=loss), SCALER, path)


def foretold(made: Spec) -> Task:
    """Noise, and beside it a column that says what the noise will be."""
    noise = np.random.default_rng(3).normal(size=(300, 1))
    noise32 = noise.astype(np.float32)
    seen = Seen(toy_times(300), noise32, noise, noise32.copy())
    return Task(made, SCALER, seen, np.arange(2, 240), np.arange(242, 297))


@pytest.mark.parametrize(
    ("name", "acceleration"),
    [
        ("lstm", "xla"),
        *(
            pytest.param(name, "none", marks=[pytest.mark.slow] * (name not in QUICK))
            for name in MODELS
        ),
    ],
)
def test_a_network_learns_what_is_known_ahead(name: str, acceleration: str) -> None:
    """Noise that a known column tells is forecast by it; from the window alone it cannot be."""
    rate = {"learning_rate": 0.02, "epochs": 12, "patience": 12, "loss": "mse"}
    made, network = network_of(name, "b", **rate)
    task, settings = foretold(made), experiment("b", acceleration=acceleration, **rate).params.train
    losses = [epoch["validation/loss"] for epoch in fit.fit(network, Examples.of(task), settings)]
    assert min(losses) < 0.2
    model = Network(made, SCALER, network.predict_on_batch)
    errors = forecasts(model, task.seen, np.array([250]))[0] - task.seen.targets[251:253]
    assert np.abs(errors).max() < 1.5


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_learns_what_is_known_ahead(name: str) -> None:
    """What no window tells is forecast from the known column, at every step."""
    task = foretold(spec("b", model={"name": name}))
    made = forecasts(FittedBaseline(task.spec, SCALER).fit(task), task.seen, task.validation)
    errors = made - ahead(task.seen.targets, task.validation, 2)
    assert np.sqrt(np.mean(errors**2, axis=(0, 2))).max() < (0.5 if name == "boosting" else 0.05)


def test_linear_learns_what_is_known_ahead_of_each_target() -> None:
    """Its maps are shared by the targets; what a known column does to each is not."""
    noise = np.random.default_rng(3).normal(size=(300, 1))
    both, known = np.hstack([noise, -3 * noise]), noise.astype(np.float32)
    made = spec("b", model={"name": "linear"})
    made = made.model_copy(update={"targets": ("a", "c"), "features": ("a", "c")})
    scaler = Scaler(columns=dict.fromkeys("abc", Scale()))
    seen = Seen(toy_times(300), both.astype(np.float32), both, known)
    task = Task(made, scaler, seen, np.arange(2, 240), np.arange(242, 297))
    forecast = forecasts(FittedBaseline(made, scaler).fit(task), seen, np.array([250]))
    np.testing.assert_allclose(forecast[0], both[251:253], atol=0.05)


def model_of(name: str) -> tuple[Task, Any]:
    """A task, and a network with random weights, or a baseline that is fitted on it."""
    if name in BASELINES:
        task = foretold(spec("b", model={"name": name}))
        return task, FittedBaseline(task.spec, SCALER).fit(task)
    made, network = network_of(name, "b")
    return foretold(made), Network(made, SCALER, network)


@pytest.mark.parametrize("name", [*MODELS, *BASELINES])
def test_a_forecast_sees_nothing_later_and_needs_no_other_rows(name: str) -> None:
    """Later values of all columns, and of the known one after the last step, change no byte.

    Nor do rows before the window; the known column's own steps do, so that this can fail.
    """
    task, model = model_of(name)
    seen, origin = task.seen, np.array([250])
    made = forecasts(model, seen, origin)
    features, targets, known = (part.copy() for part in (seen.features, seen.targets, seen.ahead))
    features[251:], targets[251:], known[253:] = 9, -9, 9
    assert forecasts(model, Seen(seen.times, features, targets, known), origin).tobytes() == (
        made.tobytes()
    )
    newest = Seen(*(part[240:253] for part in (seen.times, features, targets, known)))
    assert forecasts(model, newest, np.array([10])).tobytes() == made.tobytes()
    known[252] *= -1
    assert (forecasts(model, Seen(seen.times, features, targets, known), origin) != made).any()


@pytest.mark.parametrize("acceleration", ["none", "xla"])
def test_a_fit_with_known_columns_repeats_to_the_byte(acceleration: str) -> None:
    """The same seed gives the same weights again, of a network that forecasts quantiles."""
    pinball = {"loss": "pinball", "acceleration": acceleration}
    settings = experiment("b", epochs=2, **pinball).params.train
    weights = []
    for _ in range(2):
        made, network = network_of("lstm", "b", **pinball)
        fit.fit(network, Examples.of(foretold(made)), settings)
        weights.append(b"".join(array.tobytes() for array in network.get_weights()))
    assert weights[0] == weights[1]

"""One battery of checks for every model of the registry, and what stands around a network."""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from statistics import NormalDist
from typing import Any, get_args

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.cards import Transform
from pipeline.config.checks import check
from pipeline.config.experiment import Experiment
from pipeline.config.params import Baseline, Model, Train
from pipeline.data.windows import ahead
from pipeline.errors import PipelineError
from pipeline.files.records import parse
from pipeline.forecasting.forecaster import Forecaster, Network
from pipeline.models import quantiles, recurrent
from pipeline.models.baselines import BASELINES, FittedBaseline
from pipeline.models.registry import MODELS, build
from pipeline.models.spec import Spec
from pipeline.models.task import Model as Fitted
from pipeline.models.task import Seen, Task, forecasts
from pipeline.preparation.imputation import Imputer
from pipeline.preparation.scaling import Scale, Scaler
from pipeline.runtime import determinism
from pipeline.training import fit
from pipeline.training.batches import Examples
from pipeline.training.xla import FAR
from tests.toys import seen_hours, toy_card, toy_params

Floats = npt.NDArray[np.floating]

RECORDS = {
    name: record
    for record in get_args(get_args(Model)[0])
    for name in get_args(record.model_fields["name"].annotation)
}
EVERY = [*MODELS, *BASELINES]
QUANTILES = ["quantile lstm", "quantile segment_gru"]  # networks that are fitted by pinball
FITTED = [*EVERY, *QUANTILES]
WEIGHED = [*MODELS, "ridge"]  # those that can learn a window by heart
SEES = [*WEIGHED, "boosting"]  # those that see the whole window
# Of these each model gets the keys that it knows.
SMALL = {"units": [8], "filters": 8, "segment": 4, "season": 6, "alphas": [1e-6, 1.0, 100.0]}
SMALL |= {"seasons": [6, 12], "rounds": 100, "learning_rate": 0.2}
LOOK_BACK = 12


def model(name: str, **keys: Any) -> dict[str, Any]:
    """A small model's own parameters."""
    known = RECORDS[name].model_fields
    return {"name": name} | {k: v for k, v in (SMALL | keys).items() if k in known}


def train(name: str, keys: dict[str, Any] | None = None, **changes: Any) -> Train:
    """How a small model is fitted: few epochs, one rate, no wrapper."""
    settings = {
        "seed": 1,
        "model": model(name, **(keys or {})),
        "residual": "none",
        "loss": "mse",
        "optimizer": "adam",
        "learning_rate": 0.01,
        "batch_size": 32,
        "epochs": 2,
        "patience": 100,
    }
    if issubclass(RECORDS[name], Baseline):
        changes = {k: v for k, v in changes.items() if k not in ("residual", "normalisation")}
    return parse(settings | changes, Train, "train")


class Fitting(Spec):
    """A model and how it is fitted."""

    train: Train


def spec(
    name: str,
    horizon: int = 3,
    targets: int = 1,
    keys: dict[str, Any] | None = None,
    **changes: Any,
) -> Fitting:
    """A small model that sees its targets' past and nothing else."""
    names, made = tuple("abc"[:targets]), train(name, keys, **changes)
    return Fitting(
        dataset="toy",
        inputs=names,
        features=names,
        targets=names,
        look_back=LOOK_BACK,
        horizon=horizon,
        model=made.model,
        residual=made.residual,
        normalisation=made.normalisation,
        quantiles=made.forecasts,
        train=made,
    )


def scaler(**scales: Scale) -> Scaler:
    """Values that are standardised as they are, or on the scales given."""
    return Scaler(columns={name: scales.get(name, Scale()) for name in "abc"})


def fresh(made: Fitting) -> Any:
    """The network of a spec, its weights drawn from the spec's seed; or the baseline."""
    determinism.settle(made.train.seed)
    baseline = made.model.name in BASELINES
    return FittedBaseline(made, scaler()) if baseline else build(made, scaler())


def learn(model: Any, made: Fitting, shown: Examples) -> list[fit.Epoch]:
    """Fit a network or a baseline in place."""
    if isinstance(model, FittedBaseline):
        return fit.solve(model, task(made, shown), made.train, lambda *_: None)
    return fit.fit(model, shown, made.train)


def task(made: Fitting, shown: Examples) -> Task:
    """What a baseline is fitted on, of what a network is."""
    seen = seen_hours(shown.features, shown.targets)
    return Task(made, scaler(), seen, shown.train, shown.validation)


def as_model(model: Any, made: Fitting) -> Fitted:
    """A network or a baseline, as it forecasts from rows."""
    if isinstance(model, FittedBaseline):
        return model
    return Network(made, scaler(), model.predict_on_batch)


def examples(series: Floats, cut: int, horizon: int = 3) -> Examples:
    """A series [rows, K], its windows to train on before the cut, and the others."""
    values = series.astype(np.float32)
    spans = np.arange(LOOK_BACK - 1, cut - horizon), np.arange(cut - 1, len(values) - horizon)
    return Examples(values, values, *spans, LOOK_BACK, horizon)


def noise(rows: int, targets: int = 1) -> Floats:
    """Seeded noise, [rows, K]."""
    return np.random.default_rng(5).normal(size=(rows, targets))


def weights(model: Any) -> bytes:
    """The bytes of all weights, one after the other."""
    baseline = isinstance(model, FittedBaseline)
    arrays = model.learned.values() if baseline else model.get_weights()
    return b"".join(array.tobytes() for array in arrays)


def eight_windows() -> Examples:
    """Eight windows of two noises, each a hundred and twenty times an epoch."""
    rows = LOOK_BACK + 3 + 7
    shown = examples(noise(rows, 2), rows)
    return replace(shown, train=np.tile(shown.train, 120), validation=shown.train)


@cache
def fitted(name: str) -> tuple[Fitting, Any, float]:
    """A model after two epochs on eight windows, and its loss; shared, since each fit is traced."""
    loss = "pinball" if name in QUANTILES else "mse"
    made = spec(name.split()[-1], targets=2, keys={"units": [24]}, batch_size=8, loss=loss)
    network = fresh(made)
    history = learn(network, made, eight_windows())
    return made, network, min(epoch["validation/loss"] for epoch in history)


def windows(count: int, targets: int = 2) -> npt.NDArray[np.float32]:
    """Windows of noise: [count, L, K]."""
    return np.random.default_rng(9).normal(size=(count, LOOK_BACK, targets)).astype(np.float32)


def call(model: Any, seen: Floats) -> Floats:
    """Forecasts [B, H, K] outside of training; a baseline's from each window by itself."""
    if isinstance(model, FittedBaseline):
        last = np.array([LOOK_BACK - 1])
        series = (seen_hours(window.astype(np.float32), window) for window in seen)
        return np.concatenate([forecasts(model, rows, last) for rows in series])
    return keras.ops.convert_to_numpy(model(seen, training=False))


def test_the_registry_and_the_parameters_name_the_same_models() -> None:
    """A model that can be chosen can be built, and the other way round."""
    assert {*MODELS, *BASELINES} == set(RECORDS)


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("name", EVERY)
def test_shape(name: str, targets: int, horizon: int) -> None:
    """Origins [B] give finite forecasts [B, H, K]; no layer is named by history."""
    made = spec(name, horizon, targets, {"units": [5, 4]})
    shown, network = examples(noise(40, targets), 30, horizon), fresh(made)
    if isinstance(network, FittedBaseline):
        network.fit(task(made, shown))
    else:
        assert network.output_shape == (None, horizon, targets)
        again = fresh(made)
        assert [w.path for w in network.weights] == [w.path for w in again.weights]
        network = Network(made, scaler(), partial(call, network))  # traced, it takes a second
    forecast = forecasts(network, task(made, shown).seen, np.arange(20, 24))
    assert forecast.shape == (4, horizon, targets)
    assert forecast.dtype == np.float64
    assert np.isfinite(forecast).all()


@pytest.mark.parametrize("name", [*WEIGHED, *QUANTILES])
def test_it_overfits_eight_windows(name: str) -> None:
    """Eight windows of noise are learned by heart: the loss falls from about 1 to below 0.05."""
    _, _, loss = fitted(name)
    assert loss < 0.05


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_decides_where_it_starts(name: str) -> None:
    """The same seed draws the same bytes, another seed others."""
    start = weights(fresh(spec(name)))
    assert weights(fresh(spec(name))) == start
    assert weights(fresh(spec(name, seed=2))) != start


@pytest.mark.parametrize("name", FITTED)
def test_the_seed_decides_where_it_ends(name: str) -> None:
    """After two epochs the same seed has the same bytes."""
    made, first, _ = fitted(name)
    again = fresh(made)
    learn(again, made, eight_windows())
    assert weights(again) == weights(first)


@pytest.mark.parametrize(
    ("name", "loss"),
    [("lstm", "pinball"), *((name, "mse") for name in MODELS if name != "cnn_lstm")],
)
def test_in_halves_it_learns_the_same(name: str, loss: str) -> None:
    """Compiled by XLA, forecasts and losses after eight updates differ by rounding.

    Batches are odd and an epoch's last is one window; targets are missing, more in one half.
    """
    rows = LOOK_BACK + 3 + 7
    series = noise(rows, 2).astype(np.float32)
    targets = series.copy()
    targets[LOOK_BACK : LOOK_BACK + 6, 0] = np.nan
    origins = np.arange(LOOK_BACK - 1, LOOK_BACK + 7)
    few = Examples(series, targets, np.tile(origins, 3)[:22], origins, LOOK_BACK, 3)
    seen = {}
    for acceleration in ("none", "xla"):
        made = spec(name, targets=2, batch_size=7, acceleration=acceleration, loss=loss)
        network = fresh(made)
        history = fit.fit(network, few, made.train)
        losses = [epoch["train/loss"] for epoch in history]
        seen[acceleration] = [*losses, *call(network, windows(4)).ravel()]
    assert seen["xla"] == pytest.approx(seen["none"], abs=1e-5)


@pytest.mark.parametrize("key", ["dropout", "input_dropout"])
def test_halves_drop_different_units(key: str) -> None:
    """The same windows have another loss in the other half, and in the next update.

    XLA would derive the generator's key anew for each number, so the generator is named; it draws
    what it draws without a name.
    """
    made = spec("lstm", keys={key: 0.5}, batch_size=8, acceleration="xla")
    network = fresh(made)
    trained = fit.compiled(network, examples(noise(40), 30), made.train)
    rows = tf.fill(4, tf.constant(LOOK_BACK - 1, tf.int64))
    seen, observed = trained.inputs(rows), trained.observed(rows)
    values = [tf.convert_to_tensor(weight.value) for weight in network.trainable_variables]

    def half(step: int) -> tuple[Any, ...]:
        states = [tf.add(state.value, [0, step]) for state in network.non_trainable_variables]
        return seen, observed, None, tf.constant(12.0), values, states

    loss = float(trained.gradients(*half(0))[0])
    assert loss == float(trained.gradients(*half(0))[0])
    assert loss != float(trained.gradients(*half(FAR))[0])
    unnamed = tf.function(network.stateless_call, autograph=False, jit_compile=True)
    forecasts, _ = unnamed(values, half(0)[-1], seen, training=True)
    assert loss == pytest.approx(float(trained.masked(observed, forecasts)), abs=1e-6)
    graph = trained.gradients.get_concrete_function(*half(0)).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "StatelessRandomUniformV2" in kinds
    assert "StatelessRandomGetKeyCounter" not in kinds

    trained.train_step(tf.range(8, dtype=tf.int64))
    assert float(trained.gradients(*half(0))[0]) != loss
    drawn = [int(state.value[1]) for state in network.non_trainable_variables]
    assert max(drawn) == 1


def test_halves_hold_no_variables() -> None:
    """Both are stateless functions, which may run beside each other."""
    made = spec("lstm", keys={"dropout": 0.5}, batch_size=8, acceleration="xla")
    trained = fit.compiled(fresh(made), examples(noise(40), 30), made.train)
    step = tf.function(trained.train_step, autograph=False)
    graph = step.get_concrete_function(tf.TensorSpec([None], tf.int64)).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert [kind for kind in kinds if "PartitionedCall" in kind] == ["PartitionedCall"] * 2


def test_xla_is_there_when_asked_for() -> None:
    """XLA is at work: it refuses the pooling that it cannot repeat to the byte."""
    made = spec("cnn_lstm", targets=2, batch_size=8, acceleration="xla")
    with pytest.raises(tf.errors.UnimplementedError, match="deterministic XLA implementation"):
        fit.fit(fresh(made), eight_windows(), made.train)


@pytest.mark.parametrize("name", FITTED)
def test_saved_and_loaded_it_forecasts_the_same(name: str, tmp_path: Path) -> None:
    """A new model with the saved weights gives the same bytes."""
    made, network, _ = fitted(name)
    path = tmp_path / "model.weights.h5"
    network.save_weights(path)
    loaded = fresh(made)
    loaded.load_weights(path)
    np.testing.assert_array_equal(call(loaded, windows(4)), call(network, windows(4)))


@pytest.mark.parametrize("name", FITTED)
def test_a_forecast_is_its_windows_alone(name: str) -> None:
    """Neither the batch's size nor its other rows change a forecast by more than 1e-5."""
    _, network, _ = fitted(name)
    seen = windows(9)
    whole = call(network, seen)
    for rows in (slice(0, 1), slice(2, 5)):
        np.testing.assert_allclose(call(network, seen[rows]), whole[rows], rtol=0, atol=1e-5)
    seen[1:] = 50.0
    np.testing.assert_allclose(call(network, seen)[:1], whole[:1], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_it_finds_what_is_there_and_nothing_else(name: str) -> None:
    """After the training rows, three steps ahead, beside persistence.

    On a wave of six rows a turn the error is less than half; on a random walk, where nothing is to
    be found, the skill is at most .02.
    """
    wave = np.sin(np.arange(1200) * 2 * np.pi / 6 + 0.3)
    walk = np.cumsum(noise(1200)[:, 0])
    walk = (walk - walk[:600].mean()) / walk[:600].std()
    made = spec(name, targets=2, residual="last", epochs=8)
    network, shown = fresh(made), examples(np.stack([wave, walk], axis=1), 600)
    learn(network, made, shown)
    series, origins = task(made, shown).seen, shown.validation
    came = ahead(shown.targets, origins, 3)
    error = np.square(forecasts(as_model(network, made), series, origins) - came).mean(axis=(0, 1))
    last = series.targets[origins][:, None]
    of_wave, of_walk = 1 - np.sqrt(error / np.square(last - came).mean(axis=(0, 1)))
    assert of_wave > 0.5 or name in ("persistence", "drift", "last_change")
    assert of_walk <= 0.02


@pytest.mark.parametrize("name", EVERY)
def test_a_missing_input_is_named(name: str, tmp_path: Path) -> None:
    """What a model cannot forecast from gives an error with the column's name.

    Of a window's features that is a hole, of a naive baseline's target that none was observed.
    """
    made, network, _ = fitted(name)
    path = tmp_path / "model.weights.h5"
    network.save_weights(path)
    card = toy_card(columns={"a": {}, "b": {}}, inputs=["a", "b"], targets=["a"], excluded=[])
    imputer = Imputer(method="ffill", limit=3, season=6, means={"a": 0.0, "b": 0.0})
    served = Forecaster(card, made, imputer, scaler(), path)
    rows, origins = noise(20, 2).astype(np.float32), np.array([12, 15])
    assert np.isfinite(served.forecast(seen_hours(rows, rows), origins)).all()
    if name in SEES:
        rows[10, 1] = np.nan
    else:
        rows[:13, 1] = np.nan
    expected = "feature b: expected a fin" if name in SEES else "column b: expected a value in"
    with pytest.raises(PipelineError, match=expected):
        served.forecast(seen_hours(rows, rows), origins)


@pytest.mark.parametrize("name", ["lstm", "gru", "segment_gru"])
@pytest.mark.parametrize("normalisation", ["last", "revin"])
@pytest.mark.parametrize("residual", ["none", "damped"])
def test_a_normalised_network_follows_the_level(
    name: str, normalisation: str, residual: str
) -> None:
    """A window that lies higher is forecast as much higher; with revin, wider as much wider."""
    made = spec(name, targets=2, normalisation=normalisation, residual=residual)
    network = fresh(made)
    network.set_weights([w + 0.1 * noise(w.size).reshape(w.shape) for w in network.get_weights()])
    seen, level, width = windows(5), np.array([3.0, -7.0], np.float32), np.float32(1)
    if normalisation == "revin":
        width = np.array([4.0, 0.5], np.float32)
    forecast = call(network, seen)
    assert np.ptp(forecast) > 0.1
    moved = call(network, seen * width + level)
    np.testing.assert_allclose(moved, forecast * width + level, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("normalisation", ["none", "last", "revin"])
@pytest.mark.parametrize("residual", ["last", "damped"])
def test_wrappers_speak_the_targets_own_units(normalisation: str, residual: str) -> None:
    """With inputs of log(1 + x) beside others, a fresh network forecasts from x itself."""
    made = spec("lstm", 2, 1, normalisation=normalisation, residual=residual).model_copy(
        update={"inputs": ("b", "a"), "features": ("b", "a")}
    )
    logged = Scale(center=1.5, scale=0.5, transform="log1p", mean=10.0, deviation=4.0)
    determinism.settle(1)
    network = build(made, scaler(a=logged))
    x = np.random.default_rng(3).uniform(0, 30, (6, LOOK_BACK))
    seen = np.stack([noise(6 * LOOK_BACK).reshape(x.shape), (np.log1p(x) - 1.5) / 0.5], axis=2)
    past = (x - 10) / 4
    last, mean = past[:, -1:], past.mean(axis=1, keepdims=True)
    part = np.exp(-np.array([1, 2]) / 3) if residual == "damped" else np.ones(2)
    base = {"none": 0.0, "last": last, "revin": mean}[normalisation]
    expected = base + part * (last - base)
    np.testing.assert_allclose(call(network, seen)[..., 0], expected, atol=1e-4)


@pytest.mark.parametrize("wrapped", [{}, {"normalisation": "revin", "residual": "damped"}])
@pytest.mark.parametrize("name", MODELS)
def test_quantiles_never_cross(name: str, wrapped: dict[str, str], tmp_path: Path) -> None:
    """Whatever the weights, they rise, none below the card's minimum, in each target's units."""
    made = spec(name, targets=2, loss="pinball", **wrapped)
    scales = scaler(a=Scale(scale=0.5, transform="log1p"), b=Scale(scale=7.0))
    determinism.settle(1)
    network = build(made, scales)
    assert network.output_shape == (None, 3, 2, 11)
    network.set_weights([w - 0.4 * noise(w.size).reshape(w.shape) for w in network.get_weights()])
    network.save_weights(tmp_path / "model.weights.h5")
    columns = {"a": {"minimum": 0}, "b": {}}
    card = toy_card(columns=columns, inputs=["a", "b"], targets=["a"], excluded=[])
    imputer = Imputer(method="ffill", limit=3, season=6, means={"a": 0.0, "b": 0.0})
    served = Forecaster(card, made, imputer, scales, tmp_path / "model.weights.h5")
    rows, origins = 3 * noise(40, 2).astype(np.float32), np.arange(12, 35)
    found = served.forecast(seen_hours(rows, rows), origins)
    assert found.shape == (23, 3, 2, 11)
    assert (np.diff(found) >= 0).all()
    assert np.diff(found).max() > 0.1
    assert found[:, :, 0].min() == 0
    assert found[:, :, 1].min() < 0
    np.testing.assert_array_equal(made.point(found), found[..., 5])


@given(
    center=st.floats(-3, 3),
    scale=st.floats(0.1, 5),
    transform=st.sampled_from([None, "log1p", "asinh", "yeo_johnson"]),
)
def test_quantiles_come_back_as_they_were_scaled(
    center: float, scale: float, transform: Transform | None
) -> None:
    """In the units of the target, however it is scaled, and rising as before."""
    own = Scale(center=center, scale=scale, transform=transform, power=0.3, mean=9, deviation=4)
    units = np.array([0.0, 0.1, 0.5, 1, 2, 3, 4, 5, 6, 7, 80.0])
    scaled = scaler(a=own).transform(pd.DataFrame({"a": units})).to_numpy()[:, 0]
    made = quantiles.straight(np.tile(scaled, (2, 3, 1, 1)), scaler(a=own), ("a",))
    assert made.shape == (2, 3, 1, 11)
    np.testing.assert_allclose(made, np.tile((units - 9) / 4, (2, 3, 1, 1)), atol=1e-9)
    assert (np.diff(made) > 0).all()


def test_quantiles_are_summed_in_one_operation() -> None:
    """TensorFlow orders a chain of additions anew in each process, and the last digits with it."""
    found = []
    for given_quantiles in ([0.1, 0.5, 0.9], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]):
        network = fresh(spec("lstm", loss="pinball", quantiles=given_quantiles))
        graph = tf.function(network).get_concrete_function(tf.constant(windows(5, 1))).graph
        found.append(sorted(operation.type for operation in graph.get_operations()))
    assert found[0] == found[1]


@pytest.mark.parametrize("normalisation", ["none", "last", "revin"])
def test_quantiles_start_around_the_last_value(normalisation: str) -> None:
    """A fresh network forecasts a normal distribution in the scale of the input, wide as it is.

    So that of log(1 + x) the median is the last x, and the others are log-normal.
    """
    made = spec("lstm", 2, 1, loss="pinball", normalisation=normalisation, residual="last")
    logged = scaler(a=Scale(center=1.5, scale=0.5, transform="log1p", mean=10.0, deviation=4.0))
    determinism.settle(1)
    network = build(made, logged)
    x = np.random.default_rng(3).uniform(1, 30, (6, LOOK_BACK))
    past = (np.log1p(x) - 1.5) / 0.5
    width = np.sqrt(past.var(axis=1) + 1e-5) if normalisation == "revin" else np.ones(6)
    normal = np.array([NormalDist().inv_cdf(q) for q in made.quantiles or ()])
    expected = past[:, -1:] + width[:, None] * normal  # [6, Q]
    found = call(network, past[..., None]) * 4 + 10
    for step in range(2):
        np.testing.assert_allclose(found[:, step, 0], np.expm1(expected * 0.5 + 1.5), rtol=1e-4)
    np.testing.assert_allclose(made.point(found)[:, 0, 0], x[:, -1], rtol=1e-4)


@pytest.mark.parametrize("name", BASELINES)
def test_a_served_baseline_is_the_reports(name: str, tmp_path: Path) -> None:
    """Saved, loaded and given the newest rows alone, it forecasts as from the whole series."""
    made, rows = spec(name, 8, 2), noise(40, 2)
    rows[:2], rows[25, 0] = np.nan, np.nan
    shown = examples(np.nan_to_num(rows), 30, 8)
    shown = replace(shown, targets=rows.astype(np.float32))
    whole = task(made, shown).seen
    fresh(made).fit(task(made, shown)).save_weights(tmp_path / "model.weights.h5")
    loaded = fresh(made).load_weights(tmp_path / "model.weights.h5")
    expected = forecasts(loaded, whole, np.arange(14, 40))
    for origin, values in zip(range(14, 40), expected, strict=True):
        some = slice(origin - LOOK_BACK, origin + 1)
        newest = Seen(whole.times[some], whole.features[some], whole.targets[some])
        found = forecasts(loaded, newest, np.array([LOOK_BACK]))
        np.testing.assert_array_equal(found[0], values)


@pytest.mark.parametrize("name", BASELINES)
def test_weights_of_another_baseline_are_refused(name: str, tmp_path: Path) -> None:
    """What was learned of one series fits no model of more targets, nor another baseline."""
    path = tmp_path / "model.weights.h5"
    fitted(name)[1].save_weights(path)
    again, _, _ = fitted(name)
    fresh(again).load_weights(path)
    others = [spec(other, targets=2) for other in ("drift", "ridge") if other != name]
    more = [spec(name, targets=3)] if name in ("drift", "ridge", "boosting") else []
    for other in others + more:
        with pytest.raises(ValueError, match=r"weights of .* where model\.json has"):
            fresh(other).load_weights(path)


def test_the_last_change_is_added_once() -> None:
    """Of 1, 2 and 4 every step ahead is 6, however far."""
    seen = np.array([0] * (LOOK_BACK - 3) + [1, 2, 4], np.float32).reshape(1, -1, 1)
    assert call(fresh(spec("last_change", 3, 1)), seen).ravel().tolist() == [6, 6, 6]


@pytest.mark.parametrize(
    ("entering", "leaving", "above"), [(0.0, 0.0, 0.0), (0.5, 0.0, 0.5), (0.2, 0.5, 0.6)]
)
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_one_loop_is_keras_layers_on_top_of_each_other(
    kind: str, entering: float, leaving: float, above: float
) -> None:
    """The same states, gradients and random numbers; `dropout` drops between the layers."""
    keys = {"units": [5, 4, 3], "input_dropout": entering, "dropout": leaving}
    own = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[kind]
    found = []
    for ours in (True, False):
        determinism.settle(3)
        window = keras.Input((LOOK_BACK, 2))
        if ours:
            stack = recurrent.cells(kind, spec(kind, keys=keys).model, "layer")
            states = recurrent.in_one_loop(stack, "stack", return_sequences=True)(window)
        else:
            states = window
            for units, rate in zip((5, 4, 3), (entering, above, above), strict=True):
                states = own(units, dropout=rate, return_sequences=True)(states)
        network = keras.Model(window, states)
        drawn = np.random.default_rng(1)
        network.set_weights([drawn.normal(size=w.shape) for w in network.get_weights()])
        with tf.GradientTape() as tape:
            states = network(tf.constant(windows(5)), training=True)
            loss = tf.reduce_sum(states**2)
        found.append([states, *tape.gradient(loss, network.trainable_variables)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_layers_share_a_loop() -> None:
    """A network of three layers has one loop over the steps, so that layers run side by side."""
    network = fresh(spec("lstm", targets=2, keys={"units": [4, 4, 4]}))
    graph = tf.function(network).get_concrete_function(tf.constant(windows(5))).graph
    loops = [each.type for each in graph.get_operations() if "While" in each.type]
    assert len(loops) == 1


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gru_is_keras_gru(dropout: float) -> None:
    """The same weights give the states and the gradients that Keras' own cell gives."""
    options = {"return_sequences": True, "return_state": True}
    seen = windows(5)
    found = []
    for cell in (recurrent.GRUCell, keras.layers.GRUCell):
        determinism.settle(3)
        layer = keras.layers.RNN(cell(6, dropout=dropout), name="layer", **options)
        layer.build(seen.shape)
        layer.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in layer.weights])
        with tf.GradientTape() as tape:
            states, last = layer(seen, training=True)
            loss = tf.reduce_sum(states**2) + tf.reduce_sum(last**3)
        found.append([states, last, *tape.gradient(loss, layer.trainable_variables)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("units", [[5], [5, 4]])
def test_segments_ahead_are_a_step_each_of_keras_layers(kind: str, units: list[int]) -> None:
    """Decoded together, forecasts and gradients are those of every segment by Keras' own layers."""
    channels, ahead, rows = 2, 3, SMALL["segment"]
    made = spec(f"segment_{kind}", 11, channels, {"units": units})
    network = fresh(made)
    network.set_weights([w + 0.3 * noise(w.size).reshape(w.shape) for w in network.get_weights()])
    seen = tf.constant(windows(5))
    cells = [network.get_layer(f"ahead_{i}").cell for i in (1, 2)[: len(units)]]
    kerases = []
    for cell, size, width in zip(cells, units, [units[0], *units], strict=False):
        theirs = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[kind]
        theirs = theirs(size, return_sequences=True, return_state=True)
        theirs.build((None, None, width))
        theirs.set_weights(cell.get_weights())
        kerases.append(theirs)

    def stock() -> tf.Tensor:
        series = tf.reshape(tf.transpose(seen, [0, 2, 1]), [-1, LOOK_BACK // rows, rows])
        state = network.get_layer("projection")(series)
        queries = network.get_layer("queries")
        each = [
            tf.concat([queries.position[0, step], queries.channel[channel, 0]], axis=0)
            for channel in range(channels)
            for step in range(ahead)
        ]
        steps = tf.tile(tf.stack(each), [len(seen), 1])[:, None]  # [B * C * ahead, 1, D]
        for layer in kerases:
            state, *last = layer(state)
            steps, *_ = layer(steps, initial_state=[tf.repeat(s, ahead, axis=0) for s in last])
        out = tf.reshape(network.get_layer("head")(steps), [-1, channels, ahead * rows])
        return tf.transpose(out[:, :, :11], [0, 2, 1])

    shared = [network.get_layer(name).weights for name in ("projection", "queries", "head")]
    found = []
    for forecast, stack in ((lambda: network(seen), cells), (stock, kerases)):
        with tf.GradientTape() as tape:
            forecasts = forecast()
            loss = tf.reduce_sum(forecasts**3)
        weights = [w.value for part in (*shared, *(layer.weights for layer in stack)) for w in part]
        found.append([forecasts, *tape.gradient(loss, weights)])
    assert np.ptp(found[0][0]) > 0.1
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_ridge_sees_logarithms_straightened() -> None:
    """An input of log(1 + x) gives the forecasts that x itself gives, in the target's units."""
    x = np.exp(noise(150)[:, 0]).cumsum() % 7
    other = noise(150)[::-1, 0]
    logged = Scale(center=1.0, scale=0.5, transform="log1p", mean=3.0, deviation=2.0)
    targets = x[:, None].copy()
    targets[40:45] = np.nan
    origins, held_out = np.arange(90) + LOOK_BACK - 1, np.arange(95, 130) + LOOK_BACK - 1
    made = spec("ridge", 2, 1, {"alphas": [1.0, 10.0, 100.0, 1000.0]}).model_copy(
        update={"inputs": ("b", "a"), "features": ("b", "a")}
    )
    found = []
    for own, scale in (
        ((np.log1p(x) - 1) / 0.5, logged),
        ((x - 3) / 2, Scale(center=3.0, scale=2.0, mean=3.0, deviation=2.0)),
    ):
        seen = seen_hours(np.stack([other, own], axis=1).astype(np.float32), targets)
        given = Task(made, scaler(a=scale), seen, origins, held_out)
        ridge = FittedBaseline(made, scaler(a=scale))
        (scores,) = fit.solve(ridge, given, made.train, lambda *_: None)
        found.append(forecasts(ridge, seen, held_out))
        for span, rows in (("train", origins), ("validation", held_out)):
            errors = (ahead(targets, rows, 2) - forecasts(ridge, seen, rows)) / 2
            assert scores[f"{span}/loss"] == pytest.approx(np.nanmean(errors**2), rel=1e-4)
    assert np.ptp(found[0]) > 1
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)


SEGMENTS = {"train.model.name": "segment_gru", "train.model.segment": 4}
RIDGE = {"train.model": {"name": "ridge"}}
MISTAKES = [
    ({"train.model.units": 8}, "train.model.units: expected a list, found 8; put it in brackets"),
    ({"train.model.name": "gur"}, "train.model.name: expected one of rnn, .*did you mean gru?"),
    ({"train.model": {"units": [4]}}, "train.model.name: missing"),
    ({"train.model": "gru"}, "train.model: expected an object, found .gru."),
    (
        {"train.model.filters": 4},
        "train.model.filters: unknown key in train.model; ",
    ),
    ({"train.model.name": "ridge"}, "train.model.units: unknown key in train.model"),
    (RIDGE, "train.residual: expected none with train.model.name ridge.* found last"),
    (
        RIDGE | {"train.residual": "none", "train.normalisation": "revin"},
        "train.normalisation: expected none with train.model.name ridge.* found revin",
    ),
    (
        {"train.normalisation": "last", "train.residual": "none", "window.inputs": ["flow"]},
        "train.normalisation: expected level among window.inputs",
    ),
    (
        {
            "train.model": {"name": "persistence"},
            "train.residual": "none",
            "window.inputs": ["flow"],
        },
        "train.model.name: expected level among window.inputs",
    ),
    (
        {"train.model": {"name": "seasonal_naive", "season": 9}, "train.residual": "none"},
        "window.look_back: expected at least 9 with train.model.name seasonal_naive, found 8",
    ),
    (
        RIDGE | {"train.residual": "none", "window.look_back": 2000},
        "train.model.name: expected another model; ridge of 2,000 rows x 4 feat.*"
        r" 0.48 GiB.*at most 0.39: shorten window.look_back or use fewer window.inputs",
    ),
    (
        {"train.model.name": "attention_lstm", "window.look_back": 1},
        "window.look_back: expected at least 2 with train.model.name attention_lstm, found 1",
    ),
    (
        {"train.model.name": "cnn_lstm", "train.acceleration": "xla"},
        "train.acceleration: expected none with train.model.name cnn_lstm.* found xla",
    ),
    (SEGMENTS, "window.inputs: expected the targets and nothing else"),
    (
        SEGMENTS | {"window.inputs": ["flow", "level"], "window.targets": ["level", "flow"]},
        "window.inputs: expected the targets and nothing else .level, flow.",
    ),
    (
        SEGMENTS | {"window.inputs": ["flow"], "window.targets": ["flow"]},
        "impute_scale.transforms: expected none of a target with .*segment_gru.* found flow",
    ),
    (
        SEGMENTS | {"window.inputs": ["level"], "impute_scale.transforms": ["asinh:level"]},
        "impute_scale.transforms: expected none of a target with .*segment_gru.* found level",
    ),
    (
        SEGMENTS | {"window.inputs": ["level"], "window.look_back": 6},
        "window.look_back: expected a multiple of train.model.segment .4., found 6",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_what_a_model_cannot_do_is_said(changes: dict[str, Any], message: str) -> None:
    """One line names the key, what was expected and what was found."""
    with pytest.raises(PipelineError, match=message):
        check(Experiment(toy_params(changes), toy_card()))

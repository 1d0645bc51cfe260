"""The masked loss, the batches, and a fit that keeps its best epoch."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from benchmarks.networks import batches
from pipeline.data.panel import Borders
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.aligned import aligned_zeros
from pipeline.models.registry import build
from pipeline.models.spec import Spec
from pipeline.preparation.scaling import Scale, Scaler
from pipeline.runtime import determinism, process
from pipeline.tracking import store
from pipeline.training import ensemble, fit, train_step
from pipeline.training.batches import Examples, by_series, gatherers, order
from pipeline.training.losses import loss_weights, masked
from pipeline.training.shuffle import Shuffle
from tests.toys import Project, shaped, toy_params

_ = np.nan


def spec(residual: str = "last") -> Spec:
    """A tiny network of two features, three rows back and two steps ahead."""
    params = toy_params({"window.look_back": 3, "window.horizon": 2, "train.residual": residual})
    return Spec(
        dataset="toy",
        inputs=("level", "flow"),
        features=("level", "flow"),
        targets=("level",),
        **shaped(params),
    )


SCALER = Scaler(columns={"level": Scale(), "flow": Scale()})


def examples(rows: int = 60) -> Examples:
    """A noisy wave, its first two thirds for training; one target in ten is missing."""
    random = np.random.default_rng(3)
    wave = np.sin(np.arange(rows)) + random.normal(0, 0.3, rows)
    features = np.stack([wave, random.normal(size=rows)], axis=1).astype(np.float32)
    targets = np.where(random.random((rows, 1)) < 0.1, _, features[:, :1]).astype(np.float32)
    cut = rows * 2 // 3
    return Examples(features, targets, np.arange(2, cut - 3), np.arange(cut - 1, rows - 2), 3, 2)


def fitted(**settings: Any) -> tuple[keras.Model, list[fit.Epoch]]:
    """A network fitted to the wave, and its history."""
    train = toy_params({f"train.{name}": value for name, value in settings.items()}).train
    determinism.settle(train.seed)
    network = build(spec(), SCALER)
    return network, fit.fit(network, examples(), train)


def weights(network: keras.Model) -> npt.NDArray[np.float32]:
    """All weights in one array."""
    return np.concatenate([array.ravel() for array in network.get_weights()])


SHARES = np.array([0.1, 0.5, 0.8], np.float32)  # quantiles that are forecast alike
ERRORS = {
    "mse": np.square,
    "mae": np.abs,
    "huber": lambda e: np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5),
    "pinball": lambda e: np.array([max(q * x, (q - 1) * x) for x in e for q in SHARES]),
}


def loss_of(name: str, observed: Any, forecast: Any, weights: Any = 1.0) -> Any:
    """The masked loss of forecasts; of pinball, each forecast is that of three quantiles."""
    if name == "pinball":
        forecast = tf.repeat(forecast[..., None], 3, axis=-1)
    return masked(name, weights=weights, quantiles=SHARES.tolist())(observed, forecast)


@pytest.mark.parametrize("name", ERRORS)
def test_the_loss_is_the_mean_over_observed_targets(name: str) -> None:
    """A missing target counts neither in the sum nor in the number."""
    observed = np.array([[[1.0], [_]], [[-3.0], [0.5]]], np.float32)
    forecast = np.array([[[1.5], [9.0]], [[2.0], [0.5]]], np.float32)
    expected = ERRORS[name](np.array([-0.5, -5.0, 0.0])).mean()
    assert float(loss_of(name, observed, forecast)) == pytest.approx(float(expected))
    first = np.array([[3.0], [0.0]], np.float32)  # the weights of two steps
    expected = 3 * ERRORS[name](np.array([-0.5, -5.0])).mean() * 2 / 3
    assert float(loss_of(name, observed, forecast, first)) == pytest.approx(float(expected))


@pytest.mark.parametrize("name", ERRORS)
def test_a_missing_target_has_no_gradient(name: str) -> None:
    """Where nothing was observed the loss is 0, and its gradient is 0, not NaN."""
    import tensorflow as tf

    observed = tf.constant([[_, _], [1.0, _]])
    forecast = tf.Variable([[5.0, -5.0], [3.0, 7.0]])
    with tf.GradientTape() as tape:
        loss = loss_of(name, observed, forecast)
    gradient = tape.gradient(loss, forecast).numpy()
    assert gradient[1, 0] > 0
    gradient[1, 0] = 0
    assert (gradient == 0).all()
    assert float(loss_of(name, observed[:1], forecast[:1])) == 0


def test_batches_are_windows() -> None:
    """They come in order, the last batch with what is left."""
    data = examples()
    held = [(x.numpy(), y.numpy()) for x, y in batches(data, np.arange(2, 7), 2)]
    assert [len(x) for x, _y in held] == [2, 2, 1]
    pairs = (pair for xs, ys in held for pair in zip(xs, ys, strict=True))
    for origin, (x, y) in enumerate(pairs, start=2):
        np.testing.assert_array_equal(x, data.features[origin - 2 : origin + 1])
        np.testing.assert_array_equal(y, data.targets[origin + 1 : origin + 3])


def test_a_series_that_lies_right_is_handed_over() -> None:
    """They come from an aligned array where it lies, however late; of another from a copy."""
    data = examples()
    aligned = aligned_zeros(*data.features.shape)
    aligned[:] = data.features
    crooked = np.zeros(aligned.size + 16, np.float32)
    crooked = crooked[(-crooked.ctypes.data // 4 + 1) % 16 :][: aligned.size].reshape(-1, 2)
    for features, shared in ((aligned, True), (crooked, False)):
        windows, _observed = gatherers(replace(data, features=features))
        features[:] = 7
        assert (windows(np.arange(2, 52)).numpy() == 7).all() == shared


def test_windows_are_shuffled_by_their_seed() -> None:
    """Each epoch has every position in another order; the same seed gives the same orders."""

    def orders(seed: int) -> list[list[int]]:
        shuffle = Shuffle(30, seed)
        epochs = []
        for _ in range(2):
            shuffle.next_epoch()
            epochs.append(shuffle(np.arange(30)).numpy().tolist())
        return epochs

    first, second = orders(1)
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second
    assert orders(1) == [first, second]
    assert orders(2)[0] != first


@pytest.mark.parametrize("acceleration", ["none", "xla"])
def test_training_sees_every_window_in_its_epochs_order(acceleration: str) -> None:
    """Batch by batch; the last is as large as the others, filled up by windows without targets."""
    data = replace(examples(), train=np.arange(5, 22), validation=np.arange(32, 34))
    settings = toy_params({"train.batch_size": 7, "train.acceleration": acceleration}).train
    trained = fit.compiled(build(spec(), SCALER), data, settings)
    seen: list[tuple[npt.NDArray[np.float32], ...]] = []
    trained.update = lambda *batch: seen.append(tuple(map(np.asarray, batch[:2])))
    shuffle = Shuffle(17, settings.seed)
    for _ in range(2):
        trained.epochs.on_epoch_begin(0, None)
        shuffle.next_epoch()
        for positions in order(data.train, 7):
            trained.train_step(positions)
            origins = data.train[shuffle(positions).numpy()]
            windows, targets = seen.pop()
            assert len(windows) == len(targets) == (7 if acceleration == "none" else 8)
            for origin, x, y in zip(origins, windows, targets, strict=False):
                np.testing.assert_array_equal(x, data.features[origin - 2 : origin + 1])
                np.testing.assert_array_equal(y, data.targets[origin + 1 : origin + 3])
            assert np.isnan(targets[len(origins) :]).all()
            assert np.isfinite(windows).all()


@pytest.mark.parametrize(("batch_size", "size"), [(7, 7), (100, 35)])
def test_a_batch_has_one_size(batch_size: int, size: int) -> None:
    """It is known before anything is computed, and no larger than there are windows."""
    settings = toy_params({"train.batch_size": batch_size}).train
    trained = fit.compiled(build(spec(), SCALER), examples(), settings)
    shapes: list[tuple[tf.TensorShape, ...]] = []
    trained.update = lambda *batch: shapes.append(tuple(part.shape for part in batch[:2]))
    step = tf.function(trained.train_step, autograph=False)
    step.get_concrete_function(tf.TensorSpec([None], tf.int64))
    assert shapes == [((size, 3, 2), (size, 2, 1))]


@pytest.mark.parametrize(
    ("schedule", "last"),
    [({"name": "constant"}, 0.01), ({"name": "cosine"}, 1e-4), ({"name": "exponential"}, 1e-4)],
)
def test_the_learning_rate_follows_its_schedule(schedule: dict[str, Any], last: float) -> None:
    """It starts at learning_rate and ends, after all epochs' steps, at the final share of it."""
    settings = toy_params({"train.schedule": schedule, "train.epochs": 3}).train
    optimizer = fit.optimizer(settings, steps=5)
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    optimizer.iterations.assign(15)
    assert float(optimizer.learning_rate) == pytest.approx(last)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("adam", 0.01),  # the rate itself, whatever the gradient
        ("adamw", 0.01 + 0.01 * 0.004),  # and a decay of the weight, which is 1
        ("rmsprop", 0.01 / 0.1**0.5),  # of the square a tenth is remembered
        ("sgd", 0.01 * 0.25),
    ],
)
def test_an_optimizer_steps_as_its_name_says(name: str, step: float) -> None:
    """The first update of a weight of 1 by a gradient of a quarter, at a rate of a hundredth."""
    weight = keras.Variable(1.0)
    settings = toy_params({"train.optimizer": name}).train
    fit.optimizer(settings, steps=1).apply([tf.constant(0.25)], [weight])
    assert 1 - float(weight.value) == pytest.approx(step, rel=1e-3)


def test_an_untrained_residual_network_is_persistence() -> None:
    """It forecasts the change since the last value, and starts from none."""
    window = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    forecast = build(spec(), SCALER).predict_on_batch(window)
    np.testing.assert_array_equal(forecast, np.repeat(window[:, -1:, :1], 2, axis=1))
    assert not np.allclose(build(spec(residual="none"), SCALER).predict_on_batch(window), forecast)


def test_an_untrained_damped_network_decays_from_persistence() -> None:
    """Its first forecast is the last value times a weight that falls with the steps ahead."""
    window = np.ones((1, 3, 2), np.float32)
    near, far = build(spec(residual="damped"), SCALER).predict_on_batch(window)[0, :, 0]
    np.testing.assert_allclose([near, far], np.exp([-1 / 3, -2 / 3]), rtol=1e-6)


def test_an_untrained_seasonal_network_repeats_the_newest_season() -> None:
    """Of a season of 2 rows the last two values, in turn, as seasonal naive has them."""
    made = spec(residual="seasonal").model_copy(update={"season": 2, "horizon": 5})
    window = np.array([[[1.0, 9.0], [2.0, 9.0], [3.0, 9.0]]], np.float32)
    forecast = build(made, SCALER).predict_on_batch(window)[0, :, 0]
    np.testing.assert_array_equal(forecast, [2, 3, 2, 3, 2])


def test_the_last_value_is_taken_in_the_targets_own_units() -> None:
    """A residual network whose input is scaled as log(1 + x) adds the standardised value."""
    scale = Scale(center=1.0, scale=2.0, transform="log1p", mean=3.0, deviation=4.0)
    scaler = Scaler(columns={"level": scale, "flow": Scale()})
    window = np.full((1, 3, 2), (np.log1p(11.0) - 1) / 2, np.float32)
    forecast = build(spec(), scaler).predict_on_batch(window)
    np.testing.assert_allclose(forecast, (11 - 3) / 4, rtol=1e-5)


def test_steps_can_be_weighted_by_persistence() -> None:
    """Weights have mean 1 and fall as persistence's error grows; equal weights are 1."""
    walk = np.cumsum(np.random.default_rng(0).normal(size=(400, 1)), axis=0).astype(np.float32)
    data = Examples(walk, walk, np.arange(2, 392), np.arange(2, 7), 3, 4)
    train = toy_params({"train.loss_weights": "persistence"}).train
    weights = loss_weights(data, train)[:, 0]
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-6)
    np.testing.assert_allclose(weights / weights[0], 1 / np.sqrt([1, 2, 3, 4]), rtol=0.1)
    assert (loss_weights(data, toy_params().train) == 1).all()


@pytest.mark.parametrize(
    "series",
    [
        pytest.param(np.where(np.arange(200) % 2, np.nan, np.arange(200.0)), id="every other row"),
        pytest.param(np.where(np.arange(200) % 9, np.nan, np.arange(200.0)), id="hardly any row"),
        pytest.param(np.sin(np.arange(200) * np.pi / 2), id="the same every four rows"),
    ],
)
def test_no_step_weighs_all(series: np.ndarray) -> None:
    """Weights are finite, and of no step many times the others'."""
    column = series[:, None].astype(np.float32)
    data = Examples(column, column, np.arange(2, 192), np.arange(2, 7), 3, 4)
    weights = loss_weights(data, toy_params({"train.loss_weights": "persistence"}).train)
    assert np.isfinite(weights).all()
    assert weights.max() <= 21 * np.median(weights)


def panel(long: int = 60, short: int = 24) -> Examples:
    """Two series of unequal length below each other; the last four windows of each are others'."""
    borders = Borders.of({"long": long, "short": short})
    values = np.random.default_rng(5).normal(size=(long + short, 1)).astype(np.float32)
    train = np.concatenate([np.arange(2, long - 8), np.arange(long + 2, long + short - 8)])
    validation = np.concatenate([rows + np.arange(-6, -2) for rows in borders.edges[1:]])
    return Examples(values, values, train, validation, 3, 2, borders=borders)


def test_weights_of_steps_know_the_training_rows_of_each_series_alone() -> None:
    """Later rows of any series, and steps from one series into the next, change no weight."""
    settings = toy_params({"train.loss_weights": "persistence"}).train
    data = panel()
    other = data.targets.copy()
    other[54:60] = 1e6  # of the first series, after its last training target
    other[-6:] = -1e6
    expected = loss_weights(data, settings)
    np.testing.assert_array_equal(loss_weights(replace(data, targets=other), settings), expected)
    pairs = [other[:54], other[60:78]]
    errors = [
        np.sqrt(np.mean(np.concatenate([(rows[h:] - rows[:-h]) ** 2 for rows in pairs])))
        for h in (1, 2)
    ]
    np.testing.assert_allclose(expected[0] / expected[1], errors[1] / errors[0], rtol=1e-5)


@pytest.mark.parametrize("acceleration", ["none", "xla"])
def test_series_may_weigh_the_same(acceleration: str) -> None:
    """A series of one window counts as much as one of four, in updates and in validation."""
    data = panel()
    data = replace(data, validation=data.validation[:5])
    changes = {"train.loss_by": "series", "train.loss": "mse", "train.batch_size": 8}
    settings = toy_params(changes | {"train.acceleration": acceleration}).train
    made = spec(residual="none").model_copy(update={"features": ("level",), "inputs": ("level",)})
    network = build(made, SCALER)
    history = fit.fit(network, data, settings.model_copy(update={"epochs": 1}))
    each = []
    for origins in np.split(data.validation, [4]):
        windows = data.features[origins[:, None] + np.arange(-2, 1)]
        targets = data.targets[origins[:, None] + np.arange(1, 3)]
        each.append(np.mean((network.predict_on_batch(windows) - targets) ** 2))
    np.testing.assert_allclose(history[0]["validation/loss"], np.mean(each), rtol=1e-5)
    weights = by_series(data.validation, panel().borders)(tf.constant(data.validation))
    np.testing.assert_allclose(weights, [5 / 8] * 4 + [5 / 2])


def test_a_fit_keeps_its_best_epoch() -> None:
    """Training stops after `patience` epochs without a better one, whose weights come back."""
    data = examples()
    network, history = fitted(epochs=40, patience=2, learning_rate=0.3, loss="mse")
    losses = [epoch["validation/loss"] for epoch in history]
    best = int(np.argmin(losses))
    assert len(history) == best + 3 < 40
    assert [epoch["kept"] for epoch in history] == [int(n == best) for n in range(len(history))]
    assert mean_loss(network, data, data.validation) == pytest.approx(min(losses), rel=1e-5)


def test_the_kept_epoch_is_the_one_that_keras_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses that float32 cannot tell apart are equal to Keras, and the first of them is kept."""
    losses = iter([2.0, 1.0, 1.0 - 1e-9, 1.0 - 2e-9])
    monkeypatch.setattr(train_step.OnPositions, "evaluate", lambda *_, **__: {"loss": next(losses)})
    _, history = fitted(epochs=9, patience=2)
    assert [epoch["kept"] for epoch in history] == [0, 1, 0, 0]


def test_only_the_fit_is_on_its_clock(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making a run, logging its epochs and writing the model are no part of its time to fit."""
    project.run("ingest", "impute_scale", "window")
    sent: dict[str, float] = {}

    clock, waited = time.monotonic, [0]

    def slow(*_: Any, **__: Any) -> Any:
        waited[0] += 1000
        return client

    def log(run: str, metrics: Any, **_: Any) -> None:
        slow()
        sent.update({metric.key: metric.value for metric in metrics})

    def at_once(network: Any, examples: Any, settings: Any, on_epoch: Any, **_: Any) -> Any:
        scores = {"train/loss": 1.0, "validation/loss": 1.0}
        on_epoch(0, scores)
        return [scores | {"kept": 1}]

    client = SimpleNamespace(log_batch=log, set_terminated=slow)
    for name in ("connect", "experiment_id", "describe"):
        monkeypatch.setattr(store, name, slow)
    monkeypatch.setattr(store, "create", lambda *_: str(slow()))
    monkeypatch.setattr(store, "abandoned", lambda *_: [])
    monkeypatch.setattr(ensemble, "fit", at_once)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + waited[0])
    write = artifacts.write_json
    monkeypatch.setattr(artifacts, "write_json", lambda *given: (slow(), write(*given)))
    project.run("train")
    assert sent["train/loss"] == 1
    assert 0 <= sent["time/fit_seconds"] < 500 < waited[0]


def test_halves_of_a_batch_share_no_state_but_random_numbers() -> None:
    """A moving mean would be set forward as a random number's state is: it is refused by name."""
    window = keras.Input((3, 2))
    normal = keras.layers.BatchNormalization(name="normal")(keras.layers.Dropout(0.5)(window))
    network = keras.Model(window, keras.layers.Dense(1)(normal)[:, :2])
    with pytest.raises(PipelineError, match="normal/moving_mean, normal/moving_v"):
        fit.compiled(network, examples(), toy_params({"train.acceleration": "xla"}).train)


def mean_loss(network: keras.Model, data: Examples, origins: npt.NDArray[np.int64]) -> float:
    """The mean squared error of all observed targets at once."""
    windows, observed = next(iter(batches(data, origins, len(origins))))
    return float(masked("mse")(observed, network(windows)))


@pytest.mark.parametrize("acceleration", ["none", "xla"])
def test_an_epochs_loss_is_the_mean_over_its_observed_targets(acceleration: str) -> None:
    """A batch without most of its targets does not weigh as much as a full one."""
    rows = 3000  # of which the last batch of each span hardly has any
    data = examples(rows)
    targets = data.targets.copy()
    targets[: rows // 2 : 2] = np.nan
    targets[-900:-20] = np.nan
    data = replace(data, targets=targets)
    still = {"learning_rate": 1e-12, "loss": "mse", "epochs": 1, "batch_size": 64}
    still["acceleration"] = acceleration
    train = toy_params({f"train.{name}": value for name, value in still.items()}).train
    determinism.settle(train.seed)
    network = build(spec(), SCALER)
    [epoch] = fit.fit(network, data, train)
    for name, origins in (("train", data.train), ("validation", data.validation)):
        expected = mean_loss(network, data, origins)
        assert epoch[f"{name}/loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("acceleration", ["none", "xla"])
def test_a_fit_repeats_to_the_byte(acceleration: str) -> None:
    """The same seed gives the same weights, however a step is computed."""
    one, _history = fitted(epochs=2, acceleration=acceleration)
    other, _history = fitted(epochs=2, acceleration=acceleration)
    assert weights(one).tobytes() == weights(other).tobytes()


def test_another_seed_starts_from_other_weights() -> None:
    """What is drawn for a network depends on the seed alone."""

    def fresh(seed: int) -> bytes:
        determinism.settle(seed)
        return weights(build(spec(), SCALER)).tobytes()

    assert fresh(1) == fresh(1)
    assert fresh(1) != fresh(2)


def test_a_loss_that_is_no_number_ends_the_fit() -> None:
    """The epoch is named, and what often helps."""
    with pytest.raises(PipelineError, match=r"in epoch 1, expected a finite number.*learning_rate"):
        fitted(optimizer="sgd", learning_rate=1e9, loss="mse")


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a signal does is as before at the end, and none is remembered."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(process, "_interrupted", threading.Event())
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_that_a_library_catches_still_ends_the_fit(sent: signal.Signals) -> None:
    """The first exception is lost; the epoch under way is the last, and is not kept."""
    epochs = []

    def swallow(epoch: int, _: fit.Epoch) -> None:
        epochs.append(epoch)
        with suppress(KeyboardInterrupt):
            signal.raise_signal(sent)

    train = toy_params({"train.epochs": 5}).train
    determinism.settle(train.seed)
    network = build(spec(), SCALER)
    with pytest.raises(SystemExit, match="interrupted"):
        process.run(lambda: fit.fit(network, examples(), train, swallow))
    assert epochs == [0]

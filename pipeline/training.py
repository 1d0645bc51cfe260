"""Fitting a network: batches gathered on the fly, a masked loss, early stopping, a history."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers, ops
from tqdm import tqdm

from pipeline.config import BASELINES, Ridge, Schedule, Train
from pipeline.errors import PipelineError
from pipeline.examples import Examples, Shuffle, batches, gatherers, lookup, order
from pipeline.models.baselines import solve_ridge
from pipeline.windows import Rows

Epoch = dict[str, float]
# Updates for each call from Python, which costs as much as a small update does.
STEPS = 16
# Recurrent steps up to which a loop is unrolled in parallel training: tracing takes .2 s a step.
UNROLLED = 32


def masked(
    name: str, delta: float = 1.0, weights: npt.NDArray[np.float32] | float = 1.0
) -> Callable[[Any, Any], Any]:
    """The mean loss over the targets that were observed: a target that is NaN counts nothing.

    Args:
        name: mse, mae or huber (Huber 1964).
        delta: where huber turns from square to straight.
        weights: [H, K], of each step and target.
    """

    def element(error: Any) -> Any:
        size = ops.abs(error)
        if name == "mae":
            return size
        if name == "mse":
            return ops.square(error)
        return ops.where(size <= delta, 0.5 * ops.square(error), delta * (size - 0.5 * delta))

    def loss(y_true: Any, y_pred: Any) -> Any:
        missing = ops.isnan(y_true)
        # The forecast stands in for a missing target, so that its gradient is 0 and never NaN.
        error = ops.where(missing, y_pred, y_true) - y_pred
        count = ops.sum(ops.cast(~missing, y_pred.dtype))
        return ops.sum(element(error) * weights) / ops.maximum(count, 1)

    return loss


def fit(
    network: keras.Model,
    examples: Examples,
    settings: Train,
    on_epoch: Callable[[int, Epoch], None] = lambda epoch, scores: None,
) -> list[Epoch]:
    """Fit the network in place, leave it with the weights of its best validation epoch.

    Args:
        network: built by the registry, weights fresh.
        examples: the windows.
        settings: optimizer, loss, schedule, batch size, epochs, patience, seed.
        on_epoch: called after each epoch, with its number from 0 and its scores.

    Returns:
        One record an epoch: train/loss, validation/loss, learning_rate. Of a baseline, which has
        no epochs, one record with its losses.

    Raises:
        PipelineError: the loss became NaN or infinite; names the epoch.
    """
    if isinstance(settings.model, BASELINES):
        return _solve(network, examples, settings, on_epoch)
    trained = compiled(network, examples, settings)
    best = keras.callbacks.EarlyStopping(
        "val_loss", patience=settings.patience, restore_best_weights=True
    )
    history = _History(settings, on_epoch)
    trained.fit(
        order(examples.train, settings.batch_size),
        validation_data=order(examples.validation, max(settings.batch_size, 1024)),
        epochs=settings.epochs,
        callbacks=[trained.epochs, history, best],
        shuffle=False,  # the network on positions does it
        verbose=0,
    )
    return history.epochs


def compiled(network: keras.Model, examples: Examples, settings: Train) -> "OnPositions":
    """The network as Keras is to train it, with its optimizer: on batches of positions."""
    trained = OnPositions(network, examples, settings)
    updates = -(-len(examples.train) // settings.batch_size)
    trained.compile(
        optimizer=optimizer(settings, updates), jit_compile=False, steps_per_execution=STEPS
    )
    trained.optimizer.build(network.trainable_variables)  # or the first step is traced twice
    return trained


class OnPositions(keras.Model):
    """The network as a function of where windows are, [B] -> [B, H, K].

    A position in the training span stands for the window that the epoch's shuffle has there, one
    in validation for the window itself; both are gathered where they are used.
    """

    def __init__(self, network: keras.Model, examples: Examples, settings: Train) -> None:
        super().__init__()
        self.network = network
        self.shuffle = Shuffle(len(examples.train), settings.seed)
        self.epochs = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self.shuffle.next_epoch()
        )
        self.train_rows, self.validation_rows = map(lookup, (examples.train, examples.validation))
        self.windows, self.observed = gatherers(examples)
        weights = loss_weights(examples, settings)
        self.masked = masked(settings.loss, settings.huber_delta, weights)
        self.parallel = settings.acceleration == "parallel"
        steps = examples.look_back // getattr(settings.model, "segment", 1)
        self.unrolled = _unrolled if steps <= UNROLLED else nullcontext
        self.update = super().train_step
        if settings.acceleration == "xla":
            # Keras takes no jit_compile beside deterministic kernels; XLA itself asks for as much
            # and refuses what it has in no deterministic form.
            self.update = tf.function(self.update, autograph=False, jit_compile=True)

    def train_step(self, positions: tf.Tensor) -> Any:
        """Update the weights by the windows that the epoch's order has there."""
        return self.update(self.train_rows(self.shuffle(positions)))

    def test_step(self, positions: tf.Tensor) -> Any:
        """The loss of windows of validation."""
        return super().test_step(self.validation_rows(positions))

    def call(self, starts: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Forecast from the windows that start in these rows.

        In parallel, the two halves of a batch are independent of each other, and each core takes
        one.
        """
        if not (training and self.parallel):
            return self.network(self.windows(starts), training=training)
        count = tf.shape(starts)[0]
        half = (count + 1) // 2
        # A single window is in both halves, since not every layer takes an empty batch.
        halves = starts[:half], starts[tf.minimum(half, count - 1) :]
        with self.unrolled(self.network):
            forecasts = [self.network(self.windows(part), training=True) for part in halves]
        return tf.concat(forecasts, axis=0)[:count]

    def compute_loss(self, x: Any, y: Any, y_pred: Any, *_: Any, **__: Any) -> Any:
        """The masked loss of the forecasts, [B, H, K], for the start rows, [B]."""
        return self.masked(self.observed(x), y_pred)


@contextmanager
def _unrolled(network: keras.Model) -> Iterator[None]:
    """Its recurrent layers as a sequence of operations instead of a loop, while they are traced."""
    recurrent = [layer for layer in network._flatten_layers() if isinstance(layer, layers.RNN)]
    for layer in recurrent:
        layer.unroll = True
    try:
        yield
    finally:
        for layer in recurrent:
            layer.unroll = False


def _solve(
    network: keras.Model,
    examples: Examples,
    settings: Train,
    on_epoch: Callable[[int, Epoch], None],
) -> list[Epoch]:
    """Give a baseline the weights it has, if any, and score it as an epoch is scored."""
    if isinstance(settings.model, Ridge):
        flat = keras.Model(network.input, network.get_layer("flat").output)

        def windows(starts: Rows) -> npt.NDArray[np.float64]:
            seen = flat.predict(batches(examples, starts, 1024), verbose=0)
            return np.asarray(seen, np.float64)

        spans = np.asarray(examples.train), np.asarray(examples.validation)
        shape = examples.look_back, examples.horizon
        solved = solve_ridge(windows, examples.targets, *spans, *shape, settings.model.alphas)
        network.get_layer("head").set_weights(solved)
    network.compile(
        loss=masked(settings.loss, settings.huber_delta, loss_weights(examples, settings)),
        jit_compile=False,
    )
    scores = {
        f"{name}/loss": float(network.evaluate(batches(examples, starts, 1024), verbose=0))
        for name, starts in (("train", examples.train), ("validation", examples.validation))
    }
    on_epoch(0, scores)
    return [scores]


def loss_weights(examples: Examples, settings: Train) -> npt.NDArray[np.float32]:
    """The weight of each step and target in the loss, [H, K], of mean 1.

    `persistence` weighs a step by 1 / RMSE of persistence in training, so that near steps, whose
    errors are small whatever one does, are learned as well as the far ones.
    """
    shape = (examples.horizon, examples.targets.shape[1])
    if settings.loss_weights == "equal":
        return np.ones(shape, np.float32)
    last = int(examples.train[len(examples.train) - 1])
    known = examples.targets[: last + examples.look_back + examples.horizon]
    errors = [
        np.sqrt(np.nanmean(np.square(known[step:] - known[:-step]), axis=0))
        for step in range(1, examples.horizon + 1)
    ]
    weights = 1 / np.maximum(errors, 1e-6)
    return (weights / weights.mean()).astype(np.float32)


def optimizer(settings: Train, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer by name, its learning rate scheduled over all the epochs' `steps`."""
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    rate = _rate(settings.learning_rate, settings.schedule, settings.epochs * steps)
    # Named, because a name that Keras makes up depends on what else the process has made.
    return kinds[settings.optimizer](rate, name=settings.optimizer)


def _rate(first: float, schedule: Schedule, steps: int) -> Any:
    if schedule.name == "cosine":
        return keras.optimizers.schedules.CosineDecay(first, steps, alpha=schedule.final)
    if schedule.name == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(first, steps, schedule.final)
    return first


class _History(keras.callbacks.Callback):
    """Keeps each epoch's scores, shows a progress bar, stops where the loss is no number."""

    def __init__(self, settings: Train, on_epoch: Callable[[int, Epoch], None]) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self.on_epoch = on_epoch
        self.total = settings.epochs

    def on_train_begin(self, logs: Any = None) -> None:
        self.bar = tqdm(total=self.total, desc="train", unit="epoch", dynamic_ncols=True)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        scores = {
            "train/loss": float(logs["loss"]),
            "validation/loss": float(logs["val_loss"]),
            "learning_rate": float(ops.convert_to_numpy(self.model.optimizer.learning_rate)),
        }
        for name, value in scores.items():
            if not np.isfinite(value):
                raise PipelineError(
                    f"train: {name} is {value} in epoch {epoch + 1}, expected a finite number; "
                    "no model is kept. A smaller train.learning_rate often helps"
                )
        self.epochs.append(scores)
        self.bar.set_postfix(
            {name: f"{value:.4g}" for name, value in scores.items()}, refresh=False
        )
        self.bar.update()
        self.on_epoch(epoch, scores)

    def on_train_end(self, logs: Any = None) -> None:
        self.bar.close()

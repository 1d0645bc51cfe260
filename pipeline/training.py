"""Fitting a network: batches gathered on the fly, a masked loss, early stopping, a history."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops
from tqdm import tqdm

from pipeline.artifacts import ALIGNMENT
from pipeline.config import BASELINES, Ridge, Schedule, Train
from pipeline.errors import PipelineError
from pipeline.models.baselines import solve_ridge
from pipeline.windows import Rows, Runs

Epoch = dict[str, float]
# Updates for each call from Python, which costs as much as a small update does.
STEPS = 16
# Of the cipher that shuffles: with TensorFlow's own 4, neighbours' places correlate by up to 0.1.
ROUNDS = 16


@dataclass(frozen=True)
class Examples:
    """Where windows start in one series: what a network is fitted and stopped on."""

    features: npt.NDArray[np.float32]  # [rows, F] scaled
    targets: npt.NDArray[np.float32]  # [rows, K] standardised, NaN where not observed
    train: Rows | Runs
    validation: Rows | Runs
    look_back: int
    horizon: int


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
    steps = -(-len(examples.train) // settings.batch_size)
    network.compile(
        optimizer=optimizer(settings, steps),
        loss=masked(settings.loss, settings.huber_delta, loss_weights(examples, settings)),
        jit_compile=False,
        steps_per_execution=STEPS,
    )
    # Keras takes no jit_compile=True beside deterministic kernels; XLA itself asks for as much and
    # refuses what it has in no deterministic form.
    network._jit_compile = settings.xla
    best = keras.callbacks.EarlyStopping(
        "val_loss", patience=settings.patience, restore_best_weights=True
    )
    history = _History(settings, on_epoch)
    network.fit(
        batches(examples, examples.train, settings.batch_size, settings.seed),
        validation_data=batches(examples, examples.validation, max(settings.batch_size, 1024)),
        epochs=settings.epochs,
        callbacks=[history, best],
        shuffle=False,  # the batches are shuffled already
        verbose=0,
    )
    return history.epochs


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


def batches(
    examples: Examples, starts: Rows | Runs, batch_size: int, seed: int | None = None
) -> tf.data.Dataset:
    """Batches ([B, L, F], [B, H, K]), gathered from the series as they are needed.

    No list of the windows or of their order is held. All of it runs in TensorFlow's own threads:
    one of them that waits for Python is a deadlock where training is interrupted.

    Args:
        examples: the series and the windows' shape.
        starts: start rows, in order, or shuffled anew each epoch if there is a seed.
        batch_size: B; the last batch of an epoch may be smaller.
        seed: of the shuffle.
    """
    features, targets = _held(examples.features), _held(examples.targets)
    seen = tf.range(examples.look_back, dtype=tf.int64)
    ahead = tf.range(examples.horizon, dtype=tf.int64) + examples.look_back
    row_at = _lookup(starts)
    count = len(starts)

    def batch(first: tf.Tensor, key: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        positions = tf.range(first, tf.minimum(first + batch_size, count))
        if seed is not None:
            positions = _shuffled(positions, count, seed, key)
        rows = row_at(positions)[:, None]
        return (
            tf.gather(features.read_value(), rows + seen),
            tf.gather(targets.read_value(), rows + ahead),
        )

    firsts = tf.data.Dataset.range(0, count, batch_size)
    gathered = (
        firsts.map(batch) if seed is None else tf.data.Dataset.zip(firsts, _keys(seed)).map(batch)
    )
    # Whoever ends an epoch waits for the thread that tunes its data set, which sleeps for seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    return gathered.with_options(options)


def _held(array: npt.NDArray[np.float32]) -> tf.Variable:
    """The array where it lies, if TensorFlow can use it there, else a copy.

    A variable, because the iterator of a data set copies each tensor that its functions use.
    """
    here = array.flags.c_contiguous and array.flags.writeable
    if here and array.ctypes.data % ALIGNMENT == 0:
        array = tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.Variable(array, trainable=False)


def _lookup(starts: Rows | Runs) -> Callable[[tf.Tensor], tf.Tensor]:
    """From positions to start rows, as `Runs` has it, in TensorFlow."""
    if not isinstance(starts, Runs):
        return lambda positions: tf.gather(tf.constant(starts), positions)
    first, _, stride = (tf.constant(column) for column in starts.runs.T)
    before = tf.constant(starts.ends - starts.counts)  # positions before each run

    def row_at(positions: tf.Tensor) -> tf.Tensor:
        run = tf.searchsorted(before, positions, side="right") - 1
        inside = positions - tf.gather(before, run)
        return tf.gather(first, run) + inside * tf.gather(stride, run)

    return row_at


def _keys(seed: int) -> tf.data.Dataset:
    """One random number for all batches of an epoch, another each epoch."""
    draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)

    def first(kept: tf.Tensor, draw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        key = tf.where(kept < 0, draw, kept)
        return key, key

    return draws.scan(tf.constant(-1, tf.int64), first)


def _shuffled(positions: tf.Tensor, count: int, seed: int, key: tf.Tensor) -> tf.Tensor:
    """Where the positions, of 0 to count - 1, stand in an epoch's order.

    A cipher gives each its place (tf.random.experimental.index_shuffle): no list of them is held.
    """
    return tf.raw_ops.RandomIndexShuffle(
        index=positions,
        seed=tf.stack([tf.constant(seed, tf.int64), key, key // 2**32]),
        max_index=tf.constant(count - 1, tf.int64),
        rounds=ROUNDS,
    )


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

"""Fitting a network: batches gathered on the fly, a masked loss, early stopping, a history."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from pipeline.config.params import Schedule, Train
from pipeline.data.windows import ahead
from pipeline.errors import PipelineError
from pipeline.models.baselines import FittedBaseline
from pipeline.models.ridge import blocks
from pipeline.models.task import Task, forecasts
from pipeline.runtime.process import end_if_interrupted
from pipeline.runtime.progress import progress
from pipeline.training import repeats
from pipeline.training.batches import Examples, order
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.losses import known, loss_weights, masked
from pipeline.training.parts import InParts
from pipeline.training.state import StateFile
from pipeline.training.team import ALONE, Alone
from pipeline.training.train_step import OnPositions
from pipeline.training.xla import InHalves

Epoch = dict[str, float]
# Updates for each call from Python, which costs as much as a small update does.
STEPS = 16


def fit(
    network: keras.Model,
    examples: Examples,
    settings: Train,
    on_epoch: Callable[[int, Epoch], None] = lambda epoch, scores: None,
    of: str = "",
    file: StateFile | None = None,
    team: Alone = ALONE,
) -> list[Epoch]:
    """Fit the network in place, leave it with the weights of its best validation epoch.

    Args:
        on_epoch: called after each epoch, with its number from 0 and its scores.
        of: whose epochs they are, where a line speaks of them.
        file: keeps the state after each epoch; the fit goes on from what it has. `on_epoch` is
            called for the epochs before as well.
        team: who computes the parts of each batch, where `train.shards` cuts them.

    Returns:
        One record an epoch: train/loss, validation/loss, learning_rate, and whether it was kept, 0
        or 1.

    Raises:
        PipelineError: the loss became NaN or infinite; names the epoch. Or the file is broken, or
            a process of the team is lost.
    """
    begun = file.read() if file else None
    trained = compiled(network, examples, settings, team)
    repeats.check(trained)
    best = keras.callbacks.EarlyStopping(
        "val_loss", patience=settings.patience, restore_best_weights=True
    )
    with progress(f"epochs{of}", settings.epochs) as tell:
        history = _History(tell, on_epoch, of)
        for scores in begun.about.epochs if begun else ():
            history.add(scores)
        before = len(history.epochs)
        callbacks = [trained.epochs, history, best]
        if file:
            callbacks.append(Checkpoint(file, begun, history.epochs, best))
        trained.fit(
            order(examples.train, settings.batch_size),
            validation_data=order(examples.validation, max(settings.batch_size, 1024)),
            initial_epoch=before,
            epochs=before if begun and begun.about.ended else settings.epochs,
            callbacks=callbacks,
            shuffle=False,  # the network on positions does it
            verbose=0,
        )
    # Keras compares in float32: epochs whose losses differ by less are equal to it.
    return [
        epoch | {"kept": int(number == best.best_epoch)}
        for number, epoch in enumerate(history.epochs)
    ]


def table(history: list[Epoch]) -> str:
    """history.csv: a row for each epoch; each member of an ensemble counts its own from 0."""
    frame = pd.DataFrame(history)
    many = "member" in frame
    count = frame.groupby("member").cumcount() if many else range(len(frame))
    frame.insert(int(many), "epoch", count)
    return frame.to_csv(index=False, lineterminator="\n")


def compiled(
    network: keras.Model, examples: Examples, settings: Train, team: Alone = ALONE
) -> OnPositions:
    """The network as Keras is to train it, with its optimizer: on batches of positions."""
    cut = settings.shards > 1
    if cut:
        trained: OnPositions = InParts(network, examples, settings, team)
    else:
        kind = InHalves if settings.acceleration == "xla" else OnPositions
        trained = kind(network, examples, settings)
    updates = -(-len(examples.train) // settings.batch_size)
    trained.compile(
        optimizer=optimizer(settings, updates),
        jit_compile=False,
        run_eagerly=cut,
        steps_per_execution=1 if cut else STEPS,
    )
    trained.optimizer.build(network.trainable_variables)  # or the first step is traced twice
    return trained


def solve(
    baseline: FittedBaseline, task: Task, settings: Train, on_epoch: Callable[[int, Epoch], None]
) -> list[Epoch]:
    """Fit a baseline in place and score it as an epoch is scored, in one record.

    A baseline forecasts no quantiles: instead of the pinball loss it has the absolute error.
    """
    baseline.fit(task)
    name = "mae" if settings.loss == "pinball" else settings.loss
    loss = masked(name, settings.huber_delta, loss_weights(Examples.of(task), settings))
    scores, spec, series = {}, task.spec, task.seen
    spans = [blocks(np.asarray(origins)) for origins in (task.train, task.validation)]
    with progress("blocks of forecasts", sum(map(len, spans))) as tell:
        for span, parts in zip(("train", "validation"), spans, strict=True):
            mean = keras.metrics.Mean(dtype="float64")
            for rows in parts:
                pair = ahead(series.targets, rows, spec.horizon), forecasts(baseline, series, rows)
                observed, made = (
                    task.scaler.standardise(values, spec.targets).astype(np.float32)
                    for values in pair
                )
                observed[np.isnan(made)] = np.nan  # no forecast where nothing was observed before
                mean.update_state(loss(observed, made), sample_weight=known(observed))
                tell(span)
            scores[f"{span}/loss"] = float(mean.result())
    on_epoch(0, scores)
    return [scores | {"kept": 1}]


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
    """Keeps each epoch's scores and tells them, stops where the loss is no number."""

    def __init__(
        self, tell: Callable[[str], None], on_epoch: Callable[[int, Epoch], None], of: str
    ) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self.tell, self.on_epoch, self.of = tell, on_epoch, of

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        end_if_interrupted()
        scores = {
            "train/loss": float(logs["loss"]),
            "validation/loss": float(logs["val_loss"]),
            "learning_rate": float(ops.convert_to_numpy(self.model.optimizer.learning_rate)),
        }
        for name, value in scores.items():
            if not np.isfinite(value):
                raise PipelineError(
                    f"train: {name} is {value} in epoch {epoch + 1}{self.of}, expected a finite "
                    "number; no model is kept. A smaller train.learning_rate often helps"
                )
        self.add(scores)

    def add(self, scores: Epoch) -> None:
        """Take the scores of one more epoch."""
        self.epochs.append(scores)
        loss, validation, rate = (f"{value:.4g}" for value in scores.values())
        self.tell(f"loss {loss}, validation {validation}, rate {rate}")
        self.on_epoch(len(self.epochs) - 1, scores)

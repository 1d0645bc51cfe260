"""How a batch of positions changes the weights, by Keras' own training step."""

from typing import Any

import keras
import tensorflow as tf

from pipeline.config.params import Train
from pipeline.training.batches import Examples, by_series, gatherers, lookup
from pipeline.training.losses import known, loss_weights, mean, summed
from pipeline.training.shuffle import Shuffle


class OnPositions(keras.Model):
    """The network, trained and stopped on batches of positions, [B].

    A position in the training span stands for the window that the epoch's shuffle has there, one
    in validation for the window itself; both are gathered where they are used.
    """

    def __init__(self, network: keras.Model, examples: Examples, settings: Train) -> None:
        super().__init__()
        self.network = network
        self.size = min(settings.batch_size, len(examples.train))
        self.shuffle = Shuffle(len(examples.train), settings.seed)
        self.epochs = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self.shuffle.next_epoch()
        )
        self.train_rows, self.validation_rows = map(lookup, (examples.train, examples.validation))
        self.inputs, self.observed = gatherers(examples)
        weights = loss_weights(examples, settings)
        self.summed = summed(settings.loss, settings.huber_delta, weights, settings.quantiles)
        self.masked = mean(self.summed)
        self.mean_loss = keras.metrics.Mean("loss", dtype="float64")
        spans, self.shares = (examples.train, examples.validation), None
        if settings.loss_by == "series" and (borders := examples.borders):
            self.shares = [by_series(origins, borders) for origins in spans]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The mean loss over an epoch's observed targets; Keras' own is over its windows."""
        return [self.mean_loss]

    def train_step(self, positions: tf.Tensor) -> Any:
        """Update the weights by the windows that the epoch's order has there.

        A smaller batch is filled up by windows without targets, for its size to be known before:
        else TensorFlow asks at each step of a loop which axes a gradient is to be summed over, and
        XLA compiles each size anew.
        """
        filled = positions[0] + tf.range(self.size, dtype=tf.int64)
        rows = self.train_rows(self.shuffle(tf.minimum(filled, self.shuffle.count - 1)))
        there = tf.range(self.size) < tf.size(positions)
        targets = tf.where(there[:, None, None], self.observed(rows), float("nan"))
        return self.update(self.inputs(rows), targets, self.share(0, rows))

    def share(self, span: int, rows: tf.Tensor) -> tf.Tensor | None:
        """What the windows of origins in training, 0, or validation, 1, weigh: [B, 1, 1].

        None where all weigh the same.
        """
        return self.shares[span](rows)[:, None, None] if self.shares else None

    def update(self, inputs: Any, targets: tf.Tensor, shares: tf.Tensor | None = None) -> Any:
        """Update the weights by what the network takes of a batch, targets, and windows' shares."""
        return super().train_step((inputs, targets, shares))

    def test_step(self, positions: tf.Tensor) -> Any:
        """The loss of windows of validation."""
        rows = self.validation_rows(positions)
        return super().test_step((self.inputs(rows), self.observed(rows), self.share(1, rows)))

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """The network's forecasts, [B, H, K] or [B, H, K, Q]."""
        return self.network(inputs, training=training)

    def compute_loss(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, *_: Any, **__: Any
    ) -> Any:
        """The masked loss of forecasts against targets, [B, H, K]."""
        loss = self.masked(y, y_pred, sample_weight)
        self.mean_loss.update_state(loss, sample_weight=known(y))
        return loss

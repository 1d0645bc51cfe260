"""`train.shards: S`: an update by the gradients of a batch's S parts, added in the parts' order.

A sum of float32 depends on its order, so the order is fixed: which process has computed a part
changes no bit. Each part is a call of one compiled function, wherever it is computed: TensorFlow
may compute a part in another way where it sees several in one graph. What a part adds are sums, not
means: targets may be missing, so only all parts together know how many were observed.
"""

import hashlib
from collections.abc import Sequence
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.config.params import Train
from pipeline.errors import PipelineError
from pipeline.training.batches import Examples, order
from pipeline.training.losses import known
from pipeline.training.team import ALONE, Alone, Worker
from pipeline.training.train_step import OnPositions

DRAWS = 16  # numbers of a generator's count for one update; a layer draws once or twice
LINEAR_MAP = "linear/map"  # the one state that no update changes


class InParts(OnPositions):
    """Updated by the sums of a batch's parts, some or all of which this process computes.

    Keras runs it step by step, so that a step may wait for other processes.
    """

    def __init__(
        self, network: keras.Model, examples: Examples, settings: Train, team: Alone = ALONE
    ) -> None:
        super().__init__(network, examples, settings)
        if settings.shards > self.size:
            raise PipelineError(
                f"train.shards: expected at most the {self.size:,} windows of a batch, found "
                f"{settings.shards:,}"
            )
        check_states(network, "train.shards: expected 1", "the parts of a batch")
        self.shards, self.team = settings.shards, team
        self.each = -(-self.size // self.shards)  # windows of a part
        self.epochs = _Leads(team)
        self.sums = tf.function(self._sums, autograph=False)
        self.apply = tf.function(self._apply, autograph=False)
        self.tested = tf.function(super().test_step, autograph=False, reduce_retracing=True)

    def train_step(self, positions: tf.Tensor) -> Any:
        """Update the weights by the windows that the epoch's order has there; see `OnPositions`."""
        batch = positions[0], tf.size(positions)
        mine = [self.sums(*batch, tf.constant(p)) for p in self.team.parts(self.shards)]
        return self.apply(self.team.total(np.stack([part.numpy() for part in mine])))

    def test_step(self, positions: tf.Tensor) -> Any:
        """The loss of windows of validation."""
        return self.tested(positions)

    def _sums(self, first: tf.Tensor, windows: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
        """What a part adds to a batch of so many windows from a position on: [P + 2].

        The gradients of the loss' sum, that sum, and how many targets were observed. A part is
        filled up by windows without targets, so that all parts are computed alike.
        """
        places = part * self.each + tf.range(self.each)
        there = tf.minimum(first + tf.cast(places, tf.int64), self.shuffle.count - 1)
        rows = self.train_rows(self.shuffle(there))
        observed = self.observed(rows)
        targets = tf.where((places < windows)[:, None, None], observed, float("nan"))
        weights = [
            tf.convert_to_tensor(weight.value) for weight in self.network.trainable_variables
        ]
        states = [self._told(state, part) for state in self.network.non_trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            inputs = self.inputs(rows)
            forecasts, _ = self.network.stateless_call(weights, states, inputs, training=True)
            loss = self.summed(targets, forecasts, self.share(0, rows))
        flat = [tf.reshape(gradient, [-1]) for gradient in tape.gradient(loss, weights)]
        return tf.concat([*flat, [loss, known(targets)]], axis=0)

    def _told(self, state: keras.Variable, part: tf.Tensor) -> tf.Tensor:
        """A state as a part sees it: random numbers follow from seed, update and part alone.

        Not from how many were drawn so far, which validation counts on.
        """
        if not is_seed(state):
            return tf.identity(state.value)
        update = tf.cast(self.optimizer.iterations, state.dtype)
        return tf.stack([state.value[0] + tf.cast(part, state.dtype), DRAWS * update])

    def _apply(self, total: tf.Tensor) -> dict[str, tf.Tensor]:
        """Update the weights by what all parts add up to, [P + 2]."""
        weights = self.network.trainable_variables
        sizes = [prod(weight.shape) for weight in weights]
        *sums, loss, count = tf.split(total, [*sizes, 1, 1])
        loss, count = loss[0], count[0]
        whole = tf.maximum(count, 1)
        pairs = zip(sums, weights, strict=True)
        self.optimizer.apply([tf.reshape(one, w.shape) / whole for one, w in pairs], weights)
        self.mean_loss.update_state(loss / whole, sample_weight=count)
        return self.get_metrics_result()

    @property
    def held(self) -> list[keras.Variable]:
        """All that an update depends on, what it changes first."""
        network = self.network
        changed = [*network.trainable_variables, *self.optimizer.variables]
        return [*changed, *network.non_trainable_variables]


class _Leads(keras.callbacks.Callback):
    """Begins and ends each epoch of a team, and sees that all come to the same weights."""

    def __init__(self, team: Alone) -> None:
        super().__init__()
        self.team = team

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Tell where the fit stands, which a checkpoint may have changed."""
        self.model.shuffle.next_epoch()
        self.team.tell(str(epoch).encode())
        self.team.tell(_bytes(self.model.held))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Hear what the others have come to."""
        own = _digest(self.model)
        for who, digest in self.team.hear():
            if digest != own:
                raise PipelineError(
                    f"train: {who}: expected the same weights after epoch {epoch + 1}, found "
                    "others; is its machine of another kind?"
                )

    def on_train_end(self, logs: Any = None) -> None:
        """Tell that no epoch follows."""
        self.team.tell(b"")


def follow(trained: InParts, worker: Worker, examples: Examples, batch_size: int) -> None:
    """Take part in a fit that another process leads, until it ends; LostError if that is gone."""
    begun = 0
    while told := worker.link.receive():
        _put(trained, worker.link.receive())
        while begun <= int(told):
            trained.shuffle.next_epoch()
            begun += 1
        for positions in order(examples.train, batch_size):
            trained.train_step(positions)
        worker.link.send(_digest(trained))


def _bytes(variables: Sequence[keras.Variable]) -> bytes:
    return b"".join(variable.numpy().tobytes() for variable in variables)


def _put(trained: InParts, data: bytes) -> None:
    at = 0
    for variable in trained.held:
        kind, shape = np.dtype(variable.dtype), variable.shape
        variable.assign(np.frombuffer(data, kind, prod(shape), at).reshape(shape))
        at += kind.itemsize * prod(shape)


def _digest(trained: InParts) -> bytes:
    fixed = len(trained.network.non_trainable_variables)
    return hashlib.sha256(_bytes(trained.held[: len(trained.held) - fixed])).digest()


def check_states(network: keras.Model, expected: str, parts: str) -> None:
    """PipelineError of a network with states that the parts of a batch would each change."""
    fixed = [state.path for state in network.non_trainable_variables if not is_seed(state)]
    if other := [path for path in fixed if path != LINEAR_MAP]:
        raise PipelineError(
            f"{expected} with a network that has states besides random numbers', which {parts} "
            f"cannot share, found {', '.join(other)}"
        )


def is_seed(state: keras.Variable) -> bool:
    """Whether a variable is a random number generator's: the key, and how much was drawn by it."""
    return bool(state.name == "seed_generator_state" and state.shape == (2,))

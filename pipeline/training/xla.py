"""`train.acceleration: xla`: an update by the gradients of a batch's two halves, side by side.

What XLA makes of a recurrent network, whose steps wait for one another, runs on hardly more than
one core. Two halves of a batch are two such programs, which run at once; their losses and gradients
add up to the batch's, since each is divided by the observed targets of both. Compiling takes time,
so that it is a choice. The gain is in benchmarks/README.md, under "training", and below it what
else was tried. `train.shards: 2` is another cut, for several processes: there a process computes
one part after the other, by itself; here both are in one graph, in which they run at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from pipeline.config.params import Train
from pipeline.errors import PipelineError
from pipeline.runtime import determinism
from pipeline.training.batches import Examples
from pipeline.training.losses import known
from pipeline.training.parts import check_states, is_seed
from pipeline.training.train_step import OnPositions

# From the first half's random numbers to the second's; a layer draws once or twice an update.
FAR = 2**30


class InHalves(OnPositions):
    """Updated by the gradients of a batch's two halves, each compiled by XLA and on its own core.

    What XLA has compiled runs beside itself only where it reads and writes no variables, so weights
    and the states of random numbers go in as tensors.
    """

    def __init__(self, network: keras.Model, examples: Examples, settings: Train) -> None:
        super().__init__(network, examples, settings)
        if gpus := determinism.gpus():
            raise PipelineError(
                "train.acceleration: expected none on a GPU, where a batch's halves gain nothing "
                f"and XLA has none of cuDNN's kernels; found xla on {min(gpus)}"
            )
        check_states(network, "train.acceleration: expected none", "two halves of a batch")
        self.size += self.size % 2
        # Keras takes no jit_compile beside deterministic kernels; XLA itself asks for as much and
        # refuses what it has in no deterministic form.
        self.gradients = tf.function(self._gradients, autograph=False, jit_compile=True)

    def update(
        self, inputs: Any, targets: tf.Tensor, shares: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Update the weights by what the network takes of a batch, targets, and windows' shares."""
        weigh = (None, None) if shares is None else tf.split(shares, 2)
        count_known = known(targets)
        weights, states = self.network.trainable_variables, self.network.non_trainable_variables
        halves = [
            self.gradients(
                seen,
                observed,
                weighed,
                count_known,
                [tf.convert_to_tensor(weight.value) for weight in weights],
                [_told(state, drawn) for state in states],
            )
            for seen, observed, weighed, drawn in zip(
                _halved(inputs), tf.split(targets, 2), weigh, (0, FAR), strict=True
            )
        ]
        (loss, gradients, after), (other_loss, other_gradients, _) = halves
        for state, value in zip(states, after, strict=True):
            state.assign(value)
        both = [one + other for one, other in zip(gradients, other_gradients, strict=True)]
        self.optimizer.apply(both, weights)
        self.mean_loss.update_state(loss + other_loss, sample_weight=count_known)
        return self.get_metrics_result()

    def _gradients(
        self,
        inputs: Any,
        observed: tf.Tensor,
        shares: tf.Tensor | None,
        count_known: tf.Tensor,
        weights: list[tf.Tensor],
        states: list[tf.Tensor],
    ) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
        """What half a batch, [B / 2, ...], adds to loss and gradients, and the states after it.

        `count_known` is how many targets of the whole batch were observed; `weights` and `states`
        are the network's and its random numbers', in its order.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape, _philox():
            tape.watch(weights)
            forecasts, states = self.network.stateless_call(weights, states, inputs, training=True)
            share = known(observed) / tf.maximum(count_known, 1)
            loss = self.masked(observed, forecasts, shares) * share
        return loss, tape.gradient(loss, weights), states


def _halved(inputs: Any) -> list[Any]:
    """A tensor or a list of tensors, [B, ...], as two of half as many examples."""
    parts = [tf.split(part, 2) for part in keras.tree.flatten(inputs)]
    return [keras.tree.pack_sequence_as(inputs, half) for half in zip(*parts, strict=True)]


def _told(state: keras.Variable, drawn: int) -> tf.Tensor:
    """A state's value for a half that has drawn so many random numbers more."""
    return tf.add(state.value, [0, drawn]) if is_seed(state) else tf.identity(state.value)


@contextmanager
def _philox() -> Iterator[None]:
    """Dropout's generator by its name, Philox (Salmon et al. 2011): the same numbers as without.

    Where the choice is left to the device, as Keras leaves it, XLA derives the generator's key anew
    for each number, and a mask takes ten times as long.
    """
    dropout = tf.nn.experimental.stateless_dropout
    tf.nn.experimental.stateless_dropout = partial(dropout, rng_alg="philox")
    try:
        yield
    finally:
        tf.nn.experimental.stateless_dropout = dropout

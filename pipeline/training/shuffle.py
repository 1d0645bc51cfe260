"""The order of an epoch's windows, computed position by position instead of held as a list.

A shuffled list of positions takes 8 bytes a window, and the buffer of a tf.data.Dataset many times
as much. A block cipher over 0 to count - 1 (tf.random.experimental.index_shuffle) is a permutation
too: where a position stands follows from the position and the epoch's key alone. The gain: the
memory of an epoch's order does not grow with its windows, and a batch computes its own places.
"""

import tensorflow as tf

# With TensorFlow's own 4 rounds of the cipher, neighbours' places correlate by up to 0.1.
ROUNDS = 16


class Shuffle:
    """Another order each epoch, the same for the same seed."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self.draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
        self.key = tf.Variable(0, dtype=tf.int64, trainable=False)

    def next_epoch(self) -> None:
        """Draw the next key: every other one, by which all results so far were made."""
        self.key.assign(next(iter(self.draws)))
        iter(self.draws)

    def __call__(self, positions: tf.Tensor) -> tf.Tensor:
        """Where the positions, of 0 to count - 1, stand in this epoch's order."""
        return tf.raw_ops.RandomIndexShuffle(
            index=positions,
            seed=tf.stack([tf.constant(self.seed, tf.int64), self.key, self.key // 2**32]),
            max_index=tf.constant(self.count - 1, tf.int64),
            rounds=ROUNDS,
        )

"""Windows and targets of one series: in which order, and gathered where they are used."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.data.panel import Borders
from pipeline.data.windows import Rows, Runs
from pipeline.files.aligned import aligned_zeros, is_aligned
from pipeline.models.task import Task, nothing
from pipeline.runtime import determinism

Gather = Callable[[tf.Tensor], Any]


@dataclass(frozen=True)
class Examples:
    """One series and its origins: what a network is fitted and stopped on."""

    features: npt.NDArray[np.float32]  # [rows, F] scaled
    targets: npt.NDArray[np.float32]  # [rows, K] standardised, NaN where not observed
    train: Rows | Runs
    validation: Rows | Runs
    look_back: int
    horizon: int
    ahead: npt.NDArray[np.float32] = field(default_factory=nothing)  # [rows, G] scaled
    borders: Borders | None = None  # of several series below each other; one if None

    @classmethod
    def of(cls, task: Task) -> "Examples":
        """What a network is fitted on."""
        spec, seen = task.spec, task.seen
        targets = aligned_zeros(*seen.targets.shape)
        targets[:] = task.wanted
        spans = task.train, task.validation
        size = spec.look_back, spec.horizon
        return cls(seen.features, targets, *spans, *size, seen.ahead, seen.borders)

    def learned(self) -> Iterator[npt.NDArray[np.float32]]:
        """The target rows [rows, K] of each series that training windows see or end in."""
        each = self.borders or Borders.of({"": len(self.targets)})
        origins = np.asarray(self.train)
        number = each.number(origins)
        for series in np.unique(number):
            last = origins[number == series].max()
            yield self.targets[each.firsts[series] : last + 1 + self.horizon]


def order(origins: Rows | Runs, batch_size: int) -> tf.data.Dataset:
    """Batches of positions in `origins`, [B], from first to last; the last batch may be smaller.

    What follows from a position is left to those who train: a data set compiles its functions anew
    for each epoch, and its iterator copies what they read.
    """
    # An epoch would end by waiting for the thread that tunes its data set and sleeps for seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.range(len(origins)).batch(batch_size).with_options(options)


def lookup(origins: Rows | Runs) -> Gather:
    """From positions to origins, both [B], as `Runs` has it, in TensorFlow."""
    if not isinstance(origins, Runs):
        return lambda positions: tf.gather(tf.constant(origins), positions)
    first, _, stride = (tf.constant(column) for column in origins.runs.T)
    before = tf.constant(origins.ends - origins.counts)  # positions before each run

    def row_at(positions: tf.Tensor) -> tf.Tensor:
        run = tf.searchsorted(before, positions, side="right") - 1
        inside = positions - tf.gather(before, run)
        return tf.gather(first, run) + inside * tf.gather(stride, run)

    return row_at


def gatherers(examples: Examples) -> tuple[Gather, Gather]:
    """From origins, [B], to what a network takes, and from origins to targets, [B, H, K].

    That is windows, [B, L, F], or a list of them and what is known of their steps, [B, H, G].
    """
    features, targets = _held(examples.features), _held(examples.targets)
    seen = tf.range(1 - examples.look_back, 1, dtype=tf.int64)
    ahead = tf.range(1, examples.horizon + 1, dtype=tf.int64)

    def windows(origins: tf.Tensor) -> tf.Tensor:
        return tf.gather(features, origins[:, None] + seen)

    def observed(origins: tf.Tensor) -> tf.Tensor:
        return tf.gather(targets, origins[:, None] + ahead)

    if not examples.ahead.size:
        return windows, observed
    known = _held(examples.ahead)
    return lambda origins: [windows(origins), tf.gather(known, origins[:, None] + ahead)], observed


def by_series(origins: Rows | Runs, borders: Borders) -> Gather:
    """From origins, [B], to what their windows weigh, [B], where every series weighs the same.

    The mean over all the windows is 1.
    """
    count = np.bincount(borders.number(np.asarray(origins)), minlength=len(borders))
    weight = len(origins) / np.maximum(count, 1) / np.count_nonzero(count)
    weights, firsts = tf.constant(weight, tf.float32), tf.constant(borders.firsts)

    def shares(rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(weights, tf.searchsorted(firsts, rows, side="right") - 1)

    return shares


def _held(array: npt.NDArray[np.float32]) -> tf.Tensor:
    """The array itself, if TensorFlow can use it in place, else a copy, as on a GPU."""
    if is_aligned(array) and not determinism.gpus():
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.constant(array)

"""When a trial is not worth its end: Optuna's median rule, against finished generations alone.

A trial stops after an epoch if its lowest validation loss so far is above the median of the losses
that earlier trials had at that epoch (Golovin et al. 2017, the median stopping rule, as
`optuna.pruners.MedianPruner` has it). Optuna compares with whatever has ended by then, which
depends on the number of workers; here it is the trials of generations that are whole.
"""

import math
import statistics
from collections.abc import Sequence

from pipeline.errors import PipelineError

WARM_UP = 3  # epochs that every trial has: the first ones tell little
LEAST = 5  # trials with a loss at an epoch, of which a median is worth something


class PrunedError(PipelineError):
    """A trial stops."""


def limits(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """By epoch, the loss above which a trial stops; infinite where nothing can be said.

    Args:
        curves: the validation losses of each finished trial, an epoch each.
    """
    return tuple(_limit(epoch, curves) for epoch in range(max(map(len, curves), default=0)))


def _limit(epoch: int, curves: Sequence[Sequence[float]]) -> float:
    there = [curve[epoch] for curve in curves if len(curve) > epoch]
    return statistics.median(there) if epoch >= WARM_UP and len(there) >= LEAST else math.inf


def check(losses: Sequence[float], limits: Sequence[float]) -> None:
    """PrunedError if a trial with these losses until now stops; says why in one line."""
    last = len(losses) - 1
    if last < len(limits) and min(losses) > limits[last]:
        raise PrunedError(
            f"validation loss {min(losses):.4g} after {len(losses)} epochs, above "
            f"{limits[last]:.4g}, the median of earlier trials"
        )

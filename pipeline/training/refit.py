"""Fitting networks once more, to all rows, for as many epochs as validation chose before."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from pipeline.config.members import fits
from pipeline.config.params import Train
from pipeline.errors import PipelineError
from pipeline.models import registry
from pipeline.models.task import Task
from pipeline.runtime.process import end_if_interrupted
from pipeline.runtime.progress import progress
from pipeline.training.batches import Examples, order
from pipeline.training.ensemble import fresh
from pipeline.training.fit import Epoch, compiled


def refit_networks(
    task: Task, settings: Train, epochs: Sequence[int]
) -> tuple[keras.Model, list[Epoch]]:
    """Fit the network, or each member of an ensemble, for its number of epochs: none is chosen.

    The learning rate falls as it did when they were chosen, over all the epochs of the settings.

    Args:
        epochs: of each member; of a network by itself, one number.

    Returns:
        The network or the ensemble, and a record an epoch: train/loss, and of a member its number.

    Raises:
        PipelineError: the loss of one is no number; names the epoch.
    """
    examples, spec = Examples.of(task), task.spec
    alone = spec.ensemble == 1
    each = zip([settings] if alone else fits(settings), spec.networks, epochs, strict=True)
    members: list[keras.Model] = []
    history: list[Epoch] = []
    for place, (own, one, count) in enumerate(each):
        network = fresh(task, one, own.seed, one.model.name if alone else registry.member(place))
        trained = compiled(network, examples, own)
        with progress("epochs of the refit", count) as tell:
            losses = _Losses(tell)
            trained.fit(
                order(examples.train, own.batch_size),
                epochs=count,
                callbacks=[trained.epochs, losses],
                shuffle=False,  # the network on positions does it
                verbose=0,
            )
        member: Epoch = {} if alone else {"member": place + 1}
        history += [member | {"train/loss": loss} for loss in losses.found]
        members.append(network)
    return members[0] if alone else registry.together(members), history


class _Losses(keras.callbacks.Callback):
    """Keeps and tells each epoch's loss, stops where it is no number."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self.found: list[float] = []
        self.tell = tell

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        end_if_interrupted()
        loss = float(logs["loss"])
        if not np.isfinite(loss):
            raise PipelineError(
                f"refit: train/loss is {loss} in epoch {epoch + 1}, expected a finite number"
            )
        self.found.append(loss)
        self.tell(f"loss {loss:.4g}")

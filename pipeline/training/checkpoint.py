"""Keeps a fit's state after each epoch, so that after a kill it goes on to the same bytes.

Keras' own BackupAndRestore keeps neither the states of random numbers, which dropout draws from,
nor early stopping's, nor the history, and writes two files one after the other.
"""

import time
from typing import Any

import keras
from keras import ops

from pipeline.errors import PipelineError
from pipeline.runtime.progress import say
from pipeline.training.state import About, State, StateFile

EVERY = 50  # times as long as writing a state takes, at least, until the next is written


class Checkpoint(keras.callbacks.Callback):
    """Writes each epoch's state to a file; begins with the one that is given. The last callback.

    Of epochs that take no longer than 50 times what writing does, some are passed over; the state
    after the last epoch is written always.
    """

    def __init__(
        self,
        file: StateFile,
        begun: State | None,
        epochs: list[dict[str, float]],
        stopping: keras.callbacks.EarlyStopping,
    ) -> None:
        """`epochs` are the scores, which grow; `stopping` is what keeps the best of them."""
        super().__init__()
        self.file, self.begun, self.epochs, self.stopping = file, begun, epochs, stopping
        self.began = self.due = time.monotonic()
        self.failed = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Put back network, optimizer, random numbers, the order of windows and the stopping."""
        if self.begun is None:
            return
        about = self.begun.about
        self.began -= about.seconds
        for variable, value in zip(self._variables(), self.begun.variables, strict=True):
            variable.assign(value)
        for _ in about.epochs:
            self.model.shuffle.next_epoch()
        self.stopping.best, self.stopping.best_epoch = about.best, about.best_epoch
        self.stopping.best_weights, self.stopping.wait = list(self.begun.best), about.wait
        self.begun = None  # its arrays are as large as the network's

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the state; where that fails, say so once and go on."""
        ended = self.model.stop_training or epoch + 1 == self.params["epochs"]
        now = time.monotonic()
        if self.failed or (now < self.due and not ended):
            return
        about = About(
            of=self.file.of,
            epochs=tuple(self.epochs),
            best=float(self.stopping.best),
            best_epoch=self.stopping.best_epoch,
            wait=self.stopping.wait,
            ended=ended,
            seconds=now - self.began,
        )
        values = [ops.convert_to_numpy(variable) for variable in self._variables()]
        try:
            self.file.write(State(about, values, self.stopping.best_weights))
        except PipelineError as error:
            say(f"warning: {error}; the training goes on, but will not from here if it is killed")
            self.failed = True
        after = time.monotonic()
        self.due = after + EVERY * (after - now)

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.network.variables, *self.model.optimizer.variables]

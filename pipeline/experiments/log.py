"""What watches a training."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from pipeline.config.experiment import Experiment
from pipeline.files.layout import Layout

Epoch = dict[str, float]


class Log:
    """Watches a training and changes no output of it; this one does nothing."""

    run = ""  # the id of the run that logs it, if one does

    def epoch(self, number: int, scores: Epoch) -> None:
        """Take one epoch's scores; `number` counts from 0.

        Of a training that goes on, those from before the interruption come again.
        """

    def finish(self, history: Sequence[Epoch], seconds: float) -> None:
        """Take all epochs, and how long they took, once the files are written."""


# With the id of the run that logged the training so far, if it goes on.
Logging = Callable[[Experiment, Layout, str], AbstractContextManager[Log]]


def unwatched(experiment: Experiment, layout: Layout, run: str = "") -> AbstractContextManager[Log]:
    """What logs nothing."""
    return nullcontext(Log())

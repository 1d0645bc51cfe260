"""What watches a training."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from pipeline.config.experiment import Experiment
from pipeline.files.layout import Layout

Epoch = dict[str, float]


class Log:
    """Watches a training and changes no output of it; this one does nothing."""

    def epoch(self, number: int, scores: Epoch) -> None:
        """Take one epoch's scores; `number` counts from 0."""

    def finish(self, history: Sequence[Epoch], seconds: float) -> None:
        """Take all epochs, and how long they took, once the files are written."""


Logging = Callable[[Experiment, Layout], AbstractContextManager[Log]]


def unwatched(experiment: Experiment, layout: Layout) -> AbstractContextManager[Log]:
    """What logs nothing."""
    return nullcontext(Log())

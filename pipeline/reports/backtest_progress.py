"""What is told of a backtest while it runs."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import fmean

from pipeline.evaluation import metrics
from pipeline.evaluation.forecasts import MODEL
from pipeline.experiments.backtest.fit import Fit, Outcome
from pipeline.experiments.backtest.study import Backtest
from pipeline.experiments.shared import shared_said
from pipeline.reports.formatting import number
from pipeline.runtime.progress import progress, say


@contextmanager
def watched(tested: Backtest) -> Iterator[Callable[[Fit, Outcome], None]]:
    """A line for each fit that ends, and in a terminal a bar; yields what is to be told of it."""
    total, began = len(tested.waiting), time.monotonic()
    said, ended = set(map(_words, tested.said)), 0
    for line in tested.said if total else ():
        say(line)
    with progress("fits", total) as tell:

        def end(fit: Fit, outcome: Outcome) -> None:
            nonlocal ended
            ended += 1
            for line in (*shared_said(fit.root), *outcome.said):
                if _words(line) not in said and "where split.test ends" not in line:
                    said.add(_words(line))
                    say(line)
            line = f"{fit.title}{_scored(tested, outcome)}{_left(began, ended, total)}"
            say(line)
            tell(line)

        yield end


def _words(line: str) -> str:
    """A line without its numbers, by which it is told of the first fit alone."""
    return re.sub(r"[\d.,]+", "", line)


def _scored(tested: Backtest, outcome: Outcome) -> str:
    """The error of the model and of the best baseline, over the folds of the fit."""
    folds = [fold["scores"] for fold in outcome.scores.values()]
    if not folds:
        return " is done"
    metric = metrics.deciding(folds[0][MODEL])
    errors = {name: fmean(metric.value(fold[name]) for fold in folds) for name in folds[0]}
    mine = errors.pop(MODEL)
    other = min(errors, key=lambda name: (errors[name], name))
    return f": {metric.title} {number(mine)}; {other.replace('_', ' ')}: {number(errors[other])}"


def _left(began: float, ended: int, total: int) -> str:
    if ended == total:
        return ""
    seconds = (time.monotonic() - began) / ended * (total - ended)
    return f"; {f'about {seconds / 60:.0f} min' if seconds > 60 else 'under a minute'} left"

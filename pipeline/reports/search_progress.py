"""What is told of a search while it runs."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import fmean

from pipeline.experiments.search import places
from pipeline.experiments.search.study import Search
from pipeline.experiments.search.trial import Outcome, Trial
from pipeline.experiments.shared import shared_said
from pipeline.reports.formatting import number
from pipeline.runtime.progress import progress, say


@contextmanager
def watched(search: Search) -> Iterator[Callable[[Trial, Outcome], None]]:
    """A line for each trial that ends, and in a terminal a bar; yields what is to be told of it."""
    watch = _Watch(search)
    with progress("trials" if search.settings.seeds == 1 else "fits", watch.left) as tell:

        def ended(trial: Trial, outcome: Outcome) -> None:
            say(watch.told(trial, outcome))
            tell(f"best: {watch.best}" if watch.best else "")

        yield ended


class _Watch:
    """Tells of each trial as it ends: its score, the best so far, the time left."""

    def __init__(self, search: Search) -> None:
        self.search, self.began, self.done = search, time.monotonic(), 0
        self.said: set[str] = set()
        self.errors: dict[int, list[float]] = defaultdict(list)
        outcomes = places.outcomes(search.directory)
        self.known = len(outcomes)
        for outcome in outcomes:
            self._take(outcome)

    @property
    def left(self) -> int:
        """How many fits there are still, but for those that turn out to repeat others."""
        repeats = sum(one.repeats for one in self.search.finished)
        return max((self.search.count - repeats) * self.search.settings.seeds - self.known, 0)

    def told(self, trial: Trial, outcome: Outcome) -> str:
        """What to say of it."""
        for line in (*shared_said(trial.root), *outcome.said):
            if line not in self.said:
                self.said.add(line)
                say(line)
        self._take(outcome)
        self.done += 1
        self.known += 1
        metric, seeds = self.search.metric, self.search.settings.seeds
        how = f"failed: {outcome.failed}"
        if outcome.pruned:
            how = f"pruned: {outcome.pruned}"
        elif not outcome.failed:
            how = f"{metric.title} {number(metric.value(outcome.scores))}"
        best = f"; the best so far is {self.best}" if self.best else ""
        seconds = (time.monotonic() - self.began) / self.done * self.left
        minutes = f"about {seconds / 60:.0f} min" if seconds > 60 else "under a minute"
        left = f"; {minutes} left" if self.left else ""
        seed = f", seed {outcome.seed}" if seeds > 1 else ""
        return f"trial {trial.number}{seed}: {how}{best}{left}"

    @property
    def best(self) -> str:
        """Which trial is the best of those that all seeds have, and its score; "" of none."""
        metric, seeds = self.search.metric, self.search.settings.seeds
        whole = {k: fmean(errors) for k, errors in self.errors.items() if len(errors) == seeds}
        if not whole:
            return ""
        name = min(whole, key=lambda k: (whole[k], k))
        return f"trial {name}, {number(abs(metric.best - whole[name]))}"

    def _take(self, outcome: Outcome) -> None:
        if outcome.scores:
            self.errors[outcome.number].append(self.search.metric.error(outcome.scores))

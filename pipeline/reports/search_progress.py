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
    with progress("trials", watch.left) as tell:

        def ended(trial: Trial, outcome: Outcome) -> None:
            line = watch.told(trial, outcome)
            say(line)
            tell(line)

        yield ended


class _Watch:
    """Tells of each trial as it ends: its score, the best so far, the time left."""

    def __init__(self, search: Search) -> None:
        self.search, self.began, self.done = search, time.monotonic(), 0
        self.said: set[str] = set()
        self.errors: dict[int, list[float]] = defaultdict(list)
        for outcome in places.outcomes(search.directory):
            self._take(outcome)
        known = sum(map(len, self.errors.values()))
        self.left = max(search.count * search.settings.seeds - known, 0)

    def told(self, trial: Trial, outcome: Outcome) -> str:
        """What to say of it."""
        for line in (*shared_said(trial.root), *outcome.said):
            if line not in self.said:
                self.said.add(line)
                say(line)
        self._take(outcome)
        self.done += 1
        self.left = max(self.left - 1, 0)
        metric, seeds = self.search.metric, self.search.settings.seeds
        how = f"failed: {outcome.failed}"
        if outcome.pruned:
            how = f"pruned: {outcome.pruned}"
        elif not outcome.failed:
            how = f"{metric.title} {number(metric.value(outcome.scores))}"
        whole = {k: fmean(errors) for k, errors in self.errors.items() if len(errors) == seeds}
        best = ""
        if whole:
            name = min(whole, key=lambda k: (whole[k], k))
            best = f"; the best so far is trial {name}, {number(abs(metric.best - whole[name]))}"
        seconds = (time.monotonic() - self.began) / self.done * self.left
        minutes = f"about {seconds / 60:.0f} min" if seconds > 60 else "under a minute"
        left = f"; {minutes} left" if self.left else ""
        seed = f", seed {outcome.seed}" if seeds > 1 else ""
        return f"trial {trial.number}{seed}: {how}{best}{left}"

    def _take(self, outcome: Outcome) -> None:
        if outcome.scores:
            self.errors[outcome.number].append(self.search.metric.error(outcome.scores))

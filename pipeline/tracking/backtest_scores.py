"""Backtests read back from the MLflow store, each beside the runs whose experiment it tested."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

import mlflow

from pipeline.evaluation import metrics
from pipeline.evaluation.forecasts import MODEL
from pipeline.reports.backtest_text import rivals
from pipeline.reports.formatting import number, percent
from pipeline.tracking import store
from pipeline.tracking.backtest_runs import BACKTEST, FOLD, FOLDS, OF, SETTINGS
from pipeline.tracking.logged_runs import Trial

HOW = "python -m pipeline backtest, with its parameters in params.yaml, makes one"
LEGEND = (
    "Best first by the mean over the folds ± their standard deviation. folds won: those in which "
    "no other row is better. Skill, and better in so many folds, beside the best baseline on the "
    "mean."
)
SAME = ("ingest.dataset", "window.targets", "window.horizon")
Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class Tested:
    """A run's backtest."""

    trial: Trial
    id: str  # of the backtest's own run
    name: str
    settings: dict[str, Any]
    folds: dict[str, Any]  # which there are

    @property
    def basis(self) -> dict[str, Any]:
        """What two backtests must share for their scores to be comparable."""
        own = {key: self.trial.params.get(key, "") for key in SAME}
        return {"data": self.trial.data, **own, **self.folds}

    @cached_property
    def scores(self) -> dict[str, Any]:
        """scores.json."""
        tree: dict[str, Any] = mlflow.artifacts.load_dict(f"runs:/{self.id}/backtest/scores.json")
        return tree

    @property
    def metric(self) -> metrics.Metric:
        """The one that decides."""
        return metrics.deciding(self.scores["mean"]["scores"][MODEL])

    def errors(self, who: str = MODEL) -> list[float]:
        """By that metric, of each fold."""
        return [self.metric.error(fold["scores"][who]) for fold in self.scores["folds"]]

    def error(self, who: str = MODEL) -> float:
        """The mean over the folds."""
        return fmean(self.errors(who))

    @property
    def baselines(self) -> dict[str, float]:
        """The mean error of each baseline, the smallest first."""
        errors = {name: self.error(name) for name in rivals(self.scores)}
        return dict(sorted(errors.items(), key=lambda item: (item[1], item[0])))

    @property
    def how(self) -> str:
        """What of its way through time is not that of the folds."""
        refit, window, gap = (self.settings[key] for key in ("refit", "window", "gap"))
        each = f"every {refit} folds" if refit and refit > 1 else "every fold"
        learned = f"last {window:,} rows" if window else "expanding"
        return f"{each if refit else 'once'}, {learned}" + f", gap {gap:,}" * bool(gap)

    @property
    def described(self) -> str:
        """Its folds in a few words."""
        places = self.folds["folds"]
        when = f", {places[0][0]} to {places[-1][1]}" if places[0][0] else ""
        return f"{len(places)} folds of {self.folds['step']:,} rows{when}"


def of(trials: Sequence[Trial]) -> list[Tested]:
    """The whole backtests of runs, the newest first; a run may have several."""
    client, by = store.connect(), dict[str, list[Trial]]()
    for trial in trials:
        if known := trial.tags.get(store.EXPERIMENT):
            by.setdefault(known, []).append(trial)
    found = client.search_runs(
        list(dict.fromkeys(trial.experiment for trial in trials)),
        f"tags.`{OF}` != '' AND tags.`{FOLDS}` != ''",
        order_by=["start_time DESC"],
        max_results=1000,
    )
    tested = []
    for run in found:
        tags = run.data.tags
        if FOLD in tags:
            continue
        settings, folds = json.loads(tags[SETTINGS]), json.loads(tags[FOLDS])
        for trial in by.get(tags[OF], []):
            tested.append(Tested(trial, run.info.run_id, tags[BACKTEST], settings, folds))
    return tested


def pair(one: Trial, other: Trial) -> tuple[Tested, Tested] | None:
    """The newest backtests of two runs over the same folds, if there are any."""
    mine, its = (of([trial]) for trial in (one, other))
    both = ((a, b) for a in mine for b in its if a.basis == b.basis)
    return next(both, None)


def groups(tested: Sequence[Tested]) -> list[list[Tested]]:
    """Those over the same folds together, the best first; of the same way, the newest alone."""
    found: dict[str, dict[tuple[str, str], Tested]] = {}
    for one in tested:
        found.setdefault(str(one.basis), {}).setdefault((one.trial.id, one.how), one)
    return [sorted(own.values(), key=lambda one: one.error()) for own in found.values()]


def table(group: Sequence[Tested]) -> Table:
    """A row for each backtest: what differs, mean and spread, folds won, the best baseline."""
    params = [one.trial.params for one in group]
    names = [
        name
        for name in dict.fromkeys(name for own in params for name in own)
        if len({own.get(name) for own in params}) > 1
    ]
    title, errors = group[0].metric.title, [one.errors() for one in group]
    wins = [
        sum(own[fold] == min(all_[fold] for all_ in errors) for fold in range(len(own)))
        for own in errors
    ]
    header = ["place", "differs in", "fitted", f"mean {title}", "folds won", "best baseline"]
    header += ["skill", "better in", "run"]
    lines = []
    for place, (one, own, won) in enumerate(zip(group, errors, wins, strict=True), start=1):
        differs = "; ".join(
            f"{name.split('.', 1)[1]} {_short(one.trial.params.get(name, 'none'))}"
            for name in names
        )
        spread = f" ± {stdev(own):.2g}" if own[1:] else ""
        rival, its = next(iter(one.baselines.items()))
        better = sum(a < b for a, b in zip(own, one.errors(rival), strict=True))
        lines.append(
            [
                str(place),
                differs,
                one.how,
                f"{number(fmean(own))}{spread}",
                f"{won} of {len(own)}",
                f"{rival.replace('_', ' ')} {number(its)}",
                percent(metrics.skill(fmean(own), its)),
                f"{better} of {len(own)}",
                one.trial.short,
            ]
        )
    return header, lines


def lacking(trials: Sequence[Trial], tested: Sequence[Tested]) -> str:
    """Which runs have no backtest, and what makes one; nothing if all have."""
    have = {one.trial.id for one in tested}
    names = [trial.short for trial in trials if trial.id not in have]
    return f"Without a backtest: {', '.join(names)}. For each, {HOW}." if names else ""


def _short(text: str, longest: int = 40) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."

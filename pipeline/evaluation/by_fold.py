"""Scores of the folds of a backtest: of each, their mean over all and how far apart they are."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.data.windows import Rows
from pipeline.evaluation import metrics, scoring, sums
from pipeline.evaluation.forecasts import Forecasts
from pipeline.evaluation.metrics import BRIEF, METRICS, TARGETS, Scores
from pipeline.evaluation.scoring import Yardstick

Tree = dict[str, Any]


def scores(
    forecasts: Forecasts,
    parts: Mapping[int, Rows],
    targets: Sequence[str],
    yardstick: Yardstick,
    each: Mapping[str, Yardstick],
) -> dict[int, Tree]:
    """Of each fold, by its number, what every model scores: pooled, by step, target and series.

    Args:
        forecasts: of a fit's test span.
        parts: the positions of each fold's origins among them.
        targets: [K] their names.
        yardstick: of all series together.
        each: of each series by name.
    """
    found: dict[int, Tree] = {fold: {"n": 0} for fold in parts}
    many = forecasts.borders is not None and len(forecasts.borders) > 1
    for name in forecasts.by:
        made = forecasts.made(name)  # of one model at a time, since it takes much memory
        for fold, at in parts.items():
            own, seen, of = forecasts.of(at), forecasts.observed[at], made.part(at)
            tree = found[fold]
            tree["n"] = int((~np.isnan(seen)).sum())
            pooled = scoring.pooled(seen, of, yardstick, TARGETS)
            by_step = scoring.by_horizon(seen, of, yardstick, BRIEF)
            tree.setdefault("by_horizon", {})[name] = by_step
            if targets[1:]:
                by = scoring.by_target(seen, of, yardstick, targets, BRIEF)
                tree.setdefault("by_target", {})[name] = by
            if many:
                by = {
                    series: sums.finished(
                        scoring.of_series(seen[part], of.part(part), each[series])
                    )
                    for series, part in own.series()
                    if not np.isnan(seen[part]).all()
                }
                tree.setdefault("by_series", {})[name] = by
                if scaled := [one["mase"] for one in by.values() if "mase" in one]:
                    pooled["mase"] = statistics.fmean(scaled)
            tree.setdefault("scores", {})[name] = pooled
    return found


def mean_and_spread(folds: Sequence[Scores]) -> tuple[Scores, Scores]:
    """Of each score that all folds have, the mean and the standard deviation; 0 of one fold."""
    shared = [m.name for m in metrics.listed(folds[0], BRIEF) if all(m.name in f for f in folds)]
    shared += [m.name for m in METRICS if m.shown == TARGETS and all(m.name in f for f in folds)]
    values = {name: [fold[name] for fold in folds] for name in shared}
    spread = {name: statistics.stdev(own) if own[1:] else 0.0 for name, own in values.items()}
    return {name: statistics.fmean(own) for name, own in values.items()}, spread


def over_folds(trees: Sequence[Tree], *keys: str) -> tuple[Tree, Tree]:
    """The same of scores deeper in trees, under these keys; of what every tree has."""
    for key in keys:
        trees = [tree.get(key, {}) for tree in trees]
    if not trees or not all(trees):
        return {}, {}
    if all(isinstance(value, int | float) for value in trees[0].values()):
        return mean_and_spread(trees)
    shared = [name for name in trees[0] if all(name in tree for tree in trees)]
    both = {name: over_folds(trees, name) for name in shared}
    return {k: mean for k, (mean, _) in both.items()}, {k: s for k, (_, s) in both.items()}


def wins(folds: Iterable[Mapping[str, Scores]], name: str, other: str) -> int:
    """In how many folds a model is better than another, by the score that decides."""
    return sum(metrics.error(fold[name]) < metrics.error(fold[other]) for fold in folds)

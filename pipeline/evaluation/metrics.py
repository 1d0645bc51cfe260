"""The table of metrics: whatever measures, stores, shows or compares forecasts reads it."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.evaluation import sums
from pipeline.evaluation.sampling import counted
from pipeline.evaluation.sums import How, Sum
from pipeline.preparation import moments

Floats = npt.NDArray[np.float64]
Scores = dict[str, float]

# Where a metric is shown, each place with those before it: metrics.json and MLflow; baselines in
# metrics.json; the report's table of several targets; its table of scores, summary.json, and in
# MLflow baselines and each step; the table of runs.
STORED, BASELINES, TARGETS, BRIEF, COMPARED = range(5)
OWN = "the target's own"
DECILES = range(10, 100, 10)  # percents of the quantiles that wql is made of


@dataclass(frozen=True)
class Metric:
    """A row of the table."""

    name: str
    # Of a part of a sample: terms [n] whose mean the score is, or what else adds up; None where the
    # score is not defined.
    function: Callable[..., Any]
    needs: tuple[str, ...]  # keys of a sample that it takes; no score where one is absent
    unit: str
    shown: int
    best: float = 0.0  # a perfect forecast's score: the nearer, the better
    root: bool = False  # the roots of scores are compared
    each: str = ""  # key of a sample by percent: a score for each, as coverage_80 and pinball_10
    promise: bool = False  # the best score is the share that these percents are
    percent: float | None = None  # of the row of one level or quantile
    how: How = sums.MEAN

    @property
    def title(self) -> str:
        """What people call it: RMSE for rmse and for the root of mse_scaled."""
        return "R" * self.root + self.name.removesuffix("_scaled").upper().replace("_", " ")

    def at(self, percent: float) -> "Metric":
        """The row of one level or quantile."""
        best = percent / 100 if self.promise else self.best
        name = f"{self.name}_{percent:g}"
        return replace(self, name=name, best=best, each="", promise=False, percent=percent)

    def rows(self, names: Collection[str], prefix: str = "") -> list["Metric"]:
        """This row, or those of its levels or quantiles, as far as the names have them."""
        if not self.each:
            return [self] if f"{prefix}{self.name}" in names else []
        form = re.compile(rf"{re.escape(prefix + self.name)}_(\d+\.?\d*)")
        return [self.at(at) for at in sorted(float(m[1]) for m in map(form.fullmatch, names) if m)]

    def adds(self, sample: Mapping[str, Any]) -> dict[str, Sum]:
        """By name what adds up: of each level or quantile, with its share."""
        if not self.each:
            found = {self.name: self.function(*(sample[key] for key in self.needs))}
        else:
            found = {
                self.at(at).name: self.function(
                    *(own if key == self.each else sample[key] for key in self.needs), at / 100
                )
                for at, own in sample[self.each].items()
            }
        return {name: Sum.of(self.how, own) for name, own in found.items() if own is not None}

    def value(self, scores: Scores, prefix: str = "", suffix: str = "") -> float:
        """What is compared: the score, whose key may be longer, or its root."""
        score = scores[f"{prefix}{self.name}{suffix}"]
        return score**0.5 if self.root else score

    def error(self, scores: Scores, prefix: str = "", suffix: str = "") -> float:
        """How far this value is from the best."""
        return abs(self.value(scores, prefix, suffix) - self.best)


def _explained(y: Floats, f: Floats) -> tuple[Any, ...]:
    mean = np.mean(y) if len(y) else 0.0
    return len(y), mean, np.sum((y - mean) ** 2), np.sum((y - f) ** 2)


def _relative(y: Floats, f: Floats) -> Floats:
    some = y != 0
    size = np.maximum(np.abs(y[some]), np.finfo(np.float64).eps)  # as scikit-learn has it
    return np.asarray(np.abs(y[some] - f[some]) / size)


def _smape(y: Floats, f: Floats) -> Any:
    """The mean of |y - f| / ((|y| + |f|) / 2), 0 where both are zero (Makridakis 1993)."""
    size = np.abs(y) + np.abs(f)
    return 2 * np.abs(y - f) / np.where(size == 0, 1, size)


def _mase(y: Floats, f: Floats, seasonal_error: float) -> tuple[Any, ...] | None:
    """MAE over the seasonal error (Hyndman and Koehler 2006)."""
    return (np.sum(np.abs(y - f)), len(y), seasonal_error) if seasonal_error else None


def _pinball(y: Floats, f: Floats, q: float) -> Any:
    """The mean of max(q e, (q - 1) e), e = y - f (Koenker and Bassett 1978)."""
    return np.maximum(q * (y - f), (q - 1) * (y - f))


def _below(y: Floats, f: Floats, q: float) -> Any:
    """The share of values that are at most the quantile: the calibration curve."""
    return y <= f


def _wql(y: Floats, quantiles: Mapping[float, Floats]) -> tuple[Any, ...] | None:
    """Twice the pinball losses of .1 to .9 over |y|, their mean; None without one of the nine."""
    if not quantiles.keys() >= set(DECILES):
        return None
    losses = [np.sum(_pinball(y, quantiles[at], at / 100)) for at in DECILES]
    return len(y), np.sum(np.abs(y)), np.array(losses)


def _inside(y: Floats, interval: tuple[Floats, Floats], level: float) -> Any:
    low, high = interval
    return (low <= y) & (y <= high)


def _coverage_error(
    y: Floats, interval: tuple[Floats, Floats], blocks: Any, level: float
) -> tuple[Any]:
    return (counted(_inside(y, interval, level), blocks),)


def _width(y: Floats, interval: tuple[Floats, Floats], level: float) -> Any:
    low, high = interval
    return high - low


def _winkler(y: Floats, interval: tuple[Floats, Floats], level: float) -> Any:
    """The mean of the width and 2 / (1 - level) times what a value misses it by (Winkler 1972)."""
    low, high = interval
    missed = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return high - low + 2 / (1 - level) * missed


# In the order of tables. Of those that scores have, the first that is COMPARED decides: skill,
# places, promotion; by the second that is BRIEF the report names a baseline that is ahead, too.
PAIR, SCALED = ("observed", "forecast"), ("errors",)
BANDS, QUANTILES = ("observed", "levels"), ("observed", "quantiles")
METRICS = (
    Metric("rmse", lambda y, f: (y - f) ** 2, PAIR, OWN, COMPARED, how=sums.ROOT),
    Metric("mae", lambda y, f: np.abs(y - f), PAIR, OWN, BRIEF),
    Metric("mape", _relative, PAIR, "fraction", BRIEF),
    Metric("r2", _explained, PAIR, "", BRIEF, best=1, how=sums.EXPLAINED),
    Metric("smape", _smape, PAIR, "fraction", STORED),
    Metric("mase", _mase, (*PAIR, "seasonal_error"), "", TARGETS, how=sums.SCALED),
    Metric("mse_scaled", lambda e: e**2, SCALED, "standardised", COMPARED, root=True),
    Metric("mae_scaled", np.abs, SCALED, "standardised", BRIEF),
    Metric("wql", _wql, QUANTILES, "", BRIEF, how=sums.WEIGHTED),
    Metric("pinball", _pinball, QUANTILES, OWN, BASELINES, each="quantiles"),
    Metric("below", _below, QUANTILES, "fraction", BASELINES, each="quantiles", promise=True),
    Metric("coverage", _inside, BANDS, "fraction", BRIEF, each="levels", promise=True),
    Metric(
        "coverage_error",
        _coverage_error,
        (*BANDS, "blocks"),
        "fraction",
        STORED,
        each="levels",
        how=sums.SAMPLED,
    ),
    Metric("width", _width, BANDS, OWN, BRIEF, each="levels"),
    Metric("winkler", _winkler, BANDS, OWN, BRIEF, each="levels"),
)


def summed(sample: Mapping[str, Any], shown: int = STORED) -> dict[str, Sum]:
    """What a part of a sample adds to each score, of what is shown there.

    `sample` has `observed` and `forecast` [n] of one target and the `seasonal_error` of its
    training span, or the `errors` [n] of several on standardised values. Beside `observed`, by
    percent: `levels` with lower and upper bounds, ([n], [n]), and `quantiles` [n].
    """
    found = (
        metric.adds(sample).items()
        for metric in METRICS
        if metric.shown >= shown and sample.keys() >= set(metric.needs)
    )
    return {name: own for part in found for name, own in part}


def measured(sample: Mapping[str, Any], shown: int = STORED) -> Scores:
    """The scores of a sample that are defined."""
    return sums.finished(summed(sample, shown))


def listed(names: Collection[str], shown: int, prefix: str = "") -> list[Metric]:
    """The metrics that are shown there and, after the prefix, among the names."""
    return [row for m in METRICS if m.shown >= shown for row in m.rows(names, prefix)]


def brief(scores: Scores) -> Scores:
    """The scores that are BRIEF."""
    return {metric.name: scores[metric.name] for metric in listed(scores, BRIEF)}


def of_intervals(scores: Scores) -> Scores:
    """The scores of levels."""
    rows = (row for metric in METRICS if metric.each == "levels" for row in metric.rows(scores))
    return {row.name: scores[row.name] for row in rows}


def row(name: str) -> Metric:
    """The row of this name."""
    return next(metric for metric in METRICS if metric.name == name)


def deciding(names: Collection[str], prefix: str = "") -> Metric:
    """The metric that skill, places and promotion go by: rmse, of several targets mse_scaled."""
    return listed(names, COMPARED, prefix)[0]


def error(scores: Scores) -> float:
    """By the metric that decides."""
    return deciding(scores).error(scores)


def seasonal_error(train: pd.Series, season: int) -> float:
    """The mean absolute difference of training values one season apart; 0 if there are none."""
    if not season:  # of many series together
        return 0.0
    differences = moments.known(moments.changes(train.to_numpy(np.float64), season))
    np.abs(differences, out=differences)
    return float(differences.sum() / len(differences)) if len(differences) else 0.0


def skill(error: float, naive_error: float) -> float | None:
    """1 - error / error of a baseline: above 0 beats the baseline, 1 is perfect (Murphy 1988).

    None if the baseline has no error: skill is then not defined.
    """
    return 1 - error / naive_error if naive_error else None

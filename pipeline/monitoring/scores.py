"""Forecasts joined with what came, and their scores."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.cards import Card
from pipeline.config.params import Baseline
from pipeline.data.panel import Panel
from pipeline.data.windows import Rows
from pipeline.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.models.baselines import FittedBaseline
from pipeline.models.spec import Spec
from pipeline.models.task import Seen
from pipeline.preparation.scaling import Scaler

Floats = npt.NDArray[np.float64]
BOUND = re.compile(r"(lo|hi)-(\d+\.?\d*)")
KEYS = ["series", "origin", "time", "target"]
EVERY = "all"  # steps together


@dataclass(frozen=True)
class Joined:
    """Forecasts for which something came, and how many of the others there are, by why."""

    rows: pd.DataFrame  # KEYS, step, forecast, bounds, observed, baseline (NaN where it has none)
    left_out: dict[str, int]


def levels(columns: Sequence[object]) -> list[str]:
    """The levels of the intervals that a table of forecasts has, as they are written, rising."""
    found = [match for name in columns if (match := BOUND.fullmatch(str(name)))]
    ends = {end: {match[2] for match in found if match[1] == end} for end in ("lo", "hi")}
    return sorted(ends["lo"] & ends["hi"], key=float)


def typed(forecasts: pd.DataFrame, card: Card, where: str) -> pd.DataFrame:
    """Forecasts as `predict` and the log write them, with their times as times and all KEYS.

    PipelineError names the column that is lacking, or the row that has no time or number.
    """
    column = card.series or "series"
    if not card.series:
        forecasts = forecasts.drop(columns=column, errors="ignore").assign(series="")
    found = forecasts.rename(columns={column: "series"})
    if lacking := [name for name in (*KEYS, "forecast") if name not in found]:
        names = [column if name == "series" else name for name in lacking]
        raise PipelineError(
            f"{where}: expected forecasts as predict writes them, found no column "
            f"{', '.join(names)}"
        )
    zone = bool(card.time.timezone) or card.time.offsets
    for name in ("origin", "time"):
        times = pd.to_datetime(
            found[name].astype("str"), errors="coerce", utc=zone, format="ISO8601"
        )
        _whole(times, found[name], where, "a time by ISO 8601")
        found[name] = times
    numbers = ["forecast", *(f"{end}-{at}" for at in levels([*found]) for end in ("lo", "hi"))]
    for name in numbers:
        values = pd.to_numeric(found[name], errors="coerce")
        known = found[name] if name == "forecast" else found[name][found[name].notna()]
        _whole(values.loc[known.index], known, where, "a number")
        found[name] = values.astype(np.float64)
    return found


def _whole(made: Any, given: pd.Series, where: str, expected: str) -> None:
    if (bad := made.isna().to_numpy()).any():
        row = int(bad.argmax())
        raise PipelineError(
            f"{where}: column {given.name}, forecast {given.index[row] + 1}: expected {expected}, "
            f"found {str(given.iloc[row])[:60]!r}"
        )


def join(
    forecasts: pd.DataFrame, panel: Panel, spec: Spec, card: Card, baseline: Baseline
) -> Joined:
    """Forecasts beside what came at their times, and beside the baseline from the same origins.

    Of several forecasts from one origin of one time the last counts. The baseline has a forecast
    where the origin and as many rows before it as it looks back are among those that came.
    """
    left: dict[str, int] = {}

    def keep(rows: pd.DataFrame, good: Any, why: str) -> pd.DataFrame:
        good = np.asarray(good)
        if not good.all():
            left[why] = int((~good).sum())
        return rows[good]

    rows = keep(forecasts, forecasts["target"].isin(spec.targets), "of another target")
    rows = keep(rows, ~rows.duplicated(KEYS, keep="last"), "made again later from the same origin")
    rows = keep(rows, rows["series"].isin(panel.borders.names), "of a series without rows")
    times = pd.DatetimeIndex(panel.frame.index)
    where, last = _places(rows, "time", panel, card)
    rows, at = keep(rows, ~last, "not come yet"), where[~last]
    inside = at >= 0
    rows, at = keep(rows, inside, "of a time that is not among the rows"), at[inside]
    values = panel.frame[list(spec.targets)].to_numpy(np.float64)
    of = pd.Index(spec.targets).get_indexer(pd.Index(rows["target"]))
    seen = values[at, of]
    known = ~np.isnan(seen)
    rows, of = (
        keep(rows, known, "not observed at that time").assign(observed=seen[known]),
        of[known],
    )
    origins, _ = _places(rows, "origin", panel, card)
    start = times.min()  # an origin may lie before what came
    ends = (card.step.between(start, pd.DatetimeIndex(rows[k])) for k in ("origin", "time"))
    step = -np.subtract(*ends)
    rows = rows.assign(step=step, baseline=np.nan)
    right = (step >= 1) & (step <= spec.horizon)
    rows, origins, of = keep(rows, right, "beyond the horizon"), origins[right], of[right]
    looks = getattr(baseline, "season", 1)
    there = (origins >= 0) & (origins - panel.borders.first(np.maximum(origins, 0)) + 1 >= looks)
    if there.any():
        of_origin, number = np.unique(origins[there], return_inverse=True)
        made = naive(baseline, spec, panel, times)(of_origin)
        own = made[number, rows["step"].to_numpy()[there] - 1, of[there]]
        rows.loc[there, "baseline"] = own
    return Joined(rows.reset_index(drop=True), left)


def _places(
    rows: pd.DataFrame, name: str, panel: Panel, card: Card
) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """The row of the panel at each time, -1 where there is none; whether it is after the last."""
    place, late = np.full(len(rows), -1), np.zeros(len(rows), bool)
    series, times = rows["series"].to_numpy(), rows[name]
    for one, part in panel.borders.parts():
        own = series == one
        if own.any():
            index = pd.DatetimeIndex(panel.frame.index[part])
            wanted = pd.DatetimeIndex(times[own])
            found = index.get_indexer(wanted)
            place[own] = np.where(found < 0, -1, found + part.start)
            late[own] = wanted > index[-1]
    return place, late


def naive(
    baseline: Baseline, spec: Spec, panel: Panel, times: pd.DatetimeIndex
) -> Callable[[Rows], Floats]:
    """What persistence or a seasonal naive forecasts in the targets' units: [N] -> [N, H, K]."""
    values = panel.frame[list(spec.targets)].to_numpy(np.float64)
    seen = Seen(times, np.zeros((len(values), 0), np.float32), values, borders=panel.borders)
    own = spec.model_copy(update={"model": baseline, "quantiles": None})
    return partial(FittedBaseline(own, Scaler(columns={})).forecast, seen)


def tally(rows: pd.DataFrame, chunk: npt.ArrayLike = 0) -> pd.DataFrame:
    """What adds up of joined rows: by (target, step, chunk) the sum and the count of each mean.

    `chunk` is the number of each row's.
    """
    each = _each(rows).assign(chunk=np.asarray(chunk) + np.zeros(len(rows), np.int64))
    groups = each.groupby(["target", "step", "chunk"], sort=False, observed=True)
    return pd.concat({"sum": groups.sum(), "n": groups.count()}, axis=1)


def added(tallies: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tally of all rows from those of parts of them."""
    names = ["target", "step", "chunk"]
    return pd.concat(tallies).groupby(names, sort=False, observed=True).sum()


def scores(tallied: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """By target and step, EVERY and then 1, 2, ...: n, MAE, RMSE, bias, skill, coverage, pinball.

    Bias is the mean of forecast - observed, skill 1 - RMSE / RMSE of the baseline where it has a
    forecast, pinball that of the bounds: of 80% the quantiles .1 and .9. What is not defined is not
    there.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for target, own in tallied.groupby("target", sort=False, observed=True):
        steps: list[tuple[Any, pd.DataFrame]] = [(EVERY, own), *own.groupby("step")]
        found[str(target)] = {str(step): _scores(part) for step, part in steps}
    return found


def by_chunk(tallied: pd.DataFrame) -> dict[int, dict[tuple[str, str], float]]:
    """MAE and the share outside each interval of each chunk, by (target, statistic).

    A chunk with half as many forecasts as most, or fewer, is none: at the ends few rows are left.
    """
    size = tallied["n"]["bias"].groupby("chunk").sum()
    kept = size[size > size.median() / 2].index
    found: dict[int, dict[tuple[str, str], float]] = {}
    groups: Any = tallied.groupby(["chunk", "target"], observed=True)
    for (chunk, target), own in groups:
        if chunk not in kept:
            continue
        means = _means(own)
        part = found.setdefault(int(chunk), {})
        part[str(target), "mae"] = float(means["mae"])
        for name in means.index[means.notna()]:
            if name.startswith("coverage_"):
                share = 1 - float(means[name])
                part[str(target), name.replace("coverage", "missed")] = share
    return found


def _means(tallied: pd.DataFrame) -> pd.Series:
    """Of each column over the rows in which it is there; NaN where it is in none."""
    total = tallied.sum()
    return total["sum"] / total["n"]


def _each(rows: pd.DataFrame) -> pd.DataFrame:
    """What each row adds to the means."""
    error = rows["forecast"] - rows["observed"]
    known = rows["baseline"].notna()
    made: dict[str, Any] = {
        "target": rows["target"],
        "step": rows["step"],
        "bias": error,
        "mae": error.abs(),
        "square": error**2,
        "beside": (error**2).where(known),
        "rule": (rows["baseline"] - rows["observed"]) ** 2,
    }
    for level in levels([*rows]):
        low, high = rows[f"lo-{level}"], rows[f"hi-{level}"]
        inside = (low <= rows["observed"]) & (rows["observed"] <= high)
        made[f"coverage_{level}"] = inside.astype(float).where(low.notna() & high.notna())
        for bound, percent in ((low, 50 - float(level) / 2), (high, 50 + float(level) / 2)):
            over, q = rows["observed"] - bound, percent / 100
            made[f"pinball_{percent:g}"] = np.maximum(q * over, (q - 1) * over)
    return pd.DataFrame(made)


def _scores(tallied: pd.DataFrame) -> dict[str, float]:
    means: Mapping[Any, float] = _means(tallied).to_dict()
    kept = {
        name: value
        for name, value in means.items()
        if name in ("mae", "bias") or name.startswith(("coverage", "pinball"))
    }
    found = {"n": float(tallied["n"]["bias"].sum()), **kept, "rmse": means["square"] ** 0.5}
    if not np.isnan(means["rule"]):
        skill = metrics.skill(means["beside"] ** 0.5, means["rule"] ** 0.5)
        found |= {} if skill is None else {"skill": skill}
    return {name: value for name, value in found.items() if not np.isnan(value)}

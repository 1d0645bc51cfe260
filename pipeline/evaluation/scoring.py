"""Scoring a Forecaster: its forecasts beside the baselines on every origin of a span."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.panel import Borders
from pipeline.data.windows import Rows, ahead
from pipeline.evaluation import metrics, sums
from pipeline.evaluation.forecasts import (
    LONGEST,
    MODEL,
    Bands,
    Floats,
    Forecasts,
    Made,
    Windows,
)
from pipeline.evaluation.metrics import BASELINES, BRIEF, STORED, Scores
from pipeline.evaluation.sums import Sum, Tree
from pipeline.files import on_disk
from pipeline.preparation import moments
from pipeline.preparation.imputation import BEYOND, OBSERVED, gap_state

NamedSpans = Mapping[str, tuple[int, int]]
# Of a span, some of its series, a model, and what it made.
Watch = Callable[[str, Forecasts, str, Made], None]


@dataclass(frozen=True)
class Yardstick:
    """What scores are measured with, from the training span: [K] each."""

    seasonal_error: Floats
    deviation: Floats
    block: int = 1  # rows whose windows miss together, as far as sampling errors go

    @classmethod
    def of(cls, train: pd.DataFrame, season: int, block: int = 1) -> "Yardstick":
        """From the targets' training rows, missing values as NaN."""
        errors = [metrics.seasonal_error(train[name], season) for name in train]
        spread = [moments.mean_and_deviation(train[n].to_numpy(np.float64))[1] for n in train]
        return cls(np.array(errors), np.array(spread), block)

    def of_target(self, k: int) -> "Yardstick":
        """One target's own."""
        return Yardstick(self.seasonal_error[[k]], self.deviation[[k]], self.block)


def observed(targets: pd.DataFrame, origins: Rows, horizon: int) -> Floats:
    """What came after each origin: [rows, K] -> [N, H, K], NaN where it was not observed."""
    return np.asarray(ahead(targets.to_numpy(np.float64), origins, horizon))


def in_gaps(
    targets: pd.DataFrame, origins: Rows, limit: int, borders: Borders | None = None
) -> dict[str, int]:
    """How many origins there are, in a gap of a target, and in one beyond the imputation's limit.

    There persistence and its like take the last observed value, a network what was imputed.
    """
    parts = borders.parts() if borders else [("", slice(None))]
    states = [gap_state(targets.iloc[rows], limit) for _, rows in parts]
    state = np.concatenate(states)[origins].max(axis=1)
    return {
        "count": len(origins),
        "in_gap": int((state != OBSERVED).sum()),
        "beyond_limit": int((state == BEYOND).sum()),
    }


def report(
    spans: Mapping[str, Windows],
    names: Sequence[str],
    yardstick: Yardstick,
    named: NamedSpans,
    watch: Watch = lambda *_: None,
) -> dict[str, Any]:
    """metrics.json: the model's scores pooled, by horizon and by target, and the baselines'.

    `spans` are validation and test, `named` further ones, each its first and last target row.
    `watch` is called with all that is made, once each.
    """
    total: Tree = {"baselines": {}, "validation_baselines": {}}
    total |= {"baselines_by_horizon": {}} | ({"baselines_by_target": {}} if names[1:] else {})
    holders = {name: _holder(spans, *rows) for name, rows in named.items()}
    for span, forecasts in spans.items():
        held = {name: rows for name, rows in named.items() if holders[name] == span}
        for group in forecasts.groups():
            for name in group.by:
                made = group.made(name)
                watch(span, group, name, made)
                own = _of_one(span, group, name, made, names, yardstick, held)
                total = sums.joined(total, own)
    result = sums.finished(total)
    mine, rules = metrics.error(result["test"]), result["baselines"]
    result["skill"] = {
        name: skill
        for name, scores in rules.items()
        if (skill := metrics.skill(mine, metrics.error(scores))) is not None
    }
    result["best_baseline"] = min(rules, key=lambda name: metrics.error(rules[name]), default=None)
    return result


def _of_one(
    span: str,
    group: Forecasts,
    name: str,
    made: Made,
    names: Sequence[str],
    yardstick: Yardstick,
    named: NamedSpans,
) -> Tree:
    """What one model's forecasts of a group of series add to metrics.json."""
    seen, blocks, found = group.observed, group.blocks(yardstick.block), Tree()
    if name == MODEL:
        found[span] = summed(seen, made, yardstick, blocks=blocks)
        found[f"{span}_by_horizon"] = _steps(seen, made, yardstick, blocks=blocks)
        if names[1:]:
            found[f"{span}_by_target"] = _targets(seen, made, yardstick, names, blocks=blocks)
    else:
        key = "baselines" if span == "test" else "validation_baselines"
        found[key] = {name: summed(seen, made, yardstick, BASELINES)}
        if span == "test":
            found["baselines_by_horizon"] = {name: _steps(seen, made, yardstick, BRIEF)}
        if span == "test" and names[1:]:
            by = _targets(seen, made, yardstick, names, BASELINES)
            found["baselines_by_target"] = {name: by}
    for other, (first, last) in named.items():
        masked = np.where(_within(group, first, last)[..., None], seen, np.nan)
        shown = STORED if name == MODEL else BRIEF
        # None of its rows may be scored by this split, or was observed.
        if scores := summed(masked, made, yardstick, shown, blocks):
            found.setdefault("spans", {})[other] = {name: scores}
    return found


def rolling(
    forecasts: Windows, follow: Callable[[Forecasts], Bands], yardstick: Yardstick
) -> dict[str, Any]:
    """The test scores of the model's intervals as they would have followed its errors.

    `follow` gives these intervals.
    """
    total = Tree()
    for group in forecasts.whole_series():
        bands, blocks = follow(group), group.blocks(yardstick.block)
        most = max(LONGEST // int(np.prod(group.observed.shape[1:])), 1)
        for part in on_disk.blocks(len(blocks), most):
            own = {level: (low[part], high[part]) for level, (low, high) in bands.items()}
            scored = group.observed[part], Made(group.model[part], own), yardstick
            pooled, steps = (of(*scored, blocks=blocks[part]) for of in (summed, _steps))
            total = sums.joined(total, {"test": pooled, "test_by_horizon": steps})
    found = sums.finished(total)
    steps = {step: metrics.of_intervals(own) for step, own in found["test_by_horizon"].items()}
    return {"test": metrics.of_intervals(found["test"]), "test_by_horizon": steps}


def pooled(
    seen: Floats, made: Made, yardstick: Yardstick, shown: int = STORED, blocks: Rows | None = None
) -> Scores:
    """The scores of what `summed` takes.

    A score that is not defined is not there: r2 of one value, mape where all are zero, mase where
    the seasonal error is zero. `zeros` counts the values that mape leaves out.
    """
    found = summed(seen, made, yardstick, shown, blocks)
    if not found:
        raise ValueError("expected at least one observed target, found none")
    return sums.finished(found)


def of_series(seen: Floats, made: Made, yardstick: Yardstick) -> Tree:
    """What adds up to the scores of a series: no R2, beside that of others, if it never varies."""
    found = summed(seen, made, yardstick, metrics.TARGETS)
    if "r2" in found:
        found["r2"] = Sum(sums.WHERE_VARIED, found["r2"].parts)
    return found


def summed(
    seen: Floats, made: Made, yardstick: Yardstick, shown: int = STORED, blocks: Rows | None = None
) -> Tree:
    """What adds up to one target's scores in its units, or several targets' on standardised values.

    Nothing where nothing was observed. Of several targets the quantiles are scored in units, as WQL
    has it.

    Args:
        seen: [N, H, K] or [N, K], and so what was made.
        shown: what is left out of what is shown in fewer places.
        blocks: [N] the block of each window, for the sampling error of coverage.
    """
    known = ~np.isnan(seen)
    if not known.any():
        return {}
    unit = yardstick.deviation if seen.shape[-1] > 1 else np.ones(1)
    y, of, bare = seen[known], made.part(known), shown == STORED
    units = np.broadcast_to(unit, seen.shape)[known]
    bands = {level: (low / units, high / units) for level, (low, high) in of.bands.items()}
    sample: dict[str, Any] = {"observed": y / units} | ({"levels": bands} if bands else {})
    if bands and blocks is not None:
        own = blocks.reshape(-1, *(1 for _ in seen.shape[1:]))
        sample["blocks"] = np.broadcast_to(own, seen.shape)[known]
    count = {"n": Sum(sums.COUNT, (len(y),))} if bare else {}
    if seen.shape[-1] > 1:
        found = metrics.summed({**sample, "errors": (of.point - y) / units}, shown)
        if of.quantiles:
            made_of = metrics.summed({"observed": y, "quantiles": of.quantiles}, shown)
            # Of targets in several units, pinball losses have no mean.
            found |= {k: v for k, v in made_of.items() if not k.startswith("pinball")}
        return found | count
    sample |= {"forecast": of.point, "seasonal_error": yardstick.seasonal_error[0]}
    sample |= {"quantiles": of.quantiles} if of.quantiles else {}
    zeros = {"zeros": Sum(sums.COUNT, (int((y == 0).sum()),))} if bare else {}
    return metrics.summed(sample, shown) | count | zeros


def names_of_steps(horizon: int) -> list[str]:
    """What the steps ahead are called: h01, h02, ..., all of one length."""
    width = max(2, len(str(horizon)))
    return [f"h{step:0{width}d}" for step in range(1, horizon + 1)]


def by_horizon(
    seen: Floats, made: Made, yardstick: Yardstick, shown: int = STORED, blocks: Rows | None = None
) -> dict[str, Scores]:
    """The pooled scores of each step ahead, h01, h02, ..., where anything was observed."""
    return sums.finished(_steps(seen, made, yardstick, shown, blocks))


def _steps(
    seen: Floats, made: Made, yardstick: Yardstick, shown: int = STORED, blocks: Rows | None = None
) -> Tree:
    found = (
        (name, summed(seen[:, step], made.part(np.s_[:, step]), yardstick, shown, blocks))
        for step, name in enumerate(names_of_steps(seen.shape[1]))
    )
    return {name: own for name, own in found if own}


def by_target(
    seen: Floats, made: Made, yardstick: Yardstick, names: Sequence[str], shown: int = STORED
) -> dict[str, Scores]:
    """The scores of each target in its units."""
    return sums.finished(_targets(seen, made, yardstick, names, shown))


def _targets(
    seen: Floats,
    made: Made,
    yardstick: Yardstick,
    names: Sequence[str],
    shown: int = STORED,
    blocks: Rows | None = None,
) -> Tree:
    found = ((name, np.s_[..., [k]], yardstick.of_target(k)) for k, name in enumerate(names))
    own = ((name, summed(seen[at], made.part(at), of, shown, blocks)) for name, at, of in found)
    return {name: target for name, target in own if target}


def by_hour(
    forecasts: Windows, times: pd.DatetimeIndex, yardstick: Yardstick
) -> dict[str, list[float]]:
    """What `metrics.error` gives for the targets of each hour of `times` [rows], NaN where none."""
    total = Tree()
    for group in forecasts.groups():
        seen = group.observed
        rows = group.origins[:, None] + np.arange(1, seen.shape[1] + 1)
        of_target = times[rows.ravel()].hour.to_numpy().reshape(rows.shape)
        for name, values in group.by.items():
            inside = [(str(hour), of_target == hour) for hour in range(24)]
            own = {
                hour: summed(seen[at], Made(values[at]), yardstick, BRIEF) for hour, at in inside
            }
            total = sums.joined(total, {name: own})
    found = sums.finished(total)
    return {
        name: [metrics.error(scores) if scores else np.nan for scores in own.values()]
        for name, own in found.items()
    }


def rounded(tree: Any) -> Any:
    """Every float in a nested mapping to ten significant digits.

    Further digits of a sum depend on how a processor's kernels split it, and mean nothing.
    """
    if isinstance(tree, dict):
        return {key: rounded(value) for key, value in tree.items()}
    return float(f"{tree:.10g}") if isinstance(tree, float) else tree


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """The few numbers that `dvc metrics show` and `dvc exp show` put side by side."""
    spans = ("test", "validation")
    kept = {span: metrics.brief(result[span]) | {"n": result[span]["n"]} for span in spans}
    return {**kept, "skill": result["skill"]}


def _holder(spans: Mapping[str, Windows], first: int, last: int) -> str:
    """The span that has most of the targets of rows first to last."""

    def held(name: str) -> int:
        return sum(int(_within(group, first, last).sum()) for group in spans[name].groups())

    return max(spans, key=held)


def _within(forecasts: Forecasts, first: int, last: int) -> npt.NDArray[np.bool_]:
    """Which targets [N, H] lie in rows first to last of their series."""
    origins = forecasts.origins - forecasts.firsts
    rows = origins[:, None] + np.arange(1, forecasts.observed.shape[1] + 1)
    return np.asarray((rows >= first) & (rows <= last))

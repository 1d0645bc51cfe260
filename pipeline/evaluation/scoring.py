"""Scoring a Forecaster: its forecasts beside the baselines on every origin of a span."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.panel import Borders
from pipeline.data.windows import Rows, ahead
from pipeline.evaluation import metrics
from pipeline.evaluation.forecasts import MODEL, Bands, Floats, Forecasts, Made
from pipeline.evaluation.metrics import BASELINES, BRIEF, STORED, Scores
from pipeline.preparation.imputation import BEYOND, OBSERVED, gap_state

NamedSpans = Mapping[str, tuple[int, int]]


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
        return cls(np.array(errors), train.std(ddof=0).to_numpy(), block)

    def of_target(self, k: int) -> "Yardstick":
        """One target's own."""
        return Yardstick(self.seasonal_error[[k]], self.deviation[[k]], self.block)


def observed(targets: pd.DataFrame, origins: Rows, horizon: int) -> Floats:
    """What came after each origin: [rows, K] -> [N, H, K], NaN where it was not observed."""
    values: Floats = ahead(targets.to_numpy(np.float64), origins, horizon)
    return values


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
    spans: dict[str, Forecasts], names: Sequence[str], yardstick: Yardstick, named: NamedSpans
) -> dict[str, Any]:
    """metrics.json: the model's scores pooled, by horizon and by target, and the baselines'.

    `spans` are validation and test, `named` further ones, each its first and last target row.
    """
    result: dict[str, Any] = {"baselines": {}, "validation_baselines": {}}
    result |= {"baselines_by_horizon": {}} | ({"baselines_by_target": {}} if names[1:] else {})
    holders = {name: _holder(spans, *rows) for name, rows in named.items()}
    for span, forecasts in spans.items():
        seen, blocks = forecasts.observed, forecasts.blocks(yardstick.block)
        for name in forecasts.by:
            made = forecasts.made(name)
            if name == MODEL:
                result[span] = pooled(seen, made, yardstick, blocks=blocks)
                result[f"{span}_by_horizon"] = by_horizon(seen, made, yardstick, blocks=blocks)
                if names[1:]:
                    result[f"{span}_by_target"] = by_target(
                        seen, made, yardstick, names, blocks=blocks
                    )
            else:
                key = "baselines" if span == "test" else "validation_baselines"
                result[key][name] = pooled(seen, made, yardstick, BASELINES)
                if span == "test":
                    result["baselines_by_horizon"][name] = by_horizon(seen, made, yardstick, BRIEF)
                if span == "test" and names[1:]:
                    result["baselines_by_target"][name] = by_target(
                        seen, made, yardstick, names, BASELINES
                    )
            for other, (first, last) in named.items():
                masked = np.where(_within(forecasts, first, last)[..., None], seen, np.nan)
                # None of its rows may be scored by this split, or was observed.
                if holders[other] == span and not np.isnan(masked).all():
                    shown = STORED if name == MODEL else BRIEF
                    scores = pooled(masked, made, yardstick, shown, blocks)
                    result.setdefault("spans", {}).setdefault(other, {})[name] = scores
    mine, rules = metrics.error(result["test"]), result["baselines"]
    result["skill"] = {
        name: skill
        for name, scores in rules.items()
        if (skill := metrics.skill(mine, metrics.error(scores))) is not None
    }
    result["best_baseline"] = min(rules, key=lambda name: metrics.error(rules[name]), default=None)
    return result


def rolling(forecasts: Forecasts, bands: Bands, yardstick: Yardstick) -> dict[str, Any]:
    """The test scores of the model's intervals as they would have followed its errors."""
    seen, made = forecasts.observed, Made(forecasts.model, bands)
    blocks = forecasts.blocks(yardstick.block)
    steps = by_horizon(seen, made, yardstick, blocks=blocks)
    return {
        "test": metrics.of_intervals(pooled(seen, made, yardstick, blocks=blocks)),
        "test_by_horizon": {step: metrics.of_intervals(scores) for step, scores in steps.items()},
    }


def pooled(
    seen: Floats, made: Made, yardstick: Yardstick, shown: int = STORED, blocks: Rows | None = None
) -> Scores:
    """One target's scores in its units, or several targets' on standardised values.

    A score that is not defined is not there: r2 of one value, mape where all are zero, mase where
    the seasonal error is zero. `zeros` counts the values that mape leaves out. Of several targets
    the quantiles are scored in units, as WQL has it.

    Args:
        seen: [N, H, K] or [N, K], and so what was made.
        shown: what is left out of what is shown in fewer places.
        blocks: [N] the block of each window, for the sampling error of coverage.
    """
    known = ~np.isnan(seen)
    if not known.any():
        raise ValueError("expected at least one observed target, found none")
    unit = yardstick.deviation if seen.shape[-1] > 1 else np.ones(1)
    y, of, bare = seen[known], made.part(known), shown == STORED
    units = np.broadcast_to(unit, seen.shape)[known]
    bands = {level: (low / units, high / units) for level, (low, high) in of.bands.items()}
    sample: dict[str, Any] = {"observed": y / units} | ({"levels": bands} if bands else {})
    if bands and blocks is not None:
        own = blocks.reshape(-1, *(1 for _ in seen.shape[1:]))
        sample["blocks"] = np.broadcast_to(own, seen.shape)[known]
    if seen.shape[-1] > 1:
        scores = metrics.measured({**sample, "errors": (of.point - y) / units}, shown)
        if of.quantiles:
            made_of = metrics.measured({"observed": y, "quantiles": of.quantiles}, shown)
            # Of targets in several units, pinball losses have no mean.
            scores |= {k: v for k, v in made_of.items() if not k.startswith("pinball")}
        return scores | ({"n": len(y)} if bare else {})
    sample |= {"forecast": of.point, "seasonal_error": yardstick.seasonal_error[0]}
    sample |= {"quantiles": of.quantiles} if of.quantiles else {}
    return metrics.measured(sample, shown) | (
        {"n": len(y), "zeros": int((y == 0).sum())} if bare else {}
    )


def names_of_steps(horizon: int) -> list[str]:
    """What the steps ahead are called: h01, h02, ..., all of one length."""
    width = max(2, len(str(horizon)))
    return [f"h{step:0{width}d}" for step in range(1, horizon + 1)]


def by_horizon(
    seen: Floats, made: Made, yardstick: Yardstick, shown: int = STORED, blocks: Rows | None = None
) -> dict[str, Scores]:
    """The pooled scores of each step ahead, h01, h02, ..., where anything was observed."""
    return {
        name: pooled(seen[:, step], made.part(np.s_[:, step]), yardstick, shown, blocks)
        for step, name in enumerate(names_of_steps(seen.shape[1]))
        if not np.isnan(seen[:, step]).all()
    }


def by_target(
    seen: Floats,
    made: Made,
    yardstick: Yardstick,
    names: Sequence[str],
    shown: int = STORED,
    blocks: Rows | None = None,
) -> dict[str, Scores]:
    """The scores of each target in its units."""
    return {
        name: pooled(
            seen[..., [k]], made.part(np.s_[..., [k]]), yardstick.of_target(k), shown, blocks
        )
        for k, name in enumerate(names)
    }


def by_hour(
    forecasts: Forecasts, hours: npt.NDArray[np.int64], yardstick: Yardstick
) -> dict[str, list[float]]:
    """What `metrics.error` gives for the targets of each hour of the day, NaN where none is.

    `hours` [rows] is the hour of each row of the series, from 0.
    """
    seen = forecasts.observed
    of_target = hours[forecasts.origins[:, None] + np.arange(1, seen.shape[1] + 1)]
    errors: dict[str, list[float]] = {name: [] for name in forecasts.by}
    for hour in range(24):
        inside = of_target == hour
        known = not np.isnan(seen[inside]).all()
        for name, values in forecasts.by.items():
            made = Made(values[inside])
            scores = pooled(seen[inside], made, yardstick, BRIEF) if known else None
            errors[name].append(metrics.error(scores) if scores else np.nan)
    return errors


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


def table(
    spans: dict[str, Forecasts], names: Sequence[str], times: pd.DatetimeIndex, series: str = ""
) -> pd.DataFrame:
    """predictions.parquet: a row for each span, origin, step and target, in the targets' units.

    `series` is what the column with the names of many series is called; without it there is none.
    """
    category, parts = pd.Categorical.from_codes, []
    for code, forecasts in enumerate(spans.values()):
        n, horizon, k = forecasts.observed.shape
        step, target = np.arange(1, horizon + 1, dtype=np.int32), np.arange(k, dtype=np.int16)
        made = forecasts.made(MODEL)
        columns = {
            # Categories, since a name for each of millions of rows would weigh most.
            "span": category(np.full(n * horizon * k, code, np.int8), pd.Index(list(spans))),
            "origin": times[forecasts.origins].repeat(horizon * k),
            "time": times[(forecasts.origins[:, None] + step).ravel().repeat(k)],
            "step": np.tile(step.repeat(k), n),
            "target": category(np.tile(target, n * horizon), pd.Index(list(names))),
            "forecast": made.point.ravel(),
            "observed": forecasts.observed.ravel(),
        }
        if series and (borders := forecasts.borders):
            number = borders.number(forecasts.origins).repeat(horizon * k)
            columns = {series: category(number, pd.Index(borders.names, dtype="str")), **columns}
        for level, (low, high) in made.bands.items():
            columns |= {f"lo-{level:g}": low.ravel(), f"hi-{level:g}": high.ravel()}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _holder(spans: Mapping[str, Forecasts], first: int, last: int) -> str:
    """The span that has most of the targets of rows first to last."""
    return max(spans, key=lambda name: int(_within(spans[name], first, last).sum()))


def _within(forecasts: Forecasts, first: int, last: int) -> npt.NDArray[np.bool_]:
    """Which targets [N, H] lie in rows first to last of their series."""
    origins = forecasts.origins - forecasts.firsts
    rows = origins[:, None] + np.arange(1, forecasts.observed.shape[1] + 1)
    inside: npt.NDArray[np.bool_] = (rows >= first) & (rows <= last)
    return inside

"""Scoring a Forecaster: its forecasts beside the baselines on every origin of a span."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.windows import Rows, ahead
from pipeline.evaluation import metrics
from pipeline.evaluation.metrics import Scores
from pipeline.preparation.imputation import BEYOND, OBSERVED, gap_state

Floats = npt.NDArray[np.float64]
Forecast = Callable[[Rows], Floats]  # from origins [N] to [N, H, K] in units
NamedSpans = Mapping[str, tuple[int, int]]
MODEL = "model"


@dataclass(frozen=True)
class Forecasts:
    """What was forecast from each origin of a span and what came: arrays [N, H, K] in units."""

    origins: Rows
    observed: Floats  # NaN where nothing was observed
    by: dict[str, Floats]  # forecasts by MODEL and by each baseline

    @classmethod
    def of(
        cls, by: Mapping[str, Forecast], targets: pd.DataFrame, origins: Rows, horizon: int
    ) -> "Forecasts":
        """What each of `by` forecasts from these origins, beside the targets' own rows."""
        made = {name: forecast(origins) for name, forecast in by.items()}
        return cls(origins, observed(targets, origins, horizon), made)

    @property
    def model(self) -> Floats:
        """The model's own forecasts."""
        return self.by[MODEL]


@dataclass(frozen=True)
class Yardstick:
    """What scores are measured with, from the training span: [K] each."""

    seasonal_error: Floats
    deviation: Floats

    @classmethod
    def of(cls, train: pd.DataFrame, season: int) -> "Yardstick":
        """From the targets' training rows, missing values as NaN."""
        errors = [metrics.seasonal_error(train[name], season) for name in train]
        return cls(np.array(errors), train.std(ddof=0).to_numpy())

    def of_target(self, k: int) -> "Yardstick":
        """One target's own."""
        return Yardstick(self.seasonal_error[[k]], self.deviation[[k]])


def observed(targets: pd.DataFrame, origins: Rows, horizon: int) -> Floats:
    """What came after each origin: [rows, K] -> [N, H, K], NaN where it was not observed."""
    values: Floats = ahead(targets.to_numpy(np.float64), origins, horizon)
    return values


def in_gaps(targets: pd.DataFrame, origins: Rows, limit: int) -> dict[str, int]:
    """How many origins there are, in a gap of a target, and in one beyond the imputation's limit.

    There persistence and its like take the last observed value, a network what was imputed.
    """
    state = gap_state(targets, limit)[origins].max(axis=1)
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
    result: dict[str, Any] = {}
    for span, forecasts in spans.items():
        seen, model = forecasts.observed, forecasts.model
        result[span] = pooled(seen, model, yardstick)
        result[f"{span}_by_horizon"] = by_horizon(seen, model, yardstick)
        if len(names) > 1:
            result[f"{span}_by_target"] = {
                name: pooled(seen[..., [k]], model[..., [k]], yardstick.of_target(k))
                for k, name in enumerate(names)
            }
    test = spans["test"]
    rules = {name: values for name, values in test.by.items() if name != MODEL}
    for key, span in (("baselines", "test"), ("validation_baselines", "validation")):
        result[key] = {
            name: pooled(spans[span].observed, spans[span].by[name], yardstick, brief=True)
            for name in rules
        }
    result["baselines_by_horizon"] = {
        name: by_horizon(test.observed, values, yardstick, brief=True)
        for name, values in rules.items()
    }
    mine = metrics.error(result["test"])
    result["skill"] = {
        name: skill
        for name, scores in result["baselines"].items()
        if (skill := metrics.skill(mine, metrics.error(scores))) is not None
    }
    result["best_baseline"] = min(
        rules, key=lambda name: metrics.error(result["baselines"][name]), default=None
    )
    for span, (first, last) in named.items():
        inside = {name: _within(forecasts, first, last) for name, forecasts in spans.items()}
        holder = max(inside, key=lambda name: int(inside[name].sum()))
        masked = np.where(inside[holder][..., None], spans[holder].observed, np.nan)
        if np.isnan(masked).all():
            continue  # none of its rows is scored by this split, or was observed
        result.setdefault("spans", {})[span] = {
            name: pooled(masked, values, yardstick, brief=name != MODEL)
            for name, values in spans[holder].by.items()
        }
    return result


def pooled(seen: Floats, forecast: Floats, yardstick: Yardstick, brief: bool = False) -> Scores:
    """One target's scores in its units, or several targets' on standardised values.

    A score that is not defined is not there: r2 of one value, mape where all are zero, mase where
    the seasonal error is zero. `zeros` counts the values that mape leaves out.

    `seen` and `forecast` are [N, H, K] or [N, K]; `brief`: of one target, only what is BRIEF.
    """
    known = ~np.isnan(seen)
    if not known.any():
        raise ValueError("expected at least one observed target, found none")
    if seen.shape[-1] > 1:
        errors = ((forecast - seen) / yardstick.deviation)[known]
        return metrics.measured({"errors": errors}) | {"n": len(errors)}
    y, f = seen[known], forecast[known]
    sample = {"observed": y, "forecast": f, "seasonal_error": yardstick.seasonal_error[0]}
    if brief:
        return metrics.measured(sample, metrics.BRIEF)
    return metrics.measured(sample) | {"n": len(y), "zeros": int((y == 0).sum())}


def by_horizon(
    seen: Floats, forecast: Floats, yardstick: Yardstick, brief: bool = False
) -> dict[str, Scores]:
    """The pooled scores of each step ahead, h01, h02, ..., where anything was observed."""
    horizon = seen.shape[1]
    width = max(2, len(str(horizon)))
    return {
        f"h{step + 1:0{width}d}": pooled(seen[:, step], forecast[:, step], yardstick, brief)
        for step in range(horizon)
        if not np.isnan(seen[:, step]).all()
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
            scores = pooled(seen[inside], values[inside], yardstick, brief=True) if known else None
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
    spans: dict[str, Forecasts], names: Sequence[str], times: pd.DatetimeIndex
) -> pd.DataFrame:
    """predictions.parquet: a row for each span, origin, step and target, in the targets' units."""
    category, parts = pd.Categorical.from_codes, []
    for code, forecasts in enumerate(spans.values()):
        n, horizon, k = forecasts.observed.shape
        step, target = np.arange(1, horizon + 1, dtype=np.int32), np.arange(k, dtype=np.int16)
        columns = {
            # Categories, since a name for each of millions of rows would weigh most.
            "span": category(np.full(n * horizon * k, code, np.int8), pd.Index(list(spans))),
            "origin": times[forecasts.origins].repeat(horizon * k),
            "time": times[(forecasts.origins[:, None] + step).ravel().repeat(k)],
            "step": np.tile(step.repeat(k), n),
            "target": category(np.tile(target, n * horizon), pd.Index(list(names))),
            "forecast": forecasts.model.ravel(),
            "observed": forecasts.observed.ravel(),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _within(forecasts: Forecasts, first: int, last: int) -> npt.NDArray[np.bool_]:
    """Which targets [N, H] lie in rows first to last."""
    rows = forecasts.origins[:, None] + np.arange(1, forecasts.observed.shape[1] + 1)
    inside: npt.NDArray[np.bool_] = (rows >= first) & (rows <= last)
    return inside

"""Scores of each series of a panel, beside its own baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation import metrics, sums
from pipeline.evaluation.forecasts import MODEL, Forecasts, Made
from pipeline.evaluation.metrics import Scores
from pipeline.evaluation.scoring import Yardstick, of_series
from pipeline.evaluation.sums import Sum, Tree


def yardsticks(
    train: Sequence[pd.DataFrame], season: int, block: int = 1
) -> tuple[Yardstick, list[Yardstick]]:
    """Of all series together, and of each, from the targets' training rows of each.

    Many together have no seasonal error: MASE is scored series by series.
    """
    each = [Yardstick.of(own, season, block) for own in train]
    pooled = each[0] if len(each) == 1 else Yardstick.of(pd.concat(train), 0, block)
    return pooled, [replace(one, deviation=pooled.deviation) for one in each]


def of_one(group: Forecasts, made: Made, yardsticks: Mapping[str, Yardstick]) -> Tree:
    """By name what adds up to one model's scores, and n, on each series with an observed target."""
    seen, known = group.observed, ~np.isnan(group.observed)
    return {
        name: {
            "n": Sum(sums.COUNT, (int(known[part].sum()),)),
            **of_series(seen[part], made.part(part), yardsticks[name]),
        }
        for name, part in group.series()
        if known[part].any()
    }


def table(found: Mapping[str, Mapping[str, Scores]], series: str) -> pd.DataFrame:
    """A row for each series: its name, n, scores, and skill by baseline.

    Args:
        found: the scores of what `of_one` gives, by model.
        series: what the column of names is called.
    """
    rows = []
    for name, mine in found[MODEL].items():
        skills = {
            f"skill_{model}": metrics.skill(metrics.error(mine), metrics.error(scored[name]))
            for model, scored in found.items()
            if model != MODEL
        }
        rows.append({series: name, **mine, **skills})
    return pd.DataFrame(rows)


def least_skill(table: pd.DataFrame) -> pd.Series:
    """Each series' skill against the best of its own baselines, NaN where that has no error."""
    return table.filter(regex="^skill_").astype(float).min(axis=1, skipna=False)


def summary(table: pd.DataFrame, names: Sequence[str] = ()) -> dict[str, Any]:
    """What metrics.json has of them: how many there are, their mean MASE, which share is beaten.

    `beats` is, by baseline, the share of series whose forecasts are better than it, and under
    `best` better than whichever is best for the series: none is better than one without an error.
    `scaled` is how many series have a MASE, where not all do, `unscored` which of `names` have no
    row.
    """
    skills = table.filter(regex="^skill_").astype(float)
    rules = [str(name).removeprefix("skill_") for name in skills]
    beats = {
        name: float((own > 0).mean()) for name, own in zip(rules, skills.to_numpy().T, strict=True)
    }
    if beats:
        beats["best"] = float((least_skill(table) > 0).mean())
    found: dict[str, Any] = {"count": len(table), "beats": beats}
    if "mase" in table and table["mase"].notna().any():
        found["mase"] = float(table["mase"].mean())
        scaled = int(table["mase"].notna().sum())
        found |= {"scaled": scaled} if scaled < len(table) else {}
    if lacking := sorted({*names} - {*table.iloc[:, 0]}):
        found["unscored"] = lacking
    return found


def ranked(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows by MASE, the best first, or, where it is not defined, by the error that decides."""
    by = (
        "mase"
        if "mase" in table and table["mase"].notna().any()
        else metrics.deciding([*map(str, table)]).name
    )
    return table.sort_values([by, str(table.columns[0])], ignore_index=True), by

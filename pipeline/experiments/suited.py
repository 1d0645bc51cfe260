"""Parameters that suit a new table: window, imputation's limit and levels of intervals."""

from typing import Any

import numpy as np

from pipeline.config.automatic import of_season
from pipeline.config.cards import Card
from pipeline.config.experiment import Experiment
from pipeline.config.params import Params
from pipeline.data import splits
from pipeline.data.panel import Panel
from pipeline.forecasting.conformal import Method
from pipeline.preparation import imputation


def suited(series: Panel, spans: splits.Spans, card: Card, params: Params) -> Experiment:
    """By the parameters, with a window that suits the season and a limit that suits regular gaps.

    Where a season is too long to be forecast, it may still be seen. Else the window stays as it
    is, as where no cycle is known, unless the spans are too short for it too: then it is as long as
    they allow. Levels for which the span that makes intervals has too few windows are left out.
    """
    tree = params.model_dump()
    tree["window"] |= _window(spans, card, Experiment(params, card).params)
    settings = tree["impute_scale"]["imputation"]
    gaps = imputation.regular_gaps((part for _, part in series.parts()), settings["limit"])
    settings["limit"] = max([settings["limit"], *(length for length, _ in gaps)])
    horizon = Experiment(Params(**tree), card).params.window.horizon
    windows = _rows(spans)[splits.calibrates(spans)] - horizon + 1
    levels = [level for level in params.evaluate.levels if _needed(level) <= windows]
    if levels and not card.origins:
        tree["evaluate"]["levels"] = tuple(levels)
    return Experiment(Params(**tree), card)


def _rows(spans: splits.Spans) -> dict[str, int]:
    """The rows of each span, of the series that has most there."""
    return {name: int(np.diff(rows).max()) for name, rows in spans.items()}


def _needed(level: float) -> int:
    """Windows that intervals of a level need."""
    return Method(levels=(level,)).least


def _window(spans: splits.Spans, card: Card, params: Params) -> dict[str, Any]:
    """What of the window is to be another: `auto`, or rows where the spans are too short."""
    rows, auto = _rows(spans), of_season(card.season)
    least = 1 if card.origins else _needed(params.evaluate.levels[0])
    most = min(rows[splits.calibrates(spans)] - least + 1, rows["validation"], rows["test"])
    own = {key: getattr(params.window, key) for key in auto}

    def fit(size: dict[str, int], times: int = 1) -> bool:
        return size["horizon"] <= most and times * sum(size.values()) <= rows["train"]

    if card.season > 1 and fit(auto):
        return {key: "auto" for key, size in auto.items() if size != own[key]}
    longer = own | {"look_back": auto["look_back"]}
    if card.season > 1 and own["look_back"] < longer["look_back"] and fit(longer, 2):
        return {"look_back": "auto"}
    if fit(own) or most < 1:
        return {}
    horizon = min(auto["horizon"], own["horizon"], most)
    # Half of the training rows are left for windows to begin in.
    look_back = min(auto["look_back"], own["look_back"], (rows["train"] - horizon) // 2)
    return {"look_back": look_back, "horizon": horizon} if look_back > 0 else {}

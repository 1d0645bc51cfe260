"""The baselines: what a network must beat to be worth its training."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.windows import Rows
from pipeline.models.ridge import fit_ridge
from pipeline.models.spec import Spec
from pipeline.preparation.scaling import Scaler

Floats = npt.NDArray[np.float64]
Rule = Callable[..., Floats]  # of targets [rows, K], origins [B] and horizon, as below


def ridge(
    spec: Spec,
    scaler: Scaler,
    prepared: npt.NDArray[np.float32],
    targets: pd.DataFrame,
    train: Rows,
    validation: Rows,
) -> Callable[[Rows], Floats]:
    """Ridge regression on what a network sees: from origins [B] to standardised [B, H, K].

    Of features `prepared` [rows, F], targets [rows, K] in their units, and origins.
    """
    features = scaler.linear(prepared, spec.features)
    standardised = scaler.standardise(targets.to_numpy(), spec.targets)
    shape = spec.look_back, spec.horizon
    return fit_ridge(features, standardised, train, validation, *shape)


def naive(seasons: Sequence[int]) -> dict[str, Rule]:
    """The naive baselines of a series by name; of several seasons each has its own."""
    names = [f"seasonal_naive_{season}" for season in seasons]
    rules = [partial(seasonal_naive, season=season) for season in seasons]
    if len(seasons) == 1:
        names = ["seasonal_naive"]
    seasonal = dict(zip(names, rules, strict=True))
    return {"persistence": persistence, **seasonal, "drift": drift, "last_change": last_change}


def persistence(targets: pd.DataFrame, origins: Rows, horizon: int) -> Floats:
    """Every step is the last observed value: [rows, K], [B] -> [B, H, K] in the targets' units."""
    last = targets.ffill().to_numpy()[origins]
    return np.repeat(last[:, None, :], horizon, axis=1)


def drift(targets: pd.DataFrame, origins: Rows, horizon: int) -> Floats:
    """The line from the series' first observed value through the last one known at the origin.

    Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 5.2.
    """
    seen, rows = targets.notna().to_numpy(), np.arange(len(targets))[:, None]
    known = targets.ffill().to_numpy()[origins]
    last = np.maximum.accumulate(np.where(seen, rows, 0))[origins]  # [B, K] the row of that value
    first = seen.argmax(axis=0)
    rise = (known - targets.to_numpy()[first, np.arange(len(first))]) / np.maximum(last - first, 1)
    ahead = origins[:, None] + np.arange(1, horizon + 1)
    return known[:, None] + (ahead[..., None] - last[:, None]) * rise[:, None]


def last_change(targets: pd.DataFrame, origins: Rows, horizon: int) -> Floats:
    """Every step is the last observed value plus the last change."""
    known = targets.ffill().to_numpy()
    change = known[origins] - known[np.maximum(origins - 1, 0)]
    return np.repeat((known[origins] + change)[:, None, :], horizon, axis=1)


def seasonal_naive(targets: pd.DataFrame, origins: Rows, horizon: int, season: int) -> Floats:
    """Each step is the value a whole number of seasons before it, the newest that is known.

    A value missing there is the last observed one before it, or, where there is none, before the
    origin.
    """
    known = targets.ffill().to_numpy()
    step = np.arange(1, horizon + 1)
    back = step - season * -(-step // season)  # 0 or negative: rows from the origin
    rows = origins[:, None] + back
    then = known[np.maximum(rows, 0)]
    return np.where((rows < 0)[..., None] | np.isnan(then), known[origins][:, None], then)

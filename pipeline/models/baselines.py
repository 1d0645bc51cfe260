"""Naive rules and ridge regression: what a network must beat to be worth its training."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from pipeline.determinism import THREADS
from pipeline.windows import Rows, gather

Floats = npt.NDArray[np.float64]
Rule = Callable[[pd.DataFrame, Rows, int, int], Floats]


def persistence(targets: pd.DataFrame, origins: Rows, horizon: int, season: int) -> Floats:
    """Every step is the last observed value: [rows, K], [B] -> [B, H, K] in the targets' units."""
    last = targets.ffill().to_numpy()[origins]
    return np.repeat(last[:, None, :], horizon, axis=1)


def drift(targets: pd.DataFrame, origins: Rows, horizon: int, season: int) -> Floats:
    """Every step is the last observed value plus the last change."""
    known = targets.ffill().to_numpy()
    change = known[origins] - known[np.maximum(origins - 1, 0)]
    return np.repeat((known[origins] + change)[:, None, :], horizon, axis=1)


def seasonal_naive(targets: pd.DataFrame, origins: Rows, horizon: int, season: int) -> Floats:
    """Each step is the value a whole number of seasons before it, the newest that is known.

    A value missing there is the last observed one before it.
    """
    known = targets.ffill().to_numpy()
    step = np.arange(1, horizon + 1)
    back = step - season * -(-step // season)  # 0 or negative: rows from the origin
    return known[np.maximum(origins[:, None] + back, 0)]


NAIVE: dict[str, Rule] = {
    "persistence": persistence,
    "seasonal_naive": seasonal_naive,
    "drift": drift,
}


ALPHAS = (1.0, 10.0, 100.0, 1000.0)


def fit_ridge(
    features: npt.NDArray[np.float32],
    targets: Floats,
    train: Rows,
    validation: Rows,
    look_back: int,
    horizon: int,
) -> Callable[[Rows], Floats]:
    """Ridge regression from a window to its steps, on the windows a network is trained on.

    Hoerl and Kennard (1970), as scikit-learn has it; the penalty is the best of ALPHAS on the
    validation windows. Training windows with a missing target are left out.

    Args:
        features: [rows, F] scaled.
        targets: [rows, K] standardised, NaN where not observed.
        train, validation: start rows of windows.
        look_back, horizon: rows seen and rows forecast.

    Returns:
        A function from start rows [B] to standardised forecasts [B, H, K].
    """
    from sklearn.linear_model import Ridge

    def windows(starts: Rows) -> Floats:
        # float64: normal equations square the condition number, which float32 cannot hold.
        return gather(features, starts, look_back).reshape(len(starts), -1).astype(np.float64)

    def forecast(ridge: Ridge, starts: Rows) -> Floats:
        steps: Floats = ridge.predict(windows(starts))
        return steps.reshape(len(starts), horizon, -1)

    steps = gather(targets, train + look_back, horizon).reshape(len(train), -1)
    whole = ~np.isnan(steps).any(axis=1)
    x, y = windows(train[whole]), steps[whole]
    goal = gather(targets, validation + look_back, horizon)
    # Cholesky's sums depend on the number of BLAS threads, and the last digits with them.
    with threadpool_limits(THREADS):
        ridges = [Ridge(alpha, solver="cholesky").fit(x, y) for alpha in ALPHAS]
        errors = [np.nanmean((forecast(ridge, validation) - goal) ** 2) for ridge in ridges]
    best = ridges[int(np.argmin(errors))]

    def predict(starts: Rows) -> Floats:
        with threadpool_limits(THREADS):
            return forecast(best, starts)

    return predict

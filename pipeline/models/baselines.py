"""Naive rules and ridge regression: what a network must beat to be worth its training."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from pipeline.config import ALPHAS
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

    def windows(starts: Rows) -> Floats:
        # float64: normal equations square the condition number, which float32 cannot hold.
        return gather(features, starts, look_back).reshape(len(starts), -1).astype(np.float64)

    kernel, bias = solve_ridge(windows, targets, train, validation, look_back, horizon, ALPHAS)

    def predict(starts: Rows) -> Floats:
        with threadpool_limits(THREADS):
            steps: Floats = windows(starts) @ kernel + bias
            return steps.reshape(len(starts), horizon, -1)

    return predict


def solve_ridge(
    windows: Callable[[Rows], Floats],
    targets: npt.NDArray[np.floating],
    train: Rows,
    validation: Rows,
    look_back: int,
    horizon: int,
    alphas: Sequence[float],
) -> tuple[Floats, Floats]:
    """The best of `alphas`: kernel [L * F, H * K] and bias [H * K]; `windows` gives [B, L * F]."""
    from sklearn.linear_model import Ridge

    def steps(starts: Rows) -> Floats:
        ahead = gather(targets, starts + look_back, horizon)
        return ahead.reshape(len(starts), -1).astype(np.float64)

    y = steps(train)
    whole = ~np.isnan(y).any(axis=1)
    x, seen, goal = windows(train[whole]), windows(validation), steps(validation)
    # Cholesky's sums depend on the number of BLAS threads, and the last digits with them.
    with threadpool_limits(THREADS):
        ridges = [Ridge(alpha, solver="cholesky").fit(x, y[whole]) for alpha in alphas]
        errors = [
            np.nanmean((ridge.predict(seen).reshape(goal.shape) - goal) ** 2) for ridge in ridges
        ]
    best = ridges[int(np.argmin(errors))]
    return best.coef_.reshape(goal.shape[1], -1).T, np.atleast_1d(best.intercept_)

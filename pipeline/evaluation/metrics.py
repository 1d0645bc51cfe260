"""Scores of forecasts against what was observed; what was not observed is never scored."""

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Scores = dict[str, float]


def scores(observed: Floats, forecast: Floats, seasonal_error: float | None = None) -> Scores:
    """r2, mae, rmse and mape as scikit-learn has them, n, and more if the seasonal error is given.

    Args:
        observed: of any shape, NaN where nothing was observed.
        forecast: of the same shape.
        seasonal_error: the training span's mean absolute seasonal naive error, for mase.

    Returns:
        A score that is not defined is not there: r2 of one target, mape where all are zero, mase
        where the seasonal error is zero. mape and smape are fractions. mape leaves out targets that
        are zero and `zeros` counts them. smape is the mean of |y - f| / ((|y| + |f|) / 2), 0 where
        both are zero (Makridakis 1993). mase is mae over the seasonal error (Hyndman and Koehler
        2006).
    """
    from sklearn import metrics as sk  # takes a second or two, and who only reads scores needs none

    known = ~np.isnan(observed)
    y, f = observed[known], forecast[known]
    if len(y) == 0:
        raise ValueError("expected at least one observed target, found none")
    nonzero = y != 0
    mae, rmse = sk.mean_absolute_error(y, f), sk.root_mean_squared_error(y, f)
    result: Scores = {"mae": float(mae), "rmse": float(rmse)}
    if len(y) > 1:
        result["r2"] = float(sk.r2_score(y, f))
    if nonzero.any():
        result["mape"] = float(sk.mean_absolute_percentage_error(y[nonzero], f[nonzero]))
    if seasonal_error is not None:
        size = np.abs(y) + np.abs(f)
        result["smape"] = float(np.mean(2 * np.abs(y - f) / np.where(size == 0, 1, size)))
        if seasonal_error:
            result["mase"] = result["mae"] / seasonal_error
        result["n"] = len(y)
        result["zeros"] = int((~nonzero).sum())
    return result


def seasonal_error(train: pd.Series, season: int) -> float:
    """The mean absolute difference of training values one season apart; 0 if there are none."""
    differences = (train - train.shift(season)).abs().dropna()
    return float(differences.mean()) if len(differences) else 0.0


def skill(rmse: float, naive_rmse: float) -> float | None:
    """1 - RMSE / RMSE of a baseline: above 0 beats the baseline, 1 is perfect (Murphy 1988).

    None if the baseline has no error: skill is then not defined.
    """
    return 1 - rmse / naive_rmse if naive_rmse else None


def scaled_errors(observed: Floats, forecast: Floats, scale: Floats) -> Scores:
    """mse_scaled, mae_scaled and n, pooled over targets.

    Args:
        observed, forecast: [N, H, K] in the targets' units.
        scale: [K] standard deviations of the targets in the training span.
    """
    error = (forecast - observed) / scale
    known = ~np.isnan(observed)
    return {
        "mse_scaled": float(np.mean(error[known] ** 2)),
        "mae_scaled": float(np.mean(np.abs(error[known]))),
        "n": int(known.sum()),
    }

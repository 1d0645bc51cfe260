"""Naive rules and ridge regression: what a network must beat to be worth its training."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

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


class Ridge:
    """Ridge regression from a window's features to its steps, on the windows a network trains on.

    Hoerl and Kennard (1970), by scikit-learn; the penalty is the best of ALPHAS on validation.
    """

    ALPHAS = (1.0, 10.0, 100.0, 1000.0)

    def __init__(self, look_back: int, horizon: int) -> None:
        self.look_back, self.horizon = look_back, horizon

    def fit(
        self,
        features: npt.NDArray[np.float32],
        targets: npt.NDArray[np.float32],
        train: Rows,
        validation: Rows,
    ) -> "Ridge":
        """Fit on the training windows whose targets are all observed.

        Args:
            features: [rows, F] scaled.
            targets: [rows, K] scaled, NaN where not observed.
            train, validation: start rows of windows.
        """
        from sklearn.linear_model import Ridge as Regression
        from threadpoolctl import threadpool_limits

        from pipeline.determinism import THREADS

        y = gather(targets, train + self.look_back, self.horizon).reshape(len(train), -1)
        whole = ~np.isnan(y).any(axis=1)
        x = self._windows(features, train[whole])
        goal = gather(targets, validation + self.look_back, self.horizon)
        best = np.inf
        with threadpool_limits(THREADS):
            for alpha in self.ALPHAS:
                regression = Regression(alpha, solver="cholesky").fit(x, y[whole])
                error = np.nanmean((self._predict(regression, features, validation) - goal) ** 2)
                if error < best:
                    best, self.regression, self.alpha = error, regression, alpha
            return self

    def predict(self, features: npt.NDArray[np.float32], starts: Rows) -> npt.NDArray[np.float32]:
        """[rows, F], [B] start rows -> [B, H, K] scaled."""
        return self._predict(self.regression, features, starts)

    def _windows(self, features: npt.NDArray[np.float32], starts: Rows) -> npt.NDArray[np.float32]:
        return gather(features, starts, self.look_back).reshape(len(starts), -1)

    def _predict(self, regression, features, starts):  # type: ignore[no-untyped-def]
        steps = regression.predict(self._windows(features, starts))
        return steps.reshape(len(starts), self.horizon, -1)

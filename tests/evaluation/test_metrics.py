"""Scores are those of their formulas, on what was observed."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.evaluation import metrics

VALUES = arrays.arrays(
    np.float64, (4, 3), elements=st.floats(-100, 100).map(lambda value: round(value, 2))
)


@given(observed=VALUES, forecast=VALUES, missing=st.integers(0, 11))
def test_scores_are_their_formulas(
    observed: npt.NDArray[np.float64], forecast: npt.NDArray[np.float64], missing: int
) -> None:
    """R2, MAE, RMSE and MAPE of the observed targets, a zero target left out of MAPE."""
    observed.flat[missing], observed.flat[missing - 1] = np.nan, 5.0
    known = ~np.isnan(observed)
    y, f = observed[known], forecast[known]
    result = metrics.scores(observed, forecast)
    error = y - f
    if np.ptp(y) > 0:
        explained = 1 - (error**2).sum() / ((y - y.mean()) ** 2).sum()
        assert result["r2"] == pytest.approx(explained, abs=1e-9)
    assert result["mae"] == pytest.approx(np.abs(error).mean())
    assert result["rmse"] == pytest.approx((error**2).mean() ** 0.5)
    assert result["mape"] == pytest.approx(np.abs(error[y != 0] / y[y != 0]).mean())


def test_scores_by_hand() -> None:
    """Two hits, one miss of 2, one of 1 at a zero target, one target missing."""
    observed = np.array([[1.0, 4.0], [0.0, np.nan], [2.0, np.nan]])
    forecast = np.array([[1.0, 2.0], [1.0, 9.0], [2.0, 9.0]])
    result = metrics.scores(observed, forecast, seasonal_error=1.5)
    assert result == pytest.approx(
        {
            "r2": 1 - 5 / 8.75,
            "mae": 3 / 4,
            "rmse": (5 / 4) ** 0.5,
            "mape": (0 + 2 / 4 + 0) / 3,
            "smape": (0 + 2 / 3 + 2 + 0) / 4,
            "mase": 0.5,
            "n": 4,
            "zeros": 1,
        }
    )


@pytest.mark.parametrize(
    ("observed", "forecast", "undefined"),
    [
        ([3.0], [4.0], {"r2", "mase"}),
        ([0.0, 0.0], [0.0, 1.0], {"mape", "mase"}),
        ([0.0], [0.0], {"r2", "mape", "mase"}),
    ],
)
def test_a_score_that_is_not_defined_is_left_out(
    observed: list[float], forecast: list[float], undefined: set[str]
) -> None:
    """One target, targets that are all zero, a perfect seasonal rule: no score is made up."""
    result = metrics.scores(np.array(observed), np.array(forecast), seasonal_error=0.0)
    assert np.isfinite(list(result.values())).all()
    assert {"r2", "mae", "rmse", "mape", "smape", "mase", "n", "zeros"} - set(result) == undefined


def test_nothing_observed_has_no_score() -> None:
    """Scores of nothing are refused."""
    with pytest.raises(ValueError, match="at least one observed target"):
        metrics.scores(np.array([np.nan]), np.array([1.0]))


def test_the_seasonal_error_needs_both_values() -> None:
    """The mean over pairs one season apart of which both were observed; 0 without a pair."""
    series = pd.Series([1.0, 2.0, np.nan, 4.0, 4.0, 9.0])
    assert metrics.seasonal_error(series, 2) == pytest.approx((2 + 5) / 2)
    assert metrics.seasonal_error(series, 6) == 0


def test_skill_is_relative_to_a_rule() -> None:
    """Half the rule's error is a skill of .5, more is below 0; of no error there is none."""
    assert metrics.skill(5, 10) == 0.5
    assert metrics.skill(20, 10) == -1
    assert metrics.skill(1, 0) is None


def test_scaled_errors_pool_over_targets() -> None:
    """Errors count in deviations; a missing target does not count, a NaN forecast does."""
    observed = np.array([[[1.0, 10.0]], [[2.0, np.nan]]])
    forecast = np.array([[[2.0, 30.0]], [[2.0, 7.0]]])
    result = metrics.scaled_errors(observed, forecast, np.array([1.0, 10.0]))
    assert result == pytest.approx({"mse_scaled": 5 / 3, "mae_scaled": 1.0, "n": 3})
    forecast[0, 0, 0] = np.nan
    assert np.isnan(metrics.scaled_errors(observed, forecast, np.ones(2))["mse_scaled"])

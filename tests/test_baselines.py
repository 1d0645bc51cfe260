"""Naive rules by hand and on the committed data, and ridge beside scikit-learn."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from pipeline import evaluation, metrics, windows
from pipeline.cards import Card
from pipeline.models.baselines import ALPHAS, NAIVE, fit_ridge

_ = np.nan
SERIES = pd.DataFrame({"a": [1.0, 2, 4, 7, _, 11], "b": [10.0, 20, 30, 40, 50, 60]})


@pytest.mark.parametrize(
    ("rule", "origin", "a", "b"),
    [
        ("persistence", 3, [7, 7, 7], [40, 40, 40]),
        ("persistence", 4, [7, 7, 7], [50, 50, 50]),
        ("drift", 3, [10, 10, 10], [50, 50, 50]),
        ("drift", 4, [7, 7, 7], [60, 60, 60]),
        ("drift", 0, [1, 1, 1], [10, 10, 10]),
        # a season of 2: one row back, none, and one again
        ("seasonal_naive", 3, [4, 7, 4], [30, 40, 30]),
        ("seasonal_naive", 4, [7, 7, 7], [40, 50, 40]),
        ("seasonal_naive", 0, [1, 1, 1], [10, 10, 10]),
    ],
)
def test_naive_rules(rule: str, origin: int, a: list[float], b: list[float]) -> None:
    """Three steps of two targets; a missing value is the last observed one."""
    forecast = NAIVE[rule](SERIES, np.array([origin]), 3, 2)
    assert forecast.tolist() == [[list(pair) for pair in zip(a, b, strict=True)]]


@pytest.mark.parametrize("rule", NAIVE)
@pytest.mark.parametrize("origin", range(5))
def test_naive_rules_never_look_ahead(rule: str, origin: int) -> None:
    """Whatever comes after the origin, the forecast stays the same."""
    later = SERIES.copy()
    later.iloc[origin + 1 :] = 99.0
    one, other = (NAIVE[rule](frame, np.array([origin]), 5, 2) for frame in (SERIES, later))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("rule", "scores"),
    [
        ("persistence", {"rmse": 79.230, "mae": 49.970, "h01": 22.165, "h24": 99.622}),
        ("seasonal_naive", {"rmse": 99.619}),
        ("drift", {"rmse": 82.727}),
    ],
)
def test_naive_rules_on_the_committed_data(
    beijing: tuple[Card, pd.DataFrame], rule: str, scores: dict[str, float]
) -> None:
    """Twenty-four hours ahead through 2014, the rules score what others have measured."""
    card, frame = beijing
    targets = frame[["pm2.5"]]
    span = windows.spans(card.split, frame.index[0], card.step, len(frame)).test
    origins = np.array(windows.scored_origins(span, 24))
    observed = evaluation.observed(targets, origins, 24)
    forecast = NAIVE[rule](targets, origins, 24, card.season)
    found = metrics.scores(observed, forecast)
    found |= {
        f"h{step + 1:02d}": metrics.scores(observed[:, step], forecast[:, step])["rmse"]
        for step in range(24)
    }
    assert int((~np.isnan(observed)).sum()) == 207_312
    assert {name: round(found[name], 3) for name in scores} == scores


def test_ridge_is_scikit_learns() -> None:
    """Two steps from windows of three rows, with the penalty that is best on validation windows."""
    random = np.random.default_rng(0)
    features = random.normal(size=(80, 2)).astype(np.float32)
    targets = features[:, :1].cumsum(axis=0)
    targets[20] = np.nan
    train, validation = np.arange(50), np.arange(50, 75)
    forecast = fit_ridge(features, targets, train, validation, look_back=3, horizon=2)

    def examples(starts: windows.Rows) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        x = windows.gather(features, starts, 3).reshape(len(starts), -1).astype(np.float64)
        return x, windows.gather(targets, starts + 3, 2)[..., 0]

    x, y = examples(np.array([s for s in train if s + 3 not in (19, 20)]))
    ridges = [Ridge(alpha).fit(x, y) for alpha in ALPHAS]
    inside, goal = examples(validation)
    best = min(ridges, key=lambda ridge: float(np.mean((ridge.predict(inside) - goal) ** 2)))
    np.testing.assert_allclose(forecast(validation)[..., 0], best.predict(inside), rtol=1e-6)

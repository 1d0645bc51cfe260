"""Pictures drawn from forecasts with gaps."""

import numpy as np
import pandas as pd
import pytest

from pipeline import plots
from pipeline.cards import read_card_file
from pipeline.evaluation import MODEL, Forecasts, observed
from tests.toys import ROOT

CARD = read_card_file(ROOT / "data/datasets/beijing_pm25.yaml")
HORIZON = 8


@pytest.mark.parametrize(
    ("rows", "gap", "drawn"),
    [
        pytest.param(60, [], 6, id="complete"),
        pytest.param(60, [20], 6, id="a gap in some"),
        pytest.param(60, range(0, 60, 4), 6, id="a gap in all"),
        pytest.param(20, [], 4, id="room for two apart"),
        pytest.param(60, [*range(20), *range(28, 60)], 2, id="one whole"),
    ],
)
def test_the_best_and_worst_windows_are_shown_where_gaps_leave_any(
    rows: int, gap: list[int], drawn: int
) -> None:
    """Those with the fewest gaps, never one without a target; a panel without a window is blank."""
    times = pd.date_range("2020-01-01", periods=rows, freq="h")
    series = pd.Series(np.arange(rows, dtype=float), times, name="pm2.5")
    series.iloc[list(gap)] = np.nan
    origins = np.arange(3, rows - HORIZON)
    seen = observed(series.to_frame(), origins, HORIZON)
    forecast = np.random.default_rng(1).normal(size=seen.shape)
    figure = plots.windows(Forecasts(origins, seen, {MODEL: forecast}), series, 4, CARD)
    panels = [axes for axes in figure.axes if axes.has_data()]
    assert len(panels) == drawn
    assert all("RMSE" in axes.get_title() and "nan" not in axes.get_title() for axes in panels)
    assert [axes.axison for axes in figure.axes].count(True) == drawn


@pytest.mark.parametrize(
    ("seen", "forecast"),
    [
        pytest.param(0.0, 0.5, id="a target of zero, as at night"),
        pytest.param(5.0, 7.0, id="constant, forecast too high"),
        pytest.param(5.0, 5.0, id="constant, forecast right"),
    ],
)
def test_residuals_of_a_flat_target_are_drawn(seen: float, forecast: float) -> None:
    """A test span in which nothing happens has its picture too."""
    observed = np.full((20, HORIZON, 1), seen)
    made = Forecasts(np.arange(20), observed, {MODEL: np.full_like(observed, forecast)})
    figure = plots.residuals(made, ["pm2.5"], CARD)
    figure.canvas.draw()
    assert len(figure.axes[1].collections[0].get_array()) > 0

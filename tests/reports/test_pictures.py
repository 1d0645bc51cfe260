"""Pictures drawn from forecasts with gaps."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.dates import num2date

from pipeline.config.cards import Card, Column, read_card_file
from pipeline.evaluation.forecasts import MODEL, Forecasts
from pipeline.evaluation.scoring import observed
from pipeline.reports import comparison_pictures, pictures
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
    figure = pictures.windows(Forecasts(origins, seen, {MODEL: forecast}), series, 4, CARD)
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
    figure = pictures.residuals(made, ["pm2.5"], CARD)
    figure.canvas.draw()
    assert len(figure.axes[1].collections[0].get_array()) > 0


@pytest.mark.parametrize(
    ("frequency", "step", "text"),
    [
        ("1h", 24, "24 h ahead"),
        ("15min", 1, "15 min ahead"),
        ("15min", 4, "1 h ahead"),
        ("1D", 7, "7 days ahead"),
        ("10s", 1, "10 s ahead"),
    ],
)
def test_how_far_ahead_is_told_in_its_unit(frequency: str, step: int, text: str) -> None:
    """Days are days, quarters of an hour minutes."""
    card = CARD.model_copy(update={"frequency": frequency})
    figure = pictures.residuals(
        Forecasts(np.arange(9), np.ones((9, step, 1)), {MODEL: np.zeros((9, step, 1))}),
        ["pm2.5"],
        card,
    )
    labels = [label.get_text() for label in figure.axes[0].get_legend().get_texts()]
    assert labels[-1] == text


def test_observed_reaches_as_far_as_the_forecasts() -> None:
    """Below every value that is forecast stands what was observed, a single one as a dot."""
    times = pd.date_range("2020-01-01", periods=60, freq="h")
    origins = np.arange(3, 60 - HORIZON)
    values = pd.DataFrame({"pm2.5": np.arange(60.0)}, times)
    seen = observed(values, origins, HORIZON)
    figure = pictures.forecast(Forecasts(origins, seen, {MODEL: seen}), times, ["pm2.5"], CARD, 336)
    black, *others = figure.axes[0].lines
    assert black.get_marker() == "."
    assert black.get_xdata()[-1] == max(line.get_xdata()[-1] for line in others)
    assert black.get_xdata()[0] == min(line.get_xdata()[0] for line in others)


def shown_windows(look_back: int, card: Card) -> list[Axes]:
    """The panels of best and worst windows over sixty days of noise, a week ahead."""
    times = pd.date_range("2023-01-10", periods=200, freq=card.step.length)
    values = pd.DataFrame({"pm2.5": np.random.default_rng(1).normal(size=200)}, times)
    origins = np.arange(look_back, 190)
    seen = observed(values, origins, 7)
    forecasts = Forecasts(origins, seen, {MODEL: np.zeros(seen.shape)})
    figure = pictures.windows(forecasts, values["pm2.5"], look_back, card)
    figure.draw_without_rendering()
    return figure.axes


def test_a_forecast_is_no_speck_after_a_long_look_back() -> None:
    """Four horizons of the look-back are enough to see where a forecast comes from."""
    for axes in shown_windows(100, CARD):
        black, blue = axes.lines[:2]
        assert len(black.get_xdata()) == 4 * 7 + 7
        assert len(blue.get_xdata()) == 7


def test_days_are_not_told_in_hours() -> None:
    """Ticks of daily data are days, two of them or more."""
    for axes in shown_windows(21, CARD.model_copy(update={"frequency": "1D"})):
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert len(labels) >= 2
        assert not any(":" in label for label in labels)


@pytest.mark.parametrize(
    ("first", "last", "named"),
    [
        ("2022-03-05", "2024-01-20", {"2023", "2024"}),
        ("2022-11-20", "2023-02-10", {"Dec", "2023", "Feb"}),
        ("2023-04-05", "2023-05-20", {"May"}),
    ],
)
def test_days_over_a_year_or_a_month_show_where_it_begins(
    first: str, last: str, named: set[str]
) -> None:
    """By its name at its first day, from which the other ticks are counted."""
    times = pd.date_range(first, last)
    frame = pd.DataFrame({"pm2.5": np.ones(len(times))}, times)
    figure = pictures.missing(frame, [9], CARD.model_copy(update={"frequency": "1D"}))
    figure.draw_without_rendering()
    axis = figure.axes[0].xaxis
    labels = [tick.label1.get_text() for tick in axis.get_major_ticks()]
    assert named <= {*labels}
    assert all(
        num2date(tick.get_loc()).day == 1
        for tick in axis.get_major_ticks()
        if tick.label1.get_text() in named
    )


def test_dollars_are_dollars() -> None:
    """Two dollars in names and units make no formula of what stands between them."""
    columns = {"Price ($)": Column(unit="$/kg")}
    card = CARD.model_copy(update={"columns": columns, "targets": ("Price ($)",)})
    forecasts = Forecasts(np.arange(9), np.ones((9, 1, 1)), {MODEL: np.zeros((9, 1, 1))})
    axes = pictures.residuals(forecasts, ["Price ($)"], card).axes
    for text in (axes[0].title, axes[0].xaxis.label, axes[1].xaxis.label):
        written, formula = text._preprocess_math(text.get_text())
        assert formula is False
        assert "$" in written


@pytest.mark.parametrize("size", [2e-5, 1.0, 1e5])
def test_numbers_along_an_axis_have_room(size: float) -> None:
    """However small or large a target is, its ticks do not run into each other."""
    seen = np.random.default_rng(1).gamma(2, size, (200, 3, 1))
    figure = pictures.residuals(
        Forecasts(np.arange(200), seen, {MODEL: seen * 0.9}), ["pm2.5"], CARD
    )
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        inside = axes.get_xlim()
        ticks = [t for t in axes.xaxis.get_major_ticks() if inside[0] <= t.get_loc() <= inside[1]]
        boxes = [tick.label1.get_window_extent() for tick in ticks]
        assert len(boxes) > 2
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


@pytest.mark.parametrize("rows", [1, 2, 100, 240, 1000])
def test_the_last_row_that_is_missing_is_seen(rows: int) -> None:
    """Every stretch of a picture of missing values has its width, the last one too."""
    times = pd.date_range("2020-01-01", periods=rows, freq="h")
    values = pd.Series(np.ones(rows), times, name="pm2.5")
    values.iloc[-1] = np.nan
    figure = pictures.missing(values.to_frame(), [0], CARD)
    (mesh,) = figure.axes[0].collections[:1]
    edges = mesh.get_coordinates()[0, :, 0]
    assert (np.diff(edges) > 0).all()
    assert np.ma.getdata(mesh.get_array()).ravel()[-1] > 0


@pytest.mark.parametrize(("size", "text"), [(1e3, "RMSE 1,000.00"), (1e-3, "RMSE 0.001")])
def test_errors_are_written_out(size: float, text: str) -> None:
    """A title does not say 1e+03."""
    times = pd.date_range("2020-01-01", periods=60, freq="h")
    values = pd.Series(np.zeros(60), times, name="pm2.5")
    origins = np.arange(3, 60 - HORIZON)
    seen = observed(values.to_frame(), origins, HORIZON)
    made = Forecasts(origins, seen, {MODEL: seen + size})
    titles = [axes.get_title() for axes in pictures.windows(made, values, 4, CARD).axes]
    assert all(title.endswith(text) for title in titles)


@pytest.mark.parametrize("horizon", [1, 24])
@pytest.mark.parametrize(
    "label", ["1: units 4", "1: inputs ... of a long list, many units, loss ..."]
)
def test_runs_stand_beside_every_baseline(horizon: int, label: str) -> None:
    """However long names are, all have room below the picture, or beside the bars of one step."""
    names = ["ridge", "persistence", "drift", *(f"seasonal_naive_{n}" for n in (24, 168, 8760))]
    rules = {name: [1.0 + i] * horizon for i, name in enumerate(names)}
    figure = comparison_pictures.horizons(
        {label: [[0.9] * horizon], "2: b": [[0.8] * horizon]}, rules, "m"
    )
    figure.draw_without_rendering()
    axes = figure.axes[0]
    texts = figure.legends[0].get_texts() if horizon > 1 else axes.get_yticklabels()
    expected = {label, "2: b", *(name.replace("_", " ") for name in names)}
    assert {text.get_text() for text in texts} == expected
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
    assert axes.bbox.width > 200
    assert axes.bbox.height > 200

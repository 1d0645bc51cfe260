"""Features are what they are called, and none of them looks ahead."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import input_names
from pipeline.errors import PipelineError
from pipeline.preparation import features
from tests.toys import toy_card, toy_times

CHANNELS = ["level", "flow", "wind=N", "wind=S"]
ALL = [
    *("level", "flow", "wind", "hour", "weekday", "day_of_year"),
    *("difference:level", "seasonal:level", "seasonal:wind", "difference:wind"),
    *("seasonal:difference:level", "seasonal:4:level", "seasonal:9:difference:flow"),
]
GAPS = ["missing:level", "since:level", "missing:wind", "since:flow"]
CHANGES = {"level": 2.0, "flow": 0.5, "wind=N": 1.0, "wind=S": 1.0}

WHOLE = features.Gaps(np.zeros((30, 4), np.uint8), 3)


def build(
    names: list[str], values: npt.ArrayLike, horizon: int = 2, limit: int = 3
) -> npt.NDArray[np.float32]:
    """The features of rows of level, flow and both levels of wind; NaN counts as imputed."""
    array = np.asarray(values, np.float32)
    gaps = features.Gaps(np.isnan(array).astype(np.uint8), limit)
    expanded = input_names.expand(names, toy_card())
    times = toy_times(len(array))
    return features.build(array, CHANNELS, expanded, times, toy_card(), horizon, CHANGES, gaps)


def counting(rows: int) -> npt.NDArray[np.float32]:
    """Channels that count: level 0, 1, 2, ..., flow 100, 101, ..."""
    return (np.arange(rows)[:, None] + [0, 100, 200, 300]).astype(np.float32)


def test_inputs_are_expanded_in_order() -> None:
    """A category is one feature a level, a calendar term a sine and a cosine."""
    assert input_names.expand(["wind", "hour", "difference:level"], toy_card()) == [
        *("wind=N", "wind=S", "hour_sin", "hour_cos", "difference:level"),
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["level", "note"], "window.inputs: note is excluded by the card"),
        (["speed"], "window.inputs: speed is not known"),
        (["difference:speed"], r"window.inputs: difference:speed is not known"),
        (["seasonal:0:level"], "window.inputs: seasonal:0:level is not known"),
        (["difference:seasonal:level"], "expected .* seasonal:ROWS:difference:COLUMN"),
        (["difference:holiday:DE"], r"difference:holiday:DE is not known"),
        (["holiday:de"], r"holiday:de is not known; .* holiday:COUNTRY, holiday:COUNTRY-SUBDIV"),
        (["holiday:DE", "hour", "holiday:DE"], r"holiday:DE appears twice"),
        (["difference:hour"], r"window.inputs: difference:hour is not known"),
        (["missing:difference:level"], "missing:difference:level is not known"),
        (["since:level:"], "since:level: is not known.* missing:COLUMN or since:COLUMN"),
        (["missing:wind", "missing:wind"], "missing:wind=N appears twice"),
        (["hour", "hour"], "window.inputs: hour_sin appears twice"),
    ],
)
def test_a_wrong_input_is_named(names: list[str], message: str) -> None:
    """What is no column and no feature is told with what could stand there."""
    with pytest.raises(PipelineError, match=message):
        input_names.expand(names, toy_card())


def test_columns_and_sources_are_found() -> None:
    """What a feature is made from is known, as columns of the card and as channels."""
    names = ["hour", "difference:wind", "level"]
    assert input_names.columns(names, toy_card()) == ["level", "wind"]
    expanded = input_names.expand(names, toy_card())
    assert input_names.sources(expanded) == ["wind=N", "wind=S", "level"]


def test_a_difference_is_the_change_since_the_row_before() -> None:
    """It is divided by the channel's own; the first row, which has none before it, is 0."""
    values = np.array([[1, 0, 0, 0], [4, 0, 0, 0], [2, 0, 0, 0]])
    assert build(["difference:level"], values)[:, 0].tolist() == [0, 1.5, -1]


@pytest.mark.parametrize(
    ("horizon", "lag"), [(1, 5), (2, 4), (5, 1), (6, 0), (7, 5), (12, 0), (13, 5)]
)
def test_seasonal_is_one_season_before_the_last_step(horizon: int, lag: int) -> None:
    """With a season of 6 rows, whole seasons are taken off until the value is known."""
    built = build(["seasonal:level"], counting(12), horizon)[:, 0]
    assert input_names.Feature.of("seasonal:level").lag(6, horizon) == lag
    assert built.tolist() == [max(0, row - lag) for row in range(12)]


@given(rows=st.integers(1, 20), season=st.integers(1, 60))
def test_a_season_longer_than_the_series_has_no_value_yet(rows: int, season: int) -> None:
    """What would lie before the first row is 0, and is made of no marked value."""
    name, lag = f"seasonal:{season}:level", season - 1
    built = build([name], counting(rows) + 1, 1)[:, 0]
    assert built.tolist() == [max(0, row - lag + 1) for row in range(rows)]
    marked = np.ones((rows, 1), np.bool_)
    made = features.made_of(marked, ["level"], [name], season=6, horizon=1)
    assert made.tolist() == [row >= lag for row in range(rows)]


def test_a_season_of_its_own_and_the_difference_there() -> None:
    """seasonal:9 looks 8 rows back for the next step; its difference is that of the same row."""
    values = counting(12) ** 2
    value, change = build(["seasonal:9:level", "seasonal:9:difference:level"], values, 1).T
    assert value.tolist() == [0] * 8 + [0, 1, 4, 9]
    assert change.tolist() == [0] * 8 + [0, 0.5, 1.5, 2.5]


def test_calendar_terms_go_round_once_a_period() -> None:
    """Six in the morning is a quarter of a day; the first row is a Wednesday, the year's first."""
    built = build(["hour", "weekday", "day_of_year", "month"], counting(30))
    np.testing.assert_allclose(built[6, :2], [1, 0], atol=1e-6)
    np.testing.assert_allclose(built[24, :2], built[0, :2])
    week = 2 * np.pi * 2 / 7
    np.testing.assert_allclose(built[0, 2:4], [np.sin(week), np.cos(week)], rtol=1e-6)
    np.testing.assert_allclose(built[0, 4:], [0, 1, 0, 1])


def test_calendar_terms_are_local() -> None:
    """Stamps kept as UTC give the hour of the card's time zone."""
    zone = {"column": "time", "format": "%Y-%m-%d %H:%M", "timezone": "Asia/Shanghai"}
    times = toy_times(1).tz_localize("UTC")
    given = times, toy_card(time=zone), 1, {}, WHOLE
    built = features.build(counting(1), CHANNELS, ["hour_sin"], *given)
    np.testing.assert_allclose(built, [[np.sin(2 * np.pi * 8 / 24)]], rtol=1e-6)


def test_the_channels_as_they_stand_are_not_copied() -> None:
    """Where features are the channels, the series itself is used."""
    values = counting(5)
    assert build(["level", "flow", "wind"], values) is values


def test_gaps_are_told_as_inputs() -> None:
    """`missing:` is 1 where imputed; `since:` counts rows since the last value to beyond a limit.

    With a limit of 3 a gap's fourth row is 1, and so are those after it.
    """
    values = counting(9)
    values[[0, 3, 4, 5, 6, 7], 0] = np.nan
    missing, since = build(["missing:level", "since:level"], values).T
    assert missing.tolist() == [1, 0, 0, 1, 1, 1, 1, 1, 0]
    assert since.tolist() == [0.25, 0, 0, 0.25, 0.5, 0.75, 1, 1, 0]


def test_a_category_is_missing_as_a_whole() -> None:
    """Its levels have one gap: one input tells it, and the column is read to know it."""
    assert input_names.expand(["missing:wind", "since:wind"], toy_card()) == [
        *("missing:wind=N", "since:wind=N"),
    ]
    assert input_names.columns(["missing:wind"], toy_card()) == ["wind"]


@given(
    gone=st.lists(st.tuples(*[st.booleans()] * 4), min_size=12, max_size=24),
    limit=st.integers(1, 5),
    start=st.integers(0, 11),
)
def test_gaps_need_no_more_rows_than_the_imputation(
    gone: list[tuple[bool, ...]], limit: int, start: int
) -> None:
    """From `limit` rows before a row on, gap inputs are those of the whole series."""
    values = np.where(np.array(gone), np.nan, counting(len(gone)))
    first = max(0, start - limit)
    whole, short = build(GAPS, values, 2, limit), build(GAPS, values[first:], 2, limit)
    np.testing.assert_array_equal(short[start - first :], whole[start:])


@given(row=st.integers(0, 28), horizon=st.integers(1, 9), later=st.floats(-9, 9, width=32))
def test_no_feature_looks_ahead(row: int, horizon: int, later: float) -> None:
    """Whatever comes after a row, every feature up to that row stays the same."""
    values = counting(30)
    changed = values.copy()
    changed[row + 1 :] = later
    changed[row + 2 :: 3] = np.nan
    one, other = (build([*ALL, *GAPS], rows, horizon) for rows in (values, changed))
    np.testing.assert_array_equal(one[: row + 1], other[: row + 1])


@given(start=st.integers(0, 29), horizon=st.integers(1, 9))
def test_the_context_is_enough(start: int, horizon: int) -> None:
    """From `context` rows before a row on, its features are those of the whole series."""
    expanded = input_names.expand(ALL, toy_card())
    context = input_names.context(expanded, [], 6, 1, horizon)
    values, times = counting(30), toy_times(30)
    given = toy_card(), horizon, CHANGES, WHOLE
    whole = features.build(values, CHANNELS, expanded, times, *given)
    first = max(0, start - context)
    short = features.build(values[first:], CHANNELS, expanded, times[first:], *given)
    np.testing.assert_array_equal(short[start - first :], whole[start:])


@given(
    marked=st.lists(st.tuples(*[st.booleans()] * 4), min_size=12, max_size=24),
    names=st.lists(st.sampled_from([*ALL, *GAPS]), min_size=1, unique=True),
    horizon=st.integers(1, 8),
)
def test_what_is_made_of_a_value_is_known(
    marked: list[tuple[bool, ...]], names: list[str], horizon: int
) -> None:
    """Rows are named in which a missing value would show, however it is lagged or differenced."""
    marks = np.array(marked)
    built = build(names, np.where(marks, np.nan, counting(len(marks))), horizon)
    expanded = input_names.expand(names, toy_card())
    found = features.made_of(marks, CHANNELS, expanded, toy_card().season, horizon)
    assert found.tolist() == np.isnan(built).any(axis=1).tolist()


@pytest.mark.parametrize("name", ["hour_sin", "difference:level", "holiday:DE-BY", "since:x"])
def test_a_column_with_the_name_of_a_term_is_refused(name: str) -> None:
    """It would be one thing or the other, depending on what stands beside it."""
    card = toy_card(columns={"level": {}, name: {}}, inputs=["level", name], excluded=[])
    with pytest.raises(PipelineError, match=f"window.inputs: {name} is a column named like"):
        input_names.expand([name, "level"], card)

"""Nothing learned or seen depends on what comes later."""

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import input_names
from pipeline.data import tables, windows
from pipeline.preparation import features
from pipeline.preparation.imputation import Imputer, one_hot
from pipeline.preparation.scaling import Scaler
from tests.toys import Project, toy_card, toy_table, write_holidays

INPUTS = ["level", "flow", "wind", "hour", "difference:level", "seasonal:flow"]
GAPS = ["missing:level", "since:flow", "missing:wind", "since:level"]
LEARNED = (
    "data/prepared/imputer.json",
    "data/prepared/scaler.json",
    "data/windows/train.npy",
    "data/windows/validation.npy",
    "data/model/model.json",
    "data/model/model.weights.h5",
    "data/reports/history.csv",
)


def with_another_end(table: pd.DataFrame, first: int) -> pd.DataFrame:
    """The table with other values, other gaps and other categories from a row on."""
    other = toy_table(len(table), seed=99, missing=0.4)
    other[["level", "flow"]] *= 1000
    other.loc[: first - 1] = table.loc[: first - 1]
    return other


@pytest.mark.usefixtures("tracking_store")
def test_nothing_is_learned_from_the_test_span(projects: Callable[[str], Project]) -> None:
    """With another test span, state, windows and weights are the same to the byte."""
    known = ["wind", "month", "holiday:DE"]
    params = {"window.inputs": [*INPUTS, *GAPS, "holiday:DE"], "window.known_ahead": known}
    stages = ("ingest", "impute_scale", "window", "train")
    one, other = projects("one"), projects("other")
    for made, table in ((one, toy_table()), (other, with_another_end(toy_table(), 96))):
        write_holidays(made.root)
        made.write(table, params=params).run(*stages)
    differing = {path for path in one.written() if one.read(path) != other.read(path)}
    assert "data/ingested/series.parquet" in differing
    assert differing.isdisjoint(LEARNED)


@pytest.mark.parametrize(
    ("scaling", "method"), [("minmax", "mean"), ("standard", "ffill"), ("robust", "seasonal")]
)
def test_state_is_the_training_spans(
    projects: Callable[[str], Project], scaling: str, method: str
) -> None:
    """With other values after the training span, imputer, scaler and windows stay the same."""
    params = {"impute_scale.scaling": scaling, "impute_scale.imputation.method": method}
    params |= {"evaluate.levels": [80]}  # the other table has too few values for more
    stages = ("ingest", "impute_scale", "window")
    one = projects("one").write(toy_table(), params=params).run(*stages)
    other = projects("other").write(with_another_end(toy_table(), 72), params=params).run(*stages)
    for path in LEARNED[:3]:
        assert one.read(path) == other.read(path)
    values, others = (
        np.load(project.root / "data/prepared/values.npy") for project in (one, other)
    )
    np.testing.assert_array_equal(values[:72], others[:72])
    assert not np.array_equal(values, others)


def test_the_training_span_is_learned_from(projects: Callable[[str], Project]) -> None:
    """With another training span the state is another: the tests above can fail."""
    stages = ("ingest", "impute_scale")
    one = projects("one").write(toy_table()).run(*stages)
    other = projects("other").write(with_another_end(toy_table(), 71)).run(*stages)
    for name in ("imputer.json", "scaler.json"):
        path = f"data/prepared/{name}"
        assert json.loads(one.read(path)) != json.loads(other.read(path))


ROWS, LOOK_BACK, HORIZON = 40, 8, 4
CARD = toy_card()
NAMES = input_names.expand([*INPUTS, *GAPS, "weekday", "day_of_year", "difference:wind"], CARD)
KNOWN = input_names.expand(["flow", "month", "wind"], CARD)
SEASONAL = input_names.expand(["seasonal:level", "seasonal:3:flow", "seasonal:5:wind"], CARD)
TABLE = toy_table(ROWS, missing=0.3)


def window(table: pd.DataFrame, method: str, origin: int) -> npt.NDArray[np.float32]:
    """What a forecast from the origin sees of a raw table up to there."""
    return windows.seen(built(table, method, NAMES), np.array([origin]), LOOK_BACK)


def steps(table: pd.DataFrame, method: str, origin: int) -> npt.NDArray[np.float32]:
    """What it sees of the steps, where flow, month and wind are known ahead."""
    return windows.ahead(built(table, method, KNOWN, True), np.array([origin]), HORIZON)


def seasonal_steps(table: pd.DataFrame, method: str, origin: int) -> npt.NDArray[np.float32]:
    """What it sees of the steps where a season before is known."""
    return windows.ahead(built(table, method, SEASONAL, True), np.array([origin]), HORIZON)


def built(
    table: pd.DataFrame, method: str, names: list[str], ahead: bool = False
) -> npt.NDArray[np.float32]:
    """Features of a raw table by what was fitted on the first 20 toy rows."""
    train = one_hot(tables.to_series(TABLE[:20], CARD, "toy"), CARD.categories)
    channels = one_hot(tables.to_series(table, CARD, "toy"), CARD.categories)
    filled, state = Imputer.fit(train, method, limit=2, season=CARD.season).apply(channels)
    scaler = Scaler.fit(train, "standard", {"flow": "log1p"})
    values = scaler.transform(filled).to_numpy(np.float32)
    times = pd.DatetimeIndex(channels.index)
    given = names, times, CARD, HORIZON, scaler.changes, features.Gaps(state, 2)
    return features.build(values, list(channels), *given, ahead=ahead)


@pytest.mark.parametrize("method", ["mean", "ffill", "seasonal"])
@settings(max_examples=15)
@given(origin=st.integers(LOOK_BACK + 6, ROWS - 2), data=st.data())
def test_a_window_sees_nothing_after_its_origin(
    method: str, origin: int, data: st.DataObject
) -> None:
    """Whichever row after an origin changes, whatever to, its window is the same to the byte."""
    row = data.draw(st.integers(origin + 1, ROWS - 1), label="row")
    later = TABLE.copy()
    later.loc[row, "level"] = data.draw(st.sampled_from([np.nan, 0.0, 9e9]), label="level")
    later.loc[row, "flow"] = data.draw(st.sampled_from([np.nan, 0.0, 9e9]), label="flow")
    later.loc[row, "wind"] = data.draw(st.sampled_from([None, "N", "S"]), label="wind")
    assert window(later, method, origin).tobytes() == window(TABLE, method, origin).tobytes()


@pytest.mark.parametrize("method", ["mean", "ffill", "seasonal"])
def test_a_window_sees_its_origin(method: str) -> None:
    """Another value in the origin's own row is seen: the test above can fail."""
    other = TABLE.copy()
    other.loc[30, "level"] = 9.0
    assert window(other, method, 30).tobytes() != window(TABLE, method, 30).tobytes()


@pytest.mark.parametrize("method", ["mean", "ffill", "seasonal"])
@settings(max_examples=15)
@given(origin=st.integers(0, ROWS - HORIZON - 1), data=st.data())
def test_steps_see_what_is_known_ahead_and_nothing_else(
    method: str, origin: int, data: st.DataObject
) -> None:
    """No later value of another column, and none of a known one after the last step, is seen."""
    other = TABLE.copy()
    other.loc[data.draw(st.integers(0, ROWS - 1)), "level"] = data.draw(
        st.sampled_from([np.nan, 0.0, 9e9]), label="level"
    )
    if origin + HORIZON < ROWS - 1:
        row = data.draw(st.integers(origin + HORIZON + 1, ROWS - 1), label="row")
        other.loc[row, "flow"] = data.draw(st.sampled_from([np.nan, 0.0, 9e9]), label="flow")
        other.loc[row, "wind"] = data.draw(st.sampled_from([None, "N", "S"]), label="wind")
    assert steps(other, method, origin).tobytes() == steps(TABLE, method, origin).tobytes()


@pytest.mark.parametrize("method", ["mean", "ffill", "seasonal"])
def test_the_last_step_is_seen(method: str) -> None:
    """Another value of a known column in the last step's own row: the test above can fail."""
    other = TABLE.copy()
    other.loc[30, "flow"] = 9.0
    assert steps(other, method, 26).tobytes() != steps(TABLE, method, 26).tobytes()
    assert steps(other, method, 25).tobytes() == steps(TABLE, method, 25).tobytes()


@pytest.mark.parametrize("method", ["mean", "ffill", "seasonal"])
@settings(max_examples=15)
@given(origin=st.integers(ROWS - 20, ROWS - HORIZON - 1), data=st.data())
def test_a_season_before_a_step_is_not_after_the_origin(
    method: str, origin: int, data: st.DataObject
) -> None:
    """Whichever row after the origin changes, what is seen of the steps is the same to the byte."""
    row = data.draw(st.integers(origin + 1, ROWS - 1), label="row")
    other = TABLE.copy()
    other.loc[row, ["level", "flow"]] = data.draw(st.sampled_from([np.nan, 0.0, 9e9]))
    other.loc[row, "wind"] = data.draw(st.sampled_from([None, "N", "S"]), label="wind")
    seen = seasonal_steps(TABLE, method, origin).tobytes()
    assert seasonal_steps(other, method, origin).tobytes() == seen
    other.loc[origin - HORIZON, ["level", "flow"]] = 9e9  # some step sees one of these rows
    other.loc[origin - 2, ["level", "flow"]] = 9e9
    assert seasonal_steps(other, method, origin).tobytes() != seen

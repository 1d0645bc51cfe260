"""Gaps are filled from the past alone, up to a limit, and what was filled is remembered."""

import json

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.errors import PipelineError
from pipeline.files.artifacts import json_text
from pipeline.files.records import parse
from pipeline.preparation.imputation import Imputer, one_hot

METHODS = ("mean", "ffill", "seasonal")
_ = np.nan


def imputer(method: str, limit: int, season: int = 4, mean: float = 100.0) -> Imputer:
    """An imputer of the column x."""
    return Imputer(method=method, limit=limit, season=season, means={"x": mean})


@pytest.mark.parametrize(
    ("method", "limit", "series", "filled", "state"),
    [
        # a mean fills every gap; the limit tells what was filled too far
        ("mean", 2, [1, _, _, _, 5], [1, 100, 100, 100, 5], [0, 1, 1, 2, 0]),
        # the last value fills up to the limit, then the mean does
        ("ffill", 2, [1, _, _, _, 5, _], [1, 1, 1, 100, 5, 5], [0, 1, 1, 2, 0, 1]),
        ("ffill", 1, [_, 2, _, _], [100, 2, 2, 100], [1, 0, 1, 2]),
        # one season back, and two where the gap is longer than a season
        ("seasonal", 2, [1, 2, 3, 4, _, _], [1, 2, 3, 4, 1, 2], [0, 0, 0, 0, 1, 1]),
        ("seasonal", 2, [1, 2, 3, 4, _, _, _], [1, 2, 3, 4, 1, 2, 100], [0, 0, 0, 0, 1, 1, 2]),
        ("seasonal", 2, [_, 2, 3, 4, _, 6], [100, 2, 3, 4, 100, 6], [1, 0, 0, 0, 1, 0]),
        (
            "seasonal",
            5,
            [1, 2, 3, 4, _, _, _, _, _],
            [1, 2, 3, 4, 1, 2, 3, 4, 1],
            [0, 0, 0, 0, 1, 1, 1, 1, 1],
        ),
    ],
)
def test_gaps_are_filled(
    method: str, limit: int, series: list[float], filled: list[float], state: list[int]
) -> None:
    """Small series and what each method makes of them, written out by hand."""
    result, marks = imputer(method, limit).apply(pd.DataFrame({"x": series}, dtype=float))
    assert result["x"].tolist() == filled
    assert marks[:, 0].tolist() == state


def test_fit_learns_the_means_of_what_was_observed() -> None:
    """Missing values do not count in the mean."""
    fitted = Imputer.fit(pd.DataFrame({"x": [1.0, _, 3.0], "y": [5.0, 5.0, _]}), "mean", 1, 4)
    assert fitted.means == {"x": 2.0, "y": 5.0}


def test_a_column_without_training_values_is_refused() -> None:
    """There is no mean to fall back on, so the column is named; a card cannot exclude a target."""
    rows = pd.DataFrame({"x": [1.0], "y": [_]})
    said = "column y: expected observed values in the training span, found none; "
    with pytest.raises(PipelineError, match=f"{said}move it from columns to excluded"):
        Imputer.fit(rows, "ffill", 1, 4, targets=["x"])
    with pytest.raises(PipelineError, match=f"{said}let split.train end .* choose another target"):
        Imputer.fit(rows, "ffill", 1, 4, targets=["y"])


@pytest.mark.parametrize("method", METHODS)
def test_an_imputer_survives_json(method: str) -> None:
    """Written and read again it is the same imputer."""
    before = imputer(method, 3, mean=1 / 3)
    assert parse(json.loads(json_text(before.model_dump())), Imputer, "imputer.json") == before


SERIES = arrays.arrays(
    np.float64, st.integers(2, 40), elements=st.sampled_from([_, _, 0.0, 1.0, 2.5, -7.0])
)


@pytest.mark.parametrize("method", METHODS)
@given(series=SERIES, limit=st.integers(1, 9), season=st.integers(1, 6), data=st.data())
def test_imputation_is_causal(
    method: str, series: npt.NDArray[np.float64], limit: int, season: int, data: st.DataObject
) -> None:
    """Whatever comes after a row, what is filled up to that row stays the same."""
    row = data.draw(st.integers(0, len(series) - 2), label="row")
    later = series.copy()
    later[row + 1 :] = data.draw(
        arrays.arrays(np.float64, len(series) - row - 1, elements=st.sampled_from([_, 9.0])),
        label="what comes later",
    )
    fitted = imputer(method, limit, season)
    (one, marks), (other, other_marks) = (
        fitted.apply(pd.DataFrame({"x": values})) for values in (series, later)
    )
    np.testing.assert_array_equal(one["x"][: row + 1], other["x"][: row + 1])
    np.testing.assert_array_equal(marks[: row + 1], other_marks[: row + 1])


@pytest.mark.parametrize("method", METHODS)
@given(series=SERIES, limit=st.integers(1, 9), season=st.integers(1, 6))
def test_what_was_observed_is_never_touched(
    method: str, series: npt.NDArray[np.float64], limit: int, season: int
) -> None:
    """Nothing is missing afterwards, and every observed value is as it was."""
    filled, marks = imputer(method, limit, season).apply(pd.DataFrame({"x": series}))
    observed = ~np.isnan(series)
    assert not filled["x"].isna().any()
    np.testing.assert_array_equal(filled["x"][observed], series[observed])
    np.testing.assert_array_equal(marks[:, 0] == 0, observed)


@pytest.mark.parametrize("method", METHODS)
@given(series=SERIES, limit=st.integers(1, 9), season=st.integers(1, 6), data=st.data())
def test_the_context_is_enough(
    method: str, series: npt.NDArray[np.float64], limit: int, season: int, data: st.DataObject
) -> None:
    """From `context` rows before a row on, the row is filled as from the whole past."""
    fitted = imputer(method, limit, season)
    row = data.draw(st.integers(0, len(series) - 1), label="row")
    first = max(0, row - fitted.context)
    whole, _state = fitted.apply(pd.DataFrame({"x": series}))
    short, _state = fitted.apply(pd.DataFrame({"x": series[first:]}))
    assert short["x"].iloc[row - first] == whole["x"].iloc[row]


def test_categories_become_one_column_a_level() -> None:
    """A level is 1, another 0, and missing stays missing."""
    series = pd.DataFrame({"x": [1, 2, 3], "wind": ["N", None, "S"]})
    result = one_hot(series, {"wind": ["N", "S"], "x": []})
    assert list(result.columns) == ["x", "wind=N", "wind=S"]
    np.testing.assert_array_equal(result, [[1, 1, 0], [2, _, _], [3, 0, 1]])

"""Scaling is fitted on training rows, survives JSON, and is undone exactly."""

import json
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from pipeline.artifacts import json_text
from pipeline.errors import PipelineError
from pipeline.scaling import Scale, Scaler, check_range
from pipeline.strict import parse

Method = Literal["minmax", "standard", "robust"]
METHODS: tuple[Method, ...] = ("minmax", "standard", "robust")
VALUES = arrays.arrays(
    np.float64, (12, 2), elements=st.floats(-1000, 1000).map(lambda value: round(value, 3))
)


def frame(values: npt.ArrayLike) -> pd.DataFrame:
    """Two columns, x and y."""
    return pd.DataFrame(np.asarray(values, np.float64), columns=["x", "y"])


@pytest.mark.parametrize(
    ("method", "reference"),
    [("minmax", MinMaxScaler()), ("standard", StandardScaler()), ("robust", RobustScaler())],
)
@given(values=VALUES)
def test_scaling_is_scikit_learns(
    method: Method, reference: MinMaxScaler, values: npt.NDArray[np.float64]
) -> None:
    """Columns that move are scaled as scikit-learn scales them."""
    values[0], values[1] = 0, 500
    scaled = Scaler.fit(frame(values), method).transform(frame(values))
    np.testing.assert_allclose(scaled, reference.fit_transform(values), atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@given(values=VALUES, later=VALUES)
def test_what_is_scaled_can_be_undone(
    method: Method, values: npt.NDArray[np.float64], later: npt.NDArray[np.float64]
) -> None:
    """Later rows, scaled and undone, are the rows, also after a way through JSON and log1p."""
    values, later = np.abs(values), np.abs(later)
    values[0], values[1] = 0, 500
    fitted = Scaler.fit(frame(values), method, log1p=["y"])
    again = parse(json.loads(json_text(fitted.model_dump())), Scaler, "scaler.json")
    assert again == fitted
    scaled = again.transform(frame(later))
    np.testing.assert_allclose(again.inverse(scaled.to_numpy(), ["x", "y"]), later, atol=1e-8)
    np.testing.assert_allclose(
        again.inverse(scaled[["y"]].to_numpy(), ["y"])[:, 0], later[:, 1], atol=1e-8
    )


def test_log1p_is_taken_before_the_scale() -> None:
    """A logged column is the logarithm of 1 + x, scaled."""
    scaled = Scaler.fit(frame([[0, 0], [1, np.e - 1]]), "minmax", log1p=["y"])
    result = scaled.transform(frame([[0.5, np.sqrt(np.e) - 1]]))
    np.testing.assert_allclose(result, [[0.5, 0.5]])


def test_missing_values_are_left_out() -> None:
    """A scale is that of the observed values, and missing values stay missing."""
    scaler = Scaler.fit(frame([[0, 1], [np.nan, 2], [10, 3]]), "minmax")
    assert scaler.columns["x"] == Scale(center=0, scale=10, mean=5, deviation=5)
    assert scaler.transform(frame([[np.nan, 2]])).isna().to_numpy().tolist() == [[True, False]]


def test_a_change_is_the_spread_of_observed_steps() -> None:
    """The steps 4 and 8 deviate by 2, a fifth of the scale; where no step was observed, it is 1."""
    rows = [[0, 0], [4, np.nan], [np.nan, 5], [2, np.nan], [10, 9]]
    scaler = Scaler.fit(frame(rows), "minmax")
    assert scaler.changes == {"x": pytest.approx(0.2), "y": 1.0}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("log1p", [[], ["x"]])
def test_a_constant_column_tells_nothing(method: Method, log1p: list[str]) -> None:
    """It becomes 0, also where it moves later, and 0 becomes its value again."""
    scaler = Scaler.fit(frame([[7, 1], [7, 2]]), method, log1p=log1p)
    assert scaler.columns["x"].constant
    assert scaler.transform(frame([[7, 1], [1e9, 1]]))["x"].tolist() == [0, 0]
    np.testing.assert_allclose(scaler.inverse(np.zeros((1, 1)), ["x"]), [[7]])


def test_targets_are_standardised_in_their_own_units() -> None:
    """Whatever the inputs' scaling, a target has mean 0 and deviation 1 in training, and back."""
    table = frame([[0, 1], [np.nan, 2], [10, 6]])
    scaler = Scaler.fit(table, "minmax", log1p=["y"])
    standardised = scaler.standardise(table.to_numpy(), ["x", "y"])
    np.testing.assert_allclose(np.nanmean(standardised, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(standardised, axis=0), 1)
    np.testing.assert_allclose(scaler.units(standardised, ["x", "y"]), table)


def test_logged_columns_can_be_had_linear() -> None:
    """`linear` undoes the logarithm of logged columns alone, and leaves other names as they are."""
    table = frame([[0, 1], [4, 2], [10, 6]])
    scaler = Scaler.fit(table, "minmax", log1p=["y"])
    scaled = np.column_stack([scaler.transform(table).to_numpy(), [7.0, 8, 9]])
    linear = scaler.linear(scaled, ["x", "y", "hour_sin"])
    np.testing.assert_allclose(linear[:, [0, 2]], scaled[:, [0, 2]])
    np.testing.assert_allclose(
        linear[:, 1], scaler.standardise(table[["y"]].to_numpy(), ["y"])[:, 0]
    )


@pytest.mark.parametrize("method", METHODS)
def test_what_lies_far_from_zero_keeps_its_digits(method: Method) -> None:
    """Scaled values in float32 are standardised anew as well as float32 can, logged ones beside."""
    table = frame([[1e8 + 7 * i % 11, i % 5] for i in range(40)])
    scaler = Scaler.fit(table, method, log1p=["y"])
    scaled = scaler.transform(table).to_numpy(np.float32)
    expected = scaler.standardise(table.to_numpy(), ["x", "y"])
    np.testing.assert_allclose(scaler.restandardise(scaled, ["x", "y"]), expected, atol=1e-5)
    np.testing.assert_allclose(
        scaler.restandardise(scaled[:, :1], ["x"]), expected[:, :1], atol=1e-5
    )


def test_plain_columns_stay_as_they_are() -> None:
    """A category's 0/1 columns are not scaled."""
    scaler = Scaler.fit(frame([[0, 0], [1, 5]]), "standard", plain=["x"])
    assert scaler.transform(frame([[0, 0], [1, 5]]))["x"].tolist() == [0, 1]


def test_log1p_needs_values_above_minus_one() -> None:
    """The column, row and value without a logarithm are named, in training rows and in later."""
    good, bad = frame([[0, 0], [1, 1]]), frame([[0, 0], [1, -1]])
    message = r"column y, 1: expected values above -1 for log1p, found -1\.0"
    with pytest.raises(PipelineError, match=message):
        Scaler.fit(bad, "minmax", log1p=["y"])
    with pytest.raises(PipelineError, match=message):
        Scaler.fit(good, "minmax", log1p=["y"]).transform(bad)


def test_a_value_beyond_float32_is_named() -> None:
    """A value that the training span makes infinite ends with its column and row."""
    scaler = Scaler.fit(frame([[0, 0], [1, 1e-30]]), "minmax")
    later = frame([[0, 0], [0, 1e10]])
    with pytest.raises(PipelineError, match=r"series: column y, 1: expected .*1e\+10, 1e\+40"):
        check_range(scaler.transform(later), later, "series")

"""Scaling is fitted on training rows, survives JSON, and is undone exactly."""

import json
from typing import Literal, get_args

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import ops
from scipy import stats

from pipeline.config.cards import Transform
from pipeline.errors import PipelineError
from pipeline.files.artifacts import json_text
from pipeline.files.records import parse
from pipeline.preparation.scaling import Scale, Scaler, check_range

Method = Literal["minmax", "standard", "robust"]
METHODS: tuple[Method, ...] = ("minmax", "standard", "robust")
TRANSFORMS: tuple[Transform, ...] = get_args(Transform)
VALUES = arrays.arrays(
    np.float64, (12, 2), elements=st.floats(-1000, 1000).map(lambda value: round(value, 3))
)


def frame(values: npt.ArrayLike) -> pd.DataFrame:
    """Two columns, x and y."""
    return pd.DataFrame(np.asarray(values, np.float64), columns=["x", "y"])


@pytest.mark.parametrize("method", METHODS)
@given(values=VALUES)
def test_scaling_is_what_its_name_says(method: Method, values: npt.NDArray[np.float64]) -> None:
    """To [0, 1], to mean 0 and deviation 1, or to median 0 and quartiles 1 apart."""
    values[:4], values[4:8] = 0, [[500], [510], [520], [530]]
    scaled = Scaler.fit(frame(values), method).transform(frame(values)).to_numpy()
    low, lower, middle, upper, high = np.percentile(scaled, [0, 25, 50, 75, 100], axis=0)
    zero, one = {
        "minmax": (low, high),
        "standard": (scaled.mean(axis=0), scaled.std(axis=0)),
        "robust": (middle, upper - lower),
    }[method]
    np.testing.assert_allclose(zero, 0, atol=1e-9)
    np.testing.assert_allclose(one, 1)
    order = values.argsort(axis=0)
    assert (np.diff(np.take_along_axis(scaled, order, axis=0), axis=0) >= 0).all()


@pytest.mark.parametrize("method", METHODS)
@given(values=VALUES, later=VALUES, transform=st.sampled_from(TRANSFORMS))
def test_what_is_scaled_can_be_undone(
    method: Method,
    values: npt.NDArray[np.float64],
    later: npt.NDArray[np.float64],
    transform: Transform,
) -> None:
    """Later rows, scaled and undone, are the rows, also by way of JSON and a transform."""
    if transform == "log1p":
        values, later = np.abs(values), np.abs(later)
    values[0], values[1] = 0, 500
    fitted = Scaler.fit(frame(values), method, {"y": transform})
    again = parse(json.loads(json_text(fitted.model_dump())), Scaler, "scaler.json")
    assert again == fitted
    scaled = again.transform(frame(later))
    np.testing.assert_allclose(again.inverse(scaled.to_numpy(), ["x", "y"]), later, atol=1e-8)
    np.testing.assert_allclose(
        again.inverse(scaled[["y"]].to_numpy(), ["y"])[:, 0], later[:, 1], atol=1e-8
    )


def test_log1p_is_taken_before_the_scale() -> None:
    """A logged column is the logarithm of 1 + x, scaled."""
    scaled = Scaler.fit(frame([[0, 0], [1, np.e - 1]]), "minmax", {"y": "log1p"})
    result = scaled.transform(frame([[0.5, np.sqrt(np.e) - 1]]))
    np.testing.assert_allclose(result, [[0.5, 0.5]])


@pytest.mark.parametrize("power", [0, 0.001, 0.5, 1, 1.999, 2])
def test_yeo_johnson_is_scipys(power: float) -> None:
    """Whatever the power, the transform is that of scipy.stats."""
    x = np.concatenate([-np.logspace(-6, 9, 50), [0], np.logspace(-6, 9, 50)])
    scale = Scale(transform="yeo_johnson", power=power)
    bent = Scaler(columns={"x": scale}).transform(pd.DataFrame({"x": x}))
    np.testing.assert_allclose(bent["x"], stats.yeojohnson(x, power), rtol=1e-9)


@pytest.mark.parametrize("factor", [1, -1, 1e9])
def test_yeo_johnsons_power_is_the_likeliest(factor: float) -> None:
    """It is scipy's, held between 0 and 2, and what was skewed is not any more."""
    table = pd.DataFrame({"x": factor * np.random.default_rng(1).gamma(2, 3, 2000)})
    scaler = Scaler.fit(table, "standard", {"x": "yeo_johnson"})
    _, likeliest = stats.yeojohnson(table["x"])
    assert scaler.columns["x"].power == pytest.approx(np.clip(likeliest, 0, 2), abs=1e-3)
    assert abs(stats.skew(scaler.transform(table)["x"])) < 0.1 < 1 < abs(stats.skew(table["x"]))


@pytest.mark.parametrize(
    ("transform", "power"),
    [("log1p", 1), ("asinh", 1), *(("yeo_johnson", p) for p in (0, 0.001, 0.7, 1, 1.999, 2))],
)
def test_a_transform_is_undone_in_float32_too(transform: Transform, power: float) -> None:
    """From 1e-20 to 1e18 and below 0 a value comes back, from NumPy and from inside a network."""
    sizes = np.logspace(-20, 18, 200)
    x = sizes if transform == "log1p" else np.concatenate([-sizes, [0], sizes])
    scale = Scale(transform=transform, power=power, center=0.5, scale=2.0)
    straight = Scale(transform=transform, power=power)
    scaler = Scaler(columns={"x": scale, "y": straight, "z": Scale()})
    table = pd.DataFrame({"x": x, "y": x, "z": x})
    scaled = scaler.transform(table)
    undone = scaler.inverse(scaled.to_numpy(), list("xyz"))
    np.testing.assert_allclose(undone[:, 1:], table[["y", "z"]], rtol=1e-12)
    np.testing.assert_allclose(undone[:, 0], x, rtol=1e-12, atol=1e-12)
    window = keras.Input((3,))
    network = keras.Model(window, scaler.inverse(window, list("xyz"), ops))
    seen = scaled.to_numpy(np.float32)
    for again in (scaler.inverse(seen, list("xyz")), network.predict_on_batch(seen)):
        assert again.dtype == np.float32
        np.testing.assert_allclose(again[:, 1:], table[["y", "z"]], rtol=1e-5)
        np.testing.assert_allclose(again[:, 0], x, rtol=1e-5, atol=1e-6)


def test_a_power_that_float32_cannot_hold_is_named() -> None:
    """Squares of values near float32's end are none of its numbers: one line names the row."""
    scaler = Scaler(columns={"y": Scale(transform="yeo_johnson", power=1.5)})
    assert np.isfinite(scaler.transform(frame([[0, 1e20]])[["y"]])).all(axis=None)
    with pytest.raises(PipelineError, match=r"column y, 1: expected smaller values for yeo_john"):
        scaler.transform(frame([[0, 1], [0, 1e30]])[["y"]])


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
@pytest.mark.parametrize("transform", [None, *TRANSFORMS])
def test_a_constant_column_tells_nothing(method: Method, transform: Transform | None) -> None:
    """It becomes 0, also where it moves later, and 0 becomes its value again."""
    transforms = {"x": transform} if transform else {}
    scaler = Scaler.fit(frame([[7, 1], [7, 2]]), method, transforms)
    assert scaler.columns["x"].constant
    assert scaler.transform(frame([[7, 1], [1e9, 1]]))["x"].tolist() == [0, 0]
    np.testing.assert_allclose(scaler.inverse(np.zeros((1, 1)), ["x"]), [[7]])


def test_targets_are_standardised_in_their_own_units() -> None:
    """Whatever the inputs' scaling, a target has mean 0 and deviation 1 in training, and back."""
    table = frame([[0, 1], [np.nan, 2], [10, 6]])
    scaler = Scaler.fit(table, "minmax", {"y": "log1p"})
    standardised = scaler.standardise(table.to_numpy(), ["x", "y"])
    np.testing.assert_allclose(np.nanmean(standardised, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(standardised, axis=0), 1)
    np.testing.assert_allclose(scaler.units(standardised, ["x", "y"]), table)


def test_logged_columns_can_be_had_linear() -> None:
    """`linear` undoes the logarithm of logged columns alone, and leaves other names as they are."""
    table = frame([[0, 1], [4, 2], [10, 6]])
    scaler = Scaler.fit(table, "minmax", {"y": "log1p"})
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
    scaler = Scaler.fit(table, method, {"y": "log1p"})
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
        Scaler.fit(bad, "minmax", {"y": "log1p"})
    with pytest.raises(PipelineError, match=message):
        Scaler.fit(good, "minmax", {"y": "log1p"}).transform(bad)


def test_a_value_beyond_float32_is_named() -> None:
    """A value that the training span makes infinite ends with its column and row."""
    scaler = Scaler.fit(frame([[0, 0], [1, 1e-30]]), "minmax")
    later = frame([[0, 0], [0, 1e10]])
    with pytest.raises(PipelineError, match=r"series: column y, 1: expected .*1e\+10, 1e\+40"):
        check_range(scaler.transform(later), later, "series")

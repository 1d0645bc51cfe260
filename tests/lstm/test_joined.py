"""The layers laid out for forecasts alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lstm import cell, elman
from pipeline.lstm.cell import Array
from pipeline.lstm.elman import Elman
from pipeline.lstm.joined import Recurrent, join, last_state
from pipeline.lstm.stack import initial_lstm

SIZES = st.integers(1, 4)


@settings(max_examples=40, deadline=None)
@given(
    batch=SIZES,
    steps=SIZES,
    features=SIZES,
    units=st.lists(SIZES, min_size=1, max_size=3),
    activation=st.sampled_from(["tanh", "relu"]),
    gated=st.booleans(),
)
def test_it_ends_in_the_state_of_the_equations(
    batch: int, steps: int, features: int, units: list[int], activation: str, gated: bool
) -> None:
    """Any stack, of either kind and activation, ends as the layers one after the other do."""
    random = np.random.default_rng(1)
    X = random.normal(size=(batch, steps, features))
    layers: list[Recurrent] = []
    h: Array = X
    for width, below in zip(units, [features, *units], strict=False):
        p: Recurrent = initial_lstm(random, below, width)
        if gated:
            p = p._replace(b_i=random.normal(size=width), b_C=random.normal(size=width))
            h = cell.forward(p, h, activation).h
        else:
            shapes = (below, width), (width, width), (width,)
            p = Elman(*(random.normal(0, 0.5, shape) for shape in shapes))
            h = elman.forward(p, h, activation).h
        layers.append(p)
    found = last_state([join(p) for p in layers], X, activation)
    np.testing.assert_allclose(found, h[:, -1], rtol=1e-12, atol=1e-14)


def test_weights_of_one_kind_of_float_stay_that() -> None:
    """Windows of float64 do not make float32 weights forecast in float64."""
    p = initial_lstm(np.random.default_rng(1), 2, 3)
    small = cell.LSTM(*(array.astype(np.float32) for array in p))
    assert last_state([join(small)], np.zeros((1, 2, 2))).dtype == np.float32
    with pytest.raises(ValueError, match="activation: expected 'tanh' or 'relu', found 'elu'"):
        last_state([join(p)], np.zeros((1, 2, 2)), "elu")

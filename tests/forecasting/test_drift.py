"""Intervals that follow the errors, none of which is known before its time."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.forecasting.drift import GAIN, replay

Floats = npt.NDArray[np.float64]


def bands(middle: Floats) -> dict[float, tuple[Floats, Floats]]:
    """Of fixed width around forecasts: right for 80% and 95% of standard normal errors."""
    return {80.0: (middle - 1.2816, middle + 1.2816), 95.0: (middle - 1.96, middle + 1.96)}


def test_the_factor_by_hand() -> None:
    """Two steps ahead: a miss at row 2 widens step 1 from row 2 on, a hit at row 3 narrows it."""
    middle = np.zeros((5, 2, 1))
    observed = np.full((5, 2, 1), np.nan)
    observed[1, 0] = 5  # row 2, a step after the origin in row 1
    observed[0, 1] = 5  # the same row, two steps after the origin in row 0
    observed[2, 0] = 0  # row 3
    _, high = replay(
        {80.0: (middle - 1, middle + 1)}, middle, observed, np.arange(len(middle)), gain=0.5
    )[80]
    assert high[:, 0, 0] == pytest.approx([1, 1, 1.4, 1.3, 1.3])
    assert high[:, 1, 0] == pytest.approx([1, 1, 1.4, 1.4, 1.4])


@settings(max_examples=30)
@given(row=st.integers(1, 59), seed=st.integers(0, 9))
def test_no_error_is_used_before_it_is_known(row: int, seed: int) -> None:
    """A value of row t changes no interval of an origin before t, at any step, and some at t."""
    random = np.random.default_rng(seed)
    horizon, n = 5, 60
    series = random.normal(size=n + horizon)
    other = series.copy()
    series[row], other[row] = 0, 100
    rows = np.arange(n)[:, None] + np.arange(1, horizon + 1)
    middle = np.zeros((n, horizon, 1))
    made, changed = (
        replay(bands(middle), middle, values[rows][..., None], np.arange(len(middle)))
        for values in (series, other)
    )
    for level in (80, 95):
        same = made[level][1] == changed[level][1]
        assert same[:row].all()
        assert not same[row, : min(row, horizon)].any()


def test_coverage_comes_back_after_a_change() -> None:
    """Where errors have become twice as large, the promise holds later on, at each step."""
    random = np.random.default_rng(1)
    middle = np.full((6000, 3, 1), 10.0)
    observed = middle + random.normal(size=middle.shape, scale=2)
    observed[random.random(observed.shape) < 0.1] = np.nan

    def coverage(low: Floats, high: Floats) -> Floats:
        inside = np.where(np.isnan(observed), np.nan, (low <= observed) & (observed <= high))
        return np.nanmean(inside[3000:], axis=(0, 2))

    fixed = bands(middle)
    for level, ends in replay(fixed, middle, observed, np.arange(len(middle))).items():
        assert coverage(*ends) == pytest.approx(level / 100, abs=0.015)
        assert (coverage(*fixed[level]) < level / 100 - 0.2).all()


@pytest.mark.parametrize("errors", ["all", "none", "turns"])
def test_misses_are_bounded_whatever_comes(errors: str) -> None:
    """(B + h gain) / (gain T) beyond their share at most, though errors know the interval."""
    n, worst, step = 3000, 6.0, 1
    middle = np.zeros((n, 1, 1))
    observed = np.zeros_like(middle)
    if errors == "all":
        observed[:] = worst
    elif errors == "turns":
        observed[(np.arange(n) // 50) % 2 == 0] = worst
    low, high = replay({80.0: (middle - 1, middle + 1)}, middle, observed, np.arange(len(middle)))[
        80
    ]
    misses = ((observed < low) | (observed > high)).mean()
    assert misses <= 0.2 + (worst + step * GAIN) / (GAIN * n) and (low <= high).all()


def test_long_peace_is_soon_forgotten() -> None:
    """After 3,000 forecasts without an error, intervals of no width, 150 misses are enough."""
    middle = np.zeros((3200, 1, 1))
    observed = np.where(np.arange(3200) < 3000, 0.0, 1.0)[:, None, None]
    _, high = replay({80.0: (middle - 1, middle + 1)}, middle, observed, np.arange(len(middle)))[80]
    assert high[2999] == 0 and (high[3150:] > 0.9).all()


def test_units_do_not_matter() -> None:
    """In other units and from another zero the intervals are the same."""
    random = np.random.default_rng(2)
    middle, observed = random.normal(size=(2, 50, 2, 1))
    made = replay(bands(middle), middle, observed, np.arange(len(middle)), gain=0.2)
    wide = {level: (4 * low + 7, 4 * high + 7) for level, (low, high) in bands(middle).items()}
    for level, ends in replay(
        wide, 4 * middle + 7, 4 * observed + 7, np.arange(50), gain=0.2
    ).items():
        for end, there in zip(made[level], ends, strict=True):
            assert there == pytest.approx(4 * end + 7)

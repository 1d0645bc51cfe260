"""Drift of inputs: streams whose change is known, and streams without one."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import ks_2samp

from pipeline.monitoring import inputs, limits, reference
from pipeline.monitoring.inputs import Mix, Rows

HOUR, WEEK = pd.Timedelta("1h"), 168
TRAIN, YEAR = 3 * 8766, 8766  # hours
CHANGED = "b"


def stream(seed: int, hours: int) -> pd.DataFrame:
    """Three columns with a day, a year and weather that lasts a day, and some gaps."""
    random, x = np.random.default_rng(seed), np.arange(hours)
    made = {
        name: 10
        + 5 * np.sin(2 * np.pi * x / 24 + i)
        + 8 * np.cos(2 * np.pi * x / YEAR + i)
        + 2 * lfilter([np.sqrt(1 - 0.95**2)], [1, -0.95], random.normal(0, 1, hours))
        for i, name in enumerate("abc")
    }
    frame = pd.DataFrame(made, pd.date_range("2010-01-01", periods=hours, freq="h"))
    return frame.mask(random.random(frame.shape) < 0.02)


def rows(frame: pd.DataFrame) -> Rows:
    """A table as it is compared."""
    times = pd.DatetimeIndex(frame.index)
    return Rows(times, np.asarray((times - times[0]) // HOUR), frame, frame.diff(), {})


class Learned:
    """What a training span taught, and the year that came after it."""

    def __init__(self, seed: int) -> None:
        whole = stream(seed, TRAIN + 52 * 168)
        train = rows(whole.iloc[:TRAIN])
        self.limits = limits.learned(reference.in_training(train, WEEK))
        self.columns = inputs.learn(train, inputs.yearly(train.times))
        self.later = whole.iloc[TRAIN:]

    def alarms(self, frame: pd.DataFrame) -> list[limits.Alarm]:
        """The alarms of rows that came."""
        chunks = rows(frame).chunks(WEEK)
        found = inputs.frame({n: inputs.measure(one, self.columns) for n, one in chunks})
        return limits.alarms(found, self.limits)


@pytest.fixture(scope="module")
def learned() -> list[Learned]:
    """Four streams."""
    return [Learned(seed) for seed in range(1, 5)]


def test_without_drift_there_is_less_than_one_false_alarm_in_fifty_chunks(
    learned: list[Learned],
) -> None:
    """Over four years of 52 weeks each, columns and statistics all together."""
    assert sum(len(one.alarms(one.later)) for one in learned) < len(learned) * 52 / 50


@pytest.mark.parametrize(
    ("change", "by"),
    [
        pytest.param(lambda x: x + 6, "ks", id="level shift"),
        pytest.param(lambda x: (x - x.mean()) * 2 + x.mean(), "changes", id="changed variance"),
        pytest.param(lambda x: x.fillna(10) * 0 + 10, "changes", id="dead sensor"),
        pytest.param(lambda x: x * np.nan, "missing", id="silent sensor"),
        pytest.param(lambda x: x * 1.8 + 32, "outside", id="changed unit"),
    ],
)
@pytest.mark.parametrize("week", [0, 20])
def test_a_change_is_found_within_three_chunks(
    learned: list[Learned], change: Callable[[pd.Series], pd.Series], by: str, week: int
) -> None:
    """In the column that changed and in no other, by the statistic that is meant for it."""
    for one in learned[:2]:
        came = one.later.iloc[week * 168 : (week + 3) * 168].copy()
        came[CHANGED] = change(came[CHANGED])
        found = one.alarms(came)
        assert {alarm.of for alarm in found} == {CHANGED}
        assert by in {alarm.statistic for alarm in found}


VALUES = st.lists(st.integers(-5, 5), min_size=1, max_size=30).map(lambda v: np.array(v, float))


@given(VALUES, VALUES)
def test_the_distance_is_that_of_scipy(one: np.ndarray, other: np.ndarray) -> None:
    """Kolmogorov and Smirnov's distance, ties included."""
    mix = Mix(other, np.full(len(other), 1 / len(other)))
    assert inputs.ks(one, mix) == pytest.approx(ks_2samp(one, other, method="asymp").statistic)


def test_psi_is_that_of_the_formula() -> None:
    """Shares .5 and .5 against .2 and .8: .3 log 2.5 - .3 log .625."""
    mix = Mix(np.array([0.0, 1.0]), np.array([0.2, 0.8]))
    found = inputs.psi(np.array([0.0, 1.0] * 50), mix, np.array([0.0]))
    assert found == pytest.approx(0.3 * np.log(2.5) - 0.3 * np.log(0.625))


def test_a_chunk_is_compared_with_its_own_months() -> None:
    """A July like the Julys of training is near them, and far from the whole of it."""
    whole = stream(3, TRAIN)
    train = rows(whole)
    july = rows(whole.loc["2011-07-01":"2011-07-28"])  # type: ignore[misc]
    by_month, of_all = (inputs.learn(train, by_year) for by_year in (True, False))
    near, far = (inputs.measure(july, one)["a", "ks"] for one in (by_month, of_all))
    assert near < 0.2 < 0.4 < far


def test_the_last_chunk_ends_with_the_last_row() -> None:
    """Of 20 rows in chunks of 8 the first 4 are left out."""
    frame = pd.DataFrame({"a": np.arange(20.0)}, pd.date_range("2014", periods=20, freq="h"))
    chunks = dict(rows(frame).chunks(8))
    assert {n: (c.values["a"].min(), c.values["a"].max()) for n, c in chunks.items()} == {
        0: (4, 11),
        1: (12, 19),
    }


def test_an_alarm_takes_two_chunks_in_a_row() -> None:
    """Over the limit in chunks 1 and 3 is none, in 3 and 4 one, at 4; a gap breaks the row."""
    key = ("a", "ks")
    limit = pd.Series([0.5], pd.MultiIndex.from_tuples([key]))

    def found(values: dict[int, float]) -> list[int]:
        table = inputs.frame({n: {key: value} for n, value in values.items()})
        return [alarm.chunk for alarm in limits.alarms(table, limit)]

    assert found({0: 0.1, 1: 0.9, 2: 0.1, 3: 0.9}) == []
    assert found({1: 0.9, 2: 0.1, 3: 0.9, 4: 0.9}) == [4]
    assert found({0: 0.9, 2: 0.9}) == []


def test_too_few_chunks_give_no_limit() -> None:
    """Nine weeks do not show what is usual."""
    usual = inputs.frame({n: {("a", "ks"): 0.1} for n in range(9)})
    assert limits.learned(usual).empty


@pytest.mark.parametrize("years", [1, 4])
def test_between_series_that_are_years_apart_there_is_nothing_to_measure(years: int) -> None:
    """Chunks in which no series has a row are left out; the others are measured."""
    one, other = stream(1, 6 * WEEK), stream(2, 6 * WEEK)
    other.index = other.index + pd.Timedelta(days=365 * years)
    found = reference.in_training(rows(pd.concat([one, other])), WEEK)
    assert 10 <= len(found) <= 13

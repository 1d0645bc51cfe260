"""Steps by the calendar: grids written by hand, and what lies between times."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import frequencies
from pipeline.config.calendar_steps import Calendar

GRIDS = {
    "MS": ["2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01"],
    "ME": ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"],
    "2MS": ["2023-11-01", "2024-01-01", "2024-03-01", "2024-05-01"],
    "QS": ["2023-10-01", "2024-01-01", "2024-04-01", "2024-07-01"],
    "QE": ["2023-12-31", "2024-03-31", "2024-06-30", "2024-09-30"],
    "QS-FEB": ["2023-11-01", "2024-02-01", "2024-05-01", "2024-08-01"],
    "QE-JAN": ["2023-10-31", "2024-01-31", "2024-04-30", "2024-07-31"],
    "YS": ["1899-01-01", "1900-01-01", "1901-01-01", "1902-01-01"],
    "YE-FEB": ["2022-02-28", "2023-02-28", "2024-02-29", "2025-02-28"],
    "W": ["2023-12-24", "2023-12-31", "2024-01-07", "2024-01-14"],
    "W-WED": ["2023-12-20", "2023-12-27", "2024-01-03", "2024-01-10"],
    "B": ["2024-03-28", "2024-03-29", "2024-04-01", "2024-04-02"],  # over a weekend
    "D": ["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"],
    "1W": ["2023-12-22", "2023-12-29", "2024-01-05", "2024-01-12"],  # seven days, from any day on
    "12h": ["2024-02-29 00:00", "2024-02-29 12:00", "2024-03-01 00:00", "2024-03-01 12:00"],
}
NAMES = {
    "1h": ("1h", "3 x 1h"),
    "MS": ("1 month", "3 months"),
    "2ME": ("2 months", "6 months"),
    "QE": ("1 quarter", "3 quarters"),
    "YS-APR": ("1 year", "3 years"),
    "W-MON": ("1 week", "3 weeks"),
    "B": ("1 business day", "3 business days"),
    "D": ("1 day", "3 days"),
    "rows": ("1 row", "3 rows"),
}
STEPS = st.sampled_from([*GRIDS, "QE-NOV", "YS-JUL", "3B", "2W-MON", "5QS"])


@pytest.mark.parametrize(("frequency", "days"), GRIDS.items())
def test_a_grid_is_the_one_written_by_hand(frequency: str, days: list[str]) -> None:
    """Month ends know leap years, weeks their day, business days the weekend between."""
    step, times = frequencies.step(frequency), pd.DatetimeIndex(days)
    assert step.grid(times[0], 4).tolist() == times.tolist()
    assert step.shift(times[3:], -3).tolist() == times[:1].tolist()
    assert step.between(times[0], times).tolist() == [0, 1, 2, 3]
    assert step.on_grid(times).all()
    day_later = times.insert(3, times[2] + pd.Timedelta("1h"))
    assert step.between(times[0], day_later).tolist() == [0, 1, 2, 2, 3]
    assert step.on_grid(day_later).tolist() == [True, True, True, False, True]


@pytest.mark.parametrize(("frequency", "names"), NAMES.items())
def test_a_step_has_a_name_that_people_use(frequency: str, names: tuple[str, str]) -> None:
    """Reports say months, not MS."""
    step = frequencies.step(frequency)
    assert (step.name, step.many(3)) == names


CYCLES = {
    "15min": (["2024-03-12 10:15", "2024-03-06 10:15"], "2024-03-13 10:15"),
    "1D": (["2024-03-12", "2024-03-06"], "2024-03-13"),
    "5h": ([None, None], "2024-03-13"),
    "MS": (["2023-02-01"], "2024-02-01"),
    "QE-JAN": (["2023-04-30"], "2024-04-30"),
    "5QS": ([None], "2024-04-01"),
    "W-MON": (["2023-03-13"], "2024-03-11"),
    "2W-MON": (["2023-03-13"], "2024-03-11"),
    "B": (["2024-03-06"], "2024-03-13"),
    "D": (["2024-03-06"], "2024-03-13"),
    "3B": ([None], "2024-03-13"),
    "rows": ([], "2024-03-13"),
}


@pytest.mark.parametrize(("frequency", "expected"), CYCLES.items())
def test_a_step_knows_which_rows_the_clock_stood_alike(
    frequency: str, expected: tuple[list[str | None], str]
) -> None:
    """A day and a week before; by the calendar a week or a year; none if no row is there."""
    step, (before, time) = frequencies.step(frequency), expected
    times = pd.DatetimeIndex([time])
    found = [step.shift(times, -rows)[0] if rows else None for rows in step.cycles]
    assert found == [pd.Timestamp(day) if day else None for day in before]


@pytest.mark.parametrize(
    "word", ["M", "1M", "MS-JAN", "W-JAN", "QS-MON", "B-MON", "D-MON", "0MS", "", "h"]
)
def test_what_is_no_frequency_is_refused(word: str) -> None:
    """pandas would take some of these for another length."""
    with pytest.raises(ValueError):
        frequencies.step(word)


@given(
    frequency=STEPS,
    start=st.datetimes(pd.Timestamp("1800-01-01"), pd.Timestamp("2200-01-01")),
    steps=st.lists(st.integers(-400, 400), min_size=1, max_size=5),
    zone=st.sampled_from([None, "UTC", "Europe/Berlin", "America/New_York"]),
)
def test_rows_between_invert_shift(frequency: str, start: Any, steps: list[int], zone: Any) -> None:
    """Whatever lies between: leap days, ends of months, clocks that change."""
    step = frequencies.step(frequency, zone)
    # At noon: clocks change at night, and a time that is skipped has no other to come from.
    first = pd.DatetimeIndex([start]).as_unit("us").normalize() + pd.Timedelta("12h")
    if isinstance(step, Calendar):
        first = step.snap(first) + pd.Timedelta("12h")
    if zone:
        first = first.tz_localize(zone).tz_convert("UTC")
    times = step.shift(first.repeat(len(steps)), np.array(steps))
    assert step.between(first[0], times).tolist() == steps
    assert step.between(times, first[0]).tolist() == [-count for count in steps]
    assert step.on_grid(first.append(times)).all()
    early = times - pd.Timedelta("1s")
    assert step.between(first[0], early).tolist() == [count - 1 for count in steps]


def test_months_follow_the_clock_of_a_zone() -> None:
    """The first of April in Berlin is the evening before in UTC, an hour earlier than in winter."""
    step = frequencies.step("MS", "Europe/Berlin")
    first = pd.Timestamp("2024-02-29 23:00", tz="UTC")
    assert step.grid(first, 3).tolist() == [
        first,
        pd.Timestamp("2024-03-31 22:00", tz="UTC"),
        pd.Timestamp("2024-04-30 22:00", tz="UTC"),
    ]


@pytest.mark.parametrize(
    ("frequency", "days"),
    [
        ("MS", {"2024-02-01": "2024-02-01", "2024-02-15": "2024-02-01"}),
        (
            "ME",
            {"2024-02-29": "2024-02-29", "2024-02-27": "2024-02-29", "2024-03-01": "2024-03-31"},
        ),
        ("QE", {"2024-02-15": "2024-03-31", "2024-03-31": "2024-03-31"}),
        ("YS", {"2024-12-31": "2024-01-01"}),
    ],
)
def test_any_day_may_stand_for_its_month(frequency: str, days: dict[str, str]) -> None:
    """The last trading day of February stands for February, and so does the fifteenth."""
    step = frequencies.step(frequency)
    assert isinstance(step, Calendar)
    found = step.snap(pd.DatetimeIndex([*days]))
    assert found.strftime("%Y-%m-%d").tolist() == [*days.values()]

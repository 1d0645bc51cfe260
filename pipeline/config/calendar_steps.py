"""Steps by the calendar: months, quarters, years, weeks, days and business days."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.steps import Rows, Step

Dates = npt.NDArray[np.datetime64]
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_FIRST = np.datetime64("0001-01-01")  # a Monday


class Calendar(Step):
    """A step of so many months, weeks or business days, by the clock of a zone.

    Days on the grid have numbers; all rows have the first one's time of day.
    """

    count: int  # days on the grid in a step
    zone: str | None
    unit: str
    days: str  # what days on the grid are

    @abstractmethod
    def number(self, days: Dates) -> Rows:
        """The number of the last day on the grid up to each day."""

    @abstractmethod
    def day(self, numbers: Rows) -> Dates:
        """The days on the grid that have these numbers."""

    def shift(self, times: pd.DatetimeIndex, steps: Rows | int) -> pd.DatetimeIndex:
        """Each time on the grid, so many steps later, at the same time of day."""
        days, clock = self._parts(times)
        return self._times(self.day(self.number(days) + self.count * steps), clock, times)

    def between(self, first: Any, times: Any) -> Rows:
        """How many whole steps lie from a time on the grid to each time."""
        begin, clock = self._parts(pd.DatetimeIndex(_listed(first)))
        days, at = self._parts(pd.DatetimeIndex(_listed(times)))
        start = self.number(begin)
        steps = (self.number(days) - start) // self.count
        reached = self.day(start + steps * self.count)
        found: Rows = steps - ((reached == days) & (at < clock))
        return found if np.ndim(first) or np.ndim(times) else found[0]

    def on_grid(self, times: pd.DatetimeIndex) -> npt.NDArray[np.bool_]:
        """Which times are days on the grid, a whole number of steps after the first one's."""
        days, clock = self._parts(times)
        numbers = self.number(days)
        whole = (numbers - numbers[0]) % self.count == 0
        return np.asarray(whole & (self.day(numbers) == days) & (clock == clock[0]))

    def snap(self, times: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Each time as the day on the grid that stands for its month, quarter, year or week."""
        days, clock = self._parts(times)
        return self._times(self.day(self.number(self._within(days))), 0 * clock, times)

    def _within(self, days: Dates) -> Dates:
        """For each day one up to which the day on the grid that stands for it is the last."""
        return days

    def many(self, count: int) -> str:
        """So many steps: 12 months."""
        return f"{count * self.count} {self.unit}{'s' * (count * self.count != 1)}"

    @property
    def name(self) -> str:  # type: ignore[override]
        """1 month."""
        return self.many(1)

    @property
    def every(self) -> str:
        """How often a row comes: every month, every 2 months."""
        return f" every {self.unit if self.count == 1 else self.name}"

    def _parts(self, times: pd.DatetimeIndex) -> tuple[Dates, npt.NDArray[np.timedelta64]]:
        """Days by the clock, and the times of day."""
        if times.tz is not None:
            times = times.tz_convert(self.zone).tz_localize(None)
        wall = times.to_numpy()
        days = wall.astype("datetime64[D]")
        return days, wall - days

    def _times(
        self, days: Dates, clock: npt.NDArray[np.timedelta64], like: pd.DatetimeIndex
    ) -> pd.DatetimeIndex:
        wall = pd.DatetimeIndex(days + clock).as_unit(like.unit)
        if like.tz is None:
            return wall
        early = np.ones(len(wall), bool)
        local = wall.tz_localize(self.zone or "UTC", ambiguous=early, nonexistent="shift_forward")
        return local.tz_convert(like.tz)


@dataclass(frozen=True)
class Months(Calendar):
    """Months, quarters or years; a stamp is their first day or their last."""

    count: int
    unit: str
    each: int  # months
    anchor: int  # the number of the month, from 0 for January, of such a first or last day
    end: bool
    zone: str | None = None

    @property
    def days(self) -> str:  # type: ignore[override]
        """What days on the grid are."""
        which = "last" if self.end else "first"
        if self.each == 1:
            return f"the {which} day of a month"
        months = [month.title() for month in MONTHS[self.anchor :: self.each]]
        return f"the {which} day of {', '.join(months)}"

    @property
    def length(self) -> pd.Timedelta:  # type: ignore[override]
        """The shortest."""
        return self.count * self.each * pd.Timedelta("28D")

    @property
    def cycles(self) -> tuple[int, ...]:  # type: ignore[override]
        """Rows of a year."""
        each = self.count * self.each
        return (0 if 12 % each else 12 // each,)

    def number(self, days: Dates) -> Rows:
        """The number of the last day on the grid up to each day."""
        months = (days + int(self.end)).astype("datetime64[M]").astype(np.int64)
        return (months - self.end - self.anchor) // self.each

    def day(self, numbers: Rows) -> Dates:
        """The days on the grid that have these numbers."""
        months = numbers * self.each + self.anchor + self.end
        return months.astype("datetime64[M]").astype("datetime64[D]") - int(self.end)

    def _within(self, days: Dates) -> Dates:
        """Of the last day of a month, that of the day's own month, not of the one before."""
        if not self.end:
            return days
        own = self.number(days)
        return np.where(self.day(own) == days, days, self.day(own + 1))

    def before(self, end: pd.Timestamp, length: pd.DateOffset) -> pd.Timestamp:
        """Counted from last days of months: a month before the last of February is January's."""
        if not self.end:
            return end - length
        day = pd.DateOffset(days=1)
        return end + day - length - day


@dataclass(frozen=True)
class Weeks(Calendar):
    """Weeks; a stamp is always the same day of the week."""

    count: int
    weekday: int  # from 0 for Monday
    zone: str | None = None
    unit: str = "week"

    @property
    def days(self) -> str:  # type: ignore[override]
        """What days on the grid are."""
        return f"a {WEEKDAYS[self.weekday].title()}"

    @property
    def length(self) -> pd.Timedelta:  # type: ignore[override]
        """Of each."""
        return self.count * pd.Timedelta("7D")

    @property
    def cycles(self) -> tuple[int, ...]:  # type: ignore[override]
        """Rows of a year, a day or two aside."""
        return (52 // self.count,)

    def number(self, days: Dates) -> Rows:
        """The number of the last day on the grid up to each day."""
        return ((days - _FIRST).astype(np.int64) - self.weekday) // 7

    def day(self, numbers: Rows) -> Dates:
        """The days on the grid that have these numbers."""
        return _FIRST + (7 * numbers + self.weekday)


@dataclass(frozen=True)
class Days(Calendar):
    """Days by the clock of a zone: of 23 or 25 hours where it is changed."""

    zone: str | None = None
    count: int = 1
    unit: str = "day"
    days: str = "a day"
    cycles: tuple[int, ...] = (7,)  # rows of a week

    @property
    def length(self) -> pd.Timedelta:  # type: ignore[override]
        """Where clocks do not change."""
        return pd.Timedelta("1D")

    def number(self, days: Dates) -> Rows:
        """The number of each day."""
        return (days - _FIRST).astype(np.int64)

    def day(self, numbers: Rows) -> Dates:
        """The days that have these numbers."""
        return _FIRST + numbers


@dataclass(frozen=True)
class BusinessDays(Calendar):
    """Days from Monday to Friday, holidays included."""

    count: int
    zone: str | None = None
    unit: str = "business day"
    days: str = "a day from Monday to Friday"

    @property
    def length(self) -> pd.Timedelta:  # type: ignore[override]
        """The shortest."""
        return self.count * pd.Timedelta("1D")

    @property
    def cycles(self) -> tuple[int, ...]:  # type: ignore[override]
        """Rows of a week."""
        return (0 if 5 % self.count else 5 // self.count,)

    def number(self, days: Dates) -> Rows:
        """The number of the last day on the grid up to each day."""
        return np.asarray(np.busday_count(_FIRST, days + 1) - 1, np.int64)

    def day(self, numbers: Rows) -> Dates:
        """The days on the grid that have these numbers."""
        return np.busday_offset(_FIRST, numbers)


def _listed(times: Any) -> Any:
    return times if np.ndim(times) else [times]

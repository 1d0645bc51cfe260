"""From a row to the next: a step of one length, or whatever lies between."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Rows = npt.NDArray[np.int64]


class Step(ABC):
    """From the time of a row to that of the next."""

    name: str  # what a reader calls one of them
    length: pd.Timedelta  # the shortest
    tells: bool = True  # whether the time of a row tells that of the next
    # rows to the same time of the next day and week, or of the next week or year by the calendar;
    # 0 where no row is there
    cycles: tuple[int, ...] = ()

    @abstractmethod
    def shift(self, times: pd.DatetimeIndex, steps: Rows | int) -> pd.DatetimeIndex:
        """Each time on the grid, so many steps later; earlier if negative."""

    @abstractmethod
    def between(self, first: Any, times: Any) -> Rows:
        """How many whole steps lie from a time on the grid to each time, or from each to a time."""

    @abstractmethod
    def on_grid(self, times: pd.DatetimeIndex) -> npt.NDArray[np.bool_]:
        """Which times are a whole number of steps after the first, and the first as it must be."""

    def grid(self, first: pd.Timestamp, rows: int) -> pd.DatetimeIndex:
        """The times of so many rows."""
        return self.shift(pd.DatetimeIndex([first]).repeat(rows), np.arange(rows))

    def before(self, end: pd.Timestamp, length: pd.DateOffset) -> pd.Timestamp:
        """The last row of what comes before a length of time that ends with the row at `end`."""
        return end - length

    def many(self, count: int) -> str:
        """So many steps, as a reader says it."""
        return f"{count} x {self.name}"

    def far(self, count: int) -> str:
        """How far ahead so many steps reach, as a reader says it."""
        return self.many(count)

    @property
    def rows(self) -> str:
        """How its rows follow each other."""
        return self.every.strip() if self.tells else "whatever the time between them"

    @property
    def every(self) -> str:
        """How often a row comes, as it follows a span of time."""
        return f" every {self.name}" if self.tells else ""

    @property
    def daily(self) -> bool:
        """Whether a step is a day or longer."""
        return self.length >= pd.Timedelta("1D")


@dataclass(frozen=True)
class Fixed(Step):
    """A step of one length, such as 15min, 1h or 1D."""

    length: pd.Timedelta
    name: str = ""

    @property
    def cycles(self) -> tuple[int, ...]:  # type: ignore[override]
        """Rows of a day and of a week."""
        periods = pd.Timedelta("1D"), pd.Timedelta("7D")
        return tuple(0 if period % self.length else period // self.length for period in periods)

    def shift(self, times: pd.DatetimeIndex, steps: Rows | int) -> pd.DatetimeIndex:
        """Each time, so many steps later."""
        return times + steps * self.length.to_timedelta64()

    def far(self, count: int) -> str:
        """24 steps of 1h."""
        return f"{count} steps of {self.name}"

    def between(self, first: Any, times: Any) -> Rows:
        """How many whole steps lie from a time to each time."""
        # By NumPy: pandas takes as long for ten times as for a hundred thousand.
        apart = np.asarray(_in_utc(times) - _in_utc(first))
        return np.asarray(apart // self.length.to_timedelta64(), np.int64)

    def on_grid(self, times: pd.DatetimeIndex) -> npt.NDArray[np.bool_]:
        """Which times are a whole number of steps after the first."""
        apart = _in_utc(times) - _in_utc(times[0])
        return np.asarray(apart % self.length.to_timedelta64() == np.timedelta64(0))

    def grid(self, first: pd.Timestamp, rows: int) -> pd.DatetimeIndex:
        """The times of so many rows."""
        return pd.date_range(first, periods=rows, freq=self.length)


def _in_utc(times: Any) -> Any:
    """A time, or many of them, as NumPy has them."""
    if isinstance(times, pd.Timestamp):
        return times.to_datetime64()
    return (times if times.tz is None else times.tz_convert(None)).to_numpy()


class Unequal(Step):
    """From each row to the next, whatever the time between: the times are those of the table."""

    name = "1 row"
    length = pd.Timedelta(0)
    tells = False

    def shift(self, times: pd.DatetimeIndex, steps: Rows | int) -> pd.DatetimeIndex:
        """No time tells another."""
        raise TypeError("the times of rows are those of the table")

    def between(self, first: Any, times: Any) -> Rows:
        """No time tells another."""
        raise TypeError("the times of rows are those of the table")

    def on_grid(self, times: pd.DatetimeIndex) -> npt.NDArray[np.bool_]:
        """Every time."""
        return np.ones(len(times), bool)

    def many(self, count: int) -> str:
        """So many rows."""
        return f"{count} row{'s' * (count != 1)}"

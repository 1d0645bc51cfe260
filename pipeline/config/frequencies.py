"""What a card calls the step between two rows: 1h, MS, W-MON, rows."""

import re
from functools import lru_cache

import pandas as pd

from pipeline.config.calendar_steps import MONTHS, WEEKDAYS, BusinessDays, Days, Months, Weeks
from pipeline.config.steps import Fixed, Step, Unequal
from pipeline.errors import PipelineError

ROWS = "rows"
EXAMPLES = (
    "15min, 1h or 1D, of the calendar D, B, W-MON, MS, ME, QS, QE, YS or YE, or rows where each "
    "row is one step"
)
_CALENDAR = re.compile(
    rf"(\d{{1,4}})?(MS|ME|QS|QE|YS|YE|W|D|B)(?:-({'|'.join((*MONTHS, *WEEKDAYS))}))?"
)
_UNITS = {"M": ("month", 1), "Q": ("quarter", 3), "Y": ("year", 12)}


def fixed(length: str) -> pd.Timedelta:
    """A length of time above 0; ValueError of what is none."""
    if not (found := pd.Timedelta(length)) > pd.Timedelta(0):
        raise ValueError(length)
    return found


@lru_cache
def step(frequency: str, zone: str | None = None) -> Step:
    """What a card calls the step between two rows; of the calendar, by the clock of `zone`.

    ValueError of what is none.
    """
    if frequency == ROWS:
        return Unequal()
    found = _CALENDAR.fullmatch(frequency)
    if not found or (found[1] and found[2] in ("W", "D") and not found[3]):  # 1W is seven days
        return Fixed(fixed(frequency), frequency)
    count, kind, anchor = int(found[1] or 1), found[2], found[3]
    if count < 1 or (anchor in WEEKDAYS) != (kind == "W" and anchor is not None):
        raise ValueError(frequency)
    if kind in ("D", "B"):
        if anchor:
            raise ValueError(frequency)
        return Days(zone) if kind == "D" else BusinessDays(count, zone)
    if kind == "W":
        return Weeks(count, WEEKDAYS.index(anchor or "SUN"), zone)
    end = kind[1] == "E"
    unit, months = _UNITS[kind[0]]
    if anchor and months == 1:
        raise ValueError(frequency)
    month = MONTHS.index(anchor) if anchor else (months - 1 if end else 0)
    return Months(count, unit, months, month % months, end, zone)


def check(frequency: str, key: str) -> None:
    """PipelineError, which names the key, of what is no frequency."""
    try:
        step(frequency)
    except ValueError:
        raise PipelineError(
            f"{key}: expected a frequency such as {EXAMPLES}, found {frequency}"
        ) from None

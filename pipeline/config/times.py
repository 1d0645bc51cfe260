"""How a card says that time is written: columns and format, zone, and what its stamps may lack."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, model_validator

from pipeline.config import frequencies
from pipeline.files.records import Record

MOMENT = datetime(2001, 2, 3, tzinfo=UTC)  # what a format is tried on
PARTS = ("year", "month", "day", "hour", "minute")
# What counts from 1970 in UTC, and its unit in pandas.
EPOCHS: dict[str, Literal["s", "ms"]] = {"epoch s": "s", "epoch ms": "ms"}
QUARTER = "%q"  # of a year with all digits: 1 to 4
_WEEKDAYS = ("%u", "%w", "%a", "%A")


def checked(holds: Callable[[Any], object], expected: str) -> AfterValidator:
    """A validator that takes a value for which `holds` is true and raises nothing."""

    def check(value: Any) -> Any:
        with suppress(ValueError, LookupError, OSError, re.error):
            if holds(value):
                return value
        raise ValueError(expected)

    return AfterValidator(check)


class Interval(NamedTuple):
    """The formats of a cell such as 01.01.2024 00:00 - 01.01.2024 01:00."""

    first: str
    last: str | None  # None where the cell holds one time

    @classmethod
    def of(cls, form: str) -> Self:
        """The two halves of a format whose codes come again behind a dash; else the format."""
        first, _, last = form.partition(" - ")
        again = set(re.findall(r"%\w", first)) & set(re.findall(r"%\w", last))
        return cls(first, last) if again else cls(form, None)


def whole_week(form: str) -> bool:
    """Whether a format has the week of a year and no day of it: a Monday is meant."""
    return "%V" in form and not any(code in form for code in _WEEKDAYS)


def _as_read(form: str) -> datetime:
    """The moment, written in a format and read again."""
    form = form.replace(QUARTER, "%m") if "%Y" in form else form
    forms = [f"{each} %u" if whole_week(each) else each for each in Interval.of(form) if each]
    read = [datetime.strptime(MOMENT.strftime(each), each) for each in forms]
    return read[0]


Word = Annotated[str, checked(str.strip, "a word, not an empty string")]
Frequency = Annotated[str, checked(frequencies.step, f"a frequency such as {frequencies.EXAMPLES}")]
Rounding = Annotated[
    str,
    checked(
        lambda text: text != frequencies.ROWS and frequencies.step(text),
        "what stamps are rounded to, such as 10s or 1min, or of the calendar B, W-MON, MS, ME, QS, "
        "QE, YS or YE",
    ),
]
Format = Annotated[
    str,
    checked(
        lambda text: "%" in text and _as_read(text),
        'a strptime format such as "%Y-%m-%d %H:%M:%S"',
    ),
]
WithYear = Annotated[
    str,
    checked(
        lambda text: text in EPOCHS or ("%" in text and _as_read(text)),
        'a strptime format such as "%Y-%m-%d %H:%M:%S", or epoch s or epoch ms',
    ),
    checked(
        lambda text: text in EPOCHS or _as_read(text).year == MOMENT.year,
        'a format with the year in it, such as "%Y-%m-%d %H:%M:%S"',
    ),
]
Timezone = Annotated[str, checked(ZoneInfo, "an IANA time zone such as Europe/Berlin")]


class Time(Record):
    """How a row's time stamp is made: one or more columns with a format, or parts in columns."""

    column: Word | None = None
    columns: tuple[Word, ...] = ()  # joined by a blank where there is a format; else parts
    format: WithYear | None = None
    # how long each of a day's periods is, which the last column counts from 1
    period: Annotated[str, checked(frequencies.fixed, "a length such as 30min")] | None = None
    timezone: Timezone | None = None  # local stamps are then kept as UTC
    # which end of its step a stamp names; where clocks change, that tells which hour is meant
    stamps: Literal["start", "end"] = "start"
    # which one a local hour is that comes twice by the clock, and once in the table
    ambiguous: Literal["first", "second"] | None = None
    round: Rounding | None = None  # what stamps are rounded to
    sort: bool = False  # rows may be in any order
    repeated: Literal["first", "last", "mean"] | None = None  # of rows with the same time

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.columns) == bool(self.column):
            raise ValueError("either columns (year, month, day, ...) or column with a format")
        if self.column and not self.format:
            raise ValueError('a format for the column, such as "%Y-%m-%d %H:%M:%S"')
        if self.parts and (odd := [name for name in self.columns if name not in PARTS]):
            raise ValueError(
                f"a format for columns other than {', '.join(PARTS)}, found {odd[0]}; they are "
                'joined by a blank, as in "%d/%m/%Y %H:%M"'
            )
        if self.parts and not {"year", "month"} <= set(self.columns):
            raise ValueError("at least the columns year and month")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("each column once")
        if self.period and (len(self.columns) < 2 or not self.format or "%H" in self.format):
            raise ValueError(
                "period beside columns with a day in a format and, the last of them, the number of "
                "a period of that day"
            )
        for key in ("stamps", "ambiguous"):
            if not self.timezone and getattr(self, key) not in ("start", None):
                raise ValueError(f"{key} beside timezone alone: it tells how clocks change")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The raw columns that hold the time."""
        return (self.column,) if self.column else self.columns

    @property
    def parts(self) -> bool:
        """Whether year, month, day, ... have a column each."""
        return bool(self.columns) and not self.format

    @property
    def offsets(self) -> bool:
        """Whether each time stamp tells its offset from UTC."""
        return "%z" in str(self.format) or self.format in EPOCHS

"""In which formats the text of a column, or the names of columns, may be times."""

import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import pandas as pd
from pandas.tseries.api import guess_datetime_format

from pipeline.config.times import Interval, whole_week
from pipeline.data import stamp_text

# What pandas guesses in one order of day and month alone, or not at all.
_ORDERS = ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H.%M", " %H.%M.%S", " %I:%M %p", " %I:%M:%S %p")
_FORMATS = (
    *(order.format(mark) + clock for order in _ORDERS for mark in "/.-" for clock in _CLOCKS),
    *("%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %H.%M", "%Y-%m-%d %H.%M.%S"),
    *("%d-%b-%y", "%d-%b-%Y", "%d-%b-%Y %H:%M"),
    *("%Y%m%d%H", "%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y", "%m.%Y", "%YM%m"),
    *("%b-%y", "%b %y", "%b-%Y", "%b %Y", "%Y %b", "%B %Y"),
    *("%d%b%Y", "%d%b%Y:%H:%M:%S", "%G-W%V", "%GW%V", "%G-W%V-%u"),
)
_QUARTERS = r"\d{4}[ -]?[Qq][1-4]|[Qq][1-4][ -]?\d{4}"
_TIMES_OF_DAY = ("%H:%M:%S", "%H:%M", "%H%M", "%H")
# A column called hour has been renamed by then.
_HOURS_ALONE = (
    r"(?i)(hours?|hr|hh|he|time|stunde|uur|heure|hora|ora)"
    r"([ _]of[ _]day|[ _]?ending)?(_column)?"
)
_HOURS = r"(?i)(h|hr|hour|t|time|)[ _.-]*"  # what stands before the hours of a day, and them alone


def is_dates(column: pd.Series) -> bool:
    """Whether a column of strings holds dates, in whatever format."""
    text = column.str.strip()
    return any(read_most(text, form) is not None for form in formats(text) if "%d" in form)


def formats(text: pd.Series) -> list[str]:
    """The ways that some values of a column may be dates, likelier ones first."""
    there = text[text.str.strip() != ""]
    if there.empty:
        return []
    # The first and the last; and a long one, as some leave out the hour of midnight.
    longest = there.head(200).str.len().argmax()
    ends = [str(there.iloc[row]) for row in (0, -1, longest)]
    if all(re.fullmatch(_QUARTERS, end) for end in ends):
        return [re.sub(r"(?<=[Qq])\d", "%q", re.sub(r"\d{4}", "%Y", ends[0]))]
    if _are_years(there):
        return ["%Y"]
    if there.str.fullmatch(r"(1[5-9]|20)\d{4}").all():  # 202405 and 202452
        return ["%Y%m"] if (there.str[-2:] <= "12").all() else ["%G%V"]
    if digits := re.fullmatch(r"[-+]?(\d*)[.,]?\d*", ends[0]):
        epochs = {10: ["epoch s"], 13: ["epoch ms"]}.get(len(digits[1]), [])
        dates = _dates(ends) if len(ends[0]) in (8, 10, 12, 14) else []
        return [*dates, *epochs]
    if all(end.endswith(" UTC") for end in ends):
        return [f"{form} UTC" for form in _dates([end[:-4] for end in ends])]
    if all(" - " in end for end in ends):  # from one time to another
        first = [end.partition(" - ")[0].strip() for end in ends]
        inner = _dates(first)
        clocks = [form.removeprefix(stamp_text.CLOCK.sub("", form)).strip() for form in inner]
        both = zip(inner, clocks, strict=True)
        return [f"{form} - {last}" for form, clock in both for last in (form, clock) if last]
    return _dates(ends)


def _are_years(text: pd.Series) -> bool:
    """Whether whole numbers are years one after the other, at equal distances."""
    if not text.str.fullmatch(r"1[5-9]\d\d|20\d\d").all():
        return False
    steps = pd.to_numeric(text).drop_duplicates().diff().iloc[1:]
    return len(steps) > 0 and bool(steps.iloc[0] != 0 and (steps == steps.mode()[0]).mean() > 0.9)


def _dates(values: Sequence[str]) -> list[str]:
    # pandas knows 00:00 and Jan, but neither 24:00 nor JAN.
    plain = [re.sub(r"(?<!\d)24(?=[:.]00)", "00", value) for value in values]
    plain = [re.sub("[A-Z]{3,}", lambda word: word[0].title(), value) for value in plain]
    with warnings.catch_warnings(action="ignore"):  # that 31.12.2024 starts with the day
        likely = [
            form
            for day_first in (False, True)
            for value in plain
            if not (day_first and re.match(r"\d{4}", value))  # no 2024-31-12
            and (form := guess_datetime_format(value, dayfirst=day_first))
            and ("%m" in form or "%b" in form or "%B" in form)
        ]
    return list(dict.fromkeys([*likely, *(form for form in _FORMATS if fits(plain, form))]))


def fits(values: Sequence[str], form: str) -> bool:
    """Whether a value is written in a format."""
    form = Interval.of(form).first
    day, of_week = (" 1", " %u") if whole_week(form) else ("", "")
    for value in values:
        with suppress(ValueError):
            return bool(datetime.strptime(value.partition(" - ")[0] + day, form + of_week))
    return False


def read_most(text: pd.Series, form: str) -> pd.Series | None:
    """The times of a column in this format, or None if it does not read most of them."""
    for rows in (text.head(200), text):  # most guesses fail soon
        times = stamp_text.read(rows, form)
        if times.notna().mean() < 0.9:
            return None
    return times


def clock(column: pd.Series) -> str | None:
    """The format of a column that holds nothing but times of day, or hours by its name."""
    text = column.str.strip()
    hours = pd.to_numeric(text, errors="coerce")
    if re.fullmatch(_HOURS_ALONE, str(column.name)) and hours.between(0, 24).all():
        return "%H"
    clock = r"\d{1,2}(:\d{2}){1,2}(\s*[AaPp][Mm])?|\d{1,2}(\.\d{2}){2}"
    if text.str.fullmatch(clock).mean() <= 0.9:
        return None
    first = re.sub(r"\d+", "%", str(text.iloc[0]))
    codes = iter(("%I" if first[-1] in "mM" else "%H", "%M", "%S"))
    return re.sub(r"\s*[AaPp][Mm]$", " %p", re.sub("%", lambda _: next(codes), first))


def times_of_day(names: Sequence[str]) -> tuple[str, list[str]] | None:
    """Column names that are the times of one whole day and their strptime format, or None."""
    prefixes = [re.match(r"\D*", name)[0] for name in names]  # type: ignore[index]
    prefix = max(prefixes, key=prefixes.count, default="")
    slots = [name for name in names if re.match(re.escape(prefix) + r"\d", name)]
    for form in _TIMES_OF_DAY:
        if form == "%H" and not re.fullmatch(_HOURS, prefix):
            continue  # 00 to 23 may number anything, shops say
        written = prefix.replace("%", "%%") + form
        times = pd.to_datetime(pd.Series(slots, dtype=str), format=written, errors="coerce")
        steps = times.sort_values().diff().iloc[1:]
        if len(slots) > 1 and (steps == pd.Timedelta("1D") / len(slots)).all():
            return written, slots
    return None


def hours_perhaps(names: Sequence[str]) -> list[str]:
    """Column names that may count the hours of a day, H1 to H24 or load_00 to load_23; or none."""
    for name in names:
        if first := re.fullmatch(r"(.*?\D|)(0?[01])", name):
            start, digits = int(first[2]), len(first[2])
            hours = [f"{first[1]}{hour:0{digits}}" for hour in range(start, start + 24)]
            if set(hours) <= set(names):
                return hours
    return []

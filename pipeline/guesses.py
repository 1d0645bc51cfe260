"""What a table of strings shows of itself: how time is written, what its columns hold."""

import csv
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from pipeline.errors import PipelineError

MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "missing", "-", "--", "?", "."}
SENTINELS = {-99, -200, -999, -9999, -99999, 999, 9999, 99999}
TARGETS = ("target", "y", "value", "load", "demand", "consumption", "price", "sales", "pm2.5", "ot")
PARTS = ("year", "month", "day", "hour", "minute")
LEVELS = 20  # more different words than this are no category

# What pandas does not guess: two-digit years, months as words, twelve hours.
_FORMATS = (
    *(f"{date}{time}" for date in ("%m/%d/%y", "%d/%m/%y", "%d.%m.%y") for time in ("", " %H:%M")),
    *(f"%{date}/%Y %I:%M{time} %p" for date in ("m/%d", "d/%m") for time in ("", ":%S")),
    *("%d-%b-%y", "%d-%b-%Y", "%d-%b-%Y %H:%M", "%Y%m%d%H"),
)
_NUMBER_AND_MORE = r"[-+]?(\d{1,3}([.,' ]\d{3})+|\d+)([.,]\d+)?\s*\D{0,5}"
_SHARES = {"train": 0.7, "validation": 0.85, "test": 1.0}
_TIMES_OF_DAY = ("%H:%M:%S", "%H:%M", "%H%M", "%H")


@dataclass(frozen=True)
class Stamps:
    """The time of each row, and how it is written."""

    names: list[str]  # the columns that hold it
    format: str | None  # None where year, month, day, ... have a column each
    times: pd.Series  # sorted, without those that could not be read
    step: pd.Timedelta  # the most common one
    others: int  # rows that follow the one before by another step

    @property
    def share(self) -> float:
        """Of the rows that follow by the most common step."""
        return 1 - self.others / (len(self.times) - 1)

    @property
    def rows(self) -> int:
        """Steps from the first time to the last, both counted."""
        return int((self.times.iloc[-1] - self.times.iloc[0]) // self.step) + 1


@dataclass(frozen=True)
class Finding:
    """What a column holds: numbers, a category's levels, or nothing a model can use."""

    note: str
    used: bool = True
    levels: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # how a missing value is written in it


def encoding(path: Path) -> str:
    """utf-8 where the file is; else UTF-16 by its byte-order mark, or Latin-1."""
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def delimiter(path: Path, encoding: str) -> str:
    """What cuts the first lines into equally many fields, and the most; a comma if nothing does."""
    with path.open(encoding=encoding, newline="") as file:
        lines = [line for _, line in zip(range(100), file, strict=False)]

    def fields(mark: str) -> tuple[float, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=mark) if row]
        header = counts[0] if counts else 0
        return (counts.count(header) / len(counts), header) if header > 1 else (0.0, 0)

    return max((",", ";", "\t", "|"), key=fields)


def stamps(table: pd.DataFrame, where: str) -> Stamps:
    """How the table writes time: year, month, day, ... apart, or the most regular column of dates.

    Raises:
        PipelineError: no column holds dates, or they have no fixed step.
    """
    if set(PARTS[:3]) <= set(table.columns):
        names = [name for name in PARTS if name in table.columns]
        parts = table[names].apply(pd.to_numeric, errors="coerce")
        found = _regularity(names, None, pd.to_datetime(parts, errors="coerce"))
        candidates = [found] if found else []
    else:
        candidates = [
            found
            for name in table.columns
            for text in [table[name].str.strip()]
            for form in _formats(text)
            if (found := _written(text, str(name), form))
        ]
    if not candidates:
        first = ", ".join(f"{name} ({table[name].iloc[0]})" for name in table.columns[:4])
        raise PipelineError(
            f"{where}: expected dates, such as 2024-01-31 13:00, in a column of two rows or more, "
            f"or columns year, month, day and hour; found {first}"
        )
    best = max(candidates, key=lambda found: found.share)
    name = ", ".join(best.names)
    if best.format and _times(pd.Series([name]), best.format).notna().all():
        raise PipelineError(
            f"{where}: line 1: expected a name for every column, found values "
            f"({', '.join(map(str, table.columns[:4]))}); write names above, such as time,load"
        )
    if (again := int(best.times.duplicated().sum())) > 0.4 * len(best.times):
        raise PipelineError(
            f"{where}: column {name}: expected one row a time, found {again:,} of "
            f"{len(best.times):,} rows at a time that a row before has; "
            "several series in one file, or a time of day in a column of its own? "
            "make it one series with one column of date and time"
        )
    if best.step >= pd.Timedelta("28D"):
        raise PipelineError(
            f"{where}: column {name}: expected steps of one length (seconds to weeks), "
            "found months or years, whose length differs: such a table cannot be used"
        )
    return best


def _formats(text: pd.Series) -> list[str]:
    """The ways that a column's first and last value may be dates, likelier ones first."""
    if re.fullmatch(r"[-+]?\d*[.,]?\d*", text.iloc[0]) and len(text.iloc[0]) not in (8, 10, 12, 14):
        return []  # a number, and not the digits of a date
    with warnings.catch_warnings(action="ignore"):  # that 31.12.2024 starts with the day
        likely = [
            form
            for day_first in (False, True)
            for end in (str(text.iloc[0]), str(text.iloc[-1]))
            if not (day_first and re.match(r"\d{4}", end))  # no 2024-31-12
            and (form := guess_datetime_format(end, dayfirst=day_first))
            and ("%m" in form or "%b" in form)
        ]
    return list(dict.fromkeys([*likely, *_FORMATS]))


def _written(text: pd.Series, name: str, form: str) -> Stamps | None:
    for rows in (text.head(200), text):  # most guesses fail soon
        times = _times(rows, form)
        if times.notna().mean() < 0.9:
            return None
    return _regularity([name], form, times)


def _times(text: pd.Series, form: str) -> pd.Series:
    return pd.to_datetime(text, format=form, errors="coerce", utc="%z" in form)


def _regularity(names: list[str], form: str | None, times: pd.Series) -> Stamps | None:
    ordered = times.dropna().sort_values()
    steps = ordered.diff().iloc[1:]
    forward = steps[steps > pd.Timedelta(0)]
    if forward.empty:
        return None
    step = forward.mode().iloc[0]
    return Stamps(names, form, ordered, step, int((steps != step).sum()))


def times_of_day(names: Sequence[str]) -> tuple[str, list[str]] | None:
    """Column names that are the times of one whole day and their strptime format, or None."""
    prefixes = [re.match(r"\D*", name)[0] for name in names]  # type: ignore[index]
    prefix = max(prefixes, key=prefixes.count, default="")
    slots = [name for name in names if re.match(re.escape(prefix) + r"\d", name)]
    for form in _TIMES_OF_DAY:
        written = prefix.replace("%", "%%") + form
        times = pd.to_datetime(pd.Series(slots, dtype=str), format=written, errors="coerce")
        steps = times.sort_values().diff().iloc[1:]
        if len(slots) > 1 and (steps == pd.Timedelta("1D") / len(slots)).all():
            return written, slots
    return None


def hours_from_one(names: Sequence[str]) -> list[str]:
    """Column names that count the hours of a day from 1 to 24, such as H1 to H24; or none."""
    for first in names:
        if prefix := re.fullmatch(r"(.*?\D|)0?1", first):
            hours = [f"{prefix[1]}{hour:0{len(first) - len(prefix[1])}}" for hour in range(1, 25)]
            if set(hours) <= set(names):
                return hours
    return []


def frequency(step: pd.Timedelta) -> str:
    """A step as the card writes it: 15min, 1h, 7D."""
    units = (("D", "1D"), ("h", "1h"), ("min", "1min"), ("s", "1s"), ("ms", "1ms"))
    for name, unit in units:
        if step % pd.Timedelta(unit) == pd.Timedelta(0):
            return f"{step // pd.Timedelta(unit)}{name}"
    return str(step)


def season(step: pd.Timedelta, rows: int) -> tuple[int, str]:
    """Rows in one cycle, and its name: the longest natural one that fits often enough."""
    if step < pd.Timedelta("1D"):
        cycles = {"day": "1D", "hour": "1h", "minute": "1min"}
    else:
        cycles = {"week": "7D"} if step < pd.Timedelta("7D") else {"year": "364D"}
    for name, length in cycles.items():
        count = round(pd.Timedelta(length) / step)
        if 1 < count <= rows / 3:
            return count, f"one {name}"
    return 1, "no cycle"


def split(first: pd.Timestamp, rows: int, step: pd.Timedelta) -> dict[str, str]:
    """The last time of each span: 70, 15 and 15 % of the rows, at a day's end in a long series."""
    ends = {name: first + (round(share * rows) - 1) * step for name, share in _SHARES.items()}
    if step < pd.Timedelta("1D") and rows * step >= pd.Timedelta("20D"):
        ends |= {name: ends[name].floor("D") - step for name in ("train", "validation")}
    # With the offset that stamps are written with: naming a zone later must not move the ends.
    return {name: str(end) for name, end in ends.items()}


def finding(column: pd.Series) -> Finding:
    """What a column of strings holds."""
    counts = column.str.strip().value_counts()
    marks = [word for word in counts.index if word.lower() in MISSING]
    known = counts.drop(marks)
    # A decimal comma is a number here, so that ingest may name it and say how to mend it.
    text = pd.Series(known.index, dtype=str).str.replace(",", ".")
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(float)
    words = known[~np.isfinite(numbers)]
    if len(words) <= 3 and words.sum() < known.sum() / 2:  # words among numbers
        marks += list(words.index)
        known, numbers = known.drop(words.index), numbers[np.isfinite(numbers)]
        words = words.iloc[:0]
    absent = int(counts[marks].sum())
    missing = f"{absent:,} missing" if absent else "none missing"
    if known.empty:
        return Finding("empty", used=False)
    if len(known) == 1 or (words.empty and np.ptp(numbers) == 0):
        return Finding(f"never changes: {' '.join(known.index[0].split())}", used=False)
    if not words.empty:
        if len(known) > min(LEVELS, known.sum() / 2):
            note = f"text with {len(known):,} different values"
            if words[words.index.str.fullmatch(_NUMBER_AND_MORE)].sum() > words.sum() / 2:
                note += "; numbers with thousands or units between? write 1210.06"
            return Finding(note, used=False)
        return Finding(f"category, {missing}", True, tuple(sorted(known.index)), tuple(marks))
    if _counts(column.str.strip()):
        return Finding("counts the rows", used=False)
    note = f"number, {numbers.min():g} to {numbers.max():g}, {missing}"
    return Finding(note + _sentinels(known, numbers), missing=tuple(marks))


def _counts(text: pd.Series) -> bool:
    return any(list(text) == [str(row + first) for row in range(len(text))] for first in (0, 1))


def _sentinels(known: pd.Series, numbers: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """A remark on an extreme value that usually stands for a missing one."""
    for extreme in (numbers.min(), numbers.max()):
        rest = numbers[numbers != extreme]
        away = np.abs(rest - extreme).min() > np.ptp(rest)
        if extreme in SENTINELS and (away or extreme < 0 <= rest.min()):
            written = known.index[numbers == extreme][0]
            times = int(known[numbers == extreme].sum())
            remedy = f'missing? then add "{written}" to missing'
            return f"; check: {written} stands {times:,} times, {remedy}"
    return ""


def target(numeric: Sequence[str]) -> str:
    """The column that is likeliest to be forecast: one named like a target, else the last."""
    named = {name.lower(): name for name in numeric}
    return next((named[name] for name in TARGETS if name in named), numeric[-1])

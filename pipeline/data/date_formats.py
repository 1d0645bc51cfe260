"""How a table of strings writes time: in which columns, in which format, in steps of which length.

A reading is a format that takes a column's values; where more than one takes them all, the grid
that the times make says which is meant, or a person has to.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from pipeline.config import frequencies
from pipeline.config.steps import Fixed, Step
from pipeline.config.times import EPOCHS, PARTS
from pipeline.data import cells, frequency_guesses, stamp_text
from pipeline.data.time_formats import clock, fits, formats, is_dates, read_most
from pipeline.errors import PipelineError

_PERIODS = r"(?i)period|interval|slot|^sp$|mtu"  # in the name of a column that numbers them
# Names of columns of ISO 8601's year and week.
_WEEK = r"(?i)(iso[ _]?)?(year|jahr|année)", r"(?i)(iso[ _]?)?(week|wk|kw|woche|semaine)"
HOUR = pd.Timedelta("1h")
MANY = 0.3  # of the rows that a format reads, at least, where some are written in another
_NATURAL = ("1s", "10s", "1min", "5min", "10min", "15min", "30min", "1h", "3h", "6h", "1D", "7D")


@dataclass(frozen=True)
class Stamps:
    """The time of each row, and how it is written."""

    names: list[str]  # the columns that hold it
    format: str | None  # None where year, month, day, ... have a column each
    times: pd.Series  # sorted, without those that could not be read
    frequency: str  # of the most common step
    others: int  # rows that follow the one before by another step
    read: float  # share of the rows that are times in this format
    rows: int  # steps from the first time to the last, both counted
    backwards: int = 0  # rows that are earlier than the one before, but for clocks put back
    round: str | None = None  # what the times were rounded to, where that puts them on one grid
    period: str | None = None  # of a day, which the last column counts
    rivals: tuple[str, ...] = ()  # other formats that read every row, and what they make of it

    @property
    def step(self) -> Step:
        """From a row to the next."""
        return frequencies.step(self.frequency)

    @property
    def absent(self) -> int:
        """Times of the grid that no row has."""
        return max(0, self.rows - self.times.nunique())

    @property
    def present(self) -> float:
        """Share of the grid's times that some row has."""
        return 1 - self.absent / self.rows

    @property
    def score(self) -> float:
        """1 where every row is read and follows the one before by the same step, else less."""
        return self.read * self.present * (1 - self.others / (len(self.times) - 1))

    @property
    def grid(self) -> str:
        """The times in a few words."""
        every = self.step.rows
        first, last = self.times.iloc[0], self.times.iloc[-1]
        absent = f", {1 - self.present:.0%} of the times absent" if self.present < 1 else ""
        return f"{every} from {first:%Y-%m-%d} to {last:%Y-%m-%d}{absent}"


@dataclass(frozen=True)
class Question:
    """A column of times whose format a person has to name."""

    name: str
    samples: list[str]  # its first value, one in the middle and its last
    readings: list[Stamps]  # formats between which the table does not decide

    def __str__(self) -> str:
        """What is asked, in one line."""
        samples = ", ".join(repr(value) for value in self.samples)
        if not self.readings:
            return f"no format is known that reads {samples}"
        return f"{samples} may be " + " or ".join(f"{r.format} ({r.grid})" for r in self.readings)


def stamps(
    table: pd.DataFrame, where: str, form: str | None = None, every: str | None = None
) -> Stamps | Question:
    """How a table of strings writes time: year, month, ... apart, or the most regular column.

    `form` is the strptime format and `every` the frequency, where a person has named them.
    PipelineError if no column holds dates, in one format, or they have no step.
    """
    candidates = _ranked(_readings(table, form, every))
    if not candidates or candidates[0].times.duplicated().mean() > 0.4:
        apart = [*_numbered(table, form, every), *_apart(table, form, every)]
        candidates = _ranked([*candidates, *apart])
    best = candidates[0] if candidates else None
    if best is None:
        column = None if form else _likely(table)
        _check_alike(table, where, [column] if column else [*map(str, table)] if form else [], form)
        if column:
            return Question(column, _samples(table[column]), [])
        first = ", ".join(f"{name} ({table[name].iloc[0]})" for name in table.columns[:4])
        if form:
            raise PipelineError(
                f"{where}: expected a column of times written as {form}, found {first}"
            )
        raise PipelineError(
            f"{where}: expected dates, such as 2024-01-31 13:00, in a column of two rows or more, "
            f"or columns year, month, day and hour, or a date and a time of day; found {first}"
        )
    rivals = [r for r in candidates[1:] if r.names == best.names and r.read == best.read == 1]
    rivals = [rival for rival in rivals if not rival.times.equals(best.times)]
    if rivals and (best.present < 0.5 or rivals[0].score > 0.9 * best.score):
        return Question(best.names[0], _samples(table[best.names[0]]), [best, *rivals])
    best = replace(best, rivals=tuple(f"{r.format} ({r.grid})" for r in rivals))
    if every is None:
        _check(best, table, where)
    return best


def _readings(table: pd.DataFrame, form: str | None, every: str | None) -> list[Stamps]:
    if form is None and set(PARTS[:2]) <= set(table.columns):
        names = [name for name in PARTS if name in table.columns]
        parts = table[names].apply(pd.to_numeric, errors="coerce")
        found = _regularity(names, form, _of_parts(parts), every)
        return [found] if found else []
    readings = []
    for name in table.columns:
        text = table[name].str.strip()
        tries = [form] if form else formats(text)
        readings += [_reading(str(name), text, tried, every) for tried in tries]
    return [reading for reading in readings if reading]


def _reading(name: str, text: pd.Series, form: str, every: str | None) -> Stamps | None:
    """A column's times in a format; as clocks show them where these are steadier than UTC's."""
    if (times := read_most(text, form)) is None:
        return None
    found = _regularity([name], form, times, every)
    parts = text.str.extract(r"^(.*?)\s*(Z|[+-]\d{2}:?\d{2})$")
    if not found or not form.endswith("%z") or parts[1].isin(["Z", "+00:00", "+0000"]).all():
        return found
    shown = _regularity([name], form, stamp_text.read(parts[0], form[:-2].strip()), every)
    if not shown or shown.score <= found.score:
        return found
    return replace(shown, frequency="D") if shown.frequency == "1D" else shown


def _ranked(readings: list[Stamps]) -> list[Stamps]:
    # A number that counts rows may count seconds as well as a date that is written out.
    likely = sorted(readings, key=lambda found: found.format in EPOCHS)
    return sorted(likely, key=lambda found: found.score, reverse=True)


def _regularity(
    names: list[str], form: str | None, times: pd.Series, every: str | None
) -> Stamps | None:
    ordered = times.dropna().sort_values()
    if ordered.nunique() < 2:
        return None
    length, unit = frequency_guesses.usual(ordered), None
    if every is None and (unit := frequency_guesses.jitter(ordered, length)):
        ordered = ordered.dt.round(unit)
        length = frequency_guesses.usual(ordered)
    back = times.dropna().diff().iloc[1:]
    backwards = int(((back < pd.Timedelta(0)) & (back != length - HOUR)).sum())
    moments = pd.DatetimeIndex(ordered.unique())
    frequency = every
    if every is None:
        frequency, beside = frequency_guesses.guess(moments, length)
        unit = unit or beside
        if beside:
            ordered = frequency_guesses.snapped(ordered, frequencies.step(beside))
            moments = pd.DatetimeIndex(ordered.unique())
    step = frequencies.step(str(frequency))
    others, rows = 0, len(moments)
    if step.tells:
        number = pd.Series(step.between(moments[0], pd.DatetimeIndex(ordered)))
        others, rows = int((number.diff().iloc[1:] != 1).sum()), int(number.iloc[-1]) + 1
        if isinstance(step, Fixed):  # where no grid holds, a step may be none of them
            others = int((ordered.diff().iloc[1:] != step.length).sum())
    read = float(times.notna().mean())
    return Stamps(names, form, ordered, str(frequency), others, read, rows, backwards, unit)


def _of_parts(parts: pd.DataFrame) -> pd.Series:
    """Times of columns year, month, ...; where they have no day, the first of the month."""
    return pd.to_datetime(parts if "day" in parts else parts.assign(day=1), errors="coerce")


def _apart(table: pd.DataFrame, form: str | None, every: str | None) -> Iterator[Stamps]:
    """Readings of a date and a time of day, or a year and its week, that have a column each."""
    clocks = {str(name): written for name in table if (written := clock(table[name]))}
    dates = [str(name) for name in table if name not in clocks and is_dates(table[name])]
    years, weeks = ([str(n) for n in table if re.fullmatch(part, str(n))] for part in _WEEK)
    for names in (*product(dates, clocks), *product(years, weeks)):
        forms = ["%G %V"]
        if names[1] in clocks:
            days = formats(table[names[0]].str.strip())
            # A day may be written with its midnight, 2024-01-31 00:00:00.
            forms = [f"{re.sub('%[HMS]', '00', day)} {clocks[names[1]]}" for day in days]
        text = stamp_text.joined(table, names)
        for tried in [form] if form else forms:
            if (times := read_most(text, tried)) is not None:
                found = _regularity([*names], tried, times, every)
                yield from [found] if found else []


def _numbered(table: pd.DataFrame, form: str | None, every: str | None) -> list[Stamps]:
    """Readings of a day and the number of one of its periods, as of the 48 half hours."""
    dates = [str(name) for name in table if is_dates(table[name])]
    readings = []
    for number in (str(name) for name in table if re.search(_PERIODS, str(name))):
        count = pd.to_numeric(table[number], errors="coerce")
        for date in dates:
            of_day = count.groupby(table[date]).max()
            usual = of_day.mode()
            if not (count >= 1).all() or len(usual) == 0 or usual[0] not in (24, 48, 96, 288):
                continue
            length = pd.Timedelta("1D") / int(usual[0])
            for tried in [form] if form else formats(table[date].str.strip()):
                day = re.sub("%[HMS]", "00", tried)  # that may be written with its midnight
                if (days := read_most(table[date].str.strip(), day)) is None:
                    continue
                if found := _regularity([date, number], day, days + (count - 1) * length, every):
                    readings.append(replace(found, period=frequency_guesses.text(length)))
    return readings


def _likely(table: pd.DataFrame) -> str | None:
    """The column that seems to hold times, by its name or its digits."""
    for named in (True, False):
        for name in map(str, table.columns):
            text = table[name].str.strip()
            if text.nunique() < 2 or pd.to_numeric(text, errors="coerce").notna().any():
                continue
            if named and re.search(r"date|time|stamp|datum|zeit|^ds$", name, re.IGNORECASE):
                return name
            digits = (text.str.count(r"\d") >= 4) & ~text.duplicated()
            if not named and digits.mean() > 0.6:
                return name
    return None


def _samples(column: pd.Series) -> list[str]:
    values = column.str.strip()
    return list(dict.fromkeys(values.iloc[[0, len(values) // 2, -1]]))


def check_one(found: Stamps, where: str) -> None:
    """PipelineError if so many times repeat that the rows are of no one series."""
    if (again := int(found.times.duplicated().sum())) > 0.4 * len(found.times):
        raise PipelineError(
            f"{where}: column {', '.join(found.names)}: expected one row for each time, found "
            f"{again:,} of {len(found.times):,} rows that repeat an earlier time, and no column "
            "that tells series apart by names without repeated times; add one"
        )


def _check_alike(table: pd.DataFrame, where: str, names: Sequence[str], form: str | None) -> None:
    """PipelineError names the first row that a format does not read, where it reads many others.

    That is `form`, or the one of a column's that reads most rows.
    """
    for name in names:
        text = table[name].str.strip()
        read = {
            tried: stamp_text.read(text, tried) for tried in ([form] if form else formats(text))
        }
        most = max(read, key=lambda tried: int(read[tried].notna().sum()), default="")
        unread = read[most].isna().to_numpy() if most else np.ones(len(text), bool)
        if not 0 < unread.mean() <= 1 - MANY:
            continue
        first = int(unread.argmax())
        row = table.index[first] if table.index.name == cells.ROW else int(table.index[first]) + 1
        raise PipelineError(
            f"{where}: column {name}, row {row}: expected a time written as {most}, found "
            f"{text.iloc[first][:60]!r}; {unread.sum():,} of {len(text):,} rows are not "
            "written so, and a column needs one format: write them as the others are"
        )


def _check(best: Stamps, table: pd.DataFrame, where: str) -> None:
    """PipelineError if the times are those of no series with a step."""
    column = f"{where}: column {', '.join(best.names)}"
    if best.format and fits(best.names, best.format):
        raise PipelineError(
            f"{where}: line 1: expected a name for every column, found values "
            f"({', '.join(map(str, table.columns[:4]))}); write names above, such as time,load"
        )
    steps, length = np.diff(pd.DatetimeIndex(best.times).as_unit("ns").asi8), best.step.length
    if isinstance(best.step, Fixed) and (steps % length.as_unit("ns").value != 0).mean() > 0.1:
        median = pd.Timedelta(int(np.median(steps[steps > 0])), "ns")
        grid = next((each for each in _NATURAL if pd.Timedelta(each) >= median), "7D")
        raise PipelineError(
            f"{column}: expected steps of one length, found {best.frequency} as the most "
            f"common one in only {1 - best.others / len(steps):.0%} of the rows; resample the "
            f"rows first, for example to the mean of each {grid} (resample in pandas), or take "
            "each row as one step, whatever the time between: --frequency rows"
        )

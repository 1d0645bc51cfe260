"""What a table shows of itself, for a starter card: guesses, each with its reason."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config import frequencies
from pipeline.config.steps import Step
from pipeline.data import (
    cells,
    column_guesses,
    date_formats,
    frequency_guesses,
    number_text,
    series_guesses,
    stamp_text,
    time_formats,
)
from pipeline.data.column_guesses import COUNTS, Finding
from pipeline.data.date_formats import Question, Stamps
from pipeline.data.number_text import PLAIN, Written
from pipeline.data.series_guesses import Names
from pipeline.data.sources import guesses, reading
from pipeline.errors import PipelineError


@dataclass(frozen=True)
class Look:
    """What a table shows of itself."""

    writing: Mapping[str, str]  # how the file is written, by the card's keys
    beside: Mapping[str, Sequence[str]]  # what an archive or a workbook holds, likewise
    written: Written
    unclear: str  # a number that may be meant otherwise, or ""
    renamed: dict[str, str]  # a column's name in the table, and in the card where it is another
    stamps: Stamps | Question
    times_of_day: str | None  # in a wide table, how its columns' names write them
    frequency: str | None  # None where it is not known how time is written
    rows: int  # of the long series
    columns: dict[str, Finding]
    order: dict[str, tuple[str, str]]  # what the card's time allows: key, value and why
    beyond: list[str]  # what is read of times that strptime would not
    series: str = ""  # the column that tells many series apart
    names: int = 1  # of series
    unlike: int = 0  # rows that it does not tell apart
    longest: str = ""  # the series that shows the step
    static: tuple[str, ...] = ()  # columns with one value in each series
    rival: str = ""  # another column that would tell them apart, but for which rows
    zone: str = ""  # that the file names for its times

    @property
    def step(self) -> Step | None:
        """From a row to the next."""
        return frequencies.step(self.frequency) if self.frequency else None

    @property
    def used(self) -> dict[str, Finding]:
        """The columns that a model can use."""
        return {name: found for name, found in self.columns.items() if found.used}

    @property
    def numeric(self) -> dict[str, Finding]:
        """Those of them that are numbers."""
        return {name: found for name, found in self.used.items() if not found.levels}

    @property
    def target(self) -> tuple[str, str]:
        """The column that is likeliest to be forecast, and why it is taken for that."""
        return column_guesses.target(self.numeric)

    @property
    def numbers(self) -> list[tuple[str, str, str]]:
        """The card's keys of how numbers are written: name, value and what to check of them."""
        check = f" # check: {self.unclear} is a whole number?" if self.unclear else ""
        pairs = self.written._asdict().items()
        return [(key, str(mark), check) for key, mark in pairs if mark != getattr(PLAIN, key)]

    @property
    def hours(self) -> str:
        """What is asked where the columns' names may count the hours of a day; else nothing."""
        if not (names := time_formats.hours_perhaps(list(self.columns))):
            return ""
        return (
            f"{names[0]} to {names[-1]}: hours of a day? rename them 00:00 to 23:00 and run "
            "new-dataset again with --force: then they are one hourly series"
        )

    def without(self, unused: Mapping[str, str]) -> "Look":
        """The same without some columns, each with the reason."""
        left_out = {
            name: replace(self.columns[name], used=False, note=reason)
            for name, reason in unused.items()
        }
        return replace(self, columns=self.columns | left_out)


def look(raw: Path, form: str | None = None, every: str | None = None) -> Look:
    """What a table shows, if times are written as `form`, with `every` as the frequency.

    PipelineError: no card describes it.
    """
    writing, beside = guesses.writing(raw)
    table = reading.as_text(reading.read_table(raw, guesses.bare(writing)))
    no_dates = not any(time_formats.is_dates(table[name]) for name in table.columns)
    renamed = column_guesses.renamed([str(name) for name in table.columns], no_dates)
    table = table.rename(columns=renamed)
    zones = {renamed.get(name, name): zone for name, zone in guesses.zones(raw, writing).items()}
    for name, zone in zones.items():
        table[name] = _local(table[name], zone)
    stamps = date_formats.stamps(table, str(raw), form, every)
    names = [stamps.name] if isinstance(stamps, Question) else stamps.names
    apart, series, longest, whole = series_guesses.names(table, names), "", "", table
    if apart:
        series = apart.column
        table[series] = table[series].str.strip()
        longest = str(table[series].value_counts().idxmax())
        table = table[table[series] == longest]
        stamps = date_formats.stamps(table, str(raw), form or _form(stamps), every)
    elif isinstance(stamps, Stamps):
        date_formats.check_one(stamps, str(raw))
    frequency, rows, times = None, len(table), None
    if isinstance(stamps, Stamps):
        frequency, rows = stamps.frequency, stamps.rows
    others = [str(name) for name in table if name not in (*names, series)]
    table, values = whole, None
    daily = frequency is None or frequencies.step(frequency).daily
    if daily and (wide := time_formats.times_of_day(others)):
        times, slots = wide
        values = pd.Series(table[slots].to_numpy().ravel(), name="value", dtype=str)
        frequency = frequency_guesses.text(pd.Timedelta("1D") / len(slots))
        rows *= len(slots)
        rows -= _to_come(table[slots].iloc[-1], times)
        others = [name for name in others if name not in slots]
    dated = {name for name in others if time_formats.is_dates(table[name])}
    numbers = [table[name] for name in others if name not in dated] if values is None else [values]
    written, unclear = number_text.style(numbers)
    dates = Finding(f"dates; the time is made of {', '.join(names)}", used=False)
    columns = {
        name: dates if name in dated else column_guesses.finding(table[name], written=written)
        for name in others
    }
    used = [name for name, found in columns.items() if found.used]
    for name in (name for name in used if columns[name].suspects):
        also = column_guesses.elsewhere(columns[name].suspects, table[used].drop(columns=name))
        columns[name] = replace(columns[name], check=columns[name].check + also)
    if values is not None:  # a wide table has one column
        columns = {name: replace(found, used=False) for name, found in columns.items()}
        columns["value"] = column_guesses.finding(values, len(slots), written)
    order, beyond = {}, []
    if isinstance(stamps, Stamps):
        if stamps.format and not stamps.period:
            beyond = [*stamp_text.beyond(stamp_text.joined(table, names), stamps.format)]
        counted = {name for name, found in columns.items() if found.note == COUNTS}
        order = dict(_order(stamps, whole.drop(columns=list(counted)), apart))
    how = (writing, beside, written, unclear, renamed)
    of_many: dict[str, Any] = {"zone": zones.get(names[0], "")}
    if apart:
        table = table[table[series] != ""]
        columns, static = _static(table, series, columns)
        of_many |= {"series": series, "names": table[series].nunique(), "longest": longest}
        of_many |= {"static": static, "rival": apart.rival}
        of_many["unlike"] = apart.nameless + (0 if "repeated" in order else apart.again)
    seen = Look(*how, stamps, times, frequency, rows, columns, order, beyond, **of_many)
    if not seen.numeric:
        found = "; ".join(f"{name}: {found.note}" for name, found in columns.items()) or "no other"
        raise PipelineError(f"{raw}: expected a column of numbers that change, found {found}")
    return seen


def _static(
    table: pd.DataFrame, series: str, columns: Mapping[str, Finding]
) -> tuple[dict[str, Finding], tuple[str, ...]]:
    """The columns, and which have one value in each series, but for a few rows to check."""
    found, static = dict(columns), []
    for name, one in columns.items():
        if not one.used or name not in table:
            continue
        if (strays := series_guesses.strays(table[name], table[series], one.missing)) is None:
            continue
        static.append(name)
        if len(strays):
            first = strays.index[:1]
            (value,), (of,) = table.loc[first, name].str.strip(), table.loc[first, series]
            check = (
                f"static, so ingest refuses {cells.rows(strays.index)}: expected one value in each "
                f'series, found "{value}" where the other rows of {of} have "{strays.iloc[0]}"; '
                f"correct it in the table, or take {name} out of static"
            )
            found[name] = replace(one, check="; ".join(filter(None, [one.check, check])))
    return found, tuple(static)


def _local(column: pd.Series, zone: str) -> pd.Series:
    """Text of times in UTC as the clocks of a zone show them, where it is of whole seconds."""
    text = column.str.strip()
    times = stamp_text.read(text, "%Y-%m-%d %H:%M:%S%z")
    if times[text != ""].isna().any():
        return column
    return times.dt.tz_convert(zone).dt.strftime("%Y-%m-%d %H:%M:%S%z").fillna("")


def _form(stamps: Stamps | Question) -> str | None:
    return stamps.format if isinstance(stamps, Stamps) else None


def _order(
    stamps: Stamps, table: pd.DataFrame, apart: Names | None
) -> Iterator[tuple[str, tuple[str, str]]]:
    """What is to be done to rows that are not one for each time, in order."""
    back, again = stamps.backwards, int(stamps.times.duplicated().sum())
    if apart:  # the stamps are those of one series
        again = apart.again
        back = series_guesses.backwards(table, apart.column, stamps) if again else back
    if stamps.round:
        yield "round", (stamps.round, "time stamps lie beside the days or times of their steps")
    if back:
        yield "sort", ("true", f"rows earlier than the row before: {back:,}")
    if again and table.duplicated().sum() == again:
        yield "repeated", ("first", f"rows that are another row again: {again:,}")


def _to_come(day: pd.Series, times: str) -> int:
    """How many times of a wide table's last day have no value yet."""
    order = pd.to_datetime(pd.Series(day.index), format=times).argsort()
    marks = column_guesses.MISSING | column_guesses.EITHER
    written = [str(day.iloc[i]).strip().lower() not in marks for i in order]
    return written[::-1].index(True) if any(written) else 0

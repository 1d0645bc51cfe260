"""Which column of a table tells many series apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.data import frequency_guesses, stamp_text
from pipeline.data.date_formats import HOUR, Stamps

LEAST = 8  # rows, on the mean, of what may be a series
TOGETHER = 0.05  # of the rows, at least, repeat a time where there are many series
FEW = 0.05  # of these, at most, may lack a name or repeat a time under their name


@dataclass(frozen=True)
class Names:
    """A column of names, and the rows that it does not tell apart."""

    column: str
    nameless: int = 0
    again: int = 0  # rows whose time an earlier one of their name has


def names(table: pd.DataFrame, time: Sequence[str]) -> Names | None:
    """The column that tells series apart, None if there is none.

    Under each of its names a time stands once. Where no column does so, it may be one that fails
    in few rows, beside rows that are another row again, and has hardly more names than a time has
    rows.
    """
    stamps = table[list(time)].agg(" ".join, axis=1)
    once = ~table.duplicated()
    repeat = int(stamps[once].duplicated().sum())
    # An hour that clocks repeat makes no series of what is measured.
    if repeat < TOGETHER * once.sum():
        return None
    most, nearly = stamps[once].value_counts().max(), []
    for name in (str(name) for name in table if name not in time):
        named = table[name].str.strip() != ""
        count = table.loc[named, name].nunique()
        # Of each name many rows, or nearly every column of numbers would do.
        if not 1 < count <= len(table) / LEAST:
            continue
        again = pd.DataFrame({"time": stamps, "name": table[name]})[named].duplicated()
        found = Names(name, int((~named).sum()), int(again.sum()))
        if not (found.nameless or found.again):
            return found
        wrong = found.nameless + int((again & once[named]).sum())
        if wrong <= FEW * repeat and count <= 2 * most:
            nearly.append((wrong, found))
    return min(nearly, key=lambda pair: pair[0])[1] if nearly else None


def backwards(table: pd.DataFrame, name: str, found: Stamps) -> int:
    """How many rows are earlier than the row before of their name, but for clocks put back.

    0 where the time is made of columns that no format reads.
    """
    if not found.format or found.period:
        return 0
    times = stamp_text.read(stamp_text.joined(table, found.names), found.format)
    steps = times.groupby(table[name]).diff().dropna()
    back = (steps < pd.Timedelta(0)) & (steps != frequency_guesses.usual(found.times) - HOUR)
    return int(back.sum())

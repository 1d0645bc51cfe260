"""Which column of a table tells many series apart."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from pipeline.data import cells, frequency_guesses, stamp_text
from pipeline.data.date_formats import HOUR, Stamps

LEAST = 8  # rows, on the mean, of what may be a series
TOGETHER = 0.05  # of the rows, at least, repeat a time where there are many series
FEW = 0.05  # of these, at most, may lack a name or repeat a time under their name
RARE = 0.002  # of all rows, but one at least, may differ from most rows of their series


@dataclass(frozen=True)
class Names:
    """A column of names, and the rows that it does not tell apart."""

    column: str
    nameless: int = 0
    again: int = 0  # rows whose time an earlier one of their name has
    rival: str = ""  # an earlier column that tells them apart as well, but for which rows


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
    most, rival = stamps[once].value_counts().max(), ""
    nearly: list[tuple[int, Names]] = []
    for name in (str(name) for name in table if name not in time):
        text = table[name].str.strip()
        named = text != ""
        count = text[named].nunique()
        # Of each name many rows, or nearly every column of numbers would do.
        if not 1 < count <= len(table) / LEAST:
            continue
        again = pd.DataFrame({"time": stamps, "name": text})[named].duplicated()
        found = Names(name, int((~named).sum()), int(again.sum()))
        if not (found.nameless or found.again):
            return replace(found, rival=rival)
        wrong = found.nameless + int((again & once[named]).sum())
        if wrong <= FEW * repeat and count <= 2 * most:
            if found.nameless and not nearly:
                rows = cells.rows(table.index[~named])
                rival = f"{name} would tell them apart as well, but has no name in {rows}"
            nearly.append((wrong, found))
    return min(nearly, key=lambda pair: pair[0])[1] if nearly else None


def strays(column: pd.Series, of: pd.Series, missing: Collection[str]) -> pd.Series | None:
    """Of text that has one value in each series: the few rows with another, and what most have.

    None where it has none: more than very few rows differ from most of their series, or what most
    rows have is the same in all series, so that the others may be an event.
    """
    text = column.str.strip()
    known = ~text.isin(["", *missing])
    counts = text[known].groupby(of[known]).value_counts()
    wrong = counts.sum() - counts.groupby(level=0).max().sum()
    if wrong > max(1, RARE * len(column)):
        return None
    usual = counts.groupby(level=0).idxmax().str[1]
    if wrong and usual.nunique() == 1:
        return None
    expected = of[known].map(usual)
    return expected[text[known] != expected]


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

"""A table becomes a regular, typed time series, or one line that says why it cannot."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.cards import Card, Wide
from pipeline.data import cells, timestamps
from pipeline.errors import PipelineError

THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")  # with a comma between them


def numbered(table: pd.DataFrame, card: Card, where: str) -> pd.DataFrame:
    """Raw rows under the card's names, each with its number in the table, from 1, as its index.

    PipelineError of a table without rows, or with a column that has no name of its own.
    """
    if len(table) == 0:
        raise PipelineError(f"{where}: no rows, expected at least one")
    cells.check_names(list(table.columns), where)
    table = table.rename(columns=card.rename)
    if not table.columns.is_unique:
        twice = str(table.columns[table.columns.duplicated()][0])
        raise PipelineError(
            f"{where}: column {cells.quoted([twice])} appears twice, expected it once"
        )
    return cells.as_written(table, card, where).set_axis(range(1, len(table) + 1))


def to_series(
    table: pd.DataFrame,
    card: Card,
    where: str,
    columns: Sequence[str] | None = None,
    step: int | None = None,
) -> pd.DataFrame:
    """Raw rows of one series as `regular_series` makes them, whatever they are numbered."""
    return regular_series(numbered(table, card, where), card, where, columns, step)


def regular_series(
    table: pd.DataFrame,
    card: Card,
    where: str,
    columns: Sequence[str] | None = None,
    step: int | None = None,
) -> pd.DataFrame:
    """Rows as a regular series: float64 and string columns over an unbroken DatetimeIndex.

    Args:
        table: rows of one series as `numbered` gives them, strings or numbers, missing values
            allowed.
        columns: the columns that are needed; all of the card's by default.
        step: of how many rows the shortest step in the table may be at most; of any by default.

    Returns:
        One row for each step of the frequency; what is missing, or absent from the table, is NaN.

    Raises:
        PipelineError: names the column and row that are not as the card says.
    """
    needed = list(card.columns) if columns is None else list(columns)
    if card.wide:
        series = _unfold(table, card, card.wide, where)
    else:
        check_columns(table, card, where, needed)
        times = timestamps.stamps(table, card, where)
        values = {name: read_column(table[name], name, card, where) for name in needed}
        series = pd.DataFrame(values, index=range(len(table))).set_index(times)
    return timestamps.regular(series, card, where, table.index, step)


def check_columns(table: pd.DataFrame, card: Card, where: str, needed: Sequence[str]) -> None:
    """PipelineError of a column that is needed and lacking, or of one that the card does not know.

    Of a wide table, which has a column for each time of day, only what it lacks is told.
    """
    named = [card.series] if card.series else []
    _check_there(table, [*card.time.names, *needed], card, where)
    known = {*card.time.names, *card.columns, *card.excluded, *named}
    unknown = [name for name in map(str, table.columns) if name not in known]
    if unknown and not card.wide:
        plural, it = ("s", "them") if len(unknown) > 1 else ("", "it")
        raise PipelineError(
            f"{where}: unknown column{plural} {cells.quoted(unknown)}; expected those of the card "
            f"({', '.join(sorted(known))}): leave {it} out, or name {it} under columns or "
            "excluded"
        )


def _check_there(table: pd.DataFrame, needed: list[str], card: Card, where: str) -> None:
    if lacking := [name for name in needed if name not in table.columns]:
        lacking, there = _as_in_table(lacking, card), _as_in_table(table.columns, card)
        if card.wide:  # which has a column for each time of day
            there[4:] = ["..."]
        column = "columns" if len(lacking) > 1 else "column"
        raise PipelineError(
            f"{where}: {column} {cells.quoted(lacking)} missing; found {cells.quoted(there)}"
        )


def _as_in_table(names: Iterable[Any], card: Card) -> list[str]:
    written = {name: old for old, name in card.rename.items()}
    return [written.get(str(name), str(name)) for name in names]


def _missing(column: pd.Series, card: Card) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return (column.isna() | column.isin(list(card.missing))).to_numpy()


def read_column(column: pd.Series, name: str, card: Card, where: str) -> pd.Series:
    """A column of `numbered` rows as the card has it: float64, or text of its categories.

    What is missing is NaN; PipelineError names the first row that is not as the card says.
    """
    read = _category if name in card.columns and card.columns[name].categories else _number
    return read(column, name, card, where).reset_index(drop=True)


def _number(column: pd.Series, name: str, card: Card, where: str) -> pd.Series:
    """The column as float64, NaN where missing; PipelineError names the first bad row."""
    if pd.api.types.is_numeric_dtype(column):
        values, missing = column.astype("float64"), column.isna().to_numpy(bool)
    else:
        text = column.astype("str").str.strip()
        missing = _missing(text, card)
        values = timestamps.by_blocks(
            lambda rows: pd.to_numeric(rows, errors="coerce").astype("float64"), text.mask(missing)
        )
    # A mark that is a number may be sent as one, or be written as -999.0 in some rows.
    marks = pd.to_numeric(pd.Series(card.missing, dtype="str"), errors="coerce").dropna()
    if len(marks):
        missing = missing | values.isin(marks).to_numpy()
        values = values.mask(missing)
    # What float32 cannot hold is infinite to a network, and so are its squares to a scale.
    bad = ~missing & ~(values.abs() <= np.finfo(np.float32).max).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        found = str(column.iloc[row])[:60]
        hint = ""
        if THOUSANDS.fullmatch(found):
            hint = f"; a comma between thousands? write {found.replace(',', '')}"
        elif "," in found:
            hint = "; a decimal comma? write 12.5"
        raise PipelineError(
            f"{where}: column {name}, row {column.index[row]}: expected a finite number or one of "
            f"the card's missing marks, found {found!r}{hint}"
        )
    return values


def _category(column: pd.Series, name: str, card: Card, where: str) -> pd.Series:
    categories = card.columns[name].categories
    numbers = pd.api.types.is_float_dtype(column) and all(map(str.isdecimal, categories))
    if numbers and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # levels 1 and 2 become 1.0 and 2.0 beside a missing one
    text = column.astype("str").str.strip()
    known = text.isin(list(categories)).to_numpy()
    missing = _missing(text, card) & ~known  # a level may be called NA
    bad = ~known & ~missing
    if bad.any():
        row = int(bad.argmax())
        raise PipelineError(
            f"{where}: column {name}, row {column.index[row]}: expected one of "
            f"{', '.join(categories)}, found {text.iloc[row][:60]!r}"
        )
    return text.mask(missing)


def _unfold(table: pd.DataFrame, card: Card, wide: Wide, where: str) -> pd.DataFrame:
    """One row a day and a column for each time of day becomes one row for each time."""
    others = {*card.time.names, *card.excluded}
    slots = [str(name) for name in table.columns if name not in others]
    _check_there(table, list(card.time.names), card, where)
    offsets = pd.to_datetime(pd.Series(slots), format=wide.times, errors="coerce")
    if offsets.isna().any():
        raise PipelineError(
            f"{where}: unknown column {slots[int(offsets.isna().to_numpy().argmax())]}; expected "
            f"times of day written as {wide.times}"
        )
    if len(slots) != card.steps_a_day:
        raise PipelineError(
            f"{where}: expected {card.steps_a_day} columns, one every {card.frequency} of a day, "
            f"found {len(slots)}"
        )
    of_day = (offsets - offsets.dt.normalize()).to_numpy()
    order = np.argsort(of_day)
    days = timestamps.stamps(table, card, where)
    if (timed := days != days.normalize()).any():
        row = int(timed.argmax())
        raise PipelineError(
            f"{where}: column {', '.join(card.time.names)}, row {table.index[row]}: expected a day "
            f"without a time, since columns have the times, found {days[row]}"
        )
    name = wide.column
    columns = (_number(table[slots[i]], slots[i], card, where) for i in order)
    values = np.column_stack([column.to_numpy() for column in columns])
    times = pd.DatetimeIndex((days.to_numpy()[:, None] + of_day[order][None, :]).ravel())
    series = pd.DataFrame({name: values.ravel()}, index=times)
    # The last day may still be running: what has not been measured yet is not missing.
    last_day = series[name].notna().to_numpy()[-len(slots) :]
    return series.iloc[: len(series) - int(last_day[::-1].argmax())]


def typed(table: pd.DataFrame, card: Card, columns: Sequence[str]) -> pd.DataFrame:
    """A raw table of strings with the types a caller would send: its time and `columns` alone."""
    result = pd.DataFrame(index=table.index)
    for written in table.columns:
        name = card.rename.get(written, written)
        if name in card.time.names:
            result[written] = pd.to_numeric(table[written]) if card.time.columns else table[written]
        elif name in columns or (card.wide and name not in card.excluded):
            result[written] = read_column(table[written], name, card, "table")
    return result

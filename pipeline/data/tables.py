"""A table becomes a regular, typed time series, or one line that says why it cannot."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.cards import Card
from pipeline.data import cells, row_order, timestamps, wide
from pipeline.data.row_order import Given
from pipeline.data.values import number, read_column
from pipeline.errors import PipelineError

NAMELESS = "Unnamed: 0"  # what pandas calls a first column without a name


def numbered(table: pd.DataFrame, card: Card, where: str) -> pd.DataFrame:
    """Raw rows under the card's names; the index numbers them from 1, or says where each was read.

    PipelineError of a table without rows, or with a column that has no name of its own.
    """
    if len(table) == 0:
        raise PipelineError(f"{where}: no rows, expected at least one")
    cells.check_names(list(table.columns), where)
    names = dict(card.rename)
    if "" in names and "" not in table:
        names[NAMELESS] = names.pop("")
    table = table.set_axis([names.get(name, name) for name in map(str, table)], axis="columns")
    if not table.columns.is_unique:
        twice = str(table.columns[table.columns.duplicated()][0])
        raise PipelineError(
            f"{where}: column {cells.quoted([twice])} appears twice, expected it once"
        )
    named = table.index.name == cells.ROW  # by several files
    rows = table.index if named else range(1, len(table) + 1)
    return cells.as_written(table, card, where).set_axis(rows)


def to_series(
    table: pd.DataFrame,
    card: Card,
    where: str,
    columns: Sequence[str] | None = None,
    step: int | None = None,
) -> pd.DataFrame:
    """Raw rows of one series as `regular_series` makes them, whatever they are numbered."""
    return regular_series(numbered(table, card, where), card, where, columns, step)[0]


def regular_series(
    table: pd.DataFrame,
    card: Card,
    where: str,
    columns: Sequence[str] | None = None,
    step: int | None = None,
) -> tuple[pd.DataFrame, Given]:
    """Rows as a regular series: float64 and string columns over an unbroken DatetimeIndex.

    Args:
        table: rows of one series as `numbered` gives them, strings or numbers, missing values
            allowed.
        columns: the columns that are needed; all of the card's by default.
        step: of how many rows the shortest step in the table may be at most; of any by default.

    Returns:
        One row for each step of the frequency; what is missing, or absent from the table, is NaN.
        And how many rows it was made of, and what was done to them.

    Raises:
        PipelineError: names the column and row that are not as the card says.
    """
    needed = list(card.columns) if columns is None else list(columns)
    if card.wide:
        _check_there(table, list(card.time.names), card, where)
        of_day = wide.times_of_day(table, card, card.wide, where)
        needed, read = list(of_day), number
    else:
        check_columns(table, card, where, needed)
        read = read_column
    times = timestamps.stamps(table, card, where, strict=False)
    columns_read = {name: read(table[name], name, card, where) for name in needed}
    frame = pd.DataFrame(columns_read, index=table.index, copy=False)
    there = np.asarray(times.notna())
    if skipped := int((~there).sum()):
        if frame[~there].notna().any(axis=None):
            timestamps.stamps(table, card, where)  # says which row that is
        frame, times = frame[there], times[there]
    frame, numbers, given = row_order.settle(frame.set_index(times), frame.index, card)
    given = given._replace(skipped=skipped)
    if card.wide:
        frame = wide.unfold(frame, card, card.wide, of_day, where, numbers)
    return timestamps.regular(frame, card, where, numbers, step), given


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


def in_order(table: pd.DataFrame, card: Card) -> pd.DataFrame:
    """Raw rows by time, one for each, where the card allows them in another order, or repeated."""
    if not (card.time.sort or card.time.repeated):
        return table
    times = timestamps.stamps(numbered(table, card, "table"), card, "table", strict=False)
    table, times = table[times.notna()], times[times.notna()]
    order = np.argsort(times.asi8, kind="stable")
    return table.iloc[order[~times[order].duplicated(keep="last")]]


def typed(table: pd.DataFrame, card: Card, columns: Sequence[str]) -> pd.DataFrame:
    """A raw table of strings with the types a caller would send: its time and `columns` alone."""
    result = pd.DataFrame(index=table.index)
    for header in table.columns:
        name, written = card.rename.get(header, header), header or NAMELESS
        if name in card.time.names:
            result[written] = pd.to_numeric(table[header]) if card.time.parts else table[header]
            if pd.api.types.is_datetime64_any_dtype(table[header]):  # of a long table
                result[written] = table[header].dt.strftime(card.time.format).astype("str")
        elif name == card.series:
            result[written] = table[header].astype("str")
        elif name in columns or (card.wide and name not in card.excluded):
            result[written] = read_column(table[header], name, card, "table")
    return result

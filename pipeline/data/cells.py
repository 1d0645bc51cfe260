"""Convert what a caller sends in memory or as JSON to what a CSV file would hold."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.cards import Card
from pipeline.errors import PipelineError

ROW = "row of a file"  # the name of an index that says where each row of a table was read
COLUMNS = 10_000  # beyond them a table is taken for a mistake, before it takes minutes


def check_names(names: Collection[object], where: str) -> None:
    """PipelineError if a column's name is no text, or there are more than any table has."""
    if len(names) > COLUMNS:
        raise PipelineError(f"{where}: expected at most {COLUMNS:,} columns, found {len(names):,}")
    if odd := [name for name in names if not isinstance(name, str)]:
        raise PipelineError(f"{where}: expected column names as text, found {str(odd[0])[:60]}")


def quoted(names: Sequence[str]) -> str:
    """Names in a row, in quotes where a reader could not see them."""
    hidden = {name for name in names if name != name.strip() or not name.isprintable() or not name}
    return ", ".join(repr(name) if name in hidden else name for name in names)


def rows(index: pd.Index) -> str:
    """Rows of a table in words: row 4, or 3 rows (4, 9, 17)."""
    shift = index.name != ROW  # which counts them from 1
    first = ", ".join(str(row + shift) for row in index[:3]) + ", ..." * (len(index) > 3)
    return f"row {first}" if len(index) == 1 else f"{len(index):,} rows ({first})"


def with_time(table: pd.DataFrame, card: Card) -> pd.DataFrame:
    """The table with the stamps of its DatetimeIndex where it lacks the card's time columns."""
    index = table.index
    if not isinstance(index, pd.DatetimeIndex) or set(card.time.names) <= set(table.columns):
        return table
    if index.tz and card.time.timezone:
        index = index.tz_convert(card.time.timezone)
    first, *others = card.time.names
    times: dict[str, Any] = {first: index, **dict.fromkeys(others)}  # of joined ones, in the first
    if card.time.parts:
        times = {name: getattr(index, name) for name in card.time.columns}
    return table.assign(**times).reset_index(drop=True)


def as_written(table: pd.DataFrame, card: Card, where: str) -> pd.DataFrame:
    """The table with text in the place of objects and booleans; numbers and times stay.

    PipelineError names the column and row of a value that no cell of a file can hold.
    """
    written = table.copy(deep=False)
    for name, column in table.items():
        if pd.api.types.is_object_dtype(column) or pd.api.types.is_bool_dtype(column):
            texts = [_text(cell, str(name), i, card, where) for i, cell in enumerate(column, 1)]
            written[name] = pd.array(texts, "str")
    return written


def _text(cell: Any, name: str, row: int, card: Card, where: str) -> str | None:
    """A cell as a file has it; a boolean is the level that reads so, in any case."""
    if not pd.api.types.is_scalar(cell):
        raise PipelineError(
            f"{where}: column {name}, row {row}: expected a number or text, found {str(cell)[:60]}"
        )
    if isinstance(cell, bool | np.bool_):
        word = str(cell).lower()
        levels = card.columns[name].categories if name in card.columns else ()
        same = [level for level in levels if level.lower() == word]
        return same[0] if len(same) == 1 else word
    other = card.decimal != "." and name not in (*card.time.names, *card.excluded)
    if other and isinstance(cell, float | np.floating) and not pd.isna(cell):
        return str(cell).replace(".", card.decimal)
    return None if pd.isna(cell) else str(cell)

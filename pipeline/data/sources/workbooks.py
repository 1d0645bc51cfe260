"""A sheet of a workbook, as of Excel or LibreOffice, as a table of numbers and text."""

import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

import pandas as pd

from pipeline.config.cards import Card
from pipeline.data import cells
from pipeline.data.sources import delimited
from pipeline.errors import PipelineError
from pipeline.runtime import extras


def sheets(content: bytes, where: str) -> dict[str, int]:
    """The sheets of a workbook, and the rows that each has; PipelineError if it is none."""
    book = _open(content, where)
    return {name: book.get_sheet_by_name(name).total_height for name in book.sheet_names}


def blocks(file: BinaryIO, card: Card, where: str, rows: int) -> Iterator[pd.DataFrame]:
    """`parse_table` of a file, whose sheets hold a million rows at most: in one piece."""
    yield parse_table(file.read(), card, where)


def parse_table(content: bytes, card: Card, where: str) -> pd.DataFrame:
    """The sheet that the card names, or the only one: its first row has the columns' names.

    Times are written as by ISO 8601. PipelineError if the file is no workbook, or names are
    lacking.
    """
    book = _open(content, where)
    names = list(book.sheet_names)
    sheet = card.sheet or names[0]
    if sheet not in names or (len(names) > 1 and not card.sheet):
        expected = f"a sheet {card.sheet}" if card.sheet else "one sheet"
        raise PipelineError(
            f"{where}: expected {expected}, found {cells.quoted(names)}; name one in the card's "
            "sheet"
        )
    rows = book.get_sheet_by_name(sheet).to_python(skip_empty_area=True)
    while rows and not any(cell != "" for cell in rows[-1]):
        rows.pop()
    columns = [column for column in zip(*rows, strict=True) if any(cell != "" for cell in column)]
    if not columns:
        raise PipelineError(f"{where}: sheet {sheet}: empty, expected a header line and rows")
    header = ["" if first == "" else str(_shown(first, False)) for first, *_ in columns]
    delimited.check_header(header, card, where)
    if len(rows) == 1:
        raise PipelineError(f"{where}: a header and no rows, expected at least one row")
    return pd.DataFrame(
        {name: _column(column[1:]) for name, column in zip(header, columns, strict=True)}
    )


def _open(content: bytes, where: str) -> Any:
    calamine = extras.calamine()
    try:
        return calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
    except calamine.CalamineError as error:
        raise PipelineError(f"{where}: expected a workbook, found: {error}") from None


def _column(found: Sequence[Any]) -> pd.Series:
    """A column of numbers, or of what its cells show; None where there is nothing."""
    if all(type(cell) in (int, float) or cell == "" for cell in found):
        return pd.Series([None if cell == "" else cell for cell in found], dtype="float64")
    timed = any(isinstance(cell, datetime) for cell in found)  # at midnight a time is a date
    return pd.Series([_shown(cell, timed) for cell in found], dtype=object)


def _shown(cell: Any, timed: bool) -> Any:
    if cell == "":
        return None
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if isinstance(cell, timedelta):  # a time of day from 24:00
        minutes, seconds = divmod(round(cell.total_seconds()), 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
    if timed and isinstance(cell, date) and not isinstance(cell, datetime):
        cell = datetime.combine(cell, time())
    return str(cell) if isinstance(cell, date | time) else cell

"""A column of raw rows becomes numbers, or words of its categories."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.cards import Card
from pipeline.data import number_text, stamp_text
from pipeline.data.number_text import STYLES, Written
from pipeline.errors import PipelineError
from pipeline.files import on_disk

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def _missing(column: pd.Series, card: Card) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return (column.isna() | column.isin(list(card.missing))).to_numpy()


def read_column(column: pd.Series, name: str, card: Card, where: str) -> pd.Series:
    """A column of `numbered` rows as the card has it: float64, or text of its categories.

    What is missing is NaN; PipelineError names the first row that is not as the card says.
    """
    read = category if name in card.columns and card.columns[name].categories else number
    return read(column, name, card, where)


def number(column: pd.Series, name: str, card: Card, where: str) -> pd.Series:
    """The column as float64, NaN where missing; PipelineError names the first bad row."""
    written = Written(card.decimal, card.thousands)
    unit = card.columns[card.wide.column if card.wide else name].unit
    if pd.api.types.is_numeric_dtype(column):
        values = column if column.dtype == np.float64 else column.astype("float64")
        missing = column.isna().to_numpy(bool)
    else:
        text = column.astype("str").str.strip()
        missing = _missing(text, card)
        values = stamp_text.by_blocks(
            lambda rows: number_text.parse(rows, written, unit), text.mask(missing)
        )
    # A mark that is a number may be sent as one, or be written as -999.0 in some rows.
    if len(marks := _numbers(card.missing, written)):
        marked = _each(values, lambda part: np.isin(part, marks))
        if (marked & ~missing).any():
            values = values.mask(marked)
        missing = missing | marked
    # What float32 cannot hold is infinite to a network, and so are its squares to a scale.
    bad = ~missing & ~_each(values, lambda part: np.abs(part) <= np.finfo(np.float32).max)
    if bad.any():
        row = int(bad.argmax())
        found = str(column.iloc[row])[:60]
        raise PipelineError(
            f"{where}: column {name}, row {column.index[row]}: expected a finite number or one of "
            f"the card's missing marks, found {found!r}{_hint(found, written, unit)}"
        )
    return values


@lru_cache
def _numbers(marks: tuple[str, ...], written: Written) -> Floats:
    """The marks that are numbers."""
    return number_text.parse(pd.Series(marks, dtype="str"), written).dropna().to_numpy()


def _each(values: pd.Series, test: Callable[[Floats], Flags]) -> Flags:
    """Of which values something holds, some at a time."""
    numbers = values.to_numpy(np.float64)
    return np.concatenate([test(numbers[part]) for part in on_disk.blocks(len(values))])


def _hint(found: str, written: Written, own: str) -> str:
    """The card's keys that read what is no number as they stand, or the column's own unit."""
    cell = pd.Series([found])
    unit = number_text.unit(cell)
    if unit and own and unit != own:
        return (
            f"; write it in {own}, the column's unit, or make {unit} the unit if all rows have it"
        )
    as_is = written._asdict()

    def named(style: Written) -> list[str]:
        marks = style._asdict().items()
        return [f'{key}: "{mark}"' for key, mark in marks if mark not in (None, as_is[key])]

    for style in sorted((written, *reversed(STYLES)), key=lambda style: len(named(style))):
        if number_text.parse(cell, style, unit).notna().all():
            keys = named(style)
            if unit:
                keys.append(f"{unit} as the column's unit")
            return f"; a number if the card has {' and '.join(keys)}" if keys else ""
    return ""


def category(column: pd.Series, name: str, card: Card, where: str) -> pd.Series:
    """The column as words of its categories; PipelineError names the first bad row."""
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

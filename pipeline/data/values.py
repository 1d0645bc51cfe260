"""A column of raw rows becomes numbers, or words of its categories."""

import re
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.cards import Card
from pipeline.data import stamp_text
from pipeline.errors import PipelineError

THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")  # with a comma between them


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
    if pd.api.types.is_numeric_dtype(column):
        values, missing = column.astype("float64"), column.isna().to_numpy(bool)
    else:
        text = column.astype("str").str.strip()
        missing = _missing(text, card)
        values = stamp_text.by_blocks(
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

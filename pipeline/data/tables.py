"""A table becomes a regular, typed time series, or one line that says why it cannot."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from pipeline.config.cards import Card, Wide
from pipeline.data import cells, timestamps
from pipeline.errors import PipelineError
from pipeline.files.artifacts import sha256

THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")  # with a comma between them


def verify(path: Path, card: Card) -> str:
    """The file's sha256; PipelineError if it is not the one of the file that the card describes."""
    found = sha256(path)
    if card.sha256 and found != card.sha256:
        raise PipelineError(
            f"{path}: not the file its card describes, expected sha256 {card.sha256}, "
            f"found {found}; get it again, or change the card's sha256 if the new file is right"
        )
    return found


def read_table(path: Path, card: Card) -> pd.DataFrame:
    """The CSV file as it stands, every field a string; a malformed file is a PipelineError."""
    try:
        return parse_table(path.read_bytes(), card, str(path))
    except OSError as error:
        raise PipelineError(f"{path}: could not be read: {error.strerror}") from None


def parse_table(content: bytes, card: Card, where: str) -> pd.DataFrame:
    """A CSV file's bytes as a table of strings; PipelineError names a line not as the card says."""
    text = _text(content, card, where)
    del content  # a large file should be held once, not twice, while it is parsed
    if not text:
        raise PipelineError(f"{where}: empty, expected a header line and rows")
    names = _header(text, card, where)
    rows = io.BytesIO(text.encode())
    del text
    try:
        table = pa.csv.read_csv(
            rows,
            # One thread counts the rows, so that an error can name its line.
            read_options=pa.csv.ReadOptions(use_threads=False),
            parse_options=pa.csv.ParseOptions(
                delimiter=card.delimiter, newlines_in_values=True, ignore_empty_lines=False
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        # Arrow counts rows from 1 with the header as the first, as an editor counts lines.
        said = str(error).splitlines()[0].removeprefix("CSV parse error: ")
        said = said.replace("Row #", "line ").replace("Expected", "expected")
        said = said.replace("columns, got", "fields, found")
        raise PipelineError(f"{where}: {said}") from None
    return table.to_pandas()


def _text(content: bytes, card: Card, where: str) -> str:
    """The text without a byte-order mark and the blank lines at its end."""
    try:
        return content.decode(card.encoding).removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = content.count(b"\n", 0, start) + 1
        found = f"byte 0x{content[start]:02x}"
        raise PipelineError(
            f"{where}: line {line}: expected text in {card.encoding}, found {found}; see the "
            "card's encoding"
        ) from None


def _header(text: str, card: Card, where: str) -> list[str]:
    """The columns' names; one in quotation marks may go on in the next line."""
    lines = (line[0] for line in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n|$)", text))
    try:
        names = next(csv.reader(lines, delimiter=card.delimiter, strict=True), [])
    except csv.Error as error:
        raise PipelineError(f"{where}: line 1: expected column names, found {error}") from None
    _check_header(names, card, where)
    if not next(lines, ""):
        raise PipelineError(f"{where}: a header and no rows, expected at least one row")
    return names


def _check_header(names: Sequence[str], card: Card, where: str) -> None:
    if not names:
        raise PipelineError(f"{where}: line 1: expected column names, found an empty line")
    cells.check_names(names, where)
    if nameless := [i + 1 for i, name in enumerate(names) if not name.strip()]:
        count = f"column{'s' * (len(nameless) > 1)} {', '.join(map(str, nameless))}"
        remedy = "write one there"
        if nameless[0] == 1:
            remedy += ", such as time or row (pandas' to_csv: index=False leaves row numbers out)"
        elif nameless[-1] == len(names):
            remedy += f", or delete the {card.delimiter!r} at the end of every line"
        raise PipelineError(
            f"{where}: line 1: expected a name for every column, found none for {count} of "
            f"{len(names)}; {remedy}"
        )
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise PipelineError(f"{where}: column {_names(repeated[:1])} appears twice in the header")
    if len(names) == 1 and len(card.columns) + len(card.time.names) > 1:
        raise PipelineError(
            f"{where}: expected columns separated by {card.delimiter!r}, found one column "
            f"{names[0][:60]!r}; the card's delimiter says what separates them"
        )


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
        raise PipelineError(f"{where}: column {_names([twice])} appears twice, expected it once")
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
            f"{where}: unknown column{plural} {_names(unknown)}; expected those of the card "
            f"({', '.join(sorted(known))}): leave {it} out, or name {it} under columns or "
            "excluded"
        )


def _check_there(table: pd.DataFrame, needed: list[str], card: Card, where: str) -> None:
    if lacking := [name for name in needed if name not in table.columns]:
        lacking, there = _as_in_table(lacking, card), _as_in_table(table.columns, card)
        if card.wide:  # which has a column for each time of day
            there[4:] = ["..."]
        column = "columns" if len(lacking) > 1 else "column"
        raise PipelineError(f"{where}: {column} {_names(lacking)} missing; found {_names(there)}")


def _as_in_table(names: Iterable[Any], card: Card) -> list[str]:
    written = {name: old for old, name in card.rename.items()}
    return [written.get(str(name), str(name)) for name in names]


def _names(names: Sequence[str]) -> str:
    """Names in a row, in quotes where a reader could not see them."""
    hidden = {name for name in names if name != name.strip() or not name.isprintable() or not name}
    return ", ".join(repr(name) if name in hidden else name for name in names)


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
        elif name == card.series:
            result[written] = table[written].astype("str")
        elif name in columns or (card.wide and name not in card.excluded):
            result[written] = read_column(table[written], name, card, "table")
    return result

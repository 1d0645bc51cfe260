"""Delimited text as a table of strings, or one line that says why it is none."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from pipeline.config.cards import Card
from pipeline.data import cells
from pipeline.errors import PipelineError


def parse_table(content: bytes, card: Card, where: str) -> pd.DataFrame:
    """A CSV file's bytes as a table of strings; PipelineError names a line not as the card says."""
    text = _text(content, card, where)
    del content  # a large file should be held once, not twice, while it is parsed
    if not text:
        raise PipelineError(f"{where}: empty, expected a header line and rows")
    names = _header(text, card, where)
    named = _to_the_last(names)
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
    read = table.to_pandas()
    for column in range(named, len(names)):
        if (filled := read.iloc[:, column] != "").any():
            raise PipelineError(
                f"{where}: line 1: expected a name for every column, found none for column "
                f"{column + 1} of {len(names)}, which has {read.iloc[:, column][filled].iloc[0]!r} "
                f"in row {int(filled.to_numpy().argmax()) + 1}; write one there"
            )
    return read.iloc[:, :named] if named < len(names) else read


def _text(content: bytes, card: Card, where: str) -> str:
    """The text without a byte-order mark, and without the lines at its end that have no value."""
    try:
        text = content.decode(card.encoding).removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = content.count(b"\n", 0, start) + 1
        found = f"byte 0x{content[start]:02x}"
        raise PipelineError(
            f"{where}: line {line}: expected text in {card.encoding}, found {found}; see the "
            "card's encoding"
        ) from None

    end = len(text)
    while (line := max(text.rfind("\n", 0, end), text.rfind("\r", 0, end)) + 1) and not text[
        line:end
    ].strip(card.delimiter + "\r\n"):
        end = line - 1
    return text[:end]


def _to_the_last(names: Sequence[str]) -> int:
    """How many columns there are up to the last that has a name."""
    return max((number for number, name in enumerate(names, 1) if name.strip()), default=0)


def _header(text: str, card: Card, where: str) -> list[str]:
    """The columns' names; one in quotation marks may go on in the next line."""
    lines = (line[0] for line in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n|$)", text))
    try:
        names = next(csv.reader(lines, delimiter=card.delimiter, strict=True), [])
    except csv.Error as error:
        raise PipelineError(f"{where}: line 1: expected column names, found {error}") from None
    check_header(names[: _to_the_last(names)], card, where)
    if not next(lines, ""):
        raise PipelineError(f"{where}: a header and no rows, expected at least one row")
    return names


def check_header(names: Sequence[str], card: Card, where: str) -> None:
    """PipelineError of columns without names of their own, or one where there should be more."""
    if not names:
        raise PipelineError(f"{where}: line 1: expected column names, found an empty line")
    cells.check_names(names, where)
    renamed = names[0] in card.rename  # as "" of pandas' and R's row names may be
    if nameless := [
        i + 1 for i, name in enumerate(names) if not name.strip() and (i or not renamed)
    ]:
        count = f"column{'s' * (len(nameless) > 1)} {', '.join(map(str, nameless))}"
        remedy = "write one there, or delete the lines above the names"
        if nameless[0] == 1:
            remedy = 'name it in the card, as in rename: {"": index}'
        raise PipelineError(
            f"{where}: line 1: expected a name for every column, found none for {count} of "
            f"{len(names)}; {remedy}"
        )
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise PipelineError(
            f"{where}: column {cells.quoted(repeated[:1])} appears twice in the header"
        )
    if len(names) == 1 and len(card.columns) + len(card.time.names) > 1:
        raise PipelineError(
            f"{where}: expected columns separated by {card.delimiter!r}, found one column "
            f"{names[0][:60]!r}; the card's delimiter says what separates them"
        )

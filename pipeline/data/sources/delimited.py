"""Delimited text as a table of strings, or one line that says why it is none."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from pipeline.config.cards import Card
from pipeline.data import cells
from pipeline.errors import PipelineError
from pipeline.files import on_disk

PIECE = 2**22  # bytes that are read at once
HEAD = 2**20  # letters among which the header is
LINE_END = re.compile("[\r\n]")


def parse_table(content: bytes, card: Card, where: str) -> pd.DataFrame:
    """A CSV file's bytes as a table of strings; PipelineError names a line not as the card says."""
    parts = [*blocks(io.BytesIO(content), card, where)]
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def blocks(
    file: BinaryIO, card: Card, where: str, rows: int = on_disk.BLOCK
) -> Iterator[pd.DataFrame]:
    """A CSV file as tables of strings, so many rows at a time; one at least.

    PipelineError names a line that is not as the card says.
    """
    text = _text(file, card, where)
    head = "".join(_first(text, HEAD))
    if not head:
        raise PipelineError(f"{where}: empty, expected a header line and rows")
    names = _header(head, card, where)
    named, first = _to_the_last(names), 1
    encoded = io.BufferedReader(_Encoded(chain([head], text)), HEAD)
    for table in in_parts(_batches(encoded, names, card, where), rows):
        read = table.to_pandas()
        for column in range(named, len(names)):
            if (filled := read.iloc[:, column] != "").any():
                raise PipelineError(
                    f"{where}: line 1: expected a name for every column, found none for column "
                    f"{column + 1} of {len(names)}, which has "
                    f"{read.iloc[:, column][filled].iloc[0]!r} in row "
                    f"{first + int(filled.to_numpy().argmax())}; write one there"
                )
        first += len(read)
        yield read.iloc[:, :named] if named < len(names) else read


def in_parts(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Batches as tables of so many rows, the last of which may have fewer."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) < rows:
            continue
        whole = pa.Table.from_batches(waiting)
        many = len(whole) // rows * rows
        yield from (whole.slice(start, rows) for start in range(0, many, rows))
        waiting = [batch for batch in whole.slice(many).to_batches() if len(batch)]
    if waiting:
        yield pa.Table.from_batches(waiting)


def _batches(
    file: BinaryIO, names: Sequence[str], card: Card, where: str
) -> Iterator[pa.RecordBatch]:
    try:
        yield from pa.csv.open_csv(
            file,
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


class _Encoded(io.RawIOBase):
    """Pieces of text as a file in UTF-8."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces, self._left = pieces, b""

    def readable(self) -> bool:
        """It is read, and nothing else."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As much as there is room for; 0 at the end."""
        while not self._left:
            if (piece := next(self._pieces, None)) is None:
                return 0
            self._left = piece.encode()
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


def _first(pieces: Iterator[str], least: int) -> Iterator[str]:
    """Pieces until so many letters are there, or all."""
    length = 0
    while length < least and (piece := next(pieces, None)) is not None:
        length += len(piece)
        yield piece


def _text(file: BinaryIO, card: Card, where: str) -> Iterator[str]:
    """The text in pieces, without a byte-order mark and the lines at its end that have no value."""
    decoder = codecs.getincrementaldecoder(card.encoding)()
    begun, held, lines = False, "", 1
    while True:
        content = file.read(PIECE)
        try:
            text = decoder.decode(content, final=not content)
        except UnicodeError as error:
            read, start = content, 0
            if isinstance(error, UnicodeDecodeError):
                read, start = error.object, error.start
            before = len(read) - len(content)  # bytes of a letter that was begun
            line = lines - read.count(b"\n", 0, before) + read.count(b"\n", 0, start)
            raise PipelineError(
                f"{where}: line {line}: expected text in {card.encoding}, found byte "
                f"0x{read[start]:02x}; see the card's encoding"
            ) from None
        lines += content.count(b"\n")
        if text and not begun:
            begun, text = True, text.removeprefix("\ufeff")
        text = held + text
        last = len(text.rstrip(card.delimiter + "\r\n"))  # what follows may be the end
        end = LINE_END.search(text, last)
        cut = end.start() if end else len(text)
        if cut:
            yield text[:cut]
        held = text[cut:]
        if not content:
            return


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

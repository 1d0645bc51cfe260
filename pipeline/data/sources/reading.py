"""A raw table from its file or files; what a file is, its ending says."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.config.cards import Card
from pipeline.data import cells
from pipeline.data.sources import delimited, parquet, workbooks
from pipeline.errors import PipelineError
from pipeline.files.artifacts import table_sha256
from pipeline.files.layout import matching

Read = Callable[[], bytes]
TEXT = (".csv", ".txt", ".tsv", ".dat")  # but whatever else a file is called, it is read as text
TYPED: dict[str, Callable[[bytes, Card, str], pd.DataFrame]] = {
    **dict.fromkeys((".parquet", ".pq"), parquet.parse_table),
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), workbooks.parse_table),
}


def verify(path: Path, card: Card) -> str:
    """The table's sha256; PipelineError if it is not the one of the table that the card describes.

    See `artifacts.table_sha256`.
    """
    found = table_sha256(path)
    if card.sha256 and found != card.sha256:
        raise PipelineError(
            f"{path}: not the file its card describes, expected sha256 {card.sha256}, "
            f"found {found}; get it again, or, if the new one is right: python -m pipeline "
            f"snapshot {path.parent.name}"
        )
    return found


def read_table(path: Path, card: Card) -> pd.DataFrame:
    """The table as it stands, in one file or below each other in several.

    Every field of a text is a string; a workbook and Parquet have numbers as numbers, and times as
    ISO 8601 writes them: 2024-01-31 13:00:00. PipelineError if it is malformed.
    """
    parts = [
        (where, _parsed(where, read, card))
        for file in matching(path) or [path]
        for where, read in contents(file, card)
    ]
    return parts[0][1] if len(parts) == 1 else _joined(parts)


def kind(where: str) -> str:
    """The ending that says what a file is, whether it is compressed or not."""
    return Path(where.lower().removesuffix(".gz")).suffix


def contents(file: Path, card: Card) -> Iterator[tuple[str, Read]]:
    """The name of the table in a file, or of each in an archive, and what reads its bytes."""
    if kind(file.name) != ".zip":
        yield str(file), lambda: _unzipped(str(file), _read(file))
        return
    with _archive(file) as archive:
        names = list(_sizes(archive))
        wanted = [name for name in names if fnmatch(name, card.member or "*")]
        if not wanted or (len(wanted) > 1 and not card.member):
            expected = f"a file {card.member}" if card.member else "one file"
            raise PipelineError(
                f"{file}: expected {expected} in the archive, found {cells.quoted(names)}; name "
                "one, or a pattern such as *.csv, in the card's member"
            )
        for name in wanted:
            yield f"{file}/{name}", partial(_member, archive, name)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    return _unzipped(name, archive.read(name))


def members(file: Path) -> dict[str, int]:
    """The files in an archive and the bytes that each has."""
    with _archive(file) as archive:
        return _sizes(archive)


def _sizes(archive: zipfile.ZipFile) -> dict[str, int]:
    files = [one for one in archive.infolist() if not one.is_dir()]
    return {one.filename: one.file_size for one in files if not one.filename.startswith("__MACOSX")}


@contextmanager
def _archive(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(io.BytesIO(_read(file))) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise PipelineError(f"{file}: expected a zip archive, found: {error}") from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PipelineError(f"{file}: could not be read: {error.strerror}") from None


def _unzipped(where: str, content: bytes) -> bytes:
    if not where.lower().endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise PipelineError(f"{where}: expected a whole gzip file, found {error}") from None


def _parsed(where: str, read: Read, card: Card) -> pd.DataFrame:
    parse = TYPED.get(kind(where), delimited.parse_table)
    # The bytes have no name here: a large file should be held once while it is parsed.
    table = parse(read(), card, where)
    if parse is delimited.parse_table:
        return table
    named = cells.as_written(table.rename(columns=card.rename), card, where)
    return named.set_axis(table.columns, axis=1)


def _joined(parts: list[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """Tables of the same columns below each other; a row is known by its number and its file."""
    (first, one), *others = parts
    for where, other in others:
        if other_names := set(one.columns) ^ set(other.columns):
            lacks = [name for name in one.columns if name in other_names]
            has = [name for name in other.columns if name in other_names]
            said = [f"no column {cells.quoted(lacks)}"] * bool(lacks)
            said += [f"a further column {cells.quoted(has)}"] * bool(has)
            raise PipelineError(
                f"{where}: expected the columns of {Path(first).name}, found {' and '.join(said)}"
            )
    whole = pd.concat([table for _, table in parts], ignore_index=True)
    rows = [f"{row} of {Path(w).name}" for w, t in parts for row in range(1, len(t) + 1)]
    return whole.set_axis(pd.Index(rows, name=cells.ROW))


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """A table as if it had been read from text: numbers by their digits, nothing where missing."""
    return table.apply(_digits).set_axis(range(len(table)))


def _digits(column: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("str").mask(column.isna(), "")

"""A raw table from its file or files; what a file is, its ending says."""

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from pipeline.config.cards import Card
from pipeline.data import cells
from pipeline.data.sources import delimited, parquet, workbooks
from pipeline.errors import PipelineError
from pipeline.files import on_disk
from pipeline.files.artifacts import table_sha256
from pipeline.files.layout import matching

Open = Callable[[], BinaryIO]
Blocks = Callable[[BinaryIO, Card, str, int], Iterator[pd.DataFrame]]
TEXT = (".csv", ".txt", ".tsv", ".dat")  # but whatever else a file is called, it is read as text
BLOCKS: dict[str, Blocks] = {  # of a file with types
    **dict.fromkeys((".parquet", ".pq"), parquet.blocks),
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), workbooks.blocks),
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
    return joined(blocks(path, card))


def blocks(path: Path, card: Card, rows: int = on_disk.BLOCK) -> Iterator[tuple[str, pd.DataFrame]]:
    """The same so many rows or some more at a time, each with the name of its file."""
    for file in matching(path) or [path]:
        for where, opened in contents(file, card):
            with opened() as stream, readable(where):
                for table in BLOCKS.get(kind(where), delimited.blocks)(stream, card, where, rows):
                    yield where, _plain(table, card, where)


def kind(where: str) -> str:
    """The ending that says what a file is, whether it is compressed or not."""
    return Path(where.lower().removesuffix(".gz")).suffix


def is_table(where: str) -> bool:
    """Whether a file's ending is one of a table."""
    return kind(where) in (*TEXT, *BLOCKS)


def contents(file: Path, card: Card) -> Iterator[tuple[str, Open]]:
    """The name of the table in a file, or of each in an archive, and what opens it."""
    if kind(file.name) != ".zip":
        yield str(file), partial(_opened, file)
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


def _opened(file: Path) -> BinaryIO:
    try:
        return _unzipped(file.name, file.open("rb"))
    except OSError as error:
        raise PipelineError(f"{file}: could not be read: {error.strerror}") from None


def _member(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    with _damaged(archive.filename):
        return _unzipped(name, archive.open(name))


def _unzipped(name: str, stream: Any) -> Any:
    return gzip.GzipFile(fileobj=stream) if name.lower().endswith(".gz") else stream


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
        opened = file.open("rb")
    except OSError as error:
        raise PipelineError(f"{file}: could not be read: {error.strerror}") from None
    with opened, _damaged(str(file)), zipfile.ZipFile(opened) as archive:
        yield archive


@contextmanager
def _damaged(archive: str | None) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise PipelineError(f"{archive}: expected a zip archive, found: {error}") from None


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Say in one line what is wrong with a compressed file, or a part of one."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        if where.lower().endswith(".gz"):
            raise PipelineError(f"{where}: expected a whole gzip file, found {error}") from None
        raise
    except zipfile.BadZipFile as error:
        raise PipelineError(f"{where}: expected a whole file in the archive: {error}") from None


def _plain(table: pd.DataFrame, card: Card, where: str) -> pd.DataFrame:
    """What a file with types has, as text holds it; text is so already."""
    if kind(where) not in BLOCKS:
        return table
    named = cells.as_written(table.rename(columns=card.rename), card, where)
    return named.set_axis(table.columns, axis=1)


def joined(blocks: Iterable[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """Blocks of one file or several below each other."""
    by_file: dict[str, list[pd.DataFrame]] = {}
    for where, table in blocks:
        by_file.setdefault(where, []).append(table)
    parts = [
        (where, tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True))
        for where, tables in by_file.items()
    ]
    return parts[0][1] if len(parts) == 1 else _joined(parts)


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

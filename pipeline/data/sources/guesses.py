"""How a table's files are written, guessed from their bytes, by the card's keys."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.cards import Card
from pipeline.config.times import Time
from pipeline.data.sources import parquet, reading, workbooks
from pipeline.errors import PipelineError
from pipeline.files.layout import matching


def bare(writing: Mapping[str, str]) -> Card:
    """A card that knows no more than how a file is written: enough to read its cells."""
    keys: Any = writing
    known: Any = {"columns": {}, "rename": {"": "index"}}
    return Card.model_construct(time=Time.model_construct(), **known, **keys)


def writing(raw: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Keys of the card for a table's files; for member and sheet, all that there are."""
    keys: dict[str, str] = {}
    beside: dict[str, list[str]] = {}
    first, *_ = files = matching(raw)
    if reading.kind(first.name) == ".zip" and len(sizes := reading.members(first)) > 1:
        tables = {name: size for name, size in sizes.items() if reading.is_table(name)}
        keys["member"], beside["member"] = _largest(tables or sizes), list(sizes)
    where, content = next(_whole(first, bare(keys)))
    if (blocks := reading.BLOCKS.get(reading.kind(where))) is not None:
        if blocks == workbooks.blocks and len(rows := workbooks.sheets(content, where)) > 1:
            keys["sheet"], beside["sheet"] = _largest(rows), list(rows)
        if blocks == parquet.blocks and (query := parquet.query(content)):
            keys["query"] = query
        return keys, beside
    if not content:
        raise PipelineError(f"{where}: empty, expected a header line and rows")
    parts = (content for file in files for _, content in _whole(file, bare(keys)))
    found = [encoding(part) for part in parts]
    written = next((name for name in found if name != "utf-8"), "utf-8")
    return keys | {"encoding": written, "delimiter": delimiter(content, written, where)}, beside


def zones(raw: Path, keys: Mapping[str, str]) -> dict[str, str]:
    """The time zone that Parquet names for a column of times, where its clocks are not UTC's."""
    found: dict[str, str] = {}
    for where, opened in reading.contents(matching(raw)[0], bare(keys)):
        if reading.BLOCKS.get(reading.kind(where)) == parquet.blocks:
            with opened() as stream:
                found |= parquet.zones(stream.read())
    return found


def _whole(file: Path, card: Card) -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of each table in a file."""
    for where, opened in reading.contents(file, card):
        with opened() as stream, reading.readable(where):
            yield where, stream.read()


def _largest(sizes: Mapping[str, int]) -> str:
    return max(sizes, key=lambda name: sizes[name])


def encoding(content: bytes) -> str:
    """utf-8 where a file is; else UTF-16 by its byte-order mark, or Latin-1."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def delimiter(content: bytes, encoding: str, where: str) -> str:
    """What cuts most lines into equally many fields; PipelineError if nothing cuts the first."""
    with io.TextIOWrapper(io.BytesIO(content), encoding, "replace", newline="") as file:
        lines = [line for _, line in zip(range(100), file, strict=False)]

    def fields(mark: str) -> tuple[float, int]:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=mark) if row]
        except csv.Error:
            return 0.0, 0
        header = counts[0] if counts else 0
        return (counts.count(header) / len(counts), header) if header > 1 else (0.0, 0)

    best = max((",", ";", "\t", "|"), key=fields)
    if fields(best) == (0.0, 0):
        raise PipelineError(
            f"{where}: line 1: expected the names of two columns or more, separated by a comma, "
            f"semicolon, tabulator or |, found {lines[0].strip()[:60]!r}; delete the lines above "
            "the names, or put one of these between them"
        )
    return best

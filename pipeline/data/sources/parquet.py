"""Parquet, and what else Arrow holds, as a table of numbers and text."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.cards import Card
from pipeline.errors import PipelineError

UNITS = ("s", "ms", "us", "ns")
QUERY = b"query"  # in the metadata of a snapshot: what the database was asked
_CLOCKLESS = r"(?i)(etc/)?(utc|gmt|zulu|z)|[+-]\d{2}:?\d{2}"
NAMELESS = "__index_level_0__"  # what pandas calls an index without a name


def blocks(file: BinaryIO, card: Card, where: str, rows: int) -> Iterator[pd.DataFrame]:
    """A Parquet file as `to_frame` has it, so many rows at a time; one block at least.

    PipelineError if it is no Parquet.
    """
    try:
        whole = file if isinstance(file, io.BufferedReader) else _whole(file)
        source = pq.ParquetFile(whole, pre_buffer=False)  # or it would hold all it has read
        units = _units(source)
        parts = source.iter_batches(rows) if source.metadata.num_rows else [_none(source)]
        for batch in parts:
            yield to_frame(pa.Table.from_batches([batch]), where, units)
    except (pa.ArrowInvalid, OSError) as error:
        raise PipelineError(
            f"{where}: expected Parquet, found {str(error).splitlines()[0]}"
        ) from None


def _whole(file: BinaryIO) -> io.BytesIO:
    """What is compressed cannot be read from its end, where Parquet begins."""
    return io.BytesIO(file.read())


def _none(source: pq.ParquetFile) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], source.schema_arrow)


def _units(source: pq.ParquetFile) -> dict[str, str]:
    """Of each column of times the unit whose digits are enough for all of its rows."""
    found = {}
    for field in source.schema_arrow:
        if not pa.types.is_timestamp(field.type):
            continue
        unit = UNITS[0]
        for batch in source.iter_batches(columns=[field.name]):
            unit = _unit(batch.column(0), UNITS[UNITS.index(unit) :])
        found[field.name] = unit
    return found


def query(content: bytes) -> str | None:
    """What a database was asked for a snapshot."""
    metadata = pq.read_schema(io.BytesIO(content)).metadata or {}
    return metadata[QUERY].decode() if QUERY in metadata else None


def zones(content: bytes) -> dict[str, str]:
    """The time zone of each column of times that has one by its name, other than UTC."""
    fields = pq.read_schema(io.BytesIO(content))
    named = {_name(field.name): getattr(field.type, "tz", None) for field in fields}
    zones = {name: str(zone) for name, zone in named.items() if zone}
    return {name: zone for name, zone in zones.items() if not re.fullmatch(_CLOCKLESS, zone)}


def _name(written: str) -> str:
    return "index" if written == NAMELESS else written


def to_frame(table: pa.Table, where: str, units: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Numbers as they are; text, and times as ISO 8601 writes them; None where missing.

    Single and decimal numbers become the double that their shortest text reads as. Times have as
    many digits as they need, or those of `units`, by column. PipelineError names a column of
    another kind.
    """
    columns: dict[str, pd.Series] = {}
    for written, column in zip(table.column_names, table.columns, strict=True):
        name = _name(written)
        if written == NAMELESS and pa.types.is_integer(column.type):
            continue  # row numbers
        if name in columns:
            raise PipelineError(f"{where}: column {name} appears twice, expected it once")
        columns[name] = _plain(column, name, where, (units or {}).get(written)).to_pandas()
    return pd.DataFrame(columns)


def _plain(column: pa.ChunkedArray, name: str, where: str, unit: str | None) -> pa.ChunkedArray:
    of = column.type
    if pa.types.is_dictionary(of):
        return _plain(column.cast(of.value_type), name, where, unit)
    if pa.types.is_boolean(of) or pa.types.is_integer(of) or pa.types.is_float64(of):
        return column
    if pa.types.is_null(of):
        return column.cast(pa.float64())
    if pa.types.is_floating(of) or pa.types.is_decimal(of):
        return column.cast(pa.string()).cast(pa.float64())
    if pa.types.is_timestamp(of):
        return _stamps(column, unit)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if any(is_text(of) for is_text in (*texts, pa.types.is_date, pa.types.is_time)):
        return column.cast(pa.string())
    raise PipelineError(
        f"{where}: column {name}: expected numbers, text or times, found {of}; leave it out"
    )


def _stamps(column: pa.ChunkedArray, unit: str | None) -> pa.ChunkedArray:
    """Times with the unit's digits, or as many as they need, in UTC where they have a zone."""
    of = pa.timestamp(unit or _unit(column), "UTC" if column.type.tz else None)
    return column.cast(of).cast(pa.string())


def _unit(column: pa.ChunkedArray, units: Sequence[str] = UNITS) -> str:
    """The first unit that holds all digits."""
    for unit in units:
        with suppress(pa.ArrowInvalid):  # it would lose digits
            column.cast(pa.timestamp(unit, column.type.tz))
            return unit
    raise AssertionError("its own unit loses none")

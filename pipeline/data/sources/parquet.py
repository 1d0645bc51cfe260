"""Parquet, and what else Arrow holds, as a table of numbers and text."""

import io
from contextlib import suppress

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.cards import Card
from pipeline.errors import PipelineError

UNITS = ("s", "ms", "us", "ns")
QUERY = b"query"  # in the metadata of a snapshot: what the database was asked
NAMELESS = "__index_level_0__"  # what pandas calls an index without a name


def parse_table(content: bytes, card: Card, where: str) -> pd.DataFrame:
    """A Parquet file's bytes as `to_frame` has them; PipelineError if they are none."""
    try:
        return to_frame(pq.read_table(io.BytesIO(content)), where)
    except (pa.ArrowInvalid, OSError) as error:
        raise PipelineError(
            f"{where}: expected Parquet, found {str(error).splitlines()[0]}"
        ) from None


def query(content: bytes) -> str | None:
    """What a database was asked for a snapshot."""
    metadata = pq.read_schema(io.BytesIO(content)).metadata or {}
    return metadata[QUERY].decode() if QUERY in metadata else None


def to_frame(table: pa.Table, where: str) -> pd.DataFrame:
    """Numbers as they are; text, and times as ISO 8601 writes them; None where missing.

    Single and decimal numbers become the double that their shortest text reads as. PipelineError
    names a column of another kind.
    """
    columns: dict[str, pd.Series] = {}
    for written, column in zip(table.column_names, table.columns, strict=True):
        name = "index" if written == NAMELESS else written
        if written == NAMELESS and pa.types.is_integer(column.type):
            continue  # row numbers
        if name in columns:
            raise PipelineError(f"{where}: column {name} appears twice, expected it once")
        columns[name] = _plain(column, name, where).to_pandas()
    return pd.DataFrame(columns)


def _plain(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    of = column.type
    if pa.types.is_dictionary(of):
        return _plain(column.cast(of.value_type), name, where)
    if pa.types.is_boolean(of) or pa.types.is_integer(of) or pa.types.is_float64(of):
        return column
    if pa.types.is_null(of):
        return column.cast(pa.float64())
    if pa.types.is_floating(of) or pa.types.is_decimal(of):
        return column.cast(pa.string()).cast(pa.float64())
    if pa.types.is_timestamp(of):
        return _stamps(column)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if any(is_text(of) for is_text in (*texts, pa.types.is_date, pa.types.is_time)):
        return column.cast(pa.string())
    raise PipelineError(
        f"{where}: column {name}: expected numbers, text or times, found {of}; leave it out"
    )


def _stamps(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times with as many digits as they need, in UTC where they have a zone."""
    for unit in UNITS:
        with suppress(pa.ArrowInvalid):  # it would lose digits
            return column.cast(pa.timestamp(unit, "UTC" if column.type.tz else None)).cast(
                pa.string()
            )
    raise AssertionError("its own unit loses none")

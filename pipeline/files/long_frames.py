"""A frame of many rows from its Parquet file, its times and numbers on disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.files import artifacts, on_disk


def read(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """`artifacts.read_frame` of a frame over times; what is long lies on disk."""
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:  # or it would hold all it read
            schema, rows = file.schema_arrow, file.metadata.num_rows
            index = _index(schema)
            names = [
                name
                for name in schema.names
                if (columns is None or name in columns)
                and pa.types.is_float64(schema.field(name).type)
            ]
            if index is None or not names or rows * 8 < on_disk.LONG:
                return artifacts.read_frame(path, columns)
            numbers = {name: on_disk.zeros((rows,), np.float64) for name in names}
            times = on_disk.zeros((rows,), np.int64)
            first = 0
            for batch in file.iter_batches(on_disk.BLOCK, columns=[*names, index]):
                part = slice(first, first + len(batch))
                for name, values in numbers.items():
                    values[part] = batch.column(name).to_numpy(zero_copy_only=False)
                times[part] = batch.column(index).cast(pa.int64()).to_numpy()
                first = part.stop
            stamps = times.view(f"datetime64[{schema.field(index).type.unit}]")
    except (OSError, ValueError) as error:
        raise artifacts.broken(path, error) from None
    found = pd.DatetimeIndex(stamps, name=index, copy=False)
    if zone := schema.field(index).type.tz:
        found = found.tz_localize("UTC").tz_convert(zone)
    wanted = [name for name in schema.names if name != index] if columns is None else columns
    others = [name for name in wanted if name not in numbers]
    parts: dict[str, Any] = dict(numbers)
    if others:
        beside = artifacts.read_frame(path, others).set_axis(found)
        parts |= {name: beside[name] for name in others}
    parts = {name: parts[name] for name in wanted}
    pa.default_memory_pool().release_unused()
    return pd.DataFrame(parts, index=found, copy=False)


def _index(schema: pa.Schema) -> str | None:
    """The column that is the frame's index, if it is one of times."""
    about = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    names = about.get("index_columns", [])
    one = names[0] if len(names) == 1 and isinstance(names[0], str) else None
    return one if one and pa.types.is_timestamp(schema.field(one).type) else None

"""A table of many rows, read some at a time: its times and numbers as such, on disk."""

from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config.cards import Card
from pipeline.config.times import EPOCHS, QUARTER, Interval, whole_week
from pipeline.data import tables, timestamps
from pipeline.data.sources import reading
from pipeline.data.values import read_column
from pipeline.files import on_disk


def read(path: Path, card: Card, rows: int | None = None) -> pd.DataFrame:
    """The raw table as `reading.read_table` has it; of more rows than a block, what can be narrow.

    That are numbers, as float64, and the time of one column, as datetime64: text takes many times
    the memory. What the card excludes is then left out.

    PipelineError names the first row that is not as the card says.
    """
    blocks = reading.blocks(path, card, rows or on_disk.BLOCK)
    first = [*islice(blocks, 2)]
    one_file = len({where for where, _ in first}) == 1
    if len(first) < 2 or not one_file or card.wide:
        return reading.joined(chain(first, blocks))
    return _narrow(chain(first, blocks), card)


def _narrow(blocks: Iterable[tuple[str, pd.DataFrame]], card: Card) -> pd.DataFrame:
    narrow: dict[str, on_disk.Growing] = {}
    zones: dict[str, Any] = {}
    text: dict[str, list[pd.Series]] = {}
    count, head = 0, pd.DataFrame()
    for where, block in blocks:
        part = tables.numbered(block, card, where)
        part = part.set_axis(range(count + 1, count + 1 + len(part)))
        head = part.iloc[:1] if head.empty else head
        count += len(part)
        for written, name in zip(block.columns, part.columns, strict=True):
            if name in card.excluded:
                continue
            if name == card.time.column and _plain(str(card.time.format)):
                # Offsets are to be those of the first row.
                times = timestamps.as_written(pd.concat([head, part]), card, where).iloc[1:]
                zones[written] = times.dt.tz
                values = pd.DatetimeIndex(times).tz_localize(None).to_numpy()
            elif name in card.columns and not card.columns[name].categories:
                values = read_column(part[name], str(name), card, where).to_numpy()
            else:
                text.setdefault(written, []).append(part[name])
                continue
            narrow.setdefault(written, on_disk.Growing(values.dtype)).append(values)
    columns: dict[str, Any] = {}
    for written in [*narrow, *text]:
        if written in text:
            columns[written] = pd.concat(text.pop(written), ignore_index=True)
            continue
        column = pd.Series(narrow.pop(written).array(), copy=False)
        if zone := zones.get(written):
            column = column.dt.tz_localize(zone)
        columns[written] = column
    return pd.DataFrame(columns, copy=False)


def _plain(form: str) -> bool:
    """Whether a time that is written in a format is read as it was."""
    special = form in EPOCHS or Interval.of(form).last is not None or whole_week(form)
    return not special and QUARTER not in form

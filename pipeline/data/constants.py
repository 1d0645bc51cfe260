"""Columns that never change: in the whole table, where a model learns, or where it is scored."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.config.cards import Card
from pipeline.data.panel import Panel
from pipeline.data.splits import SCORED
from pipeline.data.windows import Rows
from pipeline.files import on_disk


def only(column: pd.Series) -> Any:
    """The value of all rows that have one; None if there are others, or none at all."""
    there = column.notna().to_numpy()
    if not there.any():
        return None
    first = column.iloc[int(there.argmax())]
    parts = on_disk.blocks(len(column))
    others = ((there[part] & (column.iloc[part] != first).to_numpy(bool)).any() for part in parts)
    return None if any(others) else first


def remarks(series: Panel, train: Rows, card: Card, by_series: bool) -> Iterator[str]:
    """A line for each column that changes, but not in the training rows, [S, 2] of each series.

    Where series have units of their own, numbers that differ between them alone are all the same
    to a model.
    """
    for name in map(str, series.frame):
        column = series.frame[name]
        alike = not (by_series and name in card.numeric and name not in card.static)
        if not (found := _found(column, train, alike)) or only(column) is not None:
            continue
        where = "the training span of every series" if card.series else "the training span"
        value = next(iter(found))
        shown = f", {value if isinstance(value, str) else f'{value:g}'}"
        if len(found) > 1:
            where, shown = "each series' training span", ""
        yield (
            f"warning: column {name} has one value in {where}{shown}, so a model can learn nothing "
            "from it"
        )


def unscored(series: Panel, targets: Sequence[str], spans: Mapping[str, Rows]) -> Iterator[str]:
    """A line for each target that never changes in a scored span, [S, 2] of each series."""
    for span in SCORED:
        for name in targets:
            for value in _found(series.frame[name], spans[span], alike=True):
                yield (
                    f"split.{span}: target {name} is {value:g} wherever it has a value, so R2 "
                    "there is 1 without any error and 0 with one"
                )


def _found(column: pd.Series, rows: Rows, alike: bool) -> dict[Any, None]:
    """The values of series that have one each in these rows; none if one has more.

    Nor if they differ, where they have to be `alike`.
    """
    found: dict[Any, None] = {}
    for first, end in rows:
        if (part := column.iloc[first:end]).isna().all():
            continue
        found[only(part)] = None
        if None in found or (alike and len(found) > 1):
            return {}
    return found

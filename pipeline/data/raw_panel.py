"""A raw table of many series becomes a panel, or a line for each series that says why it cannot."""

import difflib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.cards import Card
from pipeline.data import tables
from pipeline.data.panel import Borders, Panel, first_faults, joined, listed
from pipeline.data.row_order import Given
from pipeline.data.values import read_column
from pipeline.errors import PipelineError


def to_panel(
    table: pd.DataFrame,
    card: Card,
    where: str,
    columns: Sequence[str] | None = None,
    step: int | None = None,
    wanted: Sequence[str] | None = None,
    key: str = "ingest.series",
) -> tuple[Panel, list[Given]]:
    """Raw rows as a panel, how many of them each series had, and what was done to them.

    Args:
        table: raw rows with the card's raw columns, strings or numbers, missing values allowed;
            those of a series in order of time, unless the card's time.sort allows another, the
            series in any order.
        columns: the columns that are needed; all of the card's by default.
        step: of how many rows the shortest step in a series may be at most; of any by default.
        wanted: the names of the series that are used; all by default. `key` asks for them.

    Raises:
        PipelineError: a line for each series that is not as the card says, by its name; or names
            the column that is lacking, or the series.
    """
    table = tables.numbered(table, card, where)
    if not card.series:
        frame, given = tables.regular_series(table, card, where, columns, step)
        return Panel(frame, Borders.of({"": len(frame)})), [given]
    needed = list(card.columns) if columns is None else list(columns)
    tables.check_columns(table, card, where, [card.series, *([] if card.wide else needed)])
    names, of = _names(table[card.series])
    faults = _nameless(of, card, where, table)
    numbers = _chosen(names, wanted, where, key)
    if card.series not in needed:
        table = table.drop(columns=card.series)
    order = np.argsort(of, kind="stable")
    firsts, ends = (np.searchsorted(of[order], numbers, side) for side in ("left", "right"))
    frames, all_given = {}, []
    for number, first, end in zip(numbers, firsts, ends, strict=True):
        rows, name = order[first:end], names[number]
        together = rows[-1] - rows[0] == len(rows) - 1  # a slice is no copy
        part = table.iloc[slice(rows[0], rows[-1] + 1) if together else rows]
        try:
            own = f"{where}: series {name}"
            series, given = tables.regular_series(part, card, own, columns, step)
            frames[name] = _with_static(series, part, card, own)
            all_given.append(given)
        except PipelineError as error:
            faults.append(str(error))
    if faults:
        raise PipelineError(*first_faults(faults))
    borders = Borders.of({name: len(frame) for name, frame in frames.items()})
    return Panel(joined([*frames.values()]), borders), all_given


def _names(column: pd.Series) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The names of the series, sorted as text, and which each row has: [rows], -1 for none."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # names 1 and 2 become 1.0 and 2.0 beside a missing one
    text = column.astype("str").str.strip()
    of, names = pd.factorize(text.mask(column.isna() | (text == "")), sort=True)
    return [str(name) for name in names], of.astype(np.int64)


def _nameless(of: npt.NDArray[np.int64], card: Card, where: str, table: pd.DataFrame) -> list[str]:
    without = of < 0
    if not without.any():
        return []
    count = int(without.sum())
    return [
        f"{where}: column {card.series}, row {table.index[int(without.argmax())]}: expected the "
        f"name of a series in every row, found none in {count:,} row{'s' * (count > 1)}"
    ]


def _chosen(names: list[str], wanted: Sequence[str] | None, where: str, key: str) -> list[int]:
    """The numbers of the series that are wanted, in order; PipelineError of one that is not."""
    for name in wanted or ():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise PipelineError(
                f"{key}: expected series of {where} ({listed(names)}), found {name}{hint}"
            )
    return [number for number, name in enumerate(names) if wanted is None or name in wanted]


def _with_static(series: pd.DataFrame, part: pd.DataFrame, card: Card, where: str) -> pd.DataFrame:
    """The series with the one value of each static column in every row.

    PipelineError names the row in which it is another.
    """
    for name in series.columns.intersection(list(card.static)):
        values = read_column(part[name], name, card, where)
        known = values.notna().to_numpy()
        first = int(known.argmax())
        other = known & (values != values.iloc[first]).to_numpy()
        if other.any():
            row = int(other.argmax())
            raise PipelineError(
                f"{where}: column {name}, row {part.index[row]}: expected one value in all of a "
                f"series, as the card's static says, found {values.iloc[row]} after "
                f"{values.iloc[first]} in row {part.index[first]}"
            )
        series[name] = values.take(np.full(len(series), first)).set_axis(series.index)
    return series

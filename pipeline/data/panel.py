"""A panel: the series of a table below each other, sorted by name and time, each on its own grid.

One series is a panel of one, whose name is "".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from pipeline.config.cards import Card
from pipeline.data.windows import Rows
from pipeline.files import artifacts

FAULTS = 20  # that are told at once


@dataclass(frozen=True)
class Borders:
    """Where each series begins and ends, in rows of the table."""

    names: tuple[str, ...]  # [S]
    edges: Rows  # [S + 1]: series i has rows edges[i] to edges[i + 1] - 1

    @classmethod
    def of(cls, lengths: Mapping[str, int]) -> Self:
        """Of series of so many rows, by name and in order."""
        return cls(tuple(lengths), np.cumsum([0, *lengths.values()]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def lengths(self) -> Rows:
        """[S] the rows of each."""
        return np.diff(self.edges)

    @property
    def firsts(self) -> Rows:
        """[S] the first row of each."""
        return self.edges[:-1]

    def parts(self) -> Iterator[tuple[str, slice]]:
        """Each series' name and its rows."""
        ends = self.edges.tolist()
        for name, first, end in zip(self.names, ends[:-1], ends[1:], strict=True):
            yield name, slice(first, end)

    def number(self, rows: Rows) -> Rows:
        """Which series each of some rows is of: [N], from 0."""
        return np.searchsorted(self.edges[1:], rows, side="right")

    def first(self, rows: Rows) -> Rows:
        """The first row of the series that each of some rows is of."""
        return self.edges[self.number(rows)]


@dataclass(frozen=True)
class Panel:
    """Series below each other: the card's columns over their times, which repeat in a panel."""

    frame: pd.DataFrame
    borders: Borders

    @property
    def starts(self) -> pd.DatetimeIndex:
        """[S] the first time of each series."""
        return pd.DatetimeIndex(self.frame.index[self.borders.firsts])

    def parts(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each series' name and its rows."""
        for name, rows in self.borders.parts():
            yield name, self.frame.iloc[rows]


def write(path: Path, panel: Panel, card: Card) -> None:
    """One Parquet file; of a table with many series, with their names in the first column."""
    frame = panel.frame
    if card.series:
        of = np.repeat(np.arange(len(panel.borders)), panel.borders.lengths)
        names = pd.Categorical.from_codes(of, pd.Index(panel.borders.names, dtype="str"))
        frame = frame.drop(columns=card.series, errors="ignore")
        frame.insert(0, card.series, pd.Series(names, frame.index))
    artifacts.write_frame(path, frame)


def read(path: Path, card: Card, columns: Sequence[str] | None = None) -> Panel:
    """What `write` wrote; of the card's columns those that are named, or all."""
    named = [card.series] if card.series else []
    frame = artifacts.read_frame(path, None if columns is None else list({*named, *columns}))
    if not card.series:
        return Panel(frame, Borders.of({"": len(frame)}))
    names = frame[card.series].cat
    codes = names.codes.to_numpy()
    firsts = np.flatnonzero(np.diff(codes, prepend=-1))
    lengths = np.diff(firsts, append=len(frame))
    found = names.categories[codes[firsts]]
    borders = Borders.of(dict(zip(map(str, found), lengths.tolist(), strict=True)))
    return Panel(frame[[name for name in card.columns if name in frame]], borders)


def outline(path: Path, card: Card, rows: int) -> tuple[Borders, pd.DatetimeIndex]:
    """The borders of the series in a file of so many rows, and their first times [S]."""
    if not card.series:
        first = artifacts.read_first_time(path)
        return Borders.of({"": rows}), pd.DatetimeIndex([first])
    panel = read(path, card, [])
    return panel.borders, panel.starts


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames below each other; one as it is, without a copy."""
    return frames[0] if len(frames) == 1 else pd.concat(frames)


def first_faults(faults: Sequence[str]) -> list[str]:
    """Lines for an error, one for each series that is not as it should be; of many the first."""
    more = len(faults) - FAULTS
    return [*faults[:FAULTS], *([f"and {more:,} more"] if more > 0 else [])]


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a row, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

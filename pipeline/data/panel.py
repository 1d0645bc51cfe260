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
from pipeline.config.steps import Step
from pipeline.data.windows import Rows
from pipeline.files import artifacts, long_frames

SECOND = pd.Timedelta("1s")
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
class Timeline:
    """When the rows of each series are."""

    borders: Borders
    starts: pd.DatetimeIndex  # [S] the first times
    step: Step
    own: pd.DatetimeIndex | None = None  # [rows] the times, where none tells another

    @property
    def lasts(self) -> pd.DatetimeIndex:
        """[S] the last times."""
        return self.at(np.arange(len(self.borders)), self.borders.lengths - 1)

    def at(self, number: Rows, rows: Rows) -> pd.DatetimeIndex:
        """The times of rows, each counted from the first of the series of that number."""
        if self.own is None:
            return self.step.shift(self.starts[number], rows)
        return self.own[self.borders.firsts[number] + rows]

    def up_to(self, bound: pd.Timestamp) -> Rows:
        """[S] how many rows of each series are up to a time."""
        if self.own is None:
            return np.clip(self.step.between(self.starts, bound) + 1, 0, self.borders.lengths)
        parts = (self.own[rows] for _, rows in self.borders.parts())
        return np.array([part.searchsorted(bound, side="right") for part in parts], np.int64)

    def reached(self, bound: pd.Timestamp) -> Rows:
        """[S] how many rows of each series would be up to a time, had it begun and gone on so long.

        As many as are up to it, where no time tells another.
        """
        if self.own is None:
            return self.step.between(self.starts, bound) + 1
        return self.up_to(bound)

    def back(self, end: pd.Timestamp, number: int, count: int) -> pd.Timestamp:
        """The time so many rows before `end`, where none tells another of the numbered series.

        Before the first of all, if there are not as many.
        """
        if self.own is None:
            return self.step.shift(pd.DatetimeIndex([end]), -count)[0]
        row = self.up_to(end)[[number]] - 1 - count
        return self.at(np.array([number]), row)[0] if row >= 0 else self.starts.min() - SECOND

    def every(self, used: Rows) -> pd.DatetimeIndex:
        """From the first of the times to the last of the first so many rows [S] of each series."""
        if self.own is None:
            last = self.at(np.arange(len(used)), used - 1).max()
            first = self.starts.min()
            return self.step.grid(first, int(self.step.between(first, last)) + 1)
        parts = zip(self.borders.firsts, used, strict=True)
        return self.own[np.concatenate([np.arange(first, first + n) for first, n in parts])]

    def steps(self, times: pd.DatetimeIndex, rows: Rows) -> Rows:
        """How many steps lie from the first of the `times` of all rows to those of some."""
        if self.own is None:
            return self.step.between(times.min(), times[rows])
        return np.searchsorted(np.unique(times), times[rows]).astype(np.int64)


@dataclass(frozen=True)
class Panel:
    """Series below each other: the card's columns over their times, which repeat in a panel."""

    frame: pd.DataFrame
    borders: Borders

    @property
    def starts(self) -> pd.DatetimeIndex:
        """[S] the first time of each series."""
        return pd.DatetimeIndex(self.frame.index[self.borders.firsts])

    def timeline(self, card: Card) -> Timeline:
        """When the rows are."""
        own = None if card.step.tells else pd.DatetimeIndex(self.frame.index)
        return Timeline(self.borders, self.starts, card.step, own)

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
    frame = long_frames.read(path, None if columns is None else list({*named, *columns}))
    if not card.series:
        return Panel(frame, Borders.of({"": len(frame)}))
    names = frame[card.series].cat
    codes = names.codes.to_numpy()
    firsts = np.flatnonzero(np.diff(codes, prepend=-1))
    lengths = np.diff(firsts, append=len(frame))
    found = names.categories[codes[firsts]]
    borders = Borders.of(dict(zip(map(str, found), lengths.tolist(), strict=True)))
    return Panel(frame[[name for name in card.columns if name in frame]], borders)


def outline(path: Path, card: Card, rows: int) -> Timeline:
    """When the rows are of the series in a file of so many rows."""
    if not card.series and card.step.tells:
        first = artifacts.read_first_time(path)
        return Timeline(Borders.of({"": rows}), pd.DatetimeIndex([first]), card.step)
    return read(path, card, []).timeline(card)


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

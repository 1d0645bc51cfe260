"""The card of a data set: what its columns are, how time is written, and the task's defaults."""

import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

import pandas as pd
from pydantic import BeforeValidator, Field, model_validator

from pipeline.config import frequencies
from pipeline.config.steps import Fixed, Step
from pipeline.config.times import Format, Frequency, Time, Word, checked
from pipeline.files.layout import HERE, Layout, require
from pipeline.files.records import Record
from pipeline.files.yaml import read_record

LONGEST = 10**9  # rows: more than any table has
LEVELS = 1000  # of a category: each is a channel of every window
LARGEST = 3.4e38  # that float32 holds
CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")  # a time of day
SPANS = ("train", "validation", "calibration", "test")
REST = "rest"  # of the rows: the training span, where others are counted back from the end
COUNTED = re.compile(r"last ([1-9][0-9]{0,8}) (row|hour|day|week|month|year)s?")


MONTH_OR_YEAR = re.compile(r"\d{4}(-\d{2})?")  # all of it


def _possible_end(end: int | float | str) -> bool:
    if isinstance(end, str):
        written = f"{end}-01-01"[:10] if MONTH_OR_YEAR.fullmatch(end) else end
        return _kind(end) == "rules" or bool(datetime.fromisoformat(written))
    return 0 < end <= 1 or (isinstance(end, int) and 0 < end <= LONGEST)


def _kind(end: int | float | str) -> str:
    if isinstance(end, str):
        return "rules" if end == REST or COUNTED.fullmatch(end) else "time stamps"
    return "fractions" if isinstance(end, float) else "row counts"


def _seasons(given: object) -> tuple[int, ...]:
    rows = given if isinstance(given, list | tuple) else [given]
    sizes = [size for size in rows if type(size) is int and 0 < size <= LONGEST]
    if not sizes or len(set(sizes)) < len(rows):
        raise ValueError(f"rows, from 1 to {LONGEST:,}, or a list of them, each once: [24, 168]")
    return tuple(sizes)


def _times_of_day(given: object) -> tuple[str, ...]:
    times = given if isinstance(given, list | tuple) else [given]
    if not times or not all(isinstance(one, str) and CLOCK.fullmatch(one) for one in times):
        raise ValueError('a time of day such as "23:00", in quotation marks, or a list of them')
    return tuple(sorted(set(times)))


Encoding = Annotated[
    str, checked("a".encode, "an encoding that Python knows, such as utf-8 or latin-1")
]
End = Annotated[
    int | float | str,
    checked(
        _possible_end,
        "a time such as 2012-12-31 23:00:00, what is counted back from the end, such as last 90 "
        "days, a number of rows from 1 or a fraction up to 1.0",
    ),
]
Transform = Literal["log1p", "asinh", "median_asinh", "yeo_johnson"]


class Column(Record):
    """One measured column: a number with a unit and bounds, or a category with its levels."""

    unit: str = ""  # and what a cell may have beside the number
    description: str = ""
    # A physical bound: forecasts never fall below it.
    minimum: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] | None = None
    categories: Annotated[tuple[Word, ...], Field(max_length=LEVELS)] = ()
    transform: Transform | None = None  # how an input is transformed before it is scaled

    @model_validator(mode="after")
    def _levels(self) -> Self:
        if self.categories and self.transform:
            raise ValueError("a transform beside numbers alone, not beside categories")
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("each category once")
        return self


class Wide(Record):
    """A table with one row a day and one column for each time of day."""

    column: Word  # the name of the long column that the values become
    times: Format  # the columns' names as a strptime format of the time of day


Row = Annotated[int, Field(ge=0, le=LONGEST)]


class Fold(Record):
    """Where a backtest's fit has its spans, in rows; those between are as long as in the split."""

    back: Row  # from the end of its test span to the end of the split's
    test: Annotated[int, Field(ge=1, le=LONGEST)]  # how long it is
    gap: Row = 0  # before it, in no span
    train: Annotated[int, Field(ge=1, le=LONGEST)] | None = None  # at most; all before if null


class Split(Record):
    """Where each span ends: a time stamp (the last one in), a number of rows, or a fraction.

    Or how long each is, before the next: train: rest, validation: last 60 days, test: last 90 days.
    """

    train: End
    validation: End
    calibration: End | None = None  # without one, intervals are made on validation
    test: End
    fold: Annotated[Fold | None, Field(exclude_if=lambda fold: fold is None)] = None

    @property
    def ends(self) -> dict[str, End]:
        """By span, in order."""
        named = ((name, getattr(self, name)) for name in SPANS)
        return {name: end for name, end in named if end is not None}

    @property
    def counted_back(self) -> bool:
        """Whether spans are counted back from the end, and move as the table grows."""
        return self.train == REST

    @property
    def moving(self) -> bool:
        """Whether spans move as the table grows: counted back from its end, or fractions."""
        return self.counted_back or isinstance(self.train, float)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = {_kind(end) for end in self.ends.values()}
        if len(kinds) > 1:
            raise ValueError("time stamps, row counts, fractions or what is counted back, no mix")
        if kinds == {"rules"} and [n for n, end in self.ends.items() if end == REST] != ["train"]:
            raise ValueError(
                "train: rest, and each other span as long as it is, such as test: last 90 days"
            )
        if not isinstance(self.train, str):
            for (name, end), (later, after) in pairwise(self.ends.items()):
                if not end < after:  # type: ignore[operator]
                    raise ValueError(f"{name} to end before {later}")
        return self


class Card(Record):
    """Everything the pipeline knows of a data set besides its rows."""

    title: Word
    source: Word
    attribution: str = ""
    licence: Word
    # The table, NAME.csv by default; of several files a pattern, such as load-*.csv.
    file: Annotated[str, Field(pattern="^[^/]+$")] | None = None
    member: Word | None = None  # of an archive with several files, the one or a pattern
    sheet: Word | None = None  # of a workbook with several
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    fetch: str | None = None  # the command that gets a table which is not in Git
    query: Word | None = None  # what the command snapshot asks a database, to write the file

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: Encoding = "utf-8"
    decimal: Literal[".", ","] = "."  # how numbers are written
    thousands: Literal[".", ",", " ", "'"] | None = None
    missing: tuple[str, ...] = ("", "NA", "NaN", "nan", "null")  # how a missing value is written
    rename: dict[str, Word] = {}  # a column's name in the table, and the one it has in the card
    layout: Literal["long", "wide"] = "long"
    wide: Wide | None = None
    time: Time
    frequency: Frequency
    seasons: Annotated[tuple[int, ...], BeforeValidator(_seasons), Field(alias="season")]  # rows

    columns: Annotated[dict[Word, Column], Field(min_length=1)]
    excluded: tuple[Word, ...] = ()  # raw columns that are known and not used
    series: Word | None = None  # the column that says which series a row is of
    static: tuple[Word, ...] = ()  # columns with one value in each series
    # Times of day, by the clock of the table: from these rows alone forecasts are scored.
    origins: Annotated[tuple[str, ...], BeforeValidator(_times_of_day)] = ()

    targets: Annotated[tuple[Word, ...], Field(min_length=1)]
    inputs: Annotated[tuple[Word, ...], Field(min_length=1)]
    # Columns, calendar terms and holidays that are known up to the last step of a forecast, and
    # values whole seasons before its steps.
    known_ahead: tuple[Word, ...] = ()
    split: Split
    spans: dict[Annotated[str, Field(pattern=r"^\w+$")], tuple[Row, Row]] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.layout == "wide") != (self.wide is not None):
            raise ValueError("the section wide exactly where layout is wide")
        if self.wide and not isinstance(self.step, Fixed):
            raise ValueError("a wide table to have a step of one length, such as 1h")
        if self.time.stamps == "end" and not isinstance(self.step, Fixed):
            raise ValueError("time.stamps: end beside a step of one length, such as 1h")
        if self.wide and self.time.timezone:
            raise ValueError(
                "a wide table to have no time.timezone: days that daylight saving makes shorter or "
                "longer do not fit into it"
            )
        if self.query and not str(self.file).endswith(".parquet"):
            raise ValueError("file: NAME.parquet beside query, which is what snapshot writes")
        if self.wide and set(self.columns) != {self.wide.column}:
            raise ValueError(f"a wide table to have one column, {self.wide.column}")
        self._check_panel()
        if self.split.fold:
            raise ValueError("a split without fold, which a backtest adds in the parameters")
        if self.thousands == self.decimal:
            raise ValueError(f"another mark between thousands than decimal, {self.decimal!r}")
        if len(set(self.rename.values())) != len(self.rename):
            raise ValueError("rename to give each column a name of its own")
        for column in self.excluded:
            named = {*self.targets, *self.inputs, *self.known_ahead}
            if column in {*self.columns, *named, *self.time.names, self.series}:
                term = column not in {*self.columns, *self.targets, *self.time.names, self.series}
                remedy = (  # an input that is no column of the card is a calendar term
                    f"rename: {{{column}: another}} gives the table's column another name than the "
                    "calendar term's"
                    if term
                    else "take it out of columns, targets and inputs, or out of excluded"
                )
                raise ValueError(f"{column} to be used or excluded, found both; {remedy}")
        for name, (first, last) in self.spans.items():
            if not 0 <= first <= last:
                raise ValueError(f"spans.{name} to be [first row, last row], counted from 0")
        return self

    def _check_panel(self) -> None:
        if self.static and not self.series:
            raise ValueError("static beside series alone, the column that tells series apart")
        if unknown := [name for name in self.static if name not in self.columns]:
            raise ValueError(f"static to name columns of the card, found {unknown[0]}")
        if moving := [name for name in self.static if name in self.targets]:
            raise ValueError(f"targets that change within a series, found static {moving[0]}")
        if self.series in self.time.names:
            raise ValueError(f"series to be another column than the time's, found {self.series}")
        if self.series in self.columns and self.series not in self.static:
            raise ValueError(
                f"{self.series} to tell series apart and be no input, found it among columns; "
                "name it in static if a model is to see the names"
            )

    @property
    def season(self) -> int:
        """The first season, in rows: imputation, lags and MASE use it."""
        return self.seasons[0]

    @property
    def step(self) -> Step:
        """From a row to the next."""
        return frequencies.step(self.frequency, self.time.timezone)

    @property
    def steps_a_day(self) -> int:
        """Rows of the series in one day; of rows whatever the time between, in one season."""
        step = self.step
        return pd.Timedelta("1D") // step.length if step.tells else self.season

    @property
    def rows_each(self) -> int:
        """Rows of the series that one row of the table becomes."""
        return self.steps_a_day if self.wide else 1

    @property
    def numeric(self) -> list[str]:
        """The columns that are numbers."""
        return [name for name, column in self.columns.items() if not column.categories]

    @property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """Each column's levels; none for a number."""
        return {name: column.categories for name, column in self.columns.items()}

    @property
    def channels(self) -> dict[str, list[str]]:
        """Each column's numeric channels: itself, or one for each of its categories."""
        return {
            name: [f"{name}={level}" for level in column.categories] or [name]
            for name, column in self.columns.items()
        }


def read_card(dataset: str, layout: Layout = HERE) -> Card:
    """The card of a data set by its name; PipelineError if it is absent or wrong."""
    path = layout.card(dataset)
    known = ", ".join(sorted(p.stem for p in layout.cards.glob("*.yaml"))) or "none"
    require(
        path,
        f"known data sets: {known}; python -m pipeline new-dataset {layout.raw_table(dataset)} "
        "writes a starter card",
    )
    return read_card_file(path)


def read_card_file(path: Path) -> Card:
    """The card in a file; PipelineError names the key that is wrong."""
    return read_record(path, Card)

"""Random tables and requests: what was meant, or one line that says why not.

A table is made from a known series, so that what comes back can be compared with it to the last
digit: from the file, from the same bytes over HTTP, and from JSON.
"""

import copy
import csv
import io
import json
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.calendar_steps import Calendar
from pipeline.config.cards import Card
from pipeline.config.frequencies import step
from pipeline.data import tables
from pipeline.data.sources import delimited
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE
from pipeline.files.records import parse
from pipeline.forecasting import endpoints
from pipeline.forecasting.forecaster import Forecaster, stage_files

FORMATS = {
    "%Y-%m-%d %H:%M:%S": "",
    "%d.%m.%Y %H:%M": "",
    "%m/%d/%Y %I:%M %p": "",
    "%d-%b-%Y %H:%M": "",
    "%Y%m%d%H%M": "",
    "%d.%m.%Y %H:%M - %d.%m.%Y %H:%M": "",
    "%A, %d %B %Y %H:%M": "",
    "%Y-%m-%dT%H:%M:%S%z": "offset",
}
FREQUENCIES = ("15min", "1h", "3h", "1D", "7D", "MS", "QE", "W-WED", "B")
LEVELS = ("None", "NA", "n/a", "TRUE", "FALSE", "01", "1", "-", "é", "a,b", 'q"q', "a;b", "nan")
MARKS = ("", "NA", "NaN", "n/a", "?", "-999", "None", "missing", "-")
NAMES = ("load", "T [1]", "T (1)", "PM2.5 (µg/m³)", "weekday", "a|b", "$x$", "two words", "%s", "1")
NUMBERS = st.one_of(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.integers(-(10**9), 10**9).map(float),
    st.sampled_from([0.0, -0.0, 1e-300, 1e30, 0.1 + 0.2, 123456.789]),
)


@dataclass(frozen=True)
class Export:
    """A known series, the card that describes its table, and the table's fields."""

    truth: pd.DataFrame
    card: dict[str, Any]
    header: list[str]
    rows: list[list[str]]
    encoding: str
    quoting: int
    line_end: str
    bom: bool = field(default=False)

    def content(self) -> bytes:
        """The table's file."""
        text = io.StringIO()
        writer = csv.writer(
            text,
            delimiter=self.card["delimiter"],
            quoting=self.quoting,  # type: ignore[arg-type]
            lineterminator=self.line_end,
        )
        writer.writerows([self.header, *self.rows])
        return (("\ufeff" if self.bom else "") + text.getvalue()).encode(self.encoding)

    def read(self, where: str = "table") -> pd.DataFrame:
        """The series that the file's bytes become."""
        card = parse(self.card, Card, "card.yaml")
        return tables.to_series(delimited.parse_table(self.content(), card, where), card, where)


def _written(value: object, marks: list[str], draw: st.DrawFn, decimal: str = ".") -> str:
    if not isinstance(value, float):
        return str(value)
    return draw(st.sampled_from(marks)) if np.isnan(value) else repr(value).replace(".", decimal)


@st.composite
def exports(draw: st.DrawFn) -> Export:
    """A series of two numbers and a category, written in one of the ways that people have."""
    encoding = draw(st.sampled_from(["utf-8", "utf-16", "utf-8"]))
    frequency = draw(st.sampled_from(FREQUENCIES))
    every = step(frequency)
    form = draw(st.sampled_from(list(FORMATS)))
    zoned = FORMATS[form] == "offset"
    n = draw(st.integers(2, 12))
    start = draw(st.datetimes(pd.Timestamp(2001, 1, 1), pd.Timestamp(2037, 1, 1)))
    day = pd.DatetimeIndex([pd.Timestamp(start).floor("1D")])
    day = every.snap(day) if isinstance(every, Calendar) else day
    first = day[0] + draw(st.integers(0, 3)) * min(every.length, pd.Timedelta("6h"))
    times = every.grid(first.tz_localize("UTC" if zoned else None), n)
    a, b = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True))
    levels = draw(st.lists(st.sampled_from(LEVELS), min_size=1, max_size=4, unique=True))
    marks = draw(st.lists(st.sampled_from(MARKS), min_size=1, unique=True))
    word_marks = [mark for mark in marks if mark not in levels]
    numeric_marks = {-999.0} if "-999" in marks else set()
    gap = st.just(np.nan)
    truth = pd.DataFrame(
        {
            name: [
                np.nan if value in numeric_marks else value
                for value in draw(st.lists(NUMBERS | gap, min_size=n, max_size=n))
            ]
            for name in (a, b)
        }
        | {
            "kind": draw(
                st.lists(
                    st.sampled_from(levels) | gap if word_marks else st.sampled_from(levels),
                    min_size=n,
                    max_size=n,
                )
            )
        },
        index=pd.DatetimeIndex(times, name="time"),
    )
    decimal = draw(st.sampled_from([".", ","]))
    order = draw(st.permutations(["when", a, b, "kind", "note"]))
    columns: dict[str, list[str]] = {
        "when": [time.strftime(form) for time in times],
        "note": [draw(st.sampled_from(["", "x", "a,b", "two\nlines"])) for _ in range(n)],
        "kind": [_written(value, word_marks, draw) for value in truth["kind"]],
        **{
            name: [_written(value, marks, draw, decimal) for value in truth[name]]
            for name in (a, b)
        },
    }
    kept = [0] + [i for i in range(1, n - 1) if draw(st.integers(0, 9))] + [n - 1]
    truth.iloc[[i for i in range(n) if i not in kept]] = np.nan
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    renamed = {a: "renamed"} if draw(st.booleans()) else {}
    card = {
        "title": "Any",
        "source": "tests",
        "licence": "CC0",
        "delimiter": delimiter,
        "encoding": encoding,
        "decimal": decimal,
        "thousands": draw(st.sampled_from([None, "'", " "])),
        "missing": marks,
        "rename": renamed,
        "time": {"column": "when", "format": form},
        "frequency": frequency,
        "season": 1,
        "columns": {
            renamed.get(a, a): {},
            b: {},
            "kind": {"categories": levels},
        },
        "excluded": ["note"],
        "targets": [b],
        "inputs": [b],
        "split": {"train": 0.6, "validation": 0.8, "test": 1.0},
    }
    return Export(
        truth.rename(columns=renamed),
        card,
        order,
        [[columns[name][i] for name in order] for i in sorted(set(kept))],
        encoding,
        draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        draw(st.sampled_from(["\n", "\r\n"])),
        draw(st.booleans()) and encoding == "utf-8",
    )


def _same(found: pd.DataFrame, truth: pd.DataFrame) -> None:
    """Times, columns and every digit are those that were meant."""
    assert list(pd.DatetimeIndex(found.index)) == list(pd.DatetimeIndex(truth.index))
    assert set(found.columns) == set(truth.columns)
    for name in truth:
        pairs = zip(found[name], truth[name], strict=True)
        wrong = [(x, y) for x, y in pairs if not (x == y or (pd.isna(x) and pd.isna(y)))]
        assert not wrong, (name, wrong)


def check_export(export: Export) -> None:
    """File, bytes and JSON of one table all become the series that was meant."""
    _same(export.read(), export.truth)
    card = parse(export.card, Card, "card.yaml")
    request = {"columns": export.header, "data": export.rows}
    body = json.dumps({"dataframe_split": request}).encode()
    rows, _ = endpoints._from_json(body)
    _same(tables.to_series(rows, card, "input"), export.truth)
    records = [
        {
            name: _typed(name, text, card, export)
            for name, text in zip(export.header, row, strict=True)
        }
        for row in export.rows
    ]
    rows, _ = endpoints._from_json(json.dumps({"dataframe_records": records}).encode())
    _same(tables.to_series(rows, card, "input"), export.truth)


def _typed(name: str, text: str, card: Card, export: Export) -> object:
    """A field as a caller would send it in JSON: numbers as numbers, what is missing as null."""
    name = card.rename.get(name, name)
    if name not in card.columns:
        return text
    if card.columns[name].categories:
        if text in ("TRUE", "FALSE") and {"TRUE", "FALSE"} <= set(card.columns[name].categories):
            return text == "TRUE"
        return text if text in card.columns[name].categories else None
    return None if text in card.missing else float(text.replace(card.decimal, "."))


def spoil(draw: st.DrawFn, export: Export) -> Export:
    """The same table with one thing wrong that people have."""
    rows, header = [list(row) for row in export.rows], list(export.header)
    at = draw(st.integers(0, len(rows) - 1))
    column = draw(st.integers(0, len(header) - 1))
    kind = draw(
        st.sampled_from(
            [
                "twice",
                "swap",
                "cell",
                "short",
                "long",
                "header",
                "gone",
                "empty",
                "delimiter",
                "time",
            ]
        )
    )
    if kind == "twice":
        rows.insert(at, rows[at])
    elif kind == "swap":
        rows.reverse()
    elif kind == "cell":
        rows[at][column] = draw(st.sampled_from(["x", "1,5", "inf", "1e400", "<5", "١٢", "\x00"]))
    elif kind == "short":
        rows[at] = rows[at][:-1]
    elif kind == "long":
        rows[at].append("9")
    elif kind == "header":
        header[column] = draw(st.sampled_from(["", "when", "new", "a\nb", " load"]))
    elif kind == "gone":
        header.pop(column)
        rows = [[text for i, text in enumerate(row) if i != column] for row in rows]
    elif kind == "empty":
        rows = []
    elif kind == "time":
        place = header.index("when")
        moment = export.truth.index[-1] + timedelta(seconds=draw(st.sampled_from([1, 10**8])))
        rows[at][place] = moment.strftime(export.card["time"]["format"])
    card = export.card | ({"delimiter": "~"} if kind == "delimiter" else {})
    return Export(
        export.truth, card, header, rows, export.encoding, export.quoting, export.line_end
    )


SPOILED = st.composite(lambda draw: spoil(draw, draw(exports())))()


def check_spoiled(export: Export) -> None:
    """A regular series of the card's columns, or one line that begins with the table's name."""
    try:
        found = export.read("data/raw/any/any.csv")
    except PipelineError as error:
        (line,) = str(error).splitlines()
        assert line.startswith("data/raw/any/any.csv: ")
        assert len(line) < 1000
    else:
        every, times = step(export.card["frequency"]), pd.DatetimeIndex(found.index)
        assert every.between(times[0], times).tolist() == list(range(len(times)))
        numbers = found.drop(columns="kind").to_numpy(float)
        assert not np.isinf(numbers).any()


NASTY = st.sampled_from(
    [None, True, "", "x", -1, 10**400, 1e308, [], {}, [[]], {"a": 1}, "2014-01-01", "٣", "\ud800"]
).map(copy.deepcopy)


@pytest.fixture(scope="module")
def toy(finished_toy: Path) -> Forecaster:
    """What the toy repository has trained, run by NumPy."""
    with chdir(finished_toy):
        return Forecaster.load(stage_files(HERE, "toy"), "numpy")


def request_rows(rows: int = 60) -> list[dict[str, Any]]:
    """Rows of the toy repository's table, as a caller sends them."""
    times = pd.date_range("2014-02-01", periods=rows, freq="h")
    return [
        {"time": f"{time:%Y-%m-%d %H:%M}", "level": 10.0 + i % 6, "wind": "NS"[i % 2]}
        for i, time in enumerate(times)
    ]


def places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value of a request, those of some rows alone."""
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        if not isinstance(key, int) or key < 3:
            yield (*above, key)
            yield from places(tree[key], (*above, key))


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """A request's kind and body: a right one in which one or two values are something else."""
    rows = request_rows()
    body: Any = {"dataframe_records": rows}
    if draw(st.booleans()):
        split = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
        body = {"dataframe_split": split}
    if draw(st.booleans()):
        body["params"] = {"origins": [rows[-1]["time"], rows[-3]["time"]]}
    for _ in range(draw(st.integers(0, 2))):
        *above, last = draw(st.sampled_from(sorted(places(body), key=str) or [("params",)]))
        branch = body
        for key in above:
            branch = branch[key]
        if draw(st.booleans()) and isinstance(branch, dict):
            branch.pop(last, None)
        else:
            branch[last] = draw(NASTY)
    if draw(st.integers(0, 3)):
        return endpoints.JSON, json.dumps(body).encode()
    text = "\n".join(
        ["time,level,wind", *(",".join(map(str, row.values())) for row in request_rows())]
    )
    cut = draw(st.integers(0, len(text)))
    return endpoints.CSV, (text[:cut] + draw(st.text(max_size=9)) + text[cut:]).encode(
        errors="replace"
    )


def check_request(toy: Forecaster, request: tuple[str, bytes]) -> None:
    """Finite forecasts, or one line of at most a thousand characters without a path."""
    try:
        answer = json.loads(endpoints.answer(toy, *request))
    except PipelineError as error:
        (line,) = str(error).splitlines()
        assert line.startswith(("input", "params", "dataframe_", "origins"))
        assert "/" not in line.split("found")[0]
    else:
        forecasts = [row["forecast"] for row in answer["predictions"]]
        assert len(forecasts) % 3 == 0
        assert np.isfinite(forecasts).all()


@given(request=requests())
def test_a_request_is_answered_by_forecasts_or_one_line(
    toy: Forecaster, request: tuple[str, bytes]
) -> None:
    """Whatever a request holds, the answer is a forecast or one line; nothing else is raised."""
    check_request(toy, request)


@given(export=exports())
def test_a_table_is_read_as_it_was_meant(export: Export) -> None:
    """However a table is written, file, CSV by HTTP and JSON give its series to the last digit."""
    check_export(export)


@given(export=SPOILED)
def test_a_spoiled_table_is_a_series_or_one_line(export: Export) -> None:
    """One thing wrong in a table is told in one line, or does no harm; nothing else is raised."""
    check_spoiled(export)


@pytest.mark.slow
@settings(max_examples=1000)
@given(export=exports())
def test_a_thousand_tables_are_read_as_they_were_meant(export: Export) -> None:
    """The same over a thousand tables."""
    check_export(export)


@pytest.mark.slow
@settings(max_examples=1000)
@given(export=SPOILED)
def test_a_thousand_spoiled_tables_are_series_or_one_line(export: Export) -> None:
    """The same over a thousand spoiled tables."""
    check_spoiled(export)


@pytest.mark.slow
@settings(max_examples=1000)
@given(request=requests())
def test_a_thousand_requests_are_answered_by_forecasts_or_one_line(
    toy: Forecaster, request: tuple[str, bytes]
) -> None:
    """The same over a thousand requests."""
    check_request(toy, request)

"""A raw table becomes a regular series, or one line that names file, column and row."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.cards import Card, read_card_file
from pipeline.data import quality, tables, timestamps
from pipeline.data.row_order import Given
from pipeline.data.sources import delimited, reading
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from tests.repositories import run
from tests.toys import CARD, ROOT, Project, toy_card, toy_table, toy_times

HEADER = "time,level,flow,wind,note"


def lines() -> list[str]:
    """The toy table's lines: the header is number 0, so that a row has its own number."""
    return [HEADER, *(f"{time:%Y-%m-%d %H:%M},1.5,2.5,N,x" for time in toy_times(48))]


def table(*rows: str, header: str = HEADER) -> str:
    """A CSV text."""
    return "\n".join([header, *rows]) + "\n"


def replaced(row: int, *new: str) -> str:
    """The toy table with one row replaced by others, or by none."""
    text = lines()
    text[row : row + 1] = new
    return "\n".join(text) + "\n"


def refusal(project: Project) -> str:
    """The one line that ingest ends with, having written nothing."""
    with pytest.raises(PipelineError) as caught:
        project.run("ingest")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("data/")
    assert project.written() == set()
    return line


# What the table is, the parts of the line that refuses it. Rows count from 1 below the header, the
# lines of a file that cannot be parsed as an editor counts them.
WRONG_TABLES: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["empty, expected a header line"]),
    "blank lines alone": ("\n\n", ["empty, expected a header line"]),
    "header only": (HEADER + "\n", ["a header and no rows"]),
    "header without a line end": (HEADER, ["a header and no rows"]),
    "missing column": (
        table("2014-01-01 00:00,1,N,x", header="time,level,wind,note"),
        ["column flow missing", "found time, level, wind, note"],
    ),
    "missing time": (
        table("1,2,N,x", header="level,flow,wind,note"),
        ["column time missing", "found level, flow, wind, note"],
    ),
    "unknown column": (
        table("2014-01-01 00:00,1,2,N,x,9", header=HEADER + ",depth"),
        ["unknown column depth", "leave it out, or name it under columns or excluded"],
    ),
    "unknown columns": (
        table("2014-01-01 00:00,1,2,N,x,9,9", header=HEADER + ",depth,width"),
        ["unknown columns depth, width; expected those of the card", "leave them out"],
    ),
    "nameless column": (
        table("2014-01-01 00:00,1,2,N,9,x", header=HEADER.replace("note", ",note")),
        ["line 1: expected a name for every column, found none for column 5 of 6"],
    ),
    "nameless column at the end": (
        table("2014-01-01 00:00,1,2,N,x,,9", header=HEADER + ",,"),
        ["expected a name for every column, found none for column 7 of 7, which has '9' in row 1"],
    ),
    "nameless first column": (
        table("0,2014-01-01 00:00,1,2,N,x", header="," + HEADER),
        ["found none for column 1 of 6", "name it in the card, as in rename"],
    ),
    "name in open quotation marks": (
        table("2014-01-01 00:00,1,2,N,x", header=HEADER.replace("note", '"note')),
        ["line 1: expected column names, found unexpected end of data"],
    ),
    "blank line above the header": (
        "\n" + table(),
        ["line 1: expected column names, found an empty"],
    ),
    "padded header": (
        table("2014-01-01 00:00,1,2,N,x", header=HEADER.replace("flow", " flow")),
        ["column flow missing", "' flow'"],
    ),
    "duplicate header": (
        table("2014-01-01 00:00,1,2,N,x", header=HEADER.replace("flow", "level")),
        ["column level appears twice in the header"],
    ),
    "ragged row": (replaced(7, "2014-01-01 06:00,1,N,x"), ["line 8: expected 5 fields, found 4"]),
    "ragged row after a blank line": (
        replaced(7, "", "2014-01-01 06:00,1"),
        ["line 9: expected 5 fields, found 2"],
    ),
    "blank line": (replaced(7, ""), ["column time, row 7: expected a time", "found ''"]),
    "extra field in one row": (
        replaced(7, "2014-01-01 06:00,1,5,2,N,x"),
        ["line 8: expected 5 fields, found 6"],
    ),
    "extra field in every row": (
        table("2014-01-01 00:00,1,2,N,x,9", "2014-01-01 01:00,1,2,N,x,9"),
        ["line 2: expected 5 fields, found 6"],
    ),
    "truncated last line": (
        replaced(48, "2014-01-02 23:00,1.").rstrip("\n"),
        ["line 49: expected 5 fields, found 2"],
    ),
    "open quote": (
        replaced(7, '2014-01-01 06:00,"1.5,2.5,N,x'),
        ["line 8: expected 5 fields, found 2"],
    ),
    "wrong delimiter": (
        "\n".join(lines()).replace(",", ";"),
        ["expected columns separated by ','", "time;level;flow"],
    ),
    "other encoding": (
        replaced(7, "2014-01-01 06:00,1,2,N,µ").encode("latin-1"),
        ["line 8: expected text in utf-8, found byte 0xb5", "encoding"],
    ),
    "two bytes a character": (
        "\n".join(lines()).encode("utf-16"),
        ["line 1: expected text in utf-8, found byte 0xff"],
    ),
    "text for a number": (
        replaced(7, "2014-01-01 06:00,much,2,N,x"),
        ["column level, row 7: expected a finite number", "found 'much'"],
    ),
    "truth for a number": (
        replaced(7, "2014-01-01 06:00,1,true,N,x"),
        ["column flow, row 7: expected a finite number", "found 'true'"],
    ),
    "decimal comma": (
        replaced(7, '2014-01-01 06:00,"12,5",2,N,x'),
        ["column level, row 7", "found '12,5'; a number if the card has decimal"],
    ),
    "thousands": (
        replaced(7, '2014-01-01 06:00,"1,008.64",2,N,x'),
        ["column level, row 7", "found '1,008.64'; a number if the card has thousands"],
    ),
    "infinity": (
        replaced(7, "2014-01-01 06:00,inf,2,N,x"),
        ["column level, row 7: expected a finite number", "found 'inf'"],
    ),
    "a number too large": (
        replaced(7, "2014-01-01 06:00,1,-1e999,N,x"),
        ["column flow, row 7: expected a finite number", "found '-1e999'"],
    ),
    "a number that float32 cannot hold": (
        replaced(7, "2014-01-01 06:00,1,1e39,N,x"),
        ["column flow, row 7: expected a finite number", "found '1e39'"],
    ),
    "unknown category": (
        replaced(7, "2014-01-01 06:00,1,2,E,x"),
        ["column wind, row 7: expected one of N, S, found 'E'"],
    ),
    "no date": (
        replaced(7, "2014-02-30 06:00,1,2,N,x"),
        ["column time, row 7: expected a time written as %Y-%m-%d %H:%M", "'2014-02-30 06:00'"],
    ),
    "a total below the last row": (
        replaced(48, "Total,96,96,N,x"),
        ["row 48: expected a time", "found 'Total'; if a total or a note ends the table, take it"],
    ),
    "mixed dates": (
        replaced(7, "01/01/2014 06:00,1,2,N,x"),
        ["column time, row 7", "found '01/01/2014 06:00'"],
    ),
    "missing time stamp": (
        replaced(7, ",1,2,N,x"),
        ["column time, row 7", "found ''"],
    ),
    "duplicate time": (
        replaced(7, "2014-01-01 05:00,1,2,N,x"),
        ["column time, row 7: 2014-01-01 05:00:00 appears twice"],
    ),
    "unsorted": (
        replaced(7, "2014-01-01 04:00,1,2,N,x"),
        ["column time, row 7: 2014-01-01 04:00:00 is earlier than the row before"],
    ),
    "between two steps": (
        replaced(7, "2014-01-01 06:30,1,2,N,x"),
        ["column time, row 7: expected a time a whole number of 1h after", "06:30"],
    ),
    "a mistyped year": (
        replaced(48, "2104-01-02 23:00,1,2,N,x"),
        ["column time, row 48", "2104-01-02 23:00:00 after 2014-01-02 22:00:00"],
    ),
    "column all missing": (
        table(*(f"2014-01-01 {hour:02d}:00,1,NA,N,x" for hour in range(24))),
        ["column flow: expected some values, found none at all"],
    ),
}


@pytest.mark.parametrize("name", WRONG_TABLES)
def test_a_wrong_table_is_refused(project: Project, name: str) -> None:
    """Ingest ends with a line that says where and what, and writes nothing."""
    content, parts = WRONG_TABLES[name]
    project.table.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = refusal(project)
    for part in ["data/raw/toy/toy.csv: ", *parts]:
        assert part in line


def test_the_line_of_a_large_file_is_right(tmp_path: Path) -> None:
    """Lines are counted through all blocks of a file, with Windows line ends too."""
    raw = (ROOT / "data/raw/beijing_pm25/beijing_pm25.csv").read_bytes().split(b"\r\n")
    raw[40_000] = raw[40_000].rsplit(b",", 1)[0]
    path = tmp_path / "broken.csv"
    path.write_bytes(b"\r\n".join(raw))
    card = read_card_file(ROOT / "data/datasets/beijing_pm25.yaml")
    with pytest.raises(PipelineError, match="line 40001: expected 13 fields, found 12"):
        reading.read_table(path, card)


def test_a_refused_table_ends_the_command(project: Project) -> None:
    """`python -m pipeline.stages.ingest` ends with exit code 1, one line and no traceback."""
    project.table.write_text(replaced(7, "2014-01-01 06:00,much,2,N,x"))
    run = project.command("pipeline.stages.ingest")
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("error: data/raw/toy/toy.csv: column level, row 7: ")
    assert project.written() == set()


@pytest.mark.parametrize(
    ("fetch", "remedy"),
    [("dvc get SOMEWHERE", "get it with: dvc get SOMEWHERE"), (None, "expected the data set's")],
)
def test_a_missing_table_is_named(project: Project, fetch: str | None, remedy: str) -> None:
    """Where the table is absent, the line says how to get it."""
    project.write(card={"fetch": fetch} if fetch else {})
    project.table.unlink()
    line = refusal(project)
    assert line.startswith(f"data/raw/toy/toy.csv: no such file; {remedy}")


@pytest.mark.parametrize("how", ["committed", "pinned", "neither"])
def test_a_table_in_no_directory_is_told_how_to_move(
    how: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data set of the old form is named with the commands that move it, and its pin."""
    monkeypatch.chdir(project.root)
    flat = Path("data/raw/toy.csv")
    project.table.rename(flat)
    project.table.parent.rmdir()
    shutil.copy(ROOT / "data/raw/.gitignore", "data/raw")
    words = {"committed": "git add -f", "pinned": "dvc add", "neither": "ls"}[how]
    for command in ("git init -q", "dvc init -q", f"{words} {flat}"):
        run(project.root, *command.split())
    with pytest.raises(PipelineError) as told:
        project.run("ingest")
    line = str(told.value)
    assert line.startswith("data/raw/toy/toy.csv: no such file; a data set is a directory: mkdir ")
    run(project.root, "bash", "-c", line.split("directory: ")[1])
    project.run("ingest")
    assert Path("data/raw/toy.dvc").exists() == (how == "pinned")
    in_git = run(project.root, "git", "ls-files", "data/raw").splitlines()
    assert ("data/raw/toy/toy.csv" in in_git) == (how == "committed")
    assert not list(flat.parent.glob("toy.csv*"))


def test_a_table_that_is_not_the_cards_is_refused(project: Project) -> None:
    """A wrong checksum is told with both sums, and the file is not used."""
    expected, found = 64 * "a", artifacts.sha256(project.table)
    line = refusal(project.write(card={"sha256": expected}))
    assert f"expected sha256 {expected}, found {found}" in line


def test_a_table_as_its_card_describes_is_ingested(project: Project) -> None:
    """A right checksum passes and is recorded."""
    digest = artifacts.sha256(project.table)
    project.write(card={"sha256": digest}).run("ingest")
    assert json.loads(project.read("data/ingested/quality.json"))["sha256"] == digest


@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(lambda text: text.encode("utf-8-sig"), id="byte-order mark"),
        pytest.param(lambda text: text.replace("\n", "\r\n").encode(), id="Windows line ends"),
        pytest.param(lambda text: text.rstrip("\n").encode(), id="no last line end"),
        pytest.param(lambda text: text.encode() + b"\n\r\n", id="blank lines at the end"),
    ],
)
def test_how_text_is_written_does_not_matter(
    project: Project, encode: Callable[[str], bytes]
) -> None:
    """The same rows give the same series."""
    plain = reading.read_table(project.table, toy_card())
    project.table.write_bytes(encode(project.table.read_text()))
    pd.testing.assert_frame_equal(reading.read_table(project.table, toy_card()), plain)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_name_may_have_two_lines(end: str) -> None:
    """A header cell with a line break, as spreadsheets write it, is one name."""
    content = f'time,"level{end}(m)"{end}2014-01-01 00:00,1.5{end}'.encode()
    found = delimited.parse_table(content, toy_card(), "toy")
    assert list(found.columns) == ["time", f"level{end}(m)"]
    assert found.to_numpy().tolist() == [["2014-01-01 00:00", "1.5"]]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_the_cards_encoding_is_used(project: Project, encoding: str) -> None:
    """A table in another encoding is read once its card names it."""
    project.table.write_bytes(replaced(7, "2014-01-01 06:00,1,2,N,µ").encode(encoding))
    table = reading.read_table(project.table, toy_card(encoding=encoding))
    assert table["note"].iloc[6] == "µ"
    assert len(table) == 48


def test_the_cards_delimiter_is_used(project: Project) -> None:
    """A table of another delimiter is read once its card names it; commas are decimal commas."""
    project.table.write_text(replaced(7, "2014-01-01 06:00,1,2,N,x").replace(",", ";"))
    card = toy_card(delimiter=";")
    table = reading.read_table(project.table, card)
    assert tables.to_series(table, card, "toy")["flow"].iloc[6] == 2
    table.loc[3, "flow"] = "2,5"
    with pytest.raises(PipelineError, match=r"toy: column flow, row 4: .*'2,5'; a number if"):
        tables.to_series(table, card, "toy")


def test_what_is_missing_stays_missing() -> None:
    """Every missing mark of the card becomes NaN, in numbers and in categories."""
    marks = ["", "NA", "NaN", "nan", "null", " NA "]
    frame = toy_table(len(marks))
    frame["level"], frame["wind"] = marks, marks
    result = tables.to_series(frame, toy_card(), "toy")
    assert result["level"].isna().all()
    assert result["wind"].isna().all()
    assert result["flow"].dtype == np.float64


@pytest.mark.parametrize("name", ["level", "time"])
def test_a_column_that_stands_twice_is_refused(name: str) -> None:
    """In rows that did not come from a file, such as a request's, a name has one column."""
    table = toy_table(5)
    table = pd.concat([table, table[[name]]], axis=1)
    with pytest.raises(PipelineError, match=f"toy: column {name} appears twice"):
        tables.to_series(table, toy_card(), "toy")


def test_a_missing_mark_may_come_as_a_number() -> None:
    """-999 is missing whether it is text in a file or a number in a request."""
    frame, card = toy_table(3, missing=0), toy_card(missing=["NA", "-999"])
    for values in (["-1", "-999", "5"], [-1, -999, 5], [-1.0, -999.0, 5.0]):
        frame["flow"] = values
        found = tables.to_series(frame, card, "toy")["flow"]
        np.testing.assert_array_equal(found, [-1, np.nan, 5])


def test_a_typed_table_gives_the_same_series() -> None:
    """What an example shows a caller is missing where the file's text is, spaces or not."""
    frame, card = toy_table(4, missing=0), toy_card()
    frame["level"], frame["wind"] = [" 5", " NA", "", "7 "], ["N", " S", " NA", ""]
    typed = tables.typed(frame, card, ["level", "wind", "flow"])
    pd.testing.assert_frame_equal(
        tables.to_series(typed, card, "typed"), tables.to_series(frame, card, "text")
    )
    assert typed["level"].dtype == np.float64


def test_a_category_may_be_called_na() -> None:
    """A level that the card lists is a level, even if it looks like a missing mark."""
    card = toy_card(columns=CARD["columns"] | {"wind": {"categories": ["NA", "S"]}})
    frame = toy_table(3, missing=0)
    frame["wind"] = ["NA", "S", ""]
    assert tables.to_series(frame, card, "toy")["wind"].tolist()[:2] == ["NA", "S"]


def test_absent_time_stamps_become_missing_rows(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gap in time is filled with missing rows, counted, recorded and told."""
    project.table.write_text("\n".join([*lines()[:10], *lines()[13:]]) + "\n")
    project.run("ingest")
    result = pd.read_parquet(project.root / "data/ingested/series.parquet")
    quality = json.loads(project.read("data/ingested/quality.json"))
    assert len(result) == 48
    assert result["level"].isna().to_numpy().nonzero()[0].tolist() == [9, 10, 11]
    assert quality["absent_rows"] == 3
    assert quality["missing"] == {"level": 3, "flow": 3, "wind": 3}
    assert quality["longest_gap"] == {"level": 3, "flow": 3, "wind": 3}
    assert "3 time stamps are absent, their values missing" in capsys.readouterr().err


def test_a_constant_input_is_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A column that never changes is recorded, with a warning."""
    frame = toy_table()
    frame["flow"] = 3.0
    project.write(frame).run("ingest")
    assert json.loads(project.read("data/ingested/quality.json"))["constant"] == ["flow"]
    assert "warning: column flow never changes" in capsys.readouterr().err


def parts_of_time(*hours: object) -> pd.DataFrame:
    """Rows of the first of January 2014 whose time stands in four columns."""
    return pd.DataFrame(
        {"year": 2014, "month": 1, "day": 1, "hour": hours, "level": 1, "flow": 2, "wind": "N"}
    )


def test_time_is_built_from_its_parts() -> None:
    """Year, month, day and hour make a time stamp; the hour 24 is the next day's first."""
    card = toy_card(time={"columns": ["year", "month", "day", "hour"]})
    times = tables.to_series(parts_of_time(22, 23, 24), card, "toy").index
    assert [str(time) for time in times[1:]] == ["2014-01-01 23:00:00", "2014-01-02 00:00:00"]


@pytest.mark.parametrize("hour", [25, -1, 1.5, "x", None])
def test_an_impossible_part_of_time_is_refused(hour: object) -> None:
    """A part that is out of range, fractional, missing or no number is no time."""
    card = toy_card(time={"columns": ["year", "month", "day", "hour"]})
    with pytest.raises(PipelineError, match=r"column year, month, day, hour, row 2: expected a da"):
        tables.to_series(parts_of_time(0, hour, 2), card, "toy")


def test_a_year_of_two_digits_is_refused() -> None:
    """14 is the year 14 to pandas: whoever meant 2014 is told."""
    card = toy_card(time={"columns": ["year", "month", "day", "hour"]})
    with pytest.raises(PipelineError, match=r"row 1: expected a date .*found '14 1 1 0'"):
        tables.to_series(parts_of_time(0, 1).assign(year=14), card, "toy")


def rows_at(*stamps: str) -> pd.DataFrame:
    """A toy table of the given times."""
    return toy_table(len(stamps), missing=0).assign(time=list(stamps))


ZONED = {"column": "time", "format": "%Y-%m-%d %H:%M%z"}
BERLIN = {"column": "time", "format": "%Y-%m-%d %H:%M", "timezone": "Europe/Berlin"}


def test_one_time_zone_is_kept_as_utc() -> None:
    """Stamps with one offset are moments, kept as UTC, and a line says so."""
    frame = rows_at("2014-01-01 00:00+02:00", "2014-01-01 01:00+02:00")
    result = tables.to_series(frame, toy_card(time=ZONED), "toy")
    assert str(result.index[0]) == "2013-12-31 22:00:00+00:00"
    said = quality.remarks(quality.measure(result, Given(len(frame)), toy_card(time=ZONED)), [])
    assert next(said) == "times are stored as UTC, and forecasts have UTC times"


@pytest.mark.parametrize(
    ("stamps", "parts"),
    [
        (["2014-01-01 00:00+01:00", "2014-01-01 01:00+02:00"], ["row 2", "(+01:00), found +02:00"]),
        (["2014-01-01 00:00", "2014-01-01 01:00+02:00"], ["row 1", "found '2014-01-01 00:00'"]),
        (["2014-01-01 00:00+01:00", "2014-01-01 01:00"], ["row 2", "found '2014-01-01 01:00'"]),
    ],
)
def test_mixed_time_zones_are_refused(stamps: list[str], parts: list[str]) -> None:
    """An offset that changes, or is sometimes absent, is told with its row."""
    with pytest.raises(PipelineError) as caught:
        tables.to_series(rows_at(*stamps), toy_card(time=ZONED), "toy")
    for part in ["toy: column time", *parts]:
        assert part in str(caught.value)


def test_daylight_saving_keeps_hours_apart() -> None:
    """With a time zone, the skipped hour is no gap and the repeated one is two rows."""
    spring = rows_at("2014-03-30 01:00", "2014-03-30 03:00", "2014-03-30 04:00")
    autumn = rows_at("2014-10-26 02:00", "2014-10-26 02:00", "2014-10-26 03:00")
    for frame in (spring, autumn):
        result = tables.to_series(frame, toy_card(time=BERLIN), "toy")
        assert result["level"].tolist() == frame["level"].tolist()


@pytest.mark.parametrize(
    ("stamps", "parts"),
    [
        (["2014-03-30 01:00", "2014-03-30 02:00"], ["row 2", "which daylight saving skips"]),
        (
            [
                *["2013-10-27 02:00", "2013-10-27 02:00"],
                *["2014-10-26 01:00", "2014-10-26 02:00", "2014-10-26 03:00"],
            ],
            ["row 4", "2014-10-26 02:00:00, which daylight saving repeats"],
        ),
    ],
)
def test_a_fault_of_daylight_saving_is_refused(stamps: list[str], parts: list[str]) -> None:
    """A local time that does not exist, or is one of two, is told with its row."""
    with pytest.raises(PipelineError) as caught:
        tables.to_series(rows_at(*stamps), toy_card(time=BERLIN), "toy")
    for part in ["toy: column time", "local times of Europe/Berlin", *parts]:
        assert part in str(caught.value)


def test_rows_may_end_in_the_hour_that_is_to_be_repeated() -> None:
    """The newest row of that hour is its first, as a service sees it once a year."""
    stamps = ["2014-10-26 00:00", "2014-10-26 01:00", "2014-10-26 02:00"]
    index = tables.to_series(rows_at(*stamps), toy_card(time=BERLIN), "toy").index
    assert str(index[-1]) == "2014-10-26 00:00:00+00:00"
    again = tables.to_series(rows_at(*stamps, stamps[-1]), toy_card(time=BERLIN), "toy").index
    assert str(again[-1]) == "2014-10-26 01:00:00+00:00"


def test_rows_may_begin_in_the_hour_that_was_repeated() -> None:
    """As many rows as a forecast needs may start with that hour's second row."""
    stamps = ["2014-10-26 02:00", "2014-10-26 03:00"]
    index = tables.to_series(rows_at(*stamps), toy_card(time=BERLIN), "toy").index
    assert str(index[0]) == "2014-10-26 01:00:00+00:00"
    whole = tables.to_series(rows_at(stamps[0], *stamps), toy_card(time=BERLIN), "toy").index
    assert str(whole[0]) == "2014-10-26 00:00:00+00:00"


def test_days_of_a_zone_whose_clocks_change_are_refused_with_the_remedy() -> None:
    """A day of 25 hours is no day of 24: without a zone, days are dates."""
    stamps = ["2014-10-25 00:00", "2014-10-26 00:00", "2014-10-27 00:00"]
    with pytest.raises(PipelineError, match=r"row 3: .*leave out time\.timezone"):
        tables.to_series(rows_at(*stamps), toy_card(time=BERLIN, frequency="1D"), "toy")
    tables.to_series(rows_at(*stamps), toy_card(frequency="1D"), "toy")


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    step=st.sampled_from(["30min", "45min", "1h", "90min", "2h", "3h", "6h", "1D"]),
    start=st.integers(0, 365 * 48),
)
def test_any_steps_of_equal_length_are_read_in_local_time(zone: str, step: str, start: int) -> None:
    """Where an hour comes twice and stands there once, the steps say which of the two it is."""
    first = pd.Timestamp("2014-01-01", tz="UTC") + start * pd.Timedelta("30min")
    times = pd.date_range(first, first + pd.Timedelta("200D"), freq=step)
    local = times.tz_convert(zone).strftime("%Y-%m-%d %H:%M")
    card = toy_card(time=BERLIN | {"timezone": zone}, frequency=step)
    result = tables.to_series(pd.DataFrame({"time": local}), card, "toy", [])
    assert result.index.equals(times)


@pytest.mark.parametrize("step", ["2h", "3h", "6h"])
@pytest.mark.parametrize("day", ["2014-03-30", "2014-10-26"])
def test_steps_of_a_wall_clock_are_refused_with_the_remedy(step: str, day: str) -> None:
    """Where every day has the same times, steps are not as long: without a zone they are read."""
    end = pd.Timestamp(day) + pd.Timedelta("3D")
    times = pd.date_range(pd.Timestamp(day) - pd.Timedelta("2D"), end, freq=step)
    table = rows_at(*times.drop("2014-03-30 02:00", errors="ignore").strftime("%Y-%m-%d %H:%M"))
    with pytest.raises(PipelineError, match=r"regular as written: leave out time\.timezone$"):
        tables.to_series(table, toy_card(time=BERLIN, frequency=step), "toy")
    assert tables.to_series(table, toy_card(frequency=step), "toy").index.equals(times)


def test_steps_above_an_hour_without_their_zone_are_refused_with_the_remedy() -> None:
    """Two hours as a clock on the wall shows them may be three: the zone is what is lacking."""
    stamps = ["2014-03-29 22:00", "2014-03-30 00:00", "2014-03-30 03:00", "2014-03-30 05:00"]
    with pytest.raises(
        PipelineError, match=r"row 3: .*did clocks change in between\? see time\.ti"
    ):
        tables.to_series(rows_at(*stamps), toy_card(frequency="2h"), "toy")
    result = tables.to_series(rows_at(*stamps), toy_card(time=BERLIN, frequency="2h"), "toy")
    assert len(result) == 4


@pytest.mark.parametrize(
    ("frequency", "stamps", "hint"),
    [
        ("1h", ["2014-10-26 01:00", "2014-10-26 02:00", "2014-10-26 02:00"], True),
        ("30min", ["2014-10-26 02:00", "2014-10-26 02:30", "2014-10-26 02:00"], True),
        ("1D", ["2014-10-26 00:00", "2014-10-27 00:00", "2014-10-27 00:00"], False),
    ],
    ids=["by the hour", "by half an hour", "by the day, without the reason"],
)
def test_without_a_time_zone_the_repeated_hour_is_refused(
    frequency: str, stamps: list[str], hint: bool
) -> None:
    """Where no zone is named, an hour that is repeated is told, with the likely reason."""
    with pytest.raises(PipelineError, match=r"row 3: .*(appears twice|is earlier)") as error:
        tables.to_series(rows_at(*stamps), toy_card(frequency=frequency), "toy")
    assert ("name the zone under time" in str(error.value)) == hint


def test_a_numeric_mark_may_be_written_in_other_ways() -> None:
    """-999.0 is as missing as -999, in a file as in a request."""
    frame = rows_at("2014-01-01 00:00", "2014-01-01 01:00", "2014-01-01 02:00")
    frame["level"] = ["-999.0", "1", "-9.99e2"]
    card = toy_card(missing=["", "-999"])
    assert tables.to_series(frame, card, "toy")["level"].isna().tolist() == [True, False, True]


@pytest.mark.parametrize(
    "levels",
    [[1.0, np.nan, 2.0], [1, 2, 2], ["1", "", "2"]],
    ids=["as floats", "as integers", "as text"],
)
def test_a_category_of_numbers_may_lack_some(levels: list[Any]) -> None:
    """Levels 1 and 2 are known beside a missing one, which makes floats of them in a request."""
    frame = rows_at("2014-01-01 00:00", "2014-01-01 01:00", "2014-01-01 02:00")
    frame["wind"] = levels
    columns = CARD["columns"] | {"wind": {"categories": ["1", "2"]}}
    found = tables.to_series(frame, toy_card(columns=columns), "toy")["wind"]
    assert found.dropna().isin(["1", "2"]).all()
    assert found.iloc[[0, 2]].tolist() == ["1", "2"]


def test_a_series_may_need_no_column() -> None:
    """Inputs of calendar terms alone leave the times."""
    frame = rows_at("2014-01-01 00:00", "2014-01-01 01:00")
    assert tables.to_series(frame, toy_card(), "toy", []).shape == (2, 0)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("06.08.2014 20:00", "2014-08-06 18:00"),
        ("2014-08-06 20:00", "2014-08-06 18:00"),
        ("2014-08-06T20:00Z", "2014-08-06 20:00"),
        ("8/6/2014", None),
        ("31.13.2014 20:00", None),
        ("noon", None),
        ("", None),
    ],
)
def test_a_time_is_named_as_the_table_writes_it(written: str, expected: str | None) -> None:
    """The card's format before ISO 8601, its zone where none is told, and nothing guessed."""
    card = toy_card(time=BERLIN | {"format": "%d.%m.%Y %H:%M"})
    if expected is None:
        with pytest.raises(ValueError, match=written or "found .."):
            timestamps.moments([written], card)
    else:
        assert timestamps.moments([written], card)[0] == pd.Timestamp(expected, tz="UTC")
    plain = "2014-08-06 20:00"
    assert timestamps.moments([plain], toy_card())[0] == pd.Timestamp(plain)


@pytest.mark.parametrize("round_to", [None, "1h"])
def test_times_are_named_each_in_its_own_way(round_to: str | None) -> None:
    """Times of one call, as in the table, by ISO 8601 and with offsets, are as each alone."""
    card = toy_card(time=BERLIN | {"format": "%d.%m.%Y %H:%M", "round": round_to})
    written = [
        "06.08.2014 20:00",
        "2014-08-06T21:00",
        "2014-08-06 20:00+00:00",
        "2014-12-06 20:01Z",
    ]
    for some in (written, written[:1] * 3, written[1:3], written[2:]):
        alone = [timestamps.moments([one], card)[0] for one in some]
        assert timestamps.moments(some, card).tolist() == alone
    assert f"{timestamps.moments(written, card)[1]}" == "2014-08-06 19:00:00+00:00"


def wide_card(**changes: Any) -> Card:
    """A card of days with four times each."""
    return toy_card(
        **{
            "layout": "wide",
            "wide": {"column": "level", "times": "T%H%M"},
            "time": {"column": "day", "format": "%Y%m%d"},
            "frequency": "6h",
            "columns": {"level": {}},
            "excluded": [],
            "inputs": ["level"],
        }
        | changes
    )


def days(*rows: str, header: str = "day,T0000,T0600,T1200,T1800") -> pd.DataFrame:
    """A wide table of strings."""
    names = header.split(",")
    return pd.DataFrame([row.split(",") for row in rows], columns=names)


def test_a_wide_table_is_unfolded() -> None:
    """A row a day becomes a row a time, in time's order, up to the last value of a running day."""
    frame = days(
        "20140101,1,2,,4", "20140103,6,5,,", header="day,T0600,T0000,T1200,T1800"
    )  # the second day is absent, the last still running
    result = tables.to_series(frame, wide_card(), "toy")
    expected = [2, 1, np.nan, 4, np.nan, np.nan, np.nan, np.nan, 5, 6]
    np.testing.assert_array_equal(result["level"], expected)
    assert str(result.index[-1]) == "2014-01-03 06:00:00"
    found = quality.measure(result, Given(len(frame)), wide_card())
    assert (found["absent_rows"], found["to_come"]) == (4, 2)
    assert any(
        "no value after 2014-01-03 06:00:00: its other 2" in s for s in quality.remarks(found, [])
    )


def test_whole_days_without_a_value_at_the_end_of_a_wide_table_are_missing() -> None:
    """They are rows of the series and are counted: nothing of the last of them is to come."""
    frame = days("20140101,1,2,3,4", "20140102,5,,,", "20140103,,,,", "20140104,,,,")
    result = tables.to_series(frame, wide_card(), "toy")
    found = quality.measure(result, Given(len(frame)), wide_card())
    assert found["last"] == "2014-01-04 18:00:00"
    assert (found["absent_rows"], found["to_come"], found["missing"]) == (0, 0, {"level": 11})


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (days("20140101,1,2,3,4", "20140102,1,x,3,4"), "column T0600, row 2: expected a finite"),
        (days("20140101,1,2,3,4", "20140101,1,2,3,4"), "column day, row 2: .*expected rows sorted"),
        (days("20140101,1,2,3,4", "20140231,1,2,3,4"), "column day, row 2: expected a time"),
        (days("20140101,1,2,3", header="day,T0000,T0600,T1200"), "expected 4 columns.*found 3"),
        (days("20140101,1,2,3,4", header="day,T0000,T0600,noon,T1800"), "unknown column noon"),
        (days("1,1,2,3,4", header="date,T0000,T0600,T1200,T1800"), "column day missing"),
    ],
)
def test_a_wrong_wide_table_is_refused(frame: pd.DataFrame, message: str) -> None:
    """The row that is named is the table's own, not the unfolded series'."""
    with pytest.raises(PipelineError, match=message):
        tables.to_series(frame, wide_card(), "toy")


def test_days_of_a_wide_table_have_no_time() -> None:
    """Times of day are not added to a time of day: every value would be hours late."""
    card = wide_card(time={"column": "day", "format": "%Y%m%d%H"})
    with pytest.raises(PipelineError, match=r"row 2: expected a day without a time.* 06:00:00"):
        tables.to_series(days("2014010100,1,2,3,4", "2014010206,1,2,3,4"), card, "toy")


def test_the_load_table_becomes_a_series(published: Callable[[str], Path]) -> None:
    """The published load table is 365 days of 96 quarter hours with nothing missing."""
    raw = published("load.csv")
    card = read_card_file(ROOT / "data/datasets/load.yaml")
    reading.verify(raw, card)
    table = reading.read_table(raw, card)
    result = tables.to_series(table, card, raw.name)
    assert len(result) == 35_040
    assert not result["load"].isna().any()
    assert float(result["load"].iloc[97]) == float(table["T0015"].iloc[1])


def test_the_committed_table_is_as_published(beijing: tuple[Card, pd.DataFrame]) -> None:
    """The committed table passes its checksum and holds the documented gaps."""
    _, frame = beijing
    assert len(frame) == 43_824
    assert int(frame["pm2.5"].isna().sum()) == 2067
    assert frame["cbwd"].value_counts().to_dict() == {
        "SE": 15290,
        "NW": 14150,
        "cv": 9387,
        "NE": 4997,
    }


FIELDS = st.sampled_from(["1", "-2.5", "", "NA", "N", "S", "x", "inf", "1e400", '"', "1,5", "µ"])
STAMPS = st.sampled_from([f"{time:%Y-%m-%d %H:%M}" for time in toy_times(5)] + ["", "2014", "x"])


@given(st.lists(st.tuples(STAMPS, FIELDS, FIELDS, FIELDS), max_size=6))
def test_any_table_is_a_series_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    """Whatever the fields are, the answer is a regular series or a PipelineError of one line."""
    path = tmp_path_factory.mktemp("any") / "toy.csv"
    path.write_text(table(*(",".join([*row, "x"]) for row in rows)), encoding="utf-8")
    try:
        result = tables.to_series(reading.read_table(path, toy_card()), toy_card(), str(path))
    except PipelineError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert list(result.columns) == ["level", "flow", "wind"]
        assert (np.diff(pd.DatetimeIndex(result.index)) == np.timedelta64(1, "h")).all()
        assert not np.isinf(result[["level", "flow"]].to_numpy()).any()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Whatever the bytes are, reading ends with a table of strings or a PipelineError."""
    path = tmp_path_factory.mktemp("any") / "toy.csv"
    path.write_bytes(content)
    try:
        result = reading.read_table(path, toy_card())
    except PipelineError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert len(result) > 0

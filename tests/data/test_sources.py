"""A table in any kind of file reads to the series that it is as CSV, or ends in one line."""

import gzip
import io
import sys
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import new_dataset
from pipeline.config import cards
from pipeline.data import raw_panel, tables, values
from pipeline.data.sources import reading
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from tests.toys import PANEL, Project, toy_card, toy_panel, toy_table

ISO = {"column": "time", "format": "%Y-%m-%d %H:%M:%S"}
EPOCH = datetime(1899, 12, 30)
CELLS = {datetime: 1, date: 2, time: 3}  # styles below, by the type of a cell


def workbook(sheets: dict[str, list[list[Any]]]) -> bytes:
    """An .xlsx file with these rows of cells in each sheet; None is an empty cell."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    files, names, links = {}, "", ""
    for number, (name, rows) in enumerate(sheets.items(), 1):
        lines = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
        files[f"xl/worksheets/sheet{number}.xml"] = (
            f"<worksheet {space}><sheetData>{lines}</sheetData></worksheet>"
        )
        names += f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>'
        target = f'Target="worksheets/sheet{number}.xml"'
        links += f'<Relationship Id="r{number}" Type="{office}/worksheet" {target}/>'
    links += f'<Relationship Id="s" Type="{office}/styles" Target="styles.xml"/>'
    formats = "".join(f'<xf numFmtId="{code}" applyNumberFormat="1"/>' for code in (0, 22, 14, 21))
    files |= {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default '
        f'Extension="xml" ContentType="{kinds}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="b" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {space} xmlns:r="{office}"><sheets>{names}</sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{links}'
        "</Relationships>",
        "xl/styles.xml": f"<styleSheet {space}><cellXfs>{formats}</cellXfs></styleSheet>",
    }
    return zipped({name: text.encode() for name, text in files.items()})


def _cell(value: Any) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    style = CELLS.get(type(value), 0)
    if isinstance(value, datetime):
        value = (value - EPOCH).total_seconds() / 86400
    elif isinstance(value, date):
        value = (datetime.combine(value, time()) - EPOCH).days
    elif isinstance(value, time):
        value = (value.hour * 3600 + value.minute * 60 + value.second) / 86400
    return f'<c s="{style}"><v>{value!r}</v></c>'


def zipped(files: dict[str, bytes]) -> bytes:
    """An archive of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def parquet(table: pd.DataFrame | pa.Table) -> bytes:
    """A table as Parquet."""
    made = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table)
    pq.write_table(made, packed := io.BytesIO())
    return packed.getvalue()


def as_csv(table: pd.DataFrame) -> bytes:
    """A table as CSV."""
    return table.to_csv(index=False).encode()


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """The toy table with times in the place of their text."""
    return table.assign(time=pd.to_datetime(table["time"]))


def as_sheet(table: pd.DataFrame) -> list[list[Any]]:
    """The rows of a sheet, with the columns' names in the first."""
    cells = typed(table).astype(object)
    rows = cells.where(cells.notna(), None).to_numpy().tolist()
    moments = [[v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for v in r] for r in rows]
    return [list(table.columns), *moments]


def thirds(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The table in three parts."""
    return [table.iloc[:10], table.iloc[10:11], table.iloc[11:]]


Files = Callable[[pd.DataFrame], dict[str, bytes]]
# How a table may be stored: the card's keys, and the files that hold it.
STORED: dict[str, tuple[dict[str, Any], Files]] = {
    "gzip": ({"file": "t.csv.gz"}, lambda t: {"t.csv.gz": gzip.compress(as_csv(t))}),
    "zip": ({"file": "t.zip"}, lambda t: {"t.zip": zipped({"a/b.txt": as_csv(t)})}),
    "one of a zip": (
        {"file": "t.zip", "member": "hour.csv"},
        lambda t: {"t.zip": zipped({"day.csv": b"a,b\n1,2\n", "hour.csv": as_csv(t)})},
    ),
    "all of a zip": (
        {"file": "t.zip", "member": "*.csv"},
        lambda t: {
            "t.zip": zipped(
                {"read.me": b"!", **{f"{i}.csv": as_csv(p) for i, p in enumerate(thirds(t))}}
            )
        },
    ),
    "several files": (
        {"file": "part *.csv"},
        lambda t: {
            f"part {name}.csv": as_csv(part)
            for name, part in zip((2, 10, 11), thirds(t), strict=True)
        },
    ),
    "Parquet": ({"file": "t.parquet", "time": ISO}, lambda t: {"t.parquet": parquet(typed(t))}),
    "Parquet with an index": (
        {"file": "t.pq", "time": ISO},
        lambda t: {"t.pq": parquet(typed(t).set_index("time"))},
    ),
    "several of Parquet, packed": (
        {"file": "*.parquet.gz", "time": ISO},
        lambda t: {
            f"{i}.parquet.gz": gzip.compress(parquet(typed(p))) for i, p in enumerate(thirds(t))
        },
    ),
    "text in Parquet": ({"file": "t.parquet"}, lambda t: {"t.parquet": parquet(t.astype(object))}),
    "a workbook": (
        {"file": "t.xlsx", "time": ISO},
        lambda t: {"t.xlsx": workbook({"data": as_sheet(t)})},
    ),
    "one sheet of a workbook": (
        {"file": "t.xlsx", "sheet": "data", "time": ISO},
        lambda t: {"t.xlsx": workbook({"notes": [["see"]], "data": [*as_sheet(t), [None]]})},
    ),
}


def stored(folder: Path, keys: dict[str, Any], files: dict[str, bytes]) -> Path:
    """Write the files of a table into a directory; the path that names it."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / keys["file"]


@pytest.mark.parametrize(("keys", "files"), STORED.values(), ids=STORED)
def test_a_table_is_the_same_in_every_kind_of_file(
    keys: dict[str, Any], files: Files, tmp_path: Path
) -> None:
    """To the last digit of every value, for one series and for a panel."""
    table = toy_table()
    table["level"] *= np.pi  # all digits of a double
    for rows, more in ((table, {}), (toy_panel().assign(note="x"), PANEL | {"excluded": ["note"]})):
        csv, card = tmp_path / "plain.csv", toy_card(**more)
        csv.write_bytes(as_csv(rows))
        plain, given = raw_panel.to_panel(reading.read_table(csv, card), card, "plain")
        csv.unlink()
        path, other = stored(tmp_path, keys, files(rows)), toy_card(**more, **keys)
        found, counts = raw_panel.to_panel(reading.read_table(path, other), other, "stored")
        pd.testing.assert_frame_equal(found.frame, plain.frame, check_exact=True)
        assert (found.borders.names, counts) == (plain.borders.names, given)


def test_what_arrow_knows_is_read_as_pandas_writes_it_to_csv(tmp_path: Path) -> None:
    """Single and decimal numbers, levels, booleans, dates and times of a zone."""
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2024-03-30 22:00", periods=4, freq="h", tz="Europe/Berlin"),
            "x": np.array([0.1, 2.5, np.nan, 1e-7], "float32"),
            "n": pd.array([1, None, 3, 2**40], "Int64"),
            "wind": pd.Categorical(["N", None, "S", "N"]),
            "on": pd.array([True, False, None, True], "boolean"),
        }
    )
    made = pa.Table.from_pandas(frame).append_column(
        "price", pa.array([None, *map(Decimal, ("1.10", "-2.35", "1000000.01"))])
    )
    (tmp_path / "t.parquet").write_bytes(parquet(made))
    names = {"x": {}, "n": {}, "price": {}, "wind": {"categories": ["N", "S"]}}
    card = toy_card(
        time={"column": "time", "format": "%Y-%m-%d %H:%M:%S%z", "timezone": "Europe/Berlin"},
        columns=names | {"on": {"categories": ["False", "True"]}},
        excluded=[],
        targets=["x"],
        inputs=["x"],
    )
    table = reading.read_table(tmp_path / "t.parquet", card)
    series = tables.to_series(table, card, "t")
    assert list(series.index) == list(
        pd.date_range("2024-03-30 21:00", periods=4, freq="h", tz="UTC")
    )
    np.testing.assert_array_equal(series["x"], [0.1, 2.5, np.nan, 1e-7])
    np.testing.assert_array_equal(series["n"], [1, np.nan, 3, 2**40])
    np.testing.assert_array_equal(series["price"], [np.nan, 1.10, -2.35, 1000000.01])
    assert series["on"].fillna("").tolist() == ["True", "False", "", "True"]
    sub = pa.table(
        {"a": pa.array([1_500_000], pa.timestamp("us")), "b": pa.array([date(2024, 1, 2)])}
    )
    (tmp_path / "t.parquet").write_bytes(parquet(sub))
    cells = reading.read_table(tmp_path / "t.parquet", card).iloc[0]
    assert list(cells) == ["1970-01-01 00:00:01.500", "2024-01-02"]


def test_cells_of_a_workbook_are_what_they_show(tmp_path: Path) -> None:
    """Dates, times of day, and numbers and times among words; columns of nothing are left out."""
    rows = [
        ["day", "clock", "time", "mixed", None, 2024],
        [date(2024, 1, 1), time(0, 30), datetime(2024, 1, 1), "12,5", None, 1],
        [date(2024, 1, 2), time(1), datetime(2024, 1, 1, 1), 3, None, 0.1],
        [
            date(2024, 1, 3),
            time(23, 59, 59),
            datetime(2024, 1, 1, 2, 0, 0, 500000),
            True,
            None,
            None,
        ],
    ]
    (tmp_path / "t.xlsx").write_bytes(workbook({"a": rows}))
    found = reading.read_table(tmp_path / "t.xlsx", toy_card())
    assert list(found) == ["day", "clock", "time", "mixed", "2024"]
    assert found["day"].tolist() == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert found["clock"].tolist() == ["00:30:00", "01:00:00", "23:59:59"]
    assert found["time"].tolist()[::2] == ["2024-01-01 00:00:00", "2024-01-01 02:00:00.500000"]
    assert found["mixed"].tolist() == ["12,5", "3", "true"]
    np.testing.assert_array_equal(found["2024"], [1, 0.1, np.nan])


CSV = as_csv(toy_table(30))
BROKEN: dict[str, tuple[dict[str, Any], dict[str, bytes], str]] = {
    "no gzip": ({"file": "t.csv.gz"}, {"t.csv.gz": CSV}, r"t\.csv\.gz: expected a whole gzip file"),
    "half a gzip": (
        {"file": "t.csv.gz"},
        {"t.csv.gz": gzip.compress(CSV)[:90]},
        r"t\.csv\.gz: expected a whole gzip file, found .*end",
    ),
    "no zip": ({"file": "t.zip"}, {"t.zip": CSV}, r"t\.zip: expected a zip archive, found"),
    "an empty zip": ({"file": "t.zip"}, {"t.zip": zipped({})}, r"expected one file .*, found"),
    "which of a zip": (
        {"file": "t.zip"},
        {"t.zip": zipped({"a.csv": CSV, "b.csv": CSV})},
        r"t\.zip: expected one file in the archive, found a\.csv, b\.csv; .*card's member",
    ),
    "none such in a zip": (
        {"file": "t.zip", "member": "c.csv"},
        {"t.zip": zipped({"a.csv": CSV})},
        r"expected a file c\.csv in the archive, found a\.csv",
    ),
    "a bad line in a zip": (
        {"file": "t.zip"},
        {"t.zip": zipped({"a.csv": CSV + b"1,2\n"})},
        r"t\.zip/a\.csv: line 32.*expected 5 fields, found 2",
    ),
    "no Parquet": ({"file": "t.parquet"}, {"t.parquet": CSV}, r"t\.parquet: expected Parquet"),
    "lists in Parquet": (
        {"file": "t.parquet"},
        {"t.parquet": parquet(pa.table({"a": [[1], [2]]}))},
        r"t\.parquet: column a: expected numbers, text or times, found list<",
    ),
    "no workbook": ({"file": "t.xlsx"}, {"t.xlsx": CSV}, r"t\.xlsx: expected a workbook, found"),
    "which sheet": (
        {"file": "t.xlsx"},
        {"t.xlsx": workbook({"a": [["x"], [1]], "b": [["x"], [1]]})},
        r"t\.xlsx: expected one sheet, found a, b; name one in the card's sheet",
    ),
    "no such sheet": (
        {"file": "t.xlsx", "sheet": "c"},
        {"t.xlsx": workbook({"a": [["x"], [1]]})},
        r"expected a sheet c, found a",
    ),
    "an empty sheet": (
        {"file": "t.xlsx"},
        {"t.xlsx": workbook({"a": []})},
        r"sheet a: empty, expected a header line and rows",
    ),
    "a sheet of one row": (
        {"file": "t.xlsx"},
        {"t.xlsx": workbook({"a": [["time", "x"]]})},
        r"a header and no rows",
    ),
    "a nameless column of a sheet": (
        {"file": "t.xlsx"},
        {"t.xlsx": workbook({"a": [["time", None], ["t", 1]]})},
        r"expected a name for every column, found none for column 2 of 2",
    ),
    "a column more in a part": (
        {"file": "*.csv"},
        {"a.csv": CSV, "b.csv": as_csv(toy_table(30).assign(more=1).drop(columns="note"))},
        r"b\.csv: expected the columns of a\.csv, found no column note and a further column more",
    ),
    "a bad number in a part": (
        {"file": "*.csv"},
        {
            "a.csv": CSV,
            "b.csv": CSV.replace(b"2014-01-01", b"2014-02-01").replace(b",x\n", b"1e,x\n", 2),
        },
        r"column wind, row 1 of b\.csv: expected one of",
    ),
    "parts out of order": (
        {"file": "*.csv"},
        {"a.csv": CSV, "b.csv": CSV},
        r"column time, row 1 of b\.csv: .* is earlier than the row before",
    ),
    "no part": ({"file": "*.csv"}, {"a.txt": CSV}, r"\*\.csv: could not be read: No such file"),
}


@pytest.mark.parametrize(("keys", "files", "message"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_not_as_it_should_be_ends_in_one_line(
    keys: dict[str, Any], files: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    """One line names the file, the part of it, and what was expected."""
    card = toy_card(**keys)
    path = stored(tmp_path, keys, files)
    with pytest.raises(PipelineError, match=message) as told:
        tables.to_series(reading.read_table(path, card), card, str(path))
    assert "\n" not in str(told.value)
    assert str(told.value).startswith(str(tmp_path))


def test_the_reader_of_workbooks_is_named_where_it_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workbook without python-calamine ends with the command that installs it."""
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    (tmp_path / "t.xlsx").write_bytes(workbook({"a": [["x"], [1]]}))
    with pytest.raises(PipelineError, match=r"the extra excel .*: pip install python-calamine"):
        reading.read_table(tmp_path / "t.xlsx", toy_card())


def test_every_part_counts_in_the_sum_of_a_table(tmp_path: Path) -> None:
    """The sha256 of several files changes with each of them, and is that of sha256sum's lines."""
    (tmp_path / "a.csv").write_bytes(b"1")
    assert artifacts.table_sha256(tmp_path / "a.csv") == artifacts.sha256(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_bytes(b"2")
    lines = "".join(f"{artifacts.sha256(tmp_path / n)}  {n}\n" for n in ("a.csv", "b.csv"))
    (tmp_path / "sums").write_text(lines)
    assert artifacts.table_sha256(tmp_path / "*.csv") == artifacts.sha256(tmp_path / "sums")
    card = toy_card(file="*.csv", sha256=artifacts.table_sha256(tmp_path / "*.csv"))
    (tmp_path / "b.csv").write_bytes(b"3")
    with pytest.raises(PipelineError, match=r"\*\.csv: not the file its card describes"):
        reading.verify(tmp_path / "*.csv", card)


@pytest.fixture
def place(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with parameters for a table of some hundred rows; data/raw/mine is empty."""
    project.write(params={"window.look_back": 8, "window.horizon": 3})
    (project.root / "data/raw/mine").mkdir()
    monkeypatch.chdir(project.root)
    return Path("data/raw/mine")


@pytest.mark.parametrize(
    "stored_as", sorted(STORED.keys() - {"all of a zip"})
)  # whose pattern is a choice
def test_a_starter_card_is_written_for_every_kind_of_file(
    stored_as: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Card and screen say which file, member or sheet; its series is that of the CSV file."""
    keys, files = STORED[stored_as]
    table = toy_table().drop(columns="note")
    stored(place, keys, files(table))
    given = place if len(files(table)) > 1 else place / keys["file"]
    monkeypatch.setattr(sys, "argv", ["new-dataset", str(given)])
    new_dataset.main()
    said = capsys.readouterr().out
    assert "ingest will accept the table" in said
    for key in keys.keys() & {"member", "sheet"}:
        assert f"  check: {key}: {keys[key]}, the largest of " in said
    count = len(files(table))
    assert (f"{count} files, each below the one before: " in said) == (count > 1)
    card = cards.read_card("mine")
    path = HERE.raw_table("mine", card.file)
    assert card.sha256 == artifacts.table_sha256(path)
    assert {key: getattr(card, key) for key in keys.keys() - {"time", "file"}} == {
        key: value for key, value in keys.items() if key not in ("time", "file")
    }
    found = tables.to_series(reading.read_table(path, card), card, str(path))
    plain = toy_card(excluded=[])
    written = io.BytesIO(as_csv(table))
    expected = tables.to_series(pd.read_csv(written, dtype=str), plain, "plain")
    pd.testing.assert_frame_equal(found[list(expected)], expected, check_exact=True)


@given(
    numbers=st.lists(
        st.none() | st.floats(-1e38, 1e38) | st.integers(-(2**53), 2**53), min_size=1, max_size=9
    )
)
def test_every_number_comes_through(numbers: list[float | None]) -> None:
    """Whatever a double holds is the same double out of text, Parquet and a workbook."""
    expected = np.array([np.nan if number is None else number for number in numbers], float)
    frame = pd.DataFrame({"time": "t", "x": pd.Series(numbers, dtype=float)})
    rows = [["time", "x"], *[["t", number] for number in numbers]]
    card = toy_card(columns={"x": {}}, targets=["x"], inputs=["x"], excluded=[])
    with TemporaryDirectory() as directory:
        for name, content in (
            ("t.csv", as_csv(frame)),
            ("t.csv.gz", gzip.compress(as_csv(frame))),
            ("t.parquet", parquet(frame)),
            ("t.xlsx", workbook({"a": rows})),
        ):
            (Path(directory) / name).write_bytes(content)
            table = reading.read_table(Path(directory) / name, card)
            found = values.read_column(table["x"], "x", card, name).to_numpy()
            np.testing.assert_array_equal(found, expected, err_msg=name)


def test_ingest_reads_all_files_and_names_what_is_absent(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """The series of several files is that of one; where none matches, the pattern is named."""
    project.run("ingest")
    one = project.read("data/ingested/series.parquet")
    table = pd.read_csv(project.table, dtype=str)
    project.table.unlink()
    for i, part in enumerate(thirds(table)):
        part.to_csv(project.table.with_name(f"part{i}.csv"), index=False)
    project.write(card={"file": "part*.csv"}).run("ingest")
    assert project.read("data/ingested/series.parquet") == one
    sums = artifacts.table_sha256(project.table.with_name("part*.csv"))
    assert artifacts.read_json(project.root / "data/ingested/quality.json")["sha256"] == sums
    project.write(card={"file": "none*.csv"})
    with pytest.raises(PipelineError, match=r"data/raw/toy/none\*\.csv: no such file; expected"):
        project.run("ingest")

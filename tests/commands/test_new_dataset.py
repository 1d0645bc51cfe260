"""A starter card is written from many kinds of file, and ingest takes the file as it says."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc.utils import hydra

from pipeline.commands import new_dataset
from pipeline.config import cards
from pipeline.config.reading import read_params
from pipeline.data import splits, tables
from pipeline.data.sources import reading
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE

ROOT = Path(__file__).parents[2]
HOURS = pd.date_range("2024-01-01", periods=200, freq="h")
LOAD = [f"{value:.2f}" for value in 50 + 10 * np.sin(np.arange(200) / 4)]


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """An empty place with params.yaml and the folders for tables and cards."""
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/datasets").mkdir()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def store(text, encoding="utf-8"):
    """The text as data/raw/mine/mine.csv."""
    path = HERE.raw_table("mine")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding=encoding, newline="")
    return path


def run(monkeypatch, *arguments):
    """`python -m pipeline new-dataset ARGUMENTS`, in this process."""
    monkeypatch.setattr(sys, "argv", ["new_dataset", *arguments])
    new_dataset.main()


def table(form="%Y-%m-%d %H:%M", mark=",", header="time,load", times=HOURS, load=LOAD):
    """A table of two columns, time and load."""
    rows = [f"{time.strftime(form)}{mark}{value}" for time, value in zip(times, load, strict=False)]
    return "\n".join([header.replace(",", mark), *rows, ""])


def with_column(name, values):
    """The table with a third column."""
    lines = table().splitlines()
    joined = [f"{line},{value}" for line, value in zip(lines, [name, *values], strict=True)]
    return "\n".join([*joined, ""])


def parts():
    """Year, month, day and hour in columns of their own, after a row number."""
    rows = [
        f"{i + 1},{t.year},{t.month},{t.day},{t.hour},{value}"
        for i, (t, value) in enumerate(zip(HOURS, LOAD, strict=True))
    ]
    return "\n".join(["No,year,month,day,hour,pm2.5", *rows, ""])


def wide(form="T%H%M", extra="", step="15min"):
    """One row a day, one column every 15 minutes, perhaps a further column."""
    count = pd.Timedelta("1D") // pd.Timedelta(step)
    slots = [t.strftime(form) for t in pd.date_range("2024-01-01", periods=count, freq=step)]
    lines = [",".join(["day", *slots, *([extra] if extra else [])])]
    for day in pd.date_range("2024-01-01", periods=30):
        values = [f"{day.day + slot / count:.2f}" for slot in range(count)]
        lines.append(",".join([f"{day:%Y%m%d}", *values, *(["x"] if extra else [])]))
    return "\n".join([*lines, ""])


GAPS = [value if i % 7 else ("NA" if i % 2 else "") for i, value in enumerate(LOAD)]
SPELT = [value if i % 50 else "None" for i, value in enumerate(LOAD)]
HOLES = HOURS.delete([20, 21, 22, 90])
WEEKS = pd.date_range("2020-01-06", periods=200, freq="7D")

MONTHS = pd.date_range("2000-01-01", periods=200, freq="MS")
HALVES = list(zip(pd.date_range("2024-01-01", periods=200, freq="30min"), LOAD, strict=True))
DAYS = pd.date_range("2024-01-01", periods=200)


def at_midnight(form, midnight, before="0D"):
    """The table with another form of the hour 00:00, perhaps of the day before."""
    stamps = [
        (t - pd.Timedelta(before)).strftime(midnight) if t.hour == 0 else t.strftime(form)
        for t in HOURS
    ]
    return "\n".join(["time,load", *(f"{t},{v}" for t, v in zip(stamps, LOAD, strict=True)), ""])


ACCEPTED = {
    "24:00": (
        at_midnight("%d.%m.%Y %H:%M", "%d.%m.%Y 24:00", "1D"),
        {"time.format": "%d.%m.%Y %H:%M"},
    ),
    "midnight without a time": (
        at_midnight("%Y-%m-%d %H:%M", "%Y-%m-%d"),
        {"time.format": "%Y-%m-%d %H:%M"},
    ),
    "epoch": (table("%s"), {"time.format": "epoch s", "frequency": "1h"}),
    "epoch in milliseconds": (table("%s000"), {"time.format": "epoch ms"}),
    "from a time to another": (
        table("%d/%m/%Y %H:%M - %d/%m/%Y %H:%M"),
        {"time.format": "%d/%m/%Y %H:%M - %d/%m/%Y %H:%M"},
    ),
    "capital months": (
        table("%d-%b-%Y %H:%M").upper().replace("TIME,LOAD", "time,load"),
        {"time.format": "%d-%b-%Y %H:%M"},
    ),
    "names of days": (
        table('"%A, %d %B %Y"', times=DAYS),
        {"time.format": "%A, %d %B %Y", "frequency": "1D"},
    ),
    "Year, Month, Day": (
        table("%Y,%m,%d,%H", header="Year,Month,Day,Hour,load"),
        {"time.columns": ("year", "month", "day", "hour")},
    ),
    "YEAR, MO, DY, HR": (
        table("%Y,%-m,%-d,%-H", header="YEAR,MO,DY,HR,load"),
        {"time.columns": ("year", "month", "day", "hour"), "rename.HR": "hour"},
    ),
    "ISO weeks": (table("%G-W%V", times=WEEKS), {"time.format": "%G-W%V", "frequency": "W-MON"}),
    "an identifier of ten digits": (
        "\n".join(
            f"{'id' if i == 0 else 10**9 + i},{x}" for i, x in enumerate(table().splitlines())
        ),
        {"time.column": "time"},
    ),
    "ISO dates, comma": (table(), {"frequency": "1h", "season": 24}),
    "ISO dates, T and Z": (table("%Y-%m-%dT%H:%M:%SZ"), {"frequency": "1h"}),
    "seconds": (table("%Y-%m-%d %H:%M:%S"), {"targets": ("load",)}),
    "semicolon": (table(mark=";"), {"delimiter": ";"}),
    "tabulator": (table(mark="\t"), {"delimiter": "\t"}),
    "German dates": (table("%d.%m.%Y %H:%M", ";"), {"time.format": "%d.%m.%Y %H:%M"}),
    "day first": (table("%d/%m/%Y %H:%M"), {"time.format": "%d/%m/%Y %H:%M"}),
    "month first": (table("%m/%d/%Y %H:%M"), {"time.format": "%m/%d/%Y %H:%M"}),
    "twelve hours": (table("%m/%d/%Y %I:%M %p"), {"time.format": "%m/%d/%Y %I:%M %p"}),
    "two-digit years": (table("%d.%m.%y %H:%M"), {"time.format": "%d.%m.%y %H:%M"}),
    "digits alone": (table("%Y%m%d%H"), {"time.format": "%Y%m%d%H"}),
    "year, month, day, hour": (parts(), {"targets": ("pm2.5",), "excluded": ("No",)}),
    "daily": (
        table("%Y-%m-%d", times=pd.date_range("2024-01-01", periods=200)),
        {"frequency": "1D", "season": 7},
    ),
    "months in two columns": (
        table("%Y,%-m", header="YEAR,MONTH,load", times=MONTHS),
        {"time.columns": ("year", "month"), "frequency": "MS", "season": 12},
    ),
    "months beside a date": (
        table("%Y-%m-%d,%Y,%-m", header="date,Year,Month,load", times=MONTHS),
        {"time.column": "date", "frequency": "MS"},
    ),
    "numbered half hours": (
        "\n".join(
            ["SETTLEMENT_DATE,SETTLEMENT_PERIOD,load"]
            + [f"{t:%Y-%m-%d},{2 * t.hour + t.minute // 30 + 1},{v}" for t, v in HALVES]
        ),
        {"time.period": "30min", "frequency": "30min", "season": 48},
    ),
    "last days of months": (
        table("%d.%m.%Y", times=pd.date_range("2000-01-31", periods=200, freq="ME")),
        {"time.format": "%d.%m.%Y", "frequency": "ME", "time.round": None},
    ),
    "last days of trading": (
        table("%m/%d/%Y", times=pd.date_range("2000-01-31", periods=200, freq="BME")),
        {"frequency": "ME", "time.round": "ME"},
    ),
    "the middle of months": (
        table("%Y-%m-15", times=MONTHS),
        {"frequency": "MS", "time.round": "MS"},
    ),
    "quarters from February on": (
        table("%Y-%m-%d", times=pd.date_range("1970-02-01", periods=200, freq="QS-FEB")),
        {"frequency": "QS-FEB", "season": 4},
    ),
    "years": (
        table("%Y", times=pd.date_range("1800-01-01", periods=200, freq="YS")),
        {"time.format": "%Y", "frequency": "YS", "season": 1},
    ),
    "days of business": (
        table("%Y-%m-%d", times=pd.date_range("2024-01-01", periods=200, freq="B").delete([30])),
        {"frequency": "B", "season": 5},
    ),
    "weekly": (table("%Y-%m-%d", times=WEEKS), {"frequency": "W-MON", "season": 52}),
    "every minute": (
        table(times=pd.date_range("2024-01-01", periods=200, freq="min")),
        {"frequency": "1min", "season": 60},
    ),
    "wide": (wide(), {"layout": "wide", "frequency": "15min", "season": 96, "wide.times": "T%H%M"}),
    "wide, 00:15": (wide("%H:%M"), {"layout": "wide", "wide.times": "%H:%M"}),
    "wide, by the hour": (wide("%H", step="1h"), {"layout": "wide", "wide.times": "%H"}),
    "wide, h00": (wide("h%H", step="1h"), {"layout": "wide", "wide.times": "h%H"}),
    "wide, a further column": (wide(extra="station"), {"excluded": ("station",)}),
    "values missing": (table(load=GAPS), {"missing": ("", "NA")}),
    "None among numbers": (table(load=SPELT), {"missing": ("None",)}),
    "rows missing": (table(times=HOLES), {"frequency": "1h"}),
    "a category": (
        with_column("wind", ["calm", "north", "west", ""] * 50),
        {"inputs": ("load", "wind"), "missing": ("",)},
    ),
    "text": (with_column("note", [f"at {i}" for i in range(200)]), {"excluded": ("note",)}),
    "a column that never changes": (
        with_column("unit", ["7.0", "7"] * 100),
        {"excluded": ("unit",)},
    ),
    "an empty column": (with_column("later", [""] * 200), {"excluded": ("later",)}),
    "the target by its name": (
        with_column("temp", [str(i % 9) for i in range(200)]),
        {"targets": ("load",), "inputs": ("load", "temp")},
    ),
    "names that YAML would misread": (
        table(header='"a: b # c",1e3'),
        {"targets": ("1e3",), "time.column": "a: b # c"},
    ),
    "byte-order mark": ("\ufeff" + table(), {"encoding": "utf-8", "time.column": "time"}),
    "decimal comma": (
        table(mark=";", load=[value.replace(".", ",") for value in LOAD]),
        {"decimal": ",", "thousands": None},
    ),
    "thousands": (
        table(load=['"1,008.64"', *LOAD[1:]]),
        {"decimal": ".", "thousands": ","},
    ),
    "decimal commas and thousands": (
        table(mark=";", load=["1.008,64", *(value.replace(".", ",") for value in LOAD[1:])]),
        {"decimal": ",", "thousands": "."},
    ),
    "units": (table(load=[f"{value} MW" for value in LOAD]), {"columns.load.unit": "MW"}),
    "percent": (table(load=[f"{value}%" for value in LOAD]), {"columns.load.unit": "%"}),
    "row numbers without a name": (
        "\n".join(f"{i or ''},{line}" for i, line in enumerate(table().splitlines())),
        {"rename": {"": "index"}, "excluded": ("index",)},
    ),
    "a time without a name": (table(header=",load"), {"time.column": "index"}),
    "newest first": (table(times=HOURS[::-1]), {"time.sort": True}),
    "times of UTC by name": (
        table("%Y-%m-%d %H:%M:%S UTC"),
        {"time.format": "%Y-%m-%d %H:%M:%S UTC"},
    ),
    "Windows line ends": (table().replace("\n", "\r\n"), {"targets": ("load",)}),
}


@pytest.mark.parametrize(("text", "expected"), ACCEPTED.values(), ids=ACCEPTED)
@pytest.mark.filterwarnings("error")
def test_card_describes_file_and_ingest_accepts_it(text, expected, monkeypatch, capsys):
    """The card says what the file is, and the module that ingest will take it."""
    raw = store(text)
    run(monkeypatch, str(raw))
    card = cards.read_card("mine")
    for key, value in expected.items():
        found = card
        for part in key.split("."):
            found = found[part] if isinstance(found, dict) else getattr(found, part)
        assert (set(found) if key == "missing" else found) == (
            set(value) if key == "missing" else value
        )
    frame = tables.to_series(reading.read_table(raw, card), card, str(raw))
    assert frame[card.targets[0]].notna().sum() > 100
    printed = capsys.readouterr().out
    assert "ingest will accept the table" in printed
    assert "dvc add data/raw/mine\n" in printed


REFUSED = {
    "empty": ("", "mine.csv: empty, expected a header line and rows"),
    "header only": ("time,load\n", "a header and no rows"),
    "one row": ("time,load\n2024-01-01,1\n", "expected dates.*two rows or more.*time .2024-01-01"),
    "no dates": ("a,b\n1,2\n3,4\n", "expected dates.*found a .1., b .2."),
    "no numbers": (table(load=["x", "y"] * 100), "expected a column of numbers.*load: category"),
    "several series without names": (
        table(times=HOURS[:20].repeat(10)),
        "no column that tells series apart",
    ),
    "two series": (
        table(times=HOURS[:100].append(HOURS[:100])),
        "found 100 of 200 rows that repeat",
    ),
    "no header": (table().split("\n", 1)[1], r"line 1: expected a name.*\(2024-01-01 00:00, "),
    "a time off the grid": (
        table(times=HOURS.insert(5, HOURS[4] + pd.Timedelta("7min"))),
        "row 6: expected a time a whole number of 1h after",
    ),
    "a time twice": (table(times=HOURS.insert(5, HOURS[5])), "row 7: .* appears twice"),
    "a field too many": (
        table() + "2024-01-31 00:00,1,2\n",
        "line 202.*expected 2 fields, found 3",
    ),
    "no name for a column": (
        with_column("temp", ["9"] * 200).replace("load", "", 1),
        "a name for every column.*none for column 2",
    ),
    "a name twice": (table(header="load,load"), "column load appears twice in the header"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_file_that_cannot_be_used_is_told_in_one_line(text, message, monkeypatch):
    """One line names the file, what was expected and what was found."""
    raw = store(text)
    with pytest.raises(PipelineError, match=message) as error:
        run(monkeypatch, str(raw))
    assert str(raw) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("encoding", "unit"), [("latin-1", "°"), ("utf-16", "°"), ("utf-8", "°")])
def test_encoding_is_guessed(encoding, unit, monkeypatch):
    """A column's name with a degree sign is read in each encoding."""
    run(monkeypatch, str(store(table(header=f"time,T {unit}C"), encoding)))
    assert cards.read_card("mine").targets == (f"T {unit}C",)


def test_usual_mark_for_missing_is_pointed_out_and_not_applied(monkeypatch):
    """-999 among positive numbers gets a remark, and stays a number."""
    run(monkeypatch, str(store(table(load=["-999", "-999", *LOAD[2:]]))))
    text = HERE.card("mine").read_text()
    assert 'check: "-999" in 2 rows, the others lie from 40 to 60; missing or wrong?' in text
    assert cards.read_card("mine").missing == cards.Card.model_fields["missing"].default


def test_missing_values_are_counted(monkeypatch):
    """A column's comment says how many values are missing."""
    run(monkeypatch, str(store(table(load=GAPS))))
    assert f"{200 - sum('.' in value for value in GAPS)} missing" in HERE.card("mine").read_text()


def test_split_is_in_order_and_ends_with_the_series(monkeypatch):
    """The three ends follow each other, and the last is the last time of the table."""
    run(monkeypatch, str(store(table())))
    split = cards.read_card("mine").split
    assert split.train < split.validation < split.test == str(HOURS[-1])


def test_a_zone_named_later_does_not_move_the_split(monkeypatch):
    """Where stamps have an offset the ends have it too: no hour of the table is lost."""
    raw = store(table("%Y-%m-%dT%H:%M:%SZ"))
    run(monkeypatch, str(raw))
    card = cards.read_card("mine")
    zoned = card.model_copy(
        update={"time": card.time.model_copy(update={"timezone": "Europe/Berlin"})}
    )
    frames = [tables.to_series(reading.read_table(raw, c), c, "mine") for c in (card, zoned)]
    ends = [
        splits.spans(c.split, f.index[0], c.step, len(f), c.time.timezone)
        for c, f in zip((card, zoned), frames, strict=True)
    ]
    assert ends[0] == ends[1]
    assert ends[0]["test"][1] == len(HOURS)


def test_last_day_of_a_wide_table_may_still_be_running(monkeypatch, capsys):
    """The split ends with the last time that has a value; what is taken to be so is said."""
    lines = wide().splitlines()
    lines[-1] = ",".join([*lines[-1].split(",")[:41], *[""] * 56])
    run(monkeypatch, str(store("\n".join([*lines, ""]))))
    assert cards.read_card("mine").split.test == "2024-01-30 09:45:00"
    assert "layout: wide # check: " in HERE.card("mine").read_text()
    printed = capsys.readouterr().out
    assert "  check: layout: wide" in printed
    assert "no value after 2024-01-30 09:45:00: its other 56 times" in printed


@pytest.mark.parametrize(
    ("first", "last"),
    [("H1", "H24"), ("hour 01", "hour 24"), ("1", "24"), ("store_00", "store_23")],
)
def test_columns_that_may_be_hours_are_pointed_out(first, last, monkeypatch, capsys):
    """A table of a row a day is taken as it stands, and told how it becomes an hourly one."""
    digits = 2 if "0" in first else 1
    prefix, start = first[:-digits], int(first[-1])
    names = [f"{prefix}{hour:0{digits}}" for hour in range(start, start + 24)]
    days = pd.date_range("2024-01-01", periods=60).astype(str)
    values = [",".join(str((day * hour) % 7) for hour in range(1, 25)) for day in range(60)]
    lines = [f"{day},{value}" for day, value in zip(days, values, strict=True)]
    run(monkeypatch, str(store("\n".join([f"day,{','.join(names)}", *lines, ""]))))
    assert (
        f"check: {first} to {last}: hours of a day? rename them 00:00 to 23:00"
        in capsys.readouterr().out
    )
    assert f"layout: long # check: {first} to {last}: hours of" in HERE.card("mine").read_text()
    assert cards.read_card("mine").frequency == "1D"


def test_column_that_is_not_used_is_told(monkeypatch, capsys):
    """Numbers in several units are no numbers, and a value may have two lines."""
    sales = [f"{i} {'kM'[i % 2]}W" for i in range(200)]
    run(monkeypatch, str(store(with_column("sales", sales))))
    assert "  not used: sales (text with 200 different values; numbers in several units" in (
        capsys.readouterr().out
    )
    run(monkeypatch, str(store(with_column("note", ['"two\nlines"'] * 200))), "--force")
    assert "  not used: note (never changes: two lines)" in capsys.readouterr().out


def test_input_that_is_constant_in_the_training_span_is_told(monkeypatch, capsys):
    """A column that changes after the training span alone is an input, with a warning."""
    run(monkeypatch, str(store(with_column("d", ["7"] * 190 + ["9"] * 10))))
    assert (
        "  warning: column d has one value in the training span, 7, so a model can learn nothing "
        "from it\n"
    ) in capsys.readouterr().out
    assert cards.read_card("mine").inputs == ("load", "d")


def test_target_that_is_constant_in_the_test_span_is_told(monkeypatch, capsys):
    """What is scored there says nothing of a model."""
    run(monkeypatch, str(store(table(load=[*LOAD[:-40], *["5"] * 40]))))
    assert "  check: split.test: target load is 5 wherever it has a value" in (
        capsys.readouterr().out
    )


def test_card_is_kept_unless_forced(monkeypatch, capsys):
    """A card that is there is tried as it stands, and overwritten with --force alone."""
    raw = store(table())
    run(monkeypatch, str(raw))
    ours = HERE.card("mine").read_text().replace("title: mine", "title: Ours")
    HERE.card("mine").write_text(ours)
    capsys.readouterr()
    run(monkeypatch, str(raw))
    printed = capsys.readouterr().out
    assert "mine.yaml: exists and is kept; --force writes a new one" in printed
    assert "dvc add data/raw/mine\n" in printed
    assert HERE.card("mine").read_text() == ours
    store(table(load=LOAD[::-1]))
    with pytest.raises(
        PipelineError, match=r"is there, but ingest will refuse.*not the file its.*--force if"
    ):
        run(monkeypatch, str(raw))
    run(monkeypatch, str(raw), "--force")
    assert cards.read_card("mine").title == "mine"


def test_a_span_with_few_values_of_the_target_is_told(monkeypatch, capsys):
    """With its name and how many rows have one."""
    load = [value if i < 175 else "" for i, value in enumerate(LOAD)]
    run(monkeypatch, str(store(table(load=load))))
    assert "check: split.test: target load has a value in 7 of 32 rows" in capsys.readouterr().out


def test_faults_of_several_series_have_a_line_each(monkeypatch):
    """The card is named before the first, and what to do after the last."""
    zones = [f"2024-03-{day:02} {hour:02}:00 +0{1 + (day > 20)}00,{{}},{hour}"
             for day in range(1, 31) for hour in range(24)]  # fmt: skip
    rows = [row.format(shop) for shop in "ab" for row in zones]
    raw = store("\n".join(["time,shop,sales", *rows, ""]))
    with pytest.raises(PipelineError) as told:
        run(monkeypatch, str(raw))
    first, last = str(told.value).splitlines()
    assert "mine.yaml is written, but ingest will refuse" in first
    assert "series a: column time" in first
    assert last.startswith(f"{raw}: series b: column time")
    assert last.endswith(f"; mend the table or the card, {new_dataset.AGAIN}")


@pytest.mark.parametrize("name", ["mine.csv", "data/raw/my data.csv", "data/raw/my data/mine.csv"])
def test_table_elsewhere_is_told_where_to_go(name, monkeypatch, capsys):
    """The commands that the error names put a table into its directory, where it is taken."""
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(table())
    with pytest.raises(PipelineError, match=r"a directory of its own, data/raw/NAME") as told:
        run(monkeypatch, name)
    commands = str(told.value).split("-: ")[1]
    subprocess.run(commands, shell=True, check=True)  # noqa: S602
    run(monkeypatch, commands.split()[-1])
    assert "ingest will accept the table" in capsys.readouterr().out


def test_a_file_that_is_no_table_is_refused(monkeypatch):
    """The endings that are read are named, and what several files of a directory lack."""
    Path("data/raw/mine.docx").write_text(table())
    with pytest.raises(PipelineError, match=r"expected a table \(\.csv, .*\.xlsx.*, found \.docx"):
        run(monkeypatch, "data/raw/mine.docx")
    store(table()).with_name("mine.parquet").write_text("")
    with pytest.raises(PipelineError, match=r"found mine\.csv, mine\.parquet; name the table, or"):
        run(monkeypatch, "data/raw/mine")


def test_the_card_names_the_file(monkeypatch):
    """A table may be called otherwise than its data set; another one beside it is not tried."""
    store(table())
    other = Path("data/raw/mine/export 2024.csv")
    other.write_text(table(load=LOAD[::-1]))
    run(monkeypatch, str(other))
    card = cards.read_card("mine")
    assert (card.file, card.title) == ("export 2024.csv", "mine")
    with pytest.raises(PipelineError, match=r"file: expected mine\.csv, found export 2024\.csv"):
        run(monkeypatch, "data/raw/mine/mine.csv")


def test_absent_table_is_named(monkeypatch):
    """A table that is not there is named."""
    with pytest.raises(PipelineError, match=r"data/raw/none/none\.csv: no such file"):
        run(monkeypatch, "data/raw/none/none.csv")


def test_commands_undo_the_parameters_of_another_data_set(monkeypatch, capsys):
    """One flag names the data set; others undo columns that params.yaml names."""
    hours = pd.date_range("2024-01-01", periods=600, freq="h")
    long = table(times=hours, load=LOAD * 3)
    run(monkeypatch, str(store(long)))
    assert "dvc exp run -S ingest.dataset=mine\n" in capsys.readouterr().out
    text = HERE.params.read_text()
    text = text.replace("  transforms: null", "  transforms: [log1p:pm2.5]")
    HERE.params.write_text(text.replace("  inputs: null", "  inputs: [pm2.5, hour]"))
    run(monkeypatch, str(store(long)), "--force")
    flags = "-S ingest.dataset=mine -S window.inputs=null -S impute_scale.transforms=null\n"
    assert flags in capsys.readouterr().out


def test_the_limit_that_bridges_regular_gaps_stands_in_the_command(monkeypatch, capsys):
    """What the first lines tell to set is set in the command, and windows are counted with it."""
    times = pd.date_range("2024-01-01", periods=1000, freq="h")
    load = [f"{value:.2f}" if i % 100 < 60 else "" for i, value in enumerate(np.sin(range(1000)))]
    run(monkeypatch, str(store(table(times=times, load=load))))
    said = capsys.readouterr().out
    assert "a gap of 40 rows every 100 rows is longer than" in said
    assert "horizon 24 of the command below: " in said
    assert "imputation.limit cost" not in said
    assert "dvc exp run -S ingest.dataset=mine -S impute_scale.imputation.limit=40\n" in said


@pytest.mark.parametrize("name", ["2024", "2024_05", "1e3", "1e5", "true", "null", "no", "größe"])
def test_a_name_that_yaml_reads_otherwise_stays_a_name(name):
    """The printed flag sets text, whatever number or word of YAML a table is called by."""
    command = new_dataset.commands(HERE.raw_table(name), read_params(), read_params())[3]
    hydra.apply_overrides(HERE.params, [shlex.split(command)[4]])
    assert read_params().ingest.dataset == name


@pytest.mark.parametrize(
    ("step", "rows", "flags", "size"),
    [
        ("10min", 144 * 14, "-S window.look_back=auto -S window.horizon=auto", (144, 144)),
        ("1min", 1440 * 3, "-S window.look_back=auto -S window.horizon=auto", (336, 336)),
        ("1D", 200, "-S window.look_back=auto -S window.horizon=auto", (21, 7)),
        ("1h", 400, "", (24, 24)),
        ("10min", 144 * 4, "-S window.look_back=auto", (144, 24)),
        ("10min", 144 * 3, "", (24, 24)),
        ("MS", 240, "-S window.look_back=auto -S window.horizon=auto", (36, 12)),
        (
            "QS",
            60,
            "-S window.look_back=auto -S window.horizon=auto -S 'evaluate.levels=[80.0]'",
            (12, 4),
        ),
        (
            "MS",
            60,
            "-S window.look_back=11 -S window.horizon=7 -S 'evaluate.levels=[80.0]'",
            (11, 7),
        ),
    ],
    ids=[
        *(
            "ten minutes",
            "minutes, of which a day is long",
            "days",
            "hours, as in params.yaml",
            "too few days to forecast one",
        ),
        *("too few days", "months"),
        *("too few quarters for a level", "too few months for a year ahead"),
    ],
)
def test_a_window_that_suits_the_season_stands_in_the_command(
    step, rows, flags, size, monkeypatch, capsys
):
    """A look-back and a horizon of one season, and what they come to, where the spans have them."""
    times = pd.date_range("2024-01-01", periods=rows, freq=step)
    load = [f"{value:.2f}" for value in 50 + 10 * np.sin(np.arange(rows) / 4)]
    run(monkeypatch, str(store(table(times=times, load=load))))
    printed = capsys.readouterr().out
    (command,) = [line for line in printed.splitlines() if "dvc exp run" in line]
    assert command.strip() == f"dvc exp run -S ingest.dataset=mine {flags}".strip()
    assert f"with look-back {size[0]} and horizon {size[1]} of" in printed
    assert ("by the season of" in printed) == ("auto" in flags)
    assert ("1,440 rows (at most 336)" in printed) == (step == "1min")


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        (
            8,  # 4, 2 and 2: no window is long enough
            [
                "with look-back 24 and horizon 24 of params.yaml: 0 training windows of 0 possible",
                "check: split.validation: expected at least one horizon of 24 rows, found 2; set "
                "-S window.horizon=2",
                "check: split.test: expected at least one horizon of 24 rows, found 2",
            ],
        ),
        (
            80,  # 40, 20 and 20
            [
                "with look-back 14 and horizon 12 of the command below: 15 training windows of 15",
                "the validation span is too short for intervals but those of 80%",
            ],
        ),
    ],
)
def test_spans_too_short_for_the_window_are_told_before_the_commands(
    rows, lines, monkeypatch, capsys
):
    """A window for which they are long enough, or what the window stage would refuse."""
    run(monkeypatch, str(store(table(times=HOURS[:rows]))))
    printed = capsys.readouterr().out.split("ingest will accept")[0]
    for line in lines:
        assert f"  {line}" in printed
    assert ("check: split" in printed) == (rows == 8)


def test_many_series_are_recognised(monkeypatch, capsys):
    """Times repeat, once for each name: the card has series and static, and ingest accepts it."""
    parts = []
    for number, (name, length) in enumerate({"a": 120, "b": 90}.items(), 1):
        lines = table(times=HOURS[number : length + number], load=LOAD).splitlines()
        parts += [f"{line},{name},{number}.5" for line in lines[1:]]
    store("\n".join(["time,load,meter,size", *parts, ""]))
    run(monkeypatch, "data/raw/mine/mine.csv")
    card = cards.read_card("mine")
    assert (card.series, card.static, card.inputs) == ("meter", ("size",), ("load", "size"))
    assert card.split.ends == {"train": 0.7, "validation": 0.85, "test": 1.0}
    said = capsys.readouterr().out
    assert "check: series: meter, since times repeat, and once for each of its 2 names" in said
    assert "2 series of 90 to 120 rows" in said


def test_help_shows_an_example():
    """--help says what is written and shows a command."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "new-dataset", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "example: python -m pipeline new-dataset data/raw/mine/mine.csv" in done.stdout

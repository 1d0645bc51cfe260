"""Tables in the forms that people download and export, from the file to a series and a report.

What `new-dataset` prints, and what docs/own-data.md marks *you*, is all that is done to them.
"""

import gzip
import json
import re
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from dvc.utils import hydra

from pipeline import api
from pipeline.commands import new_dataset, snapshot
from pipeline.config import cards
from pipeline.data import cells, panel, tables
from pipeline.data.sources import delimited, reading, sql
from pipeline.errors import PipelineError
from pipeline.experiments.in_memory import placed
from pipeline.files.layout import HERE
from pipeline.forecasting import endpoints
from tests import repositories
from tests.data.test_sources import parquet, workbook, zipped
from tests.toys import ROOT, Project

ROWS = 300
Floats = np.ndarray[Any, np.dtype[np.float64]]


def wave(rows: int, season: float, level: float, digits: int) -> Floats:
    """A season and noise, with so many digits after the point."""
    noise = np.random.default_rng(rows).normal(0, level / 50, rows)
    swing = 0.2 * level * np.sin(2 * np.pi * np.arange(rows) / season)
    return cast(Floats, np.round(level + swing + noise, digits))


@dataclass(frozen=True)
class Table:
    """A table as somebody has it, and what it means."""

    times: pd.DatetimeIndex  # of the series, UTC where the table has a zone
    values: Floats
    write: Callable[["Table"], dict[str, bytes]]
    given: str = ""  # to new-dataset; "" is the directory
    arguments: tuple[str, ...] = ()
    frequency: str = "1h"
    asked: tuple[tuple[str, str], ...] = ()  # what is refused with which words; what is written
    said: str = ""
    zone: str | None = None  # of a frame of it

    @property
    def pairs(self) -> list[tuple[pd.Timestamp, float]]:
        """Times and values."""
        return list(zip(self.times, self.values.tolist(), strict=True))


def text(header: str, lines: list[str], end: str = "\n", encoding: str = "utf-8") -> bytes:
    """A header and its lines."""
    return end.join([header, *lines, ""]).encode(encoding)


def german(value: float, digits: int = 2) -> str:
    """1.234,50."""
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def household(table: Table) -> dict[str, bytes]:
    """Date and time apart, a semicolon, 7 July as 7/7, `?` for what is missing, in a zip."""
    rows = [
        f"{t.day}/{t.month}/{t.year};{t:%H:%M:%S};{'?' if np.isnan(v) else v}"
        for t, v in table.pairs
    ]
    member = text("Date;Time;Global_active_power", rows)
    return {"household_power_consumption.zip": zipped({"household_power_consumption.txt": member})}


def air_quality(table: Table) -> dict[str, bytes]:
    """18.00.00, decimal commas, empty columns at the right and empty lines at the end."""
    rows = [f"{t:%d/%m/%Y};{t:%H.%M.%S};{german(v, 1)};;" for t, v in table.pairs]
    return {"AirQualityUCI.csv": text("Date;Time;CO(GT);;", [*rows, *[";;;;"] * 9], "\r\n")}


def bikes(table: Table) -> dict[str, bytes]:
    """A day and the number of its hour; a second table in the archive."""
    rows = [f"{i},{t:%Y-%m-%d},{t.hour},{v:.0f}" for i, (t, v) in enumerate(table.pairs, 1)]
    day = text("instant,dteday,cnt", [f"{i},2011-01-{i:02d},9{i}" for i in range(1, 29)])
    hour = text("instant,dteday,hr,cnt", rows)
    return {"Bike-Sharing-Dataset.zip": zipped({"day.csv": day, "hour.csv": hour})}


def prices(table: Table) -> dict[str, bytes]:
    """From one time to the next, by a clock that is put back, and columns of one value."""
    hour, zone = pd.Timedelta("1h"), "Europe/Brussels"

    def clock(time: pd.Timestamp) -> str:
        local = time.tz_convert(zone)
        twice = f"{local:%d%m%H}" == "271002"
        return f"{local:%d/%m/%Y %H:%M}{f' ({local.tzname()})' if twice else ''}"

    rows = [f'"{clock(t)} - {clock(t + hour)}","BZN|BE","{v}",""' for t, v in table.pairs]
    header = '"MTU (CET/CEST)","Area","Day-ahead Price (EUR/MWh)","Currency"'
    return {"GUI_ENERGY_PRICES.csv": text(header, rows)}


def loads(table: Table) -> dict[str, bytes]:
    """From one time to the next, by the clock, with an empty row for the hour that is skipped."""
    hour, zone = pd.Timedelta("1h"), "Europe/Brussels"
    clock = [f"{t.tz_convert(zone):%d.%m.%Y %H:%M}" for t in [*table.times, table.times[-1] + hour]]
    rows = [
        f'"{one} - {other}","{v}"'
        for one, other, v in zip(clock, clock[1:], table.values, strict=False)
    ]
    skipped = '"31.03.2024 02:00 - 31.03.2024 03:00",""'
    header = '"MTU (CET/CEST)","Actual Total Load [MW] - BZN|BE"'
    return {"Total Load.csv": text(header, [*rows[:155], skipped, *rows[155:]])}


def days(table: Table) -> dict[str, bytes]:
    """Local midnights with their offsets."""
    rows = [f"{t.tz_convert('Europe/Paris').isoformat()},{v}" for t, v in table.pairs]
    return {"consumption.csv": text("date,consumption", rows)}


def clocks(table: Table) -> dict[str, bytes]:
    """Parquet over local times, an hour of which comes twice; few different values."""
    index = table.times.tz_convert("Europe/Paris").rename("time")
    return {"power.parquet": parquet(pd.DataFrame({"power": table.values}, index))}


def american(table: Table) -> dict[str, bytes]:
    """Local times that name the ends of their hours, each year's newest row first."""
    hour = pd.Timedelta("1h")
    rows = [
        f"{(t - hour).tz_convert('America/New_York').tz_localize(None) + hour},{v}"
        for t, v in table.pairs
    ]
    cut = 170
    return {"PJME_hourly.csv": text("Datetime,PJME_MW", [*rows[:cut][::-1], *rows[cut:][::-1]])}


def meters(table: Table) -> dict[str, bytes]:
    """A first column without a name, in quotes, and decimal commas with all digits."""
    rows = [f'"{t:%Y-%m-%d %H:%M:%S}";{str(v).replace(".", ",")}' for t, v in table.pairs]
    return {"LD2011_2014.txt": text('"";"MT_001"', rows)}


def exported(table: Table) -> dict[str, bytes]:
    """What pandas writes with its row numbers, packed; times in milliseconds since 1970."""
    frame = pd.DataFrame(
        {"ts": [int(t.timestamp() * 1000) for t in table.times], "power": table.values}
    )
    return {"export.csv.gz": gzip.compress(frame.to_csv().encode())}


def sensor(table: Table) -> dict[str, bytes]:
    """Stamps that lie a second or two beside their time; two rows of one time differ."""
    jitter = np.random.default_rng(1).integers(-2, 3, len(table.times))
    times = table.times + pd.to_timedelta(jitter, "s")
    rows = [f"{t:%Y-%m-%d %H:%M:%S},{v}" for t, v in zip(times, table.values, strict=True)]
    again = f"{rows[50].split(',')[0]},{table.values[50] + 1}"
    return {"sensor.csv": text("time,temperature", [*rows[:51], again, *rows[51:]])}


def weeks(table: Table) -> dict[str, bytes]:
    """Weeks of ISO 8601."""
    rows = [f"{t:%G-W%V},{v:.0f}" for t, v in table.pairs]
    return {"cases.csv": text("week,cases", rows)}


def weeks_apart(table: Table) -> dict[str, bytes]:
    """The year and the week of ISO 8601 in columns of their own, and a share with its sign."""
    rows = [f"{t:%G},{int(t.strftime('%V'))},{v}%" for t, v in table.pairs]
    return {"flu.csv": text("ISO_YEAR,ISO_WEEK,positive", rows)}


def quarters(table: Table) -> dict[str, bytes]:
    """Quarters, and thousands apart by commas."""
    rows = [f'{t.year}Q{t.quarter},"{v:,.1f}"' for t, v in table.pairs]
    return {"gdp.csv": text("quarter,gdp", rows)}


def months(table: Table) -> dict[str, bytes]:
    """Months by name, dollars with thousands apart."""
    return {"sales.csv": text("Month,Sales", [f'{t:%b %Y},"${v:,.2f}"' for t, v in table.pairs])}


def market(table: Table) -> dict[str, bytes]:
    """A workbook whose second sheet has the minutes of days of trading."""
    rows = [[t.to_pydatetime(), v] for t, v in table.pairs]
    sheets = {"Read me": [["about"], ["a share"]], "Data": [["Date", "Close"], *rows]}
    return {"minutes.xlsx": workbook(sheets)}


def rates(table: Table) -> dict[str, bytes]:
    """Parquet of a frame over business days, a holiday absent."""
    frame = pd.DataFrame({"EUR/USD": table.values}, table.times.rename("date")).dropna()
    return {"rates.parquet": parquet(frame)}


def river(table: Table) -> dict[str, bytes]:
    """Two files of one form, JAN for January, and 24:00."""

    def stamp(time: pd.Timestamp) -> str:
        before = time - pd.Timedelta("1D")
        return f"{before:%d-%b-%Y} 24:00" if time.hour == 0 else f"{time:%d-%b-%Y %H:%M}"

    rows = [f"{stamp(t).upper()};{v}" for t, v in table.pairs]
    parts = rows[:140], rows[140:]
    return {f"river-{i}.csv": text("stamp;level [cm]", part) for i, part in enumerate(parts, 1)}


def grid(table: Table) -> dict[str, bytes]:
    """A midnight without its time, 41.915,56 MW, and an hour of autumn that stands once."""
    rows = []
    for time, value in table.pairs:
        local = time.tz_convert("Europe/Berlin")
        if not np.isnan(value):
            stamp = f"{local:%d.%m.%Y}" if local.hour == 0 else f"{local:%d.%m.%Y %H:%M:%S}"
            rows.append(f"{stamp};{german(value)} MW")
    return {"netzlast.csv": text("Zeitpunkt;Last für alle", rows, encoding="latin-1")}


def half_hours(table: Table) -> dict[str, bytes]:
    """A day and the number of one of its 48 half hours."""
    rows = [f"{t:%d-%b-%Y},{2 * t.hour + t.minute // 30 + 1},{v}" for t, v in table.pairs]
    return {"demand.csv": text("SETTLEMENT_DATE,SETTLEMENT_PERIOD,ND", [r.upper() for r in rows])}


def half_hours_of_days(table: Table) -> dict[str, bytes]:
    """The same with the day's midnight written out, and 46 of them where clocks go forward."""
    local = table.times.tz_convert("Europe/London")
    days = [f"{t:%Y-%m-%d}T00:00:00" for t in local]
    number = pd.Series(days).groupby(days).cumcount() + 1
    rows = [f"{day},{n},{v}" for day, n, v in zip(days, number, table.values, strict=True)]
    return {"demanddata.csv": text("SETTLEMENT_DATE,SETTLEMENT_PERIOD,ND", rows)}


def ontario(table: Table) -> dict[str, bytes]:
    """A date beside a column called Hour that counts from 1 to 24."""
    rows = [
        f"{t - pd.Timedelta('1h'):%Y-%m-%d},{(t - pd.Timedelta('1h')).hour + 1},{v:.0f}"
        for t, v in table.pairs
    ]
    return {"PUB_Demand.csv": text("Date,hour,Ontario Demand", rows)}


def holed(values: Floats, *rows: int) -> Floats:
    """The values without some."""
    values[[*rows]] = np.nan
    return values


def span(first: str, step: str = "1h", zone: str | None = None) -> pd.DatetimeIndex:
    """ROWS times."""
    return pd.date_range(first, periods=ROWS, freq=step, tz=zone)


TRADED = pd.DatetimeIndex(
    [day + pd.Timedelta(i, "min") for day in pd.bdate_range("2024-01-04", periods=5) for i in
     range(570, 630)]
)  # fmt: skip
ZONE = "then name the zone under time in the card, such as timezone: Europe/Berlin"
TABLES = {
    "a date and a time, in a zip": Table(
        span("2006-12-16 17:24", "1min"), holed(wave(ROWS, 60, 4, 3), 100, 101), household,
        "household_power_consumption.zip", frequency="1min",
    ),
    "dots in times, decimal commas": Table(
        span("2004-03-10 18:00"), wave(ROWS, 24, 2, 1), air_quality, "AirQualityUCI.csv",
        said='numbers are read with decimal: ","',
    ),
    "a day and an hour, one of an archive": Table(
        span("2011-01-01"), wave(ROWS, 24, 120, 0), bikes, "Bike-Sharing-Dataset.zip",
    ),
    "from one time to another, clocks put back": Table(
        span("2024-10-20 22:00", zone="UTC"), wave(ROWS, 24, 80, 2), prices,
        "GUI_ENERGY_PRICES.csv", asked=((ZONE, "timezone: Europe/Brussels"),),
    ),
    "an empty row for the hour that clocks skip": Table(
        span("2024-03-24 22:00", zone="UTC"), wave(ROWS, 24, 9000, 0), loads, "Total Load.csv",
        asked=(("", "timezone: Europe/Brussels"),),
        said="rows without a value at times that daylight saving skips, left out: 1",
    ),
    "local midnights with offsets": Table(
        pd.date_range("2024-01-01", periods=ROWS, freq="D", tz="Europe/Paris").tz_convert("UTC"),
        wave(ROWS, 7, 50, 1), days, "consumption.csv", frequency="D", zone="Europe/Paris",
        asked=(("name the zone under time in the card", "timezone: Europe/Paris"),),
    ),
    "Parquet with a zone": Table(
        span("2024-10-20 22:00", zone="UTC"), wave(ROWS, 24, 4, 1), clocks, "power.parquet",
        said="check: time.timezone: Europe/Paris, as the file says",
    ),
    "the ends of hours, not in order": Table(
        span("2017-11-01 05:00", zone="UTC"), wave(ROWS, 24, 30000, 1), american,
        "PJME_hourly.csv", said="check: time.sort: true",
        asked=((ZONE, "timezone: America/New_York\n  stamps: end"),),
    ),
    "a column without a name": Table(
        span("2011-01-01 00:15", "15min"), wave(ROWS, 96, 70, 12), meters, "LD2011_2014.txt",
        frequency="15min", said='renamed in the card: "" is index',
    ),
    "milliseconds since 1970, in gzip": Table(
        span("2023-05-01", "30min", "UTC"), wave(ROWS, 48, 500, 2), exported, "export.csv.gz",
        frequency="30min", said="not used: index (counts the rows)",
    ),
    "stamps that jitter and repeat": Table(
        span("2023-05-01", "10min"), wave(ROWS, 144, 20, 2), sensor, "sensor.csv",
        frequency="10min", said="check: time.round: 10s",
        asked=(("time.repeated in the card, first, last or mean", "repeated: first"),),
    ),
    "ISO weeks": Table(
        span("2012-01-02", "7D"), wave(ROWS, 52, 5000, 0), weeks, "cases.csv", frequency="W-MON",
    ),
    "ISO weeks in two columns, percents": Table(
        span("2012-01-02", "7D"), wave(ROWS, 52, 9, 1), weeks_apart, "flu.csv",
        frequency="W-MON", said="unit: positive is in %",
    ),
    "quarters, thousands apart": Table(
        span("1950-01-01", "QS"), wave(ROWS, 4, 9000, 1), quarters, "gdp.csv", frequency="QS",
        said='numbers are read with thousands: ","',
    ),
    "months by name, dollars": Table(
        span("1990-01-01", "MS"), wave(ROWS, 12, 3000, 2), months, "sales.csv", frequency="MS",
        said="unit: Sales is in $",
    ),
    "minutes of a market, in a workbook": Table(
        TRADED, wave(ROWS, 60, 100, 2), market, "minutes.xlsx", ("--frequency", "rows"), "rows",
    ),
    "business days, in Parquet": Table(
        span("2020-01-01", "B"), holed(wave(ROWS, 5, 1, 4), 30), rates, "rates.parquet",
        frequency="B",
    ),
    "several files, 24:00 and JAN": Table(
        span("2019-01-01 01:00"), wave(ROWS, 24, 400, 1), river,
        said="times that end with 24:00, taken for the midnight that ends the day: 12",
    ),
    "a unit in each cell, an hour that stands once": Table(
        span("2024-10-20 22:00", zone="UTC"), holed(wave(ROWS, 24, 42000, 2), 147), grid,
        "netzlast.csv", said="times without a time of day, taken for midnight: 13",
        asked=(("", "timezone: Europe/Berlin\n  ambiguous: first"),),
    ),
    "half hours by number": Table(
        span("2023-04-01", "30min"), wave(ROWS, 48, 30000, 0), half_hours, "demand.csv",
        frequency="30min",
    ),
    "half hours by number, of days at midnight": Table(
        span("2024-03-28", "30min", "UTC"), wave(ROWS, 48, 30000, 0), half_hours_of_days,
        "demanddata.csv", frequency="30min", asked=(("", "timezone: Europe/London"),),
    ),
    "hours from 1 to 24": Table(
        span("2023-04-01 01:00"), wave(ROWS, 24, 15000, 0), ontario, "PUB_Demand.csv",
    ),
}  # fmt: skip


def put(root: Path, table: Table) -> None:
    """The table's files, in data/raw/mine."""
    directory = root / "data/raw/mine"
    directory.mkdir(parents=True)
    for name, content in table.write(table).items():
        (directory / name).write_bytes(content)


def mended(card: Path, lines: str) -> None:
    """The card with what a person adds to its time."""
    old = card.read_text(encoding="utf-8")
    card.write_text(re.sub(r"(?m)^frequency:", f"  {lines}\nfrequency:", old), encoding="utf-8")


@pytest.fixture
def there(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the committed parameters, as the directory that commands run in."""
    shutil.copy(ROOT / "params.yaml", project.params)
    monkeypatch.chdir(project.root)
    return project


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """`python -m pipeline new-dataset ARGUMENTS`, in this process."""
    monkeypatch.setattr(sys, "argv", ["new-dataset", *arguments])
    new_dataset.main()


def flags(said: str) -> list[str]:
    """The settings in the command that new-dataset prints."""
    (command,) = [line for line in said.splitlines() if line.startswith("  dvc exp run ")]
    words = shlex.split(command)[3:]
    assert words[::2] == ["-S"] * (len(words) // 2)
    return words[1::2]


def forms(raw: pd.DataFrame, series: pd.DataFrame, card: cards.Card) -> list[pd.DataFrame]:
    """A table as callers send it: CSV, both forms of JSON, and a frame over its times."""
    written = raw.to_csv(sep=card.delimiter, index=False).encode(card.encoding)
    split = {"dataframe_split": json.loads(raw.to_json(orient="split"))}
    records = {"dataframe_records": json.loads(raw.to_json(orient="records"))}
    indexed = cells.with_time(series.dropna().rename_axis(None), card)
    return [
        delimited.parse_table(written, card, "input"),
        *(endpoints._from_json(json.dumps(sent).encode())[0] for sent in (split, records)),
        indexed,
    ]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_goes_from_its_file_to_its_series(
    name: str, there: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what new-dataset prints alone; file, CSV, JSON and DataFrame agree to the last digit."""
    table = TABLES[name]
    put(there.root, table)
    given = str(Path("data/raw/mine") / table.given)
    for refusal, lines in table.asked:
        if refusal:
            with pytest.raises(PipelineError, match=re.escape(refusal)):
                call(monkeypatch, given, *table.arguments)
        else:
            call(monkeypatch, given, *table.arguments)
        mended(HERE.card("mine"), lines)
    call(monkeypatch, given, *([] if table.asked else table.arguments))
    said = capsys.readouterr().out
    assert table.said in said
    hydra.apply_overrides(HERE.params, flags(said.rpartition("ingest will accept")[2]))
    there.run("ingest")
    card = cards.read_card("mine")
    series = panel.read(HERE.series, card).frame
    assert card.frequency == table.frequency
    assert series.index.tolist() == table.times.tolist()
    [target] = card.targets
    np.testing.assert_array_equal(series[target], table.values)
    raw = reading.as_text(reading.read_table(HERE.raw_table("mine", card.file), card))
    for sent in forms(raw, series[[*card.columns]], card):
        again = tables.to_series(sent, card, "sent")
        pd.testing.assert_frame_equal(again, series, check_exact=True, check_freq=False)


FRAMES = [name for name, table in TABLES.items() if table.frequency != "rows"]


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_the_table_that_it_was_read_from(name: str, tmp_path: Path) -> None:
    """A DataFrame shows the step that a file shows, and has the same digits, columns in order."""
    table = TABLES[name]
    times = table.times.tz_convert(table.zone) if table.zone else table.times
    frame = pd.DataFrame({"b": table.values, "a": table.values * 3}, times).dropna()
    made = api.of_frame(frame, "b")
    assert made.card.frequency == table.frequency
    layout = placed(made, frame, tmp_path, tmp_path)
    card = cards.read_card_file(layout.card("frame"))
    assert list(card.columns) == ["b", "a"]
    read = tables.to_series(reading.read_table(layout.raw_table("frame"), card), card, "frame")
    pd.testing.assert_index_equal(read.index, table.times, check_names=False, exact="equiv")
    np.testing.assert_array_equal(read["b"], table.values)


def test_a_frame_of_milliseconds_keeps_them(tmp_path: Path) -> None:
    """No two of its rows come to stand on one second."""
    frame = pd.DataFrame({"x": np.arange(300.0)}, span("2024-01-01", "250ms"))
    made = api.of_frame(frame, "x")
    layout = placed(made, frame, tmp_path, tmp_path)
    raw = reading.read_table(layout.raw_table("frame"), made.card)
    read = tables.to_series(raw, made.card, "frame")
    assert read.index.tolist() == frame.index.tolist()


@pytest.mark.parametrize("query", ["SELECT time, load FROM meter", "SELECT load, time FROM meter"])
def test_an_answer_without_order_is_sorted_before_there_is_a_card(
    query: str, there: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first snapshot of a query has the same bytes whatever the order; text sorts by itself."""
    times = span("2024-01-01").strftime("%Y-%m-%d %H:%M:%S")
    rows = pd.DataFrame({"time": times, "load": wave(ROWS, 24, 60, 2)})
    found = set()
    for seed in (1, 2):
        file = there.root / f"meter{seed}.db"
        with closing(sqlite3.connect(file)) as database:
            rows.sample(frac=1, random_state=seed).to_sql("meter", database, index=False)
        monkeypatch.setenv(sql.ADDRESS, f"sqlite:///{file}")
        monkeypatch.setattr(sys, "argv", ["snapshot", "mine", "--query", query])
        snapshot.main()
        found.add(HERE.raw_table("mine", "mine.parquet").read_bytes())
    assert len(found) == 1
    call(monkeypatch, "data/raw/mine/mine.parquet")
    assert "ingest will accept" in capsys.readouterr().out
    assert cards.read_card("mine").time.sort is ("load, time" in query)


def test_a_year_of_two_digits_is_told(
    there: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Jan-49 is taken for 2049, as strptime has it, and said."""
    times = pd.date_range("1940-01-01", periods=60, freq="MS")
    rows = [f"{time:%b-%y},{time.month}.5" for time in times]
    directory = there.root / "data/raw/mine"
    directory.mkdir()
    (directory / "t.csv").write_bytes(text("Month,Sales", rows))
    call(monkeypatch, "data/raw/mine/t.csv")
    assert "years have two digits: Jan-40 is taken for one in 2040" in capsys.readouterr().out


REPORTS = ("from one time to another, clocks put back",)


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTS)
def test_the_printed_commands_lead_to_a_report(name: str, tmp_path: Path) -> None:
    """Each is run as it stands; the docs name the flag that shortens the training."""
    table, root = TABLES[name], tmp_path / "project"
    repositories.toy_repository(root)
    shutil.copy(ROOT / "params.yaml", root)
    put(root, table)
    given = (sys.executable, "-m", "pipeline", "new-dataset", f"data/raw/mine/{table.given}")
    status = 1 if table.asked else 0
    said = repositories.run(root, *given, *table.arguments, status=status)
    for refusal, lines in table.asked:
        assert refusal in said
        mended(root / "data/datasets/mine.yaml", lines)
        said = repositories.run(root, *given)
    printed = [line.strip() for line in said.splitlines() if re.match(r"  (dvc|git) ", line)]
    assert len(printed) == 5
    for command in printed:
        short = command.replace("dvc exp run", "dvc exp run -S train.epochs=1")
        repositories.run(root, *shlex.split(short), env=repositories.NO_STORE)
    report = (root / "data/reports/report.md").read_text(encoding="utf-8")
    assert report.startswith("# mine\n")
    assert "seasonal naive" in report

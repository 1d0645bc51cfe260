"""Tables as people have them: each is read as its card says, in every form that a caller sends."""

import io
import json
from typing import Any

import pandas as pd
import pytest

from pipeline.data import cells, local_times, quality, raw_panel, tables, timestamps
from pipeline.data.sources.delimited import parse_table
from pipeline.errors import PipelineError
from pipeline.forecasting import endpoints
from tests.toys import toy_card

BASE: dict[str, Any] = {
    "columns": {"load": {"unit": "MW"}},
    "excluded": [],
    "targets": ["load"],
    "inputs": ["load"],
    "season": 1,
}
BERLIN = {"column": "time", "format": "%Y-%m-%d %H:%M", "timezone": "Europe/Berlin"}


def read(text: str, **changes: Any) -> pd.Series:
    """The load that a table becomes: from text as from a frame of it and both forms of JSON."""
    card = toy_card(**BASE | changes)
    rows = parse_table(text.encode(), card, "file")
    found = tables.to_series(rows, card, "file")
    typed = pd.read_csv(io.StringIO(text), sep=card.delimiter, float_precision="round_trip")
    split = json.loads(typed.to_json(orient="split"))
    records = json.loads(typed.to_json(orient="records"))
    for sent in (
        typed,
        endpoints._from_json(json.dumps({"dataframe_split": split}).encode())[0],
        endpoints._from_json(json.dumps({"dataframe_records": records}).encode())[0],
    ):
        pd.testing.assert_frame_equal(tables.to_series(sent, card, "sent"), found)
    return found["load"]


def refusal(text: str, **changes: Any) -> str:
    """The one line that refuses a table, or a card."""
    with pytest.raises(PipelineError) as caught:
        read(text, **changes)
    (line,) = str(caught.value).splitlines()
    return line


def counts(text: str, **changes: Any) -> list[str]:
    """What is said of the rows of a table."""
    card = toy_card(**BASE | changes)
    rows = tables.numbered(parse_table(text.encode(), card, "file"), card, "file")
    series, given = tables.regular_series(rows, card, "file")
    return list(quality.remarks(quality.measure(series, given, card), []))


def hours(load: pd.Series) -> list[str]:
    """The hours of a series that have a value, as day and hour."""
    return [f"{time:%d %H:%M}" for time in load.dropna().index]


APART = {
    "date and time": (
        "Date,Time,load\n10/03/2004,22.00.00,1\n10/03/2004,23.00.00,2\n11/03/2004,00.00.00,3\n",
        {"columns": ["Date", "Time"], "format": "%d/%m/%Y %H.%M.%S"},
    ),
    "a number for the hour": (
        "load,dteday,hr\n1,2004-03-10,22\n2,2004-03-10,23\n3,2004-03-11,0\n",
        {"columns": ["dteday", "hr"], "format": "%Y-%m-%d %H"},
    ),
    "the hour 24": (
        "load,dteday,hr\n1,2004-03-10,22\n2,2004-03-10,23\n3,2004-03-10,24\n",
        {"columns": ["dteday", "hr"], "format": "%Y-%m-%d %H"},
    ),
    "three numbers": (
        "YEAR,DOY,HR,load\n2004,70,22,1\n2004,70,23,2\n2004,71,0,3\n",
        {"columns": ["YEAR", "DOY", "HR"], "format": "%Y %j %H"},
    ),
    "a day with its midnight": (
        "day,hr,load\n2004-03-10 00:00,22,1\n2004-03-10 00:00,23,2\n2004-03-11 00:00,0,3\n",
        {"columns": ["day", "hr"], "format": "%Y-%m-%d 00:00 %H"},
    ),
}


@pytest.mark.parametrize("name", APART)
def test_time_is_made_of_any_columns(name: str) -> None:
    """Columns joined by a blank are read in one format; so is an origin, and an index of times."""
    text, time = APART[name]
    load = read(text, time=time)
    assert hours(load) == ["10 22:00", "10 23:00", "11 00:00"] and load.tolist() == [1, 2, 3]
    card = toy_card(**BASE | {"time": time})
    indexed = load.to_frame().rename_axis(None)
    pd.testing.assert_frame_equal(
        tables.to_series(cells.with_time(indexed, card), card, "frame"), load.to_frame()
    )
    origin = pd.Timestamp("2004-03-10 23:00")
    assert timestamps.moments([origin.strftime(time["format"])], card)[0] == origin


def test_numbered_half_hours_begin_with_the_local_day() -> None:
    """A day has 46 of them where clocks go forward, 50 where they go back."""
    days = {"2024-03-30": 48, "2024-03-31": 46, "2024-04-01": 2}
    rows = [f"{day},{number}" for day, most in days.items() for number in range(1, most + 1)]
    lines = [f"{row},{i}" for i, row in enumerate(rows)]
    time = {
        "columns": ["day", "period"],
        "format": "%Y-%m-%d",
        "period": "30min",
        "timezone": "Europe/London",
    }
    changes = {"time": time, "frequency": "30min"}
    text = "\n".join(["day,period,load", *lines, ""])
    load = read(text, **changes)
    assert load.tolist() == list(range(96))
    assert str(load.index[47]) == "2024-03-30 23:30:00+00:00"
    assert str(load.index[-1]) == "2024-03-31 23:30:00+00:00"
    line = refusal(text.replace("2024-03-30,48,", "2024-03-30,0,"), **changes)
    assert "row 48: expected a day written as %Y-%m-%d and the number of a period" in line
    card = toy_card(**BASE | changes)
    indexed = load.to_frame().rename_axis(None)
    again = tables.to_series(cells.with_time(indexed, card), card, "frame")
    pd.testing.assert_frame_equal(again, load.to_frame())


def test_a_zone_named_in_brackets_is_read_where_clocks_change() -> None:
    """As ENTSO-E writes the hour that comes twice."""
    stamps = [
        "27/10/2024 01:00 - 27/10/2024 02:00 (CEST)",
        "27/10/2024 02:00 (CEST) - 27/10/2024 02:00 (CET)",
        "27/10/2024 02:00 (CET) - 27/10/2024 03:00",
        "27/10/2024 03:00 - 27/10/2024 04:00",
    ]
    form = "%d/%m/%Y %H:%M - %d/%m/%Y %H:%M"
    time = {"column": "time", "format": form, "timezone": "Europe/Brussels"}
    load = read("\n".join(["time,load", *(f"{s},1" for s in stamps), ""]), time=time)
    assert hours(load) == ["26 23:00", "27 00:00", "27 01:00", "27 02:00"]


def test_a_part_of_a_time_that_is_lacking_is_refused() -> None:
    """An empty time of day is no midnight."""
    text, time = APART["date and time"]
    line = refusal(text.replace("23.00.00", ""), time=time)
    assert "column Date, Time, row 2: expected a time written as %d/%m/%Y %H.%M.%S" in line


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ({"columns": ["Date", "Time"]}, "a format for columns other than year, month, day, hour"),
        ({"columns": ["Date", "Date"], "format": "%Y-%m-%d %H"}, "each column once"),
        ({"columns": ["Date", "Time"], "format": "%H"}, "a format with the year in it"),
        ({"column": "t", "format": "%Y-%m-%d", "stamps": "end"}, "stamps beside timezone alone"),
        ({"column": "t", "format": "%Y", "ambiguous": "first"}, "ambiguous beside timezone alone"),
        ({"column": "t", "format": "%Y-%m-%d", "round": "soon"}, "time.round"),
        ({"column": "t", "format": "%Y-%m-%d", "repeated": "max"}, "time.repeated"),
        ({"column": "t", "format": "epoch"}, "epoch s or epoch ms"),
    ],
)
def test_a_wrong_key_of_time_is_named(time: dict[str, Any], message: str) -> None:
    """What cannot be meant is refused with what is expected."""
    assert message in refusal("", time=time)


WALL = {"column": "time", "format": "%Y-%m-%d %H:%M"}
MIXED = "time,load\n2014-01-01 02:00,3\n2014-01-01 00:00,1\n2014-01-01 01:00,2\n"
TWICE = (
    "time,load\n2014-01-01 00:00,1\n2014-01-01 01:00,2\n2014-01-01 01:00,5\n2014-01-01 02:00,3\n"
)


def test_rows_are_sorted_where_the_card_allows_it() -> None:
    """Rows in another order are refused with the key that sorts them, and then counted."""
    assert "rows sorted by time, or time.sort: true in the card" in refusal(MIXED)
    assert read(MIXED, time=WALL | {"sort": True}).tolist() == [1, 2, 3]
    (said,) = counts(MIXED, time=WALL | {"sort": True})
    assert said == "rows earlier than the row before, now sorted by time (time.sort): 1"


@pytest.mark.parametrize(("kept", "value"), [("first", 2), ("last", 5), ("mean", 3.5)])
def test_of_rows_with_one_time_the_card_keeps_one(kept: str, value: float) -> None:
    """The first, the last or the mean, and the others are counted."""
    assert "time.repeated in the card, first, last or mean," in refusal(TWICE)
    time = WALL | {"repeated": kept}
    assert read(TWICE, time=time).tolist() == [1, value, 3]
    (said,) = counts(TWICE, time=time)
    assert said == "rows that repeat a time, now made one with it (time.repeated): 1"


def test_a_mean_leaves_out_what_is_missing_and_keeps_the_first_word() -> None:
    """Repeated rows that lack a value, and a column of words."""
    text = "time,load,wind\n2014-01-01 00:00,,\n2014-01-01 00:00,4,S\n2014-01-01 00:00,8,N\n"
    text += "2014-01-01 01:00,1,N\n"
    columns = {"load": {}, "wind": {"categories": ["N", "S"]}}
    card = toy_card(**BASE | {"columns": columns, "time": WALL | {"repeated": "mean"}})
    series = tables.to_series(parse_table(text.encode(), card, "file"), card, "file")
    assert series["load"].tolist() == [6, 1] and series["wind"].tolist() == ["S", "N"]


AUTUMN = [f"2014-10-26 {hour:02d}:00" for hour in (1, 2, 2, 3)]
UTC = ["2014-10-25 23:00", "2014-10-26 00:00", "2014-10-26 01:00", "2014-10-26 02:00"]


def at(stamps: list[str]) -> str:
    """A table of these stamps, with the row's number as its load."""
    return "\n".join(["time,load", *(f"{stamp},{row}" for row, stamp in enumerate(stamps, 1)), ""])


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 1, 2], [1, 0, 2, 3]])
def test_sorted_rows_keep_the_hours_of_autumn_apart(order: list[int]) -> None:
    """Of two rows with one local time the upper is the earlier, the lower in a descending table."""
    load = read(at([AUTUMN[i] for i in order]), time=BERLIN | {"sort": True})
    assert [f"{time:%Y-%m-%d %H:%M}" for time in load.index] == UTC
    expected = [order.index(i) + 1 for i in range(4)]
    assert load.tolist() == expected


@pytest.mark.parametrize(("which", "found"), [("first", [1, 2, 3]), ("second", [1, 3, 2])])
@pytest.mark.parametrize("sort", [False, True])
def test_an_hour_of_autumn_that_stands_once_is_the_one_the_card_says(
    which: str, found: list[int], sort: bool
) -> None:
    """Without the key the row is refused, with the key's name; with it the other hour is a gap."""
    text = at([AUTUMN[0], AUTUMN[1], AUTUMN[3]])
    assert "or time.ambiguous say which one is there" in refusal(text, time=BERLIN)
    load = read(text, time=BERLIN | {"ambiguous": which, "sort": sort})
    there = [i + 1 for i, value in enumerate(load.isna()) if not value]
    assert there == ([1, 2, 4] if which == "first" else [1, 3, 4])
    assert load.dropna().tolist() == [1, 2, 3]


def test_quarters_of_an_hour_of_autumn_may_be_lacking_in_one_year_alone() -> None:
    """An hour that stands twice is read as before, beside one of another year that stands once."""
    day = pd.date_range("2014-10-25 22:00", "2014-10-26 03:00", freq="15min")
    twice = day.tz_localize("UTC").tz_convert("Europe/Berlin").tz_localize(None)
    once = pd.date_range("2015-10-25 01:00", "2015-10-25 03:45", freq="15min")
    card = toy_card(**BASE | {"time": BERLIN | {"ambiguous": "second"}, "frequency": "15min"})
    found = local_times.in_utc(twice.append(once), card, "file", pd.RangeIndex(40))
    assert list(found[: len(day)].tz_localize(None)) == list(day)
    assert f"{found[-1]:%H:%M}" == "02:45" and f"{found[-8]:%H:%M}" == "01:00"


def test_stamps_at_the_ends_of_their_steps_are_told_and_read() -> None:
    """The hour that clocks skip ends at 02:00 by the stamp, which is no local time."""
    spring = [f"2014-03-30 {hour:02d}:00" for hour in (1, 2, 4, 5)]
    line = refusal(at(spring), time=BERLIN)
    assert "found 2014-03-30 02:00:00, which daylight saving skips" in line
    assert "set time.stamps to end" in line
    load = read(at(spring), time=BERLIN | {"stamps": "end"})
    assert [f"{time:%H:%M}" for time in load.index] == ["00:00", "01:00", "02:00", "03:00"]
    autumn = [f"2014-10-26 {hour:02d}:00" for hour in (2, 3, 3, 4)]
    load = read(at(autumn), time=BERLIN | {"stamps": "end"})
    assert len(load.dropna()) == 4
    card = toy_card(**BASE | {"time": BERLIN | {"stamps": "end"}})
    assert f"{timestamps.moments(['2014-03-30 02:00'], card)[0]:%H:%M}" == "01:00"


@pytest.mark.parametrize("sort", [False, True])
def test_an_hour_that_clocks_skip_may_stand_there_empty(sort: bool) -> None:
    """The row is left out and counted; one with a value is refused, and so are such rows alone."""
    rows = ["00:00,1", "01:00,2", "02:00,", "03:00,3"]
    text = "\n".join(["time,load", *(f"2024-03-31 {row}" for row in rows), ""])
    time = BERLIN | {"sort": sort}
    load = read(text, time=time)
    assert load.tolist() == [1, 2, 3]
    assert "rows without a value at times that daylight saving skips, left out: 1" in counts(
        text, time=time
    )
    ordered = tables.in_order(
        parse_table(text.encode(), toy_card(**BASE), "file"), toy_card(**BASE | {"time": time})
    )
    assert ordered["load"].tolist() == (["1", "2", "3"] if sort else ["1", "2", "", "3"])
    line = refusal(text.replace("02:00,", "02:00,9"), time=time)
    assert "row 3" in line and "daylight saving skips (only a row without values may" in line
    assert "daylight saving skips" in refusal("time,load\n2024-03-31 02:00,\n", time=time)


def test_stamps_that_jitter_are_rounded_and_counted() -> None:
    """Rows lie beside the grid by seconds: refused without the key, on the grid with it."""
    stamps = ["00:00:01", "00:10:00", "00:19:59", "00:30:02"]
    text = at([f"2014-01-01 {stamp}" for stamp in stamps])
    time = {"column": "time", "format": "%Y-%m-%d %H:%M:%S"}
    assert "time.round" in refusal(text, time=time, frequency="10min")
    load = read(text, time=time | {"round": "1min"}, frequency="10min")
    assert hours(load) == ["01 00:00", "01 00:10", "01 00:20", "01 00:30"]
    (said,) = counts(text, time=time | {"round": "1min"}, frequency="10min")
    assert said == "time stamps rounded (time.round): 3"


def test_each_series_of_a_panel_is_put_in_order_by_itself() -> None:
    """Rows of one series are sorted and made one for each time, and counted over all series."""
    text = "site,time,load\nb,2014-01-01 01:00,2\na,2014-01-01 00:00,3\nb,2014-01-01 00:00,1\n"
    text += "a,2014-01-01 01:00,4\na,2014-01-01 01:00,6\n"
    card = toy_card(**BASE | {"series": "site", "time": WALL | {"sort": True, "repeated": "mean"}})
    panel, given = raw_panel.to_panel(parse_table(text.encode(), card, "file"), card, "file")
    loads = {name: frame["load"].tolist() for name, frame in panel.parts()}
    assert loads == {"a": [3, 5], "b": [1, 2]}
    found = quality.of_panel(panel, given, card)
    assert (found["moved"], found["merged"], found["absent_rows"]) == (1, 1, 0)


def test_a_wide_table_has_its_days_sorted_and_repeated_ones_made_one() -> None:
    """The rows of a wide table are days."""
    text = "day,T00,T12\n20140102,3,4\n20140101,1,2\n20140102,5,6\n"
    time = {"column": "day", "format": "%Y%m%d", "sort": True, "repeated": "last"}
    wide = {"layout": "wide", "wide": {"column": "load", "times": "T%H"}, "frequency": "12h"}
    assert read(text, time=time, **wide).tolist() == [1, 2, 5, 6]
    assert len(counts(text, time=time, **wide)) == 2


def stamped(*cells: str, mark: str = ";") -> str:
    """A table of hours, with these cells as the load."""
    rows = [f"2014-01-01 {hour:02d}:00{mark}{cell}" for hour, cell in enumerate(cells)]
    return "\n".join([f"time{mark}load", *rows, ""])


NUMBERS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "decimal commas": (["1234,5", "-0,25", "7"], {"decimal": ","}),
    "thousands by commas": (["1,234.5", "-0.25", "7"], {"thousands": ","}),
    "thousands by points": (["1.234,5", "-0,25", "7"], {"decimal": ",", "thousands": "."}),
    "thousands by blanks": (["1\u202f234,5", "-0,25", "7"], {"decimal": ",", "thousands": " "}),
    "thousands by apostrophes": (["1’234.5", "-0.25", "7"], {"thousands": "'"}),
    "units": (["1234.5 MW", "-0.25MW", "7"], {"columns": {"load": {"unit": "MW"}}}),
    "percent": (["1234.5%", "-0.25 %", "7%"], {"columns": {"load": {"unit": "%"}}}),
    "currency": (
        ["$1,234.5", "$-0.25", "$7"],
        {"columns": {"load": {"unit": "$"}}, "thousands": ","},
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_read_as_people_write_them(name: str) -> None:
    """The same three numbers, from text, and sent as numbers or as text beside them."""
    written, keys = NUMBERS[name]
    card = keys | {"delimiter": ";", "missing": ["", "-1,5", "-999"]}
    assert read(stamped(*written), **card).tolist() == [1234.5, -0.25, 7]
    mixed = pd.DataFrame({"time": ["2014-01-01 00:00", "2014-01-01 01:00"], "load": [-0.25, None]})
    mixed["load"] = mixed["load"].astype(object)
    mixed.loc[1, "load"] = written[0]
    assert tables.to_series(mixed, toy_card(**BASE | card), "sent")["load"].tolist() == [
        -0.25,
        1234.5,
    ]


@pytest.mark.parametrize(
    ("cells", "keys", "said"),
    [
        (["12,5"], {}, 'a number if the card has decimal: ","'),
        (["1,008.64"], {}, 'a number if the card has thousands: ","'),
        (["1.008,64"], {}, 'a number if the card has decimal: "," and thousands: "."'),
        (["12 kW"], {"columns": {"load": {}}}, "a number if the card has kW as the column's unit"),
        (
            ["12 kW"],
            {},
            "found '12 kW'; write it in MW, the column's unit, or make kW",
        ),
        (["12.5"], {"decimal": ","}, 'a number if the card has decimal: "."'),
        (["1,23,4"], {"thousands": ","}, "found '1,23,4'"),
        (["12 MW h"], {}, "found '12 MW h'"),
        (["1 1"], {"columns": {"load": {"unit": "1"}}}, "found '1 1'"),
    ],
)
def test_what_is_no_number_is_refused_with_the_key_that_reads_it(
    cells: list[str], keys: dict[str, Any], said: str
) -> None:
    """Numbers are never read in two ways at once."""
    line = refusal(stamped("5", *cells), delimiter=";", **keys)
    assert "column load, row 2: expected a finite number" in line and said in line
    assert "thousands" in refusal("", decimal=",", thousands=",")
    assert refusal(stamped("5", "50,13"), delimiter=";").endswith('the card has decimal: ","')


def test_marks_are_numbers_as_the_card_has_them() -> None:
    """A mark of a decimal comma is missing in whatever form it comes."""
    card = {"decimal": ",", "missing": ["-999,5"], "delimiter": ";"}
    assert read(stamped("1,5", "-999,50"), **card).isna().tolist() == [False, True]


NAMELESS = ",time,load\n7,2014-01-01 00:00,1\n9,2014-01-01 01:00,2\n"


def test_a_first_column_without_a_name_gets_one_from_the_card() -> None:
    """Row numbers of pandas or R, or the time itself; pandas calls the column Unnamed: 0."""
    assert 'name it in the card, as in rename: {"": index}' in refusal(NAMELESS)
    found = read(NAMELESS, rename={"": "row"}, excluded=["row"])
    assert found.tolist() == [1, 2]
    text = '"";load\n"2014-01-01 00:00";1\n"2014-01-01 01:00";2\n'
    assert read(text, rename={"": "time"}, delimiter=";").tolist() == [1, 2]


def test_what_is_empty_at_the_end_of_a_file_is_left_out() -> None:
    """Columns and lines without names and values, as workbooks export them."""
    text = "time,load,,\n2014-01-01 00:00,1,,\n2014-01-01 01:00,,,\n,,,\n,,,\n\n"
    card = toy_card(**BASE)
    found = tables.to_series(parse_table(text.encode(), card, "file"), card, "file")["load"]
    assert found.iloc[0] == 1 and found.isna().tolist() == [False, True]
    line = refusal(text.replace("01:00,,", "01:00,,4"))
    assert "found none for column 3 of 4, which has '4' in row 2" in line


WRITTEN: dict[str, tuple[list[str], str, str]] = {
    "24:00": (["10.03.2004 23:00", "10.03.2004 24:00"], "%d.%m.%Y %H:%M", "1h"),
    "24:00:00 with an offset": (
        ["2004-03-10T23:00:00+00:00", "2004-03-10T24:00:00+00:00"],
        "%Y-%m-%dT%H:%M:%S%z",
        "1h",
    ),
    "midnight without a time": (["10.03.2004 23:00", "11.03.2004"], "%d.%m.%Y %H:%M", "1h"),
    "seconds": (["1078959600", "1078963200"], "epoch s", "1h"),
    "milliseconds": (["1078959600000", "1078963200000"], "epoch ms", "1h"),
    "from a time to another": (
        ["10.03.2004 23:00 - 11.03.2004 00:00", "11.03.2004 00:00 - 11.03.2004 01:00"],
        "%d.%m.%Y %H:%M - %d.%m.%Y %H:%M",
        "1h",
    ),
    "from a time to an hour": (
        ["10.03.2004 23:00 - 24:00", "11.03.2004 00:00 - 01:00"],
        "%d.%m.%Y %H:%M - %H:%M",
        "1h",
    ),
    "capital months": (["10-MAR-2004 23:00", "11-MAR-2004 00:00"], "%d-%b-%Y %H:%M", "1h"),
    "names of days": (
        ["Wednesday, 10 March 2004 23", "Thursday, 11 March 2004 00"],
        "%A, %d %B %Y %H",
        "1h",
    ),
    "weeks": (["2004-W10", "2004-W11"], "%G-W%V", "7D"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_times_are_read_as_people_write_them(name: str) -> None:
    """What strptime does not know is read from text, numbers, JSON, and as an origin."""
    stamps, form, step = WRITTEN[name]
    text = "time;load\n" + "".join(f'"{stamp}";{i}\n' for i, stamp in enumerate(stamps))
    keys = {"time": {"column": "time", "format": form}, "delimiter": ";", "frequency": step}
    load = read(text, **keys)
    last = "2004-03-08 00:00" if step == "7D" else "2004-03-11 00:00"
    assert f"{load.index[-1]:%Y-%m-%d %H:%M}" == last and load.tolist() == [0, 1]
    assert timestamps.moments([stamps[1]], toy_card(**BASE | keys))[0] == load.index[-1]


@pytest.mark.parametrize(
    ("stamp", "form"),
    [
        ("10.03.2004 24:01", "%d.%m.%Y %H:%M"),
        ("31.02.2004", "%d.%m.%Y %H:%M"),
        ("31.02.2004 24:00", "%d.%m.%Y %H:%M"),
        ("10.03.2004 23:00 - soon", "%d.%m.%Y %H:%M - %d.%m.%Y %H:%M"),
        ("10.03.2004 23:00", "%d.%m.%Y %H:%M - %d.%m.%Y %H:%M"),
        ("2004-W54", "%G-W%V"),
        ("soon", "epoch s"),
        ("24", "%Y-%m-%d"),
    ],
)
def test_what_is_no_time_stays_none(stamp: str, form: str) -> None:
    """A time that does not exist is refused, in whatever format."""
    line = refusal(
        f"time;load\n{stamp};1\n", time={"column": "time", "format": form}, delimiter=";"
    )
    assert f"column time, row 1: expected a time written as {form}, found {stamp!r}" in line
    assert "time.format" in refusal("", time={"column": "time", "format": "%d %d %Y"})


def test_a_date_that_comes_as_one_is_joined_as_text() -> None:
    """A frame or Parquet may hold the date as a time stamp at midnight, and the hour as a float."""
    text, time = APART["a number for the hour"]
    frame = pd.read_csv(io.StringIO(text), parse_dates=["dteday"]).astype({"hr": "float64"})
    card = toy_card(**BASE | {"time": time})
    assert hours(tables.to_series(frame, card, "frame")["load"]) == hours(read(text, time=time))


def test_days_with_the_offsets_of_local_midnights_are_business_days_by_the_clock() -> None:
    """As yfinance writes them: steps of 24 hours are refused with what mends it."""
    days = pd.bdate_range("2024-03-06", periods=6, tz="America/New_York")
    text = "\n".join(["time,load", *(f"{day},{i}" for i, day in enumerate(days)), ""])
    form = {"column": "time", "format": "%Y-%m-%d %H:%M:%S%z"}
    assert "name the zone under time in the card" in refusal(text, time=form, frequency="1D")
    zoned = form | {"timezone": "America/New_York"}
    said = refusal(text, time=zoned, frequency="1D")
    assert "set frequency to a step of it, such as B, days from Monday to Friday" in said
    load = read(text, time=zoned, frequency="B")
    assert load.tolist() == list(range(6)) and load.index.tolist() == days.tolist()

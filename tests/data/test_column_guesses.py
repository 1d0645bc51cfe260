"""What a starter card guesses is said, and what cannot be guessed is asked."""

import csv
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import new_dataset
from pipeline.config import cards
from pipeline.config.reading import read_params
from pipeline.data import column_guesses, number_text
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE
from tests.commands.test_new_dataset import HOURS, LOAD, repository, run, store, table, with_column
from tests.toys import ROOT

__all__ = ["repository"]  # a fixture
PARAMS = read_params(ROOT / "params.yaml")
MONTHS = pd.date_range("1949-01-01", periods=48, freq="MS")


def refused(monkeypatch, raw, *arguments):
    """The one line that new_dataset ends with."""
    with pytest.raises(PipelineError) as caught:
        run(monkeypatch, str(raw), "--force", *arguments)
    (line,) = str(caught.value).splitlines()
    return line


def words_at(words, every=10):
    """The load with a word in some rows."""
    return [words[i // every % len(words)] if i % every == 6 else v for i, v in enumerate(LOAD)]


@pytest.mark.parametrize(
    "form",
    [
        *("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%d/%m/%y", "%m/%d/%y"),
        *("%-d/%-m/%Y", "%-m/%-d/%Y", "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%b-%y", "%B %Y", "%Y-%m"),
    ],
)
def test_months_are_not_taken_for_days(form, monkeypatch, capsys):
    """The first of each month is a month, however it is written; another reading is told."""
    run(monkeypatch, str(store(table(form, times=MONTHS))))
    card = cards.read_card("mine")
    assert (card.frequency, card.season) == ("MS", 12)
    told = capsys.readouterr().out
    assert re.search(r"48 rows, every month from \d\d49-01-01 00:00:00 to \d\d52-12-01", told)
    if form[1:2] in "dm-" and "%b" not in form:
        assert re.search(r"%[dm]\W%[dm]\W%[yY] \(every .*D .* of the times absent\) fits", told)


def test_two_formats_that_fit_are_both_named_and_asked_about(monkeypatch, capsys):
    """Twelve days of January or twelve first days of a month: the card is left open."""
    raw = store(table("%d/%m/%Y", times=pd.date_range("2024-01-01", periods=12)))
    line = refused(monkeypatch, raw)
    both = "%d/%m/%Y (every 1D from 2024-01-01 to 2024-01-12)", "%m/%d/%Y (every month from"
    assert "is written without time.format" in line
    assert "new-dataset data/raw/mine/mine.csv --force --format" in line
    card = HERE.card("mine").read_text()
    assert all(reading in line and reading in card for reading in both)
    assert "format: null # check: '01/01/2024', '07/01/2024', '12/01/2024'" in card
    run(monkeypatch, str(raw), "--force", "--format", "%d/%m/%Y")
    assert cards.read_card("mine").frequency == "1D"
    run(monkeypatch, str(raw), "--force", "--format", "%m/%d/%Y")
    assert cards.read_card("mine").frequency == "MS"


def test_a_format_that_the_grid_decides_for_is_told_with_the_other(monkeypatch, capsys):
    """Eight days of hours leave no doubt of day and month; the other reading is named."""
    run(monkeypatch, str(store(table("%d/%m/%Y %H:%M"))))
    assert re.search(
        r"check: %m/%d/%Y %H:%M \(every 1h .* 9\d% of the times absent\) fits every time too",
        capsys.readouterr().out,
    )


def test_format_that_is_not_known_is_left_open_with_three_values(monkeypatch):
    """The card has the values beside the open key, and the format that is named makes it whole."""
    raw = store(table("%Y_%m_%d_%H"))
    line = refused(monkeypatch, raw)
    assert "column time: no format is known that reads '2024_01_01_00', '2024_01_05" in line
    card = HERE.card("mine").read_text()
    assert "format: null # check: no format is known that reads '2024_01_01_00'" in card
    with pytest.raises(PipelineError, match="a format for the column"):
        cards.read_card("mine")
    run(monkeypatch, str(raw), "--force", "--format", "%Y_%m_%d_%H")
    assert cards.read_card("mine").frequency == "1h"
    assert "expected a column of times written as %Y" in refused(monkeypatch, raw, "--format", "%Y")


def test_the_first_row_in_another_format_is_named(monkeypatch):
    """Also where --format names one of the two; no single format could be asked for."""
    iso, day_first = table().splitlines(), table("%d/%m/%Y %H:%M").splitlines()
    raw = store("\n".join([*iso[:101], *day_first[101:], ""]))
    said = "column time, row {}: expected a time written as {}, found {!r}; 100 of 200 rows are not"
    first = said.format(101, "%Y-%m-%d %H:%M", "05/01/2024 04:00")
    assert first in refused(monkeypatch, raw)
    assert not HERE.card("mine").exists()
    assert first in refused(monkeypatch, raw, "--format", "%Y-%m-%d %H:%M")
    other = said.format(1, "%d/%m/%Y %H:%M", "2024-01-01 00:00")
    assert other in refused(monkeypatch, raw, "--format", "%d/%m/%Y %H:%M")


@pytest.mark.parametrize("form", ["{0}Q{1}", "{0}-Q{1}", "Q{1} {0}"])
def test_quarters_are_read_though_strptime_has_no_letter_for_them(form, monkeypatch):
    """A quarter is its first day."""
    rows = [f"{form.format(1960 + i // 4, 1 + i % 4)},{i % 7}.5" for i in range(40)]
    run(monkeypatch, str(store("\n".join(["quarter,load", *rows, ""]))))
    card = cards.read_card("mine")
    assert (card.frequency, card.season) == ("QS", 4)
    assert card.time.format == form.format("%Y", "%q")


def test_grid_that_is_mostly_empty_is_asked_about(monkeypatch, capsys):
    """Hours of a market: most times of the week are absent, and the step may be wrong."""
    hours = pd.date_range("2024-01-01", periods=1200, freq="h")
    market = hours[(hours.hour >= 9) & (hours.hour < 16) & (hours.day_of_week < 5)][:200]
    run(monkeypatch, str(store(table(times=market))))
    assert re.search(
        r"warning: 7\d% of the times are absent: is 1h the step", capsys.readouterr().out
    )
    assert re.search(r"frequency: 1h # .* absent times: \d+ of \d+", HERE.card("mine").read_text())


def test_each_row_may_be_one_step(monkeypatch, capsys):
    """With --frequency rows: a season is a day's rows, and no time is absent."""
    hours = pd.date_range("2024-01-01", periods=1200, freq="h")
    market = hours[(hours.hour >= 9) & (hours.hour < 16) & (hours.day_of_week < 5)][:200]
    run(monkeypatch, str(store(table(times=market))), "--frequency", "rows")
    card = cards.read_card("mine")
    assert (card.frequency, card.season) == ("rows", 7)
    told = capsys.readouterr().out
    assert f"200 rows from {market[0]} to {market[-1]}, whatever the time between them" in told
    assert "absent" not in told and "-S window.look_back=auto -S window.horizon=auto" in told
    with pytest.raises(PipelineError, match="exists; --force --frequency writes a new one"):
        run(monkeypatch, "data/raw/mine/mine.csv", "--frequency", "B")
    line = refused(monkeypatch, "data/raw/mine/mine.csv", "--frequency", "hourly")
    assert line.startswith("--frequency: expected a frequency such as") and "hourly" in line


def test_irregular_times_are_told(monkeypatch):
    """No step is common: the line says so and names a grid, not a frequency of 33 minutes."""
    minutes = np.random.default_rng(1).integers(20, 60, 200).cumsum()
    times = HOURS[0] + pd.to_timedelta(minutes, unit="min")
    line = refused(monkeypatch, store(table(times=times)))
    assert re.search(r"expected steps of one length, found \d+min as the most common one in", line)
    assert "mean of each 1h" in line and "--frequency rows" in line


@pytest.mark.parametrize(
    ("written", "header", "form"),
    [
        ("%d/%m/%Y,%H:%M", "Date,Time", "%d/%m/%Y %H:%M"),
        ("%d/%m/%Y,%H.%M.00", "Date,Time", "%d/%m/%Y %H.%M.%S"),
        ("%Y-%m-%d,%-H", "dteday,hr", "%Y-%m-%d %H"),
        ("%Y-%m-%d 00:00:00,%-H", "day,Hour", "%Y-%m-%d 00:00:00 %H"),
        ("%m/%d/%Y,%I:%M %p", "Date,at", "%m/%d/%Y %I:%M %p"),
    ],
)
def test_date_and_time_of_day_apart_are_joined(written, header, form, monkeypatch, capsys):
    """Two columns that hold date and time of day become the time, and that is said."""
    raw = store(table(written, header=f"{header},load"))
    run(monkeypatch, str(raw))
    card = cards.read_card("mine")
    assert card.time.columns == tuple(header.split(",")) and card.time.format == form
    assert f"joined by a blank: {form}" in capsys.readouterr().out


def test_rows_that_are_not_one_for_each_time_are_told_with_the_key(monkeypatch, capsys):
    """Unsorted rows, rows that are there twice, stamps that jitter: the card says what is done."""
    run(monkeypatch, str(store(table(times=HOURS[::-1]))))
    assert cards.read_card("mine").time.sort
    printed = capsys.readouterr().out
    assert "check: time.sort: true: rows earlier than the row before: 199" in printed
    assert "rows earlier than the row before, now sorted by time (time.sort): 199" in printed

    times, load = HOURS.insert(5, HOURS[5]), [*LOAD[:6], *LOAD[5:]]
    run(monkeypatch, str(store(table(times=times, load=load))), "--force")
    assert cards.read_card("mine").time.repeated == "first"
    printed = capsys.readouterr().out
    assert "check: time.repeated: first: rows that are another row again: 1" in printed
    assert "now made one with it (time.repeated): 1" in printed

    late = HOURS + pd.to_timedelta(np.arange(200) % 3, unit="s")
    run(monkeypatch, str(store(table("%Y-%m-%d %H:%M:%S", times=late))), "--force")
    assert cards.read_card("mine").time.round == "10s"
    assert "time stamps rounded (time.round): 133" in capsys.readouterr().out


def test_another_unit_in_a_cell_is_named(monkeypatch):
    """The column keeps its unit, and the cell with another is shown with its row."""
    cells = [f"{value} kW" for value in LOAD]
    cells[41] = "60500 W"
    line = refused(monkeypatch, store(table(load=cells)))
    assert 'column load: expected numbers, found "60500 W" 1 time (row 42)' in line
    assert "write a number of kW in the table" in line
    assert cards.read_card("mine").columns["load"].unit == "kW"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["broken"], ['"broken" 20 times (rows 7, 17, 27, ...)', 'add "broken" to the card']),
        (["off", "T"], ['"off" 10 times (rows 7, 27, 47, ...)', 'add "off", "T" to the card']),
        (["<0.5"], ['"<0.5" 20 times', '"<0.5" looks like a measurement, so it is not offered']),
        ([">100"], ['">100" looks like a measurement']),
        (["12.5x"], ['"12.5x" 20 times', '"12.5x" looks like a measurement']),
        (["60500 W"], ['"60500 W" 20 times (rows 7, 17, 27, ...)', "write a number in the table"]),
        (["12.5x", "12..5", "1O", "l2"], [" and 1 other words", "looks like a measurement"]),
    ],
)
def test_words_among_numbers_are_shown_and_not_taken(words, parts, monkeypatch):
    """Words that are no usual mark stand in the line with counts and rows, not in the card."""
    line = refused(monkeypatch, store(table(load=words_at(words))))
    for part in ["column load: expected numbers, found", *parts]:
        assert part in line
    assert cards.read_card("mine").missing == cards.Card.model_fields["missing"].default


def test_how_numbers_are_written_is_told(monkeypatch, capsys):
    """The card's keys are on the screen, with a number that may be meant in two ways."""
    run(monkeypatch, str(store(table(mark=";", load=[f"1,{i:03d}" for i in range(200)]))))
    told = 'numbers are read with thousands: ","; check: 1,000 is a whole number?'
    assert told in capsys.readouterr().out
    assert 'thousands: "," # check: 1,000 is a whole' in HERE.card("mine").read_text()
    run(monkeypatch, str(store(table(load=[f"{value} kW" for value in LOAD]))), "--force")
    assert "unit: load is in kW, as its cells say" in capsys.readouterr().out


def test_unit_in_a_name_is_taken(monkeypatch, capsys):
    """In brackets at its end, if it is a known one, or in square ones."""
    units = {
        "Actual Total Load [MW] - BZN|BE": "MW",
        "Day-ahead Price (EUR/MWh)": "EUR/MWh",
        "Temperature(°C)": "°C",
        "wv (m/s)": "m/s",
        "GDP (bn EUR)": "bn EUR",
        **dict.fromkeys(("CO(GT)", "forecast: (Worldwide)", "Visibility (10m)", "[1]"), ""),
    }
    assert {name: number_text.unit_of_name(name) for name in units} == units
    run(monkeypatch, str(store(table().replace("load", "load [kW]"))))
    assert cards.read_card("mine").columns["load [kW]"].unit == "kW"
    assert "  unit: load [kW] is in kW, as its name says" in capsys.readouterr().out


def test_few_different_values_are_no_names_of_series(monkeypatch):
    """An hour that comes twice by the clock does not make many series of one."""
    hours = pd.date_range("2024-10-20", periods=400, freq="h", tz="Europe/Berlin")
    load = [f"{50 + i % 24}" for i in range(400)]
    line = refused(monkeypatch, store(table(times=hours.tz_localize(None), load=load)))
    assert "2024-10-27 02:00:00 appears twice" in line and "timezone: Europe/Berlin" in line


def test_largest_table_of_an_archive_is_meant(monkeypatch, capsys):
    """Whatever else lies in it."""
    path = Path("data/raw/mine/mine.zip")
    store(table()).unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manual.pdf", "%PDF" * 10_000)
        archive.writestr("mine.csv", table())
    run(monkeypatch, str(path))
    assert "check: member: mine.csv, the largest of manual.pdf, mine.csv" in capsys.readouterr().out


def test_word_confirmed_in_the_card_is_missing(monkeypatch, capsys):
    """A word that a person adds to the card's marks lets the same command accept the table."""
    raw = store(table(load=words_at(["off", "NA"])))
    assert '"off" 10 times' in refused(monkeypatch, raw)
    path = HERE.card("mine")
    path.write_text(path.read_text().replace("missing: [NA]", "missing: [NA, off]"))
    run(monkeypatch, str(raw))
    assert "ingest will accept the table" in capsys.readouterr().out


def test_none_among_words_is_a_level_and_said(monkeypatch, capsys):
    """No holiday is a level of its own, so that no window is lost, and the screen says so."""
    run(monkeypatch, str(store(with_column("holiday", ["None"] * 199 + ["Labor Day"]))))
    card = cards.read_card("mine")
    assert card.columns["holiday"].categories == ("Labor Day", "None")
    assert "None" not in card.missing
    said = 'check: holiday: "None" in 199 rows, taken for a level: if it means missing, move it'
    assert said in capsys.readouterr().out
    assert said.removeprefix("check: holiday: ") in HERE.card("mine").read_text()


def test_mark_among_words_is_missing_and_said(monkeypatch, capsys):
    """NA may be a level, so that the screen says how often it was taken for missing."""
    run(monkeypatch, str(store(with_column("region", ["NA", "EU", "NA", "AS"] * 50))))
    assert (
        'check: region: "NA" in 100 rows, taken for missing: if it is a level, move it from '
        "missing to categories" in capsys.readouterr().out
    )


def test_mark_that_would_take_values_of_other_columns_is_said(monkeypatch, capsys):
    """A mark counts in every column: the rows it would take elsewhere stand in the same line."""
    load = [*LOAD[:-2], "-999", "-999"]
    lines = table(load=load).splitlines()
    rain = ["rain", *(["-999"] * 3 + [str(i) for i in range(-998, -801)])]
    both = [f"{line},{value}" for line, value in zip(lines, rain, strict=True)]
    run(monkeypatch, str(store("\n".join([*both, ""]))))
    said = 'then add "-999" to missing; it would also take 3 rows of rain\n'
    assert said in capsys.readouterr().out


def test_input_that_costs_too_many_training_windows_is_left_out(monkeypatch, capsys):
    """A sensor that stops in the training span is excluded, and its cost is said."""
    short = [f"{i % 7 + i / 10}" if i < 30 else "" for i in range(200)]
    run(monkeypatch, str(store(with_column("sensor", short))))
    card = cards.read_card("mine")
    assert (card.inputs, card.excluded) == (("load",), ("sensor",))
    printed = capsys.readouterr().out
    assert re.search(r"not used: sensor \(as an input it would cost \d+ of 89 training", printed)
    assert "89 training windows of 89 possible" in printed
    lines = with_column("later", short).replace("load,later", "sensor,later").splitlines()
    swapped = [",".join([line.split(",")[i] for i in (0, 2, 1)]) for line in lines]
    run(monkeypatch, str(store("\n".join([*swapped, ""]))), "--force")
    assert cards.read_card("mine").targets == ("sensor",)


def test_input_with_the_gaps_of_the_target_is_kept(monkeypatch, capsys):
    """Where each column has the nights of a market as gaps, none is left out for them."""
    hours = pd.date_range("2024-01-01", periods=2400, freq="h")
    market = hours[(hours.hour >= 9) & (hours.hour < 16) & (hours.day_of_week < 5)][:200]
    rows = [f"{time:%Y-%m-%d %H:%M},{v},{v}" for time, v in zip(market, LOAD, strict=True)]
    run(monkeypatch, str(store("\n".join(["time,open,close", *rows, ""]))))
    assert cards.read_card("mine").inputs == ("open", "close")
    assert "set -S impute_scale.imputation.limit=65" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("count rain temp", "count"),
        ("temp Appliances T1 RH_1 rv1", "Appliances"),
        ("rain_1h traffic_volume clouds", "traffic_volume"),
        ("Open High Close Volume", "Close"),
        ("wind_speed ozone humidity", "ozone"),
        ("noise x", "x"),
        ("temp dewpoint", "temp"),
        ("total_load load", "load"),
        ("acceleration_y Weekly_Sales temp", "Weekly_Sales"),
        ("temp wind_power", "wind_power"),
    ],
)
def test_target_is_guessed_from_names(names, expected):
    """A column named like a target is, and none that is named like weather, time or noise."""
    wave = pd.Series([str(i % 9) for i in range(90)])
    columns = {name: column_guesses.finding(wave.rename(name)) for name in names.split()}
    assert column_guesses.target(columns)[0] == expected


def test_noise_is_no_target():
    """Where no name says more, a column that tells nothing of its next value is passed over."""
    noise = pd.Series(np.random.default_rng(3).normal(size=400).astype(str))
    wave = pd.Series(np.sin(np.arange(400) / 4).astype(str))
    columns = {"a": column_guesses.finding(noise), "b": column_guesses.finding(wave)}
    assert column_guesses.target(columns)[0] == "b"


def test_minimum_is_written_where_nothing_is_negative(monkeypatch):
    """Counts are bounded by zero, a temperature is not, nor what falls below it."""
    run(monkeypatch, str(store(with_column("temp", [str(5 + i % 9) for i in range(200)]))))
    columns = cards.read_card("mine").columns
    assert (columns["load"].minimum, columns["temp"].minimum) == (0, None)
    run(monkeypatch, str(store(table(load=["-0.1", *LOAD[1:]]))), "--force")
    assert cards.read_card("mine").columns["load"].minimum is None


@pytest.mark.parametrize(("word", "load"), [("0", LOAD), ("9831.3", LOAD), ("-5000", LOAD)])
def test_value_wrong_by_orders_is_pointed_out(word, load, monkeypatch, capsys):
    """A value far from all others is named with the range of the others, and stays a number."""
    raw = store(table(load=[str(300 + float(v) / 10) for v in load[:-1]] + [word]))
    run(monkeypatch, str(raw))
    printed = capsys.readouterr().out
    assert f'check: load: "{word}" in 1 row, the others lie from 304' in printed
    assert f'add "{word}" to missing' in printed


def test_state_of_zero_and_one_is_no_outlier():
    """Few different values may be a state, and a long tail is no mistake."""
    state = pd.Series(["0"] * 199 + ["100"])
    tail = pd.Series(np.random.default_rng(1).lognormal(0, 1.5, 500).astype(str))
    assert column_guesses.finding(state).check == column_guesses.finding(tail).check == ""


def test_all_repeated_times_are_counted(monkeypatch):
    """Of many repeated times the number is told, and no hint at daylight saving misleads."""
    line = refused(monkeypatch, store(table(times=HOURS[:160].append(HOURS[:40]).sort_values())))
    assert "row 2: 2024-01-01 00:00:00 appears twice (40 of 200 rows repeat an earlier" in line
    assert "one row for each time; time.repeated in the card, first, last or mean," in line
    assert "daylight" not in line
    twice = HOURS[:199].insert(50, HOURS[50])
    assert "(the hour daylight saving repeats? then" in refused(
        monkeypatch, store(table(times=twice))
    )


@pytest.mark.parametrize("form", ["%Y/%m/%d", "%Y%m%d", "%d.%m.%Y"])
def test_dates_beside_year_month_and_day_are_not_used(form, monkeypatch, capsys):
    """A date beside the parts of the time is no category, whose levels would end with the table."""
    rows = [f"{t:{form}},{t:%Y,%-m,%-d,%-H},{v}" for t, v in zip(HOURS, LOAD, strict=True)]
    run(monkeypatch, str(store("\n".join(["date,Year,Month,Day,Hour,load", *rows, ""]))))
    card = cards.read_card("mine")
    assert card.excluded == ("date",)
    assert card.time.columns == ("year", "month", "day", "hour")
    assert "not used: date (dates; the time is made of year, month" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("weekday", "weekday_column"),
        ("hour_sin", "hour_sin_column"),
        ("difference:load", "difference_load_column"),
        ('"wind\n(m/s)"', "wind (m/s)"),
        ('"wind\r\n(m/s)"', "wind (m/s)"),
        (" wind ", "wind"),
        ("wind\u00a0speed\u200b", "wind speed"),
        (" load", "load_2"),
    ],
)
def test_column_with_an_odd_name_is_renamed_in_the_card(written, name, monkeypatch, capsys):
    """A name that no card can use, or nobody sees, has another there, and the screen says so."""
    run(monkeypatch, str(store(with_column(written, [str(i % 7) for i in range(200)]))))
    card = cards.read_card("mine")
    assert card.rename == {written.strip('"'): name}
    assert card.inputs == ("load", name)
    assert f"is {name}\n" in capsys.readouterr().out


def test_lines_above_the_names_are_told(monkeypatch):
    """A title above the names is shown and is to be deleted."""
    line = refused(monkeypatch, store("Load of 2024\n" + table()))
    assert "line 1: expected the names of two columns or more, separated by a comma" in line
    assert "found 'Load of 2024'; delete the lines above" in line


NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
    | st.sampled_from(["time", "load", "hour", "weekday", "year", "month", "day", "seasonal:x"]),
    min_size=1,
    max_size=5,
)
WORDS = st.sampled_from(
    [
        "",
        "NA",
        "None",
        "\x7f",
        "1",
        "-1.5",
        "1,5",
        "1e999",
        "<1",
        "x",
        "2024-01-01",
        "01/02/2024 10:00",
    ]
)


@given(names=NAMES, data=st.data())
def test_any_table_gets_a_card_or_one_line(names, data):
    """Whatever header and fields a table has, the card tells of it, or one line says why not."""
    rows = data.draw(
        st.lists(st.lists(WORDS, min_size=len(names), max_size=len(names)), max_size=9)
    )
    times = data.draw(st.sampled_from(["%Y-%m-%d", "%d/%m/%Y %H:%M", "%b %Y"]))
    hours = pd.date_range("2024-01-01", periods=len(rows), freq="12h").strftime(times)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*names, "when"])
    writer.writerows([*row, time] for row, time in zip(rows, hours, strict=True))
    raw, path = store(text.getvalue()), HERE.card("mine")
    try:
        card = new_dataset.begin(raw, path, None, PARAMS)
        new_dataset.remarked(new_dataset.attempt(raw, card, PARAMS, "kept"), card, PARAMS)
    except PipelineError as error:
        assert len(str(error).splitlines()) == 1
        assert str(raw) in str(error)

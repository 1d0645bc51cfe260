"""Steps that are months, weeks, business days or rows: from the file to a served forecast."""

import io
import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import api
from pipeline.config.cards import Split
from pipeline.config.frequencies import step
from pipeline.config.reading import read_experiment
from pipeline.data import panel, splits, tables
from pipeline.data.panel import Borders, Timeline
from pipeline.data.sources import reading
from pipeline.data.windows import Runs
from pipeline.errors import PipelineError
from pipeline.experiments.in_memory import placed
from pipeline.experiments.run import run_experiment
from pipeline.files import artifacts
from pipeline.files.layout import HERE, Layout
from pipeline.forecasting import endpoints
from pipeline.forecasting.example import newest
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.models.baselines import FittedBaseline
from pipeline.models.spec import Spec
from pipeline.preparation.imputation import Imputer
from pipeline.preparation.scaling import Scaler
from tests.toys import Project, toy_card

ROWS, SEASON, HORIZON = 60, 4, 3
CARD: dict[str, Any] = {
    "time": {"column": "time", "format": "%Y-%m-%d"},
    "season": SEASON,
    "columns": {"level": {"unit": "m"}},
    "excluded": [],
    "targets": ["level"],
    "inputs": ["level"],
    "split": {"train": "rest", "validation": "last 12 rows", "test": "last 12 rows"},
}
PARAMS = {
    "train.model": {"name": "seasonal_naive", "season": SEASON},
    "train.residual": "none",
    "window.horizon": HORIZON,
    "window.look_back": SEASON,
    "evaluate.levels": [80],
}
# From the first row of 60 to the last, and the three that are forecast.
SPANS = {
    "MS": ("2019-03-01", "2024-02-01", ["2024-03-01", "2024-04-01", "2024-05-01"]),
    "ME": ("2019-03-31", "2024-02-29", ["2024-03-31", "2024-04-30", "2024-05-31"]),
    "QS": ("2009-04-01", "2024-01-01", ["2024-04-01", "2024-07-01", "2024-10-01"]),
    "QE-JAN": ("2009-04-30", "2024-01-31", ["2024-04-30", "2024-07-31", "2024-10-31"]),
    "YE": ("1964-12-31", "2023-12-31", ["2024-12-31", "2025-12-31", "2026-12-31"]),
    "W-FRI": ("2023-01-06", "2024-02-23", ["2024-03-01", "2024-03-08", "2024-03-15"]),
    "D": ("2024-01-01", "2024-02-29", ["2024-03-01", "2024-03-02", "2024-03-03"]),
    "B": ("2024-01-01", "2024-03-22", ["2024-03-25", "2024-03-26", "2024-03-27"]),
}


def values(rows: int = ROWS) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A number for each row that tells which row it is."""
    return 100 + np.arange(rows) * 0.5


def beside(first: str, frequency: str, zone: str | None = None) -> pd.DatetimeIndex:
    """Times that lie up to four seconds after those of their steps."""
    times = pd.date_range(first, periods=ROWS, freq=frequency, tz=zone)
    return times + pd.to_timedelta(np.arange(ROWS) * 3 % 5, "s")


def written(times: pd.DatetimeIndex, *gone: int) -> pd.DataFrame:
    """The table without some of its rows."""
    table = pd.DataFrame({"time": times.strftime("%Y-%m-%d"), "level": values(len(times))})
    return table.drop(index=[*gone])


def forecaster(project: Project, learned: dict[str, Any] | None = None) -> Forecaster:
    """A baseline that has learned this: a seasonal naive nothing."""
    experiment = read_experiment()
    scaler = artifacts.read_json_record(HERE.scaler, Scaler)
    imputer = artifacts.read_json_record(HERE.imputer, Imputer)
    spec, weights = Spec.of(experiment), Path("weights.h5")
    baseline = FittedBaseline(spec, scaler)
    baseline.learned = learned or {}
    baseline.save_weights(weights)
    return Forecaster(experiment.card, spec, imputer, scaler, weights, "numpy")


@pytest.mark.parametrize("frequency", SPANS)
def test_a_calendar_is_gone_through_from_end_to_end(
    frequency: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absent rows are gaps, spans are counted back in rows, forecasts have the calendar's times.

    File, CSV, JSON and DataFrame give the same digits, and so do the newest rows alone.
    """
    first, last, ahead = SPANS[frequency]
    times = step(frequency).grid(pd.Timestamp(first), ROWS)
    assert str(times[-1].date()) == last
    project.write(written(times, 20, 21), card={**CARD, "frequency": frequency}, params=PARAMS)
    project.run("ingest", "impute_scale", "window")
    monkeypatch.chdir(project.root)
    series = panel.read(HERE.series, toy_card()).frame
    assert series.index.tolist() == times.tolist()
    assert np.flatnonzero(series["level"].isna()).tolist() == [20, 21]
    origins = {name: np.asarray(Runs(np.load(HERE.origins(name)))) for name in ("train", "test")}
    assert origins["test"].tolist() == list(range(47, 57))
    assert origins["train"].tolist() == list(range(3, 33))
    own = forecaster(project)
    table = reading.read_table(project.table, own.card)
    made = own.predict(table)
    assert made["time"].dt.strftime("%Y-%m-%d").tolist() == ahead
    assert made["forecast"].tolist() == values()[56:59].tolist()
    typed = pd.read_csv(io.BytesIO(project.table.read_bytes()))
    indexed = typed.set_index(pd.DatetimeIndex(typed.pop("time")))
    for rows in (newest(table, own.spec, own.card, own.imputer), indexed):
        pd.testing.assert_frame_equal(own.predict(rows), made, check_dtype=False)
    split = json.dumps({"dataframe_split": json.loads(table.to_json(orient="split"))})
    for kind, request in (
        (endpoints.CSV, project.table.read_bytes()),
        (endpoints.JSON, split.encode()),
    ):
        answer = json.loads(endpoints.answer(own, kind, request))["predictions"]
        assert [row["forecast"] for row in answer] == made["forecast"].tolist()
        assert [row["time"][:10] for row in answer] == ahead
    earlier = own.predict(table, [str(times[40].date())])
    assert earlier["time"].tolist() == times[41:44].tolist()


@pytest.mark.parametrize(
    ("frequency", "row", "stamp", "expected"),
    [
        ("MS", 7, "2019-10-15", "the first day of a month.*MS.*found 2019-10-15.*time.round"),
        ("ME", 7, "2019-10-30", "the last day of a month.*found 2019-10-30"),
        ("QS", 2, "2009-11-01", "the first day of Jan, Apr, Jul, Oct.*found 2009-11-01"),
        ("W-FRI", 3, "2023-01-28", "a Fri.*found 2023-01-28"),
        ("B", 5, "2024-01-07", "a day from Monday to Friday.*found 2024-01-07"),
    ],
)
def test_a_stamp_beside_the_calendar_is_named(
    frequency: str, row: int, stamp: str, expected: str
) -> None:
    """With its row, what days there are, and the key that lets it stand for one of them."""
    times = step(frequency).grid(pd.Timestamp(SPANS[frequency][0]), 12).to_series()
    times.iloc[row] = pd.Timestamp(stamp)
    card = toy_card(**CARD, frequency=frequency)
    with pytest.raises(
        PipelineError, match=rf"toy: column time, row {row + 1}: expected {expected}"
    ):
        tables.to_series(written(pd.DatetimeIndex(times)), card, "toy")


def test_last_trading_days_stand_for_their_months() -> None:
    """With time.round: ME."""
    times = pd.date_range("2023-01-01", periods=12, freq="BME")
    card = toy_card(**{**CARD, "time": CARD["time"] | {"round": "ME"}}, frequency="ME")
    series = tables.to_series(written(times), card, "toy")
    assert series.index.tolist() == pd.date_range("2023-01-31", periods=12, freq="ME").tolist()


@pytest.mark.parametrize(
    ("frequency", "first", "rows", "split", "test"),
    [
        ("MS", "2019-03-01", 60, "last 24 months", 24),
        ("MS", "2019-03-01", 60, "last 24 rows", 24),
        ("ME", "2019-03-31", 60, "last 24 months", 24),
        ("ME", "2019-03-31", 48, "last 1 month", 1),  # which ends with February
        ("QE", "2009-03-31", 60, "last 2 years", 8),
        ("YS", "1960-01-01", 60, "last 10 years", 10),
        ("W-SUN", "2023-01-01", 60, "last 26 weeks", 26),
        ("B", "2024-01-01", 60, "last 2 weeks", 10),
        ("B", "2024-01-01", 60, "last 10 rows", 10),
    ],
)
def test_spans_are_counted_back_by_the_calendar(
    frequency: str, first: str, rows: int, split: str, test: int
) -> None:
    """Months before a month's last day end with a month's last day."""
    wanted = Split(train="rest", validation="last 5 rows", test=split)
    found = splits.spans(wanted, pd.Timestamp(first), step(frequency), rows)
    assert found["test"] == (rows - test, rows)
    assert found["validation"] == (rows - test - 5, rows - test)


def test_a_span_may_end_with_a_month_or_a_year() -> None:
    """2023 means all of it, as 2023-06 means all of June."""
    wanted = Split(train="2022", validation="2023-06", test="2023-12-01")
    found = splits.spans(wanted, pd.Timestamp("2020-01-01"), step("MS"), 48)
    assert found == {"train": (0, 36), "validation": (36, 42), "test": (42, 48)}


MINUTES = pd.DatetimeIndex(  # three trading days of twenty minutes, a weekend between them
    [
        pd.Timestamp(day) + pd.Timedelta("9h") + pd.Timedelta(minutes=minute)
        for day in ("2024-03-28", "2024-03-29", "2024-04-01")
        for minute in range(20)
    ]
)
BY_ROWS = CARD | {"frequency": "rows", "time": {"column": "time", "format": "%Y-%m-%d %H:%M"}}


def minutes() -> pd.DataFrame:
    """The table of the trading minutes."""
    return pd.DataFrame({"time": MINUTES.strftime("%Y-%m-%d %H:%M"), "level": values()})


def test_rows_are_steps_whatever_the_time_between(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed hours are no rows: no gap is filled, no window is lost, and steps are numbered."""
    project.write(minutes(), card=BY_ROWS, params=PARAMS).run("ingest", "impute_scale", "window")
    monkeypatch.chdir(project.root)
    assert artifacts.read_json(HERE.quality)["absent_rows"] == 0
    assert panel.read(HERE.series, toy_card()).frame.index.tolist() == MINUTES.tolist()
    assert np.asarray(Runs(np.load(HERE.origins("train")))).tolist() == list(range(3, 33))
    own = forecaster(project)
    table = reading.read_table(project.table, own.card)
    made = own.predict(table, ["2024-03-29 09:19"])
    assert list(made) == ["origin", "step", "target", "forecast"]
    assert made["step"].tolist() == [1, 2, 3]
    assert made["forecast"].tolist() == values()[36:39].tolist()
    answer = endpoints.answer(own, endpoints.CSV, project.table.read_bytes())
    rows = json.loads(answer)["predictions"]
    assert [row["forecast"] for row in rows] == values()[56:59].tolist()
    with pytest.raises(PipelineError, match=r"2024-04-01 09:19:00\), found 2024-03-29 09:20"):
        own.predict(table, ["2024-03-29 09:20"])


def test_spans_of_rows_end_by_time_or_by_rows() -> None:
    """The last day is as many rows as it has; series of a panel have their own times."""
    borders = Borders.of({"a": 60, "b": 25})
    times = MINUTES.append(MINUTES[35:])
    both = Timeline(borders, times[borders.firsts], step("rows"), times)
    by_day = Split(train="2024-03-28", validation="2024-03-29", test="2024-04-01")
    found = splits.in_series(by_day, both, None)
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "train": [[0, 20], [0, 0]],
        "validation": [[20, 40], [0, 5]],
        "test": [[40, 60], [5, 25]],
    }
    back = Split(train="rest", validation="last 10 rows", test="last 25 rows")
    assert splits.in_series(back, both, None)["test"].tolist() == [[35, 60], [0, 25]]
    assert splits.unused(np.array([40, 5]), both) == (
        "40 rows after 2024-03-29 09:19:00, where split.test ends, are not used; if the table "
        "grows, train: rest and such as test: last 90 days move with it"
    )


def test_what_rows_cannot_tell_is_said(project: Project) -> None:
    """Drift counts rows since the first one, and what is known ahead needs the rows ahead."""
    project.write(minutes(), card=BY_ROWS, params=PARAMS | {"train.model": {"name": "drift"}})
    with pytest.raises(PipelineError, match="expected another model; with frequency: rows"):
        project.run("ingest")
    known = PARAMS | {"train.model": {"name": "ridge"}, "window.known_ahead": ["hour"]}
    project.write(card=BY_ROWS, params=known).run("ingest", "impute_scale", "window")
    with chdir(project.root):
        own = forecaster(project, {"kernel": np.zeros((10, 3)), "bias": np.zeros(3)})
        table = reading.read_table(project.table, own.card)
    said = (
        r"3 rows after the origin 2024-04-01 09:19:00, with what is known ahead \(hour\), found 0"
    )
    with pytest.raises(PipelineError, match=said):
        own.predict(table)
    assert len(own.predict(table, ["2024-04-01 09:10"])) == 3


@pytest.mark.parametrize(
    ("index", "frequency", "rounded", "season"),
    [
        (pd.date_range("2000-01-01", periods=60, freq="MS"), "MS", None, 12),
        (pd.date_range("2000-01-01", periods=60, freq="ME", tz="Europe/Berlin"), "ME", None, 12),
        (pd.date_range("2000-01-01", periods=60, freq="BME"), "ME", "ME", 12),
        (pd.date_range("2000-01-15", periods=60, freq="MS") + pd.Timedelta("14D"), "MS", "MS", 12),
        (pd.date_range("2000-01-01", periods=60, freq="QS-FEB"), "QS-FEB", None, 4),
        (pd.date_range("1900-01-01", periods=60, freq="YE-JUN"), "YE-JUN", None, 1),
        (pd.date_range("2000-01-01", periods=60, freq="B"), "B", None, 5),
        (pd.date_range("2000-01-01", periods=60, freq="W"), "W-SUN", None, 1),
        (pd.date_range("2024-02-05", periods=60, freq="D", tz="Europe/Berlin"), "D", None, 7),
        (pd.date_range("2024-02-01", periods=60, freq="D", tz="UTC"), "1D", None, 7),
        (pd.date_range("2024-02-01", periods=60, freq="B", tz="Europe/Berlin"), "B", None, 5),
        (pd.date_range("2024-03-30", periods=60, freq="h", tz="Europe/Berlin"), "1h", None, 1),
        (pd.date_range("2000-01-01", periods=60, freq="28D"), "4W-SAT", None, 13),
        (beside("2024-01-01", "h"), "1h", "1min", 1),
        (beside("2024-03-30", "h", "Europe/Berlin"), "1h", "1min", 1),
        (beside("2024-03-01", "D", "Europe/Berlin"), "D", "1min", 7),
    ],
)
def test_a_frame_shows_its_step(
    index: pd.DatetimeIndex, frequency: str, rounded: str | None, season: int
) -> None:
    """Months by their first or last days, or by one that stands for them; else a length."""
    frame = pd.DataFrame({"level": values()}, index)
    card = api.of_frame(frame, "level").card
    assert (card.frequency, card.time.round, card.season) == (frequency, rounded, season)
    assert api.of_frame(frame, "level", frequency="rows").card.step.name == "1 row"


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_frame_whose_stamps_jitter_is_read_on_its_grid(zone: str | None, tmp_path: Path) -> None:
    """The experiment's card rounds them, so that a run finds each row at its step."""
    times = beside("2024-03-30", "h", zone)
    frame = pd.DataFrame({"level": values()}, times)
    made = api.of_frame(frame, "level")
    layout = placed(made, frame, tmp_path, tmp_path)
    read = tables.to_series(reading.read_table(layout.raw_table("frame"), made.card), made.card, "")
    assert len(read) == ROWS and read["level"].tolist() == frame["level"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("frequency", ["ME", "B", "rows"])
def test_what_is_scored_is_what_is_served(
    frequency: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network over months or rows: each scored forecast comes again from the raw rows."""
    table = minutes() if frequency == "rows" else None
    card = BY_ROWS if frequency == "rows" else {**CARD, "frequency": frequency}
    if table is None:
        table = written(step(frequency).grid(pd.Timestamp(SPANS[frequency][0]), ROWS))
    table["level"] += np.sin(np.arange(ROWS))
    known = {} if frequency == "rows" else {"window.known_ahead": ["month"]}
    project.write(table, card=card, params={"evaluate.levels": [80], "window.horizon": 3, **known})
    monkeypatch.chdir(project.root)
    experiment = read_experiment()
    run_experiment(experiment, Layout(Path()))
    scored = artifacts.read_frame(HERE.predictions)
    scored = scored[scored["span"] == "test"]
    own = Forecaster.load(stage_files(HERE, "toy"))
    raw = reading.read_table(project.table, own.card)
    form = own.card.time.format
    origin = scored["origin"].iloc[-1]
    made = own.predict(raw, [origin.strftime(form)])
    wanted = scored[scored["origin"] == origin]
    np.testing.assert_array_equal(made["forecast"], wanted["forecast"])
    np.testing.assert_array_equal(made["lo-80"], wanted["lo-80"])
    if "time" in made:
        assert made["time"].tolist() == wanted["time"].tolist()
    later = own.predict(raw)
    assert len(later) == 3 and later["forecast"].notna().all()

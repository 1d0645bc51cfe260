"""A panel is prepared series by series: spans, own units, gaps, features, origins, by hand."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.cards import Split
from pipeline.config.experiment import Experiment
from pipeline.config.frequencies import step
from pipeline.data import panel, splits, windows
from pipeline.data.panel import Borders, Timeline
from pipeline.data.windows import Runs
from pipeline.errors import PipelineError
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.conformal import Method
from pipeline.models.task import Seen
from pipeline.preparation import features
from pipeline.preparation.imputation import FILLED, OBSERVED, Imputer
from pipeline.preparation.own_units import Own, OwnUnits
from pipeline.preparation.scaling import Scaler
from pipeline.preparation.training_windows import Count, series_remarks
from tests.toys import (
    PANEL,
    Project,
    naive_forecast,
    toy_card,
    toy_panel,
    toy_params,
    toy_times,
)

PREPARING = ("ingest", "impute_scale", "window")
WINDOW = {"window.look_back": 3, "window.horizon": 2, "impute_scale.imputation.limit": 1}
SITES = Borders.of({"a": 12, "b": 8, "c": 3})
STARTS = toy_times(14)[[0, 6, 2]]


@pytest.fixture
def sites(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of the toy panel, which is too short for intervals."""
    monkeypatch.setattr(Method, "fault", lambda *_: "")
    return project.write(toy_panel(), card=PANEL, params=WINDOW)


def spans(*ends: Any) -> dict[str, list[list[int]]]:
    """The rows of each span of the toy panel's series, counted in each."""
    split = Split(**dict(zip(("train", "validation", "test"), ends, strict=True)))
    found = splits.in_series(split, Timeline(SITES, STARTS, step("1h")), None)
    return {name: rows.tolist() for name, rows in found.items()}


def test_a_split_by_fractions_is_of_each_series() -> None:
    """Half of each series, whenever it begins."""
    assert spans(0.5, 0.75, 1.0) == {
        "train": [[0, 6], [0, 4], [0, 2]],
        "validation": [[6, 9], [4, 6], [2, 2]],
        "test": [[9, 12], [6, 8], [2, 3]],
    }


def test_a_split_by_time_is_the_same_for_all() -> None:
    """A series that ends before a span, or begins after it, has no rows in it."""
    ends = "2014-01-01 05:00", "2014-01-01 08:00", "2014-01-01 13:00"
    assert spans(*ends) == {
        "train": [[0, 6], [0, 0], [0, 3]],
        "validation": [[6, 9], [0, 3], [3, 3]],
        "test": [[9, 12], [3, 8], [3, 3]],
    }


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ((4, 8, 13), "split.test: expected at most the series' 12 rows, found 13"),
        (("2014-01-01 05", "2014-01-01 08", "2014-01-01 14"), "2014-01-01 00:00:00 to .* 13:00"),
        (("2014-01-01 05", "2014-01-01 05", "2014-01-01 08"), "split.validation: expected an end"),
    ],
)
def test_a_split_that_no_series_allows_is_refused(ends: Any, message: str) -> None:
    """An end beyond some of the series is none of their rows; beyond all it is a mistake."""
    with pytest.raises(PipelineError, match=message):
        spans(*ends)


def test_origins_never_cross_a_border(sites: Project) -> None:
    """Each span's origins in rows of the table, what they see and what comes after, by hand.

    Of the series c, too short for a window, no row is seen.
    """
    split = {"train": 0.5, "validation": 0.75, "test": 1.0}
    sites.write(card=PANEL | {"split": split}, params=WINDOW).run(*PREPARING)
    level = pd.read_parquet(sites.root / "data/ingested/series.parquet")["level"].to_numpy()
    for span, origins, seen, ahead in (
        # a: rows 0 to 5; b: rows 12 to 15, one row too few
        ("train", [2, 3], [[10, 20, 30], [20, 30, 40]], [[40, 50], [50, 60]]),
        # a: 6 to 8; b: 16 and 17
        (
            "validation",
            [5, 6, 15],
            [[40, 50, 60], [50, 60, 70], [2, 3, 4]],
            [[70, 80], [80, 90], [5, 6]],
        ),
        # a: 9 to 11; b: 18 and 19
        (
            "test",
            [8, 9, 17],
            [[70, 80, 90], [80, 90, 100], [4, 5, 6]],
            [[100, 110], [110, 120], [7, 8]],
        ),
    ):
        found = np.asarray(Runs(np.load(sites.root / f"data/windows/{span}.npy")))
        assert found.tolist() == origins
        assert windows.seen(level, found, 3).tolist() == seen
        assert windows.ahead(level, found, 2).tolist() == ahead


def test_series_without_windows_are_listed(
    sites: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which series no window is trained on, and which origins have too few rows before them.

    With ends in time, b begins with validation: its first origins have no whole look-back.
    """
    ends = {"train": "2014-01-01 05:00", "validation": "2014-01-01 08:00", "test": "2014-01-01 13"}
    sites.write(card=PANEL | {"split": ends}, params=WINDOW).run(*PREPARING)
    validation = np.asarray(Runs(np.load(sites.root / "data/windows/validation.npy")))
    assert validation.tolist() == [5, 6, 12]  # of b the first row, before which there is none
    count = artifacts.read_json(sites.root / "data/windows/quality.json")
    assert (count["kept"], count["untrained"], count["short"]) == (2, ["b", "c"], {"b": 1})
    said = capsys.readouterr().err
    assert "data/windows/quality.json: 2 series have no training window: b, c" in said
    found = artifacts.read_json_record(sites.root / "data/windows/quality.json", Count)
    (one,) = series_remarks(found.model_copy(update={"untrained": ("b",), "short": {}}), 3)
    assert one == "1 series has no training window: b"
    assert "1 scored origin of 1 series has fewer than 3 rows up to it, and gets the last" in said


@given(data=st.data())
def test_training_origins_of_series_are_those_of_each(data: st.DataObject) -> None:
    """Runs over the table hold the origins that each series has by itself, and no other."""
    lengths = data.draw(st.lists(st.integers(1, 14), min_size=1, max_size=5))
    borders = Borders.of({str(i): length for i, length in enumerate(lengths)})
    used = [data.draw(st.integers(0, length)) for length in lengths]
    ends = borders.firsts + used
    rows = int(borders.edges[-1])
    flags = st.lists(st.booleans(), min_size=rows, max_size=rows)
    beyond, observed, untold = (np.array(data.draw(flags), bool) for _ in range(3))
    look_back, horizon, stride = (data.draw(st.integers(1, 4)) for _ in range(3))
    settings = look_back, horizon, stride, data.draw(st.integers(0, 3))
    span = np.stack([borders.firsts, ends], axis=1)
    found = windows.training_origins(span, *settings, beyond, observed, untold)
    expected: list[int] = []
    for (_, part), end in zip(borders.parts(), used, strict=True):
        marks = (mask[part] for mask in (beyond, observed, untold))
        own = windows.training_origins((0, end), *settings, *marks)
        expected += (part.start + np.asarray(own)).tolist()
    assert np.asarray(found).tolist() == expected


@given(data=st.data())
def test_scored_origins_of_series_are_those_of_each(data: st.DataObject) -> None:
    """Each series has its own, none before its first row, however many spans are empty in it."""
    lengths = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    borders = Borders.of({str(i): length for i, length in enumerate(lengths)})
    first, end = (
        np.array(pair)
        for pair in zip(
            *(sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in lengths), strict=True
        )
    )
    horizon, needed = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5))
    span = np.stack([first, end], axis=1) + borders.firsts[:, None]
    found = windows.scored_origins(span, horizon, borders.firsts)
    expected = [
        edge + origin
        for edge, low, high in zip(borders.firsts, first, end, strict=True)
        for origin in range(max(low - 1, 0), high - horizon)
    ]
    assert np.asarray(found).tolist() == expected
    behind = [origin - borders.first(np.array(origin)) for origin in expected]
    short = [
        sum(
            b + 1 < needed
            for b, n in zip(behind, borders.number(np.array(expected)), strict=True)
            if n == i
        )
        for i in range(len(borders))
    ]
    assert windows.short(found, borders.firsts, needed).tolist() == short


def test_each_series_has_units_of_its_own() -> None:
    """Centre and size by hand: of a series, of one too short, of a constant one, of a new one."""
    train = {
        "big": pd.DataFrame({"y": [100.0, 300.0], "z": [10.0, 30.0]}),
        "flat": pd.DataFrame({"y": [5.0, 5.0], "z": [0.0, 0.0]}),
        "tiny": pd.DataFrame({"y": [1.0, np.nan], "z": [np.nan, np.nan]}),
    }
    own = OwnUnits.fit(train, ["y", "z"], from_zero={"z"}, least=2)
    units = {
        name: [(one.center, one.size) for one in own.of(name).values()]
        for name in ("big", "flat", "tiny", "never seen")
    }
    mean, deviation = 411 / 5, float(np.std([100, 300, 5, 5, 1]))
    assert units["big"] == [(200, 100), (0, 20)]
    assert units["flat"] == pytest.approx([(5, deviation), (0, 10)])
    assert units["tiny"] == units["never seen"] == pytest.approx([(mean, deviation), (0, 10)])
    never = OwnUnits.fit({"a": pd.DataFrame({"y": [np.nan]})}, ["y"], from_zero=(), least=1)
    assert [(one.center, one.size) for one in never.other.values()] == [(0, 1)]
    made = own.into(train["big"].assign(w=1.0), "big")
    assert made.to_numpy().tolist() == [[-1, 0.5, 1], [1, 1.5, 1]]


def test_series_of_other_sizes_look_alike(sites: Project) -> None:
    """What a network sees of a and b, ten times as large, is the same; the scale says each one's.

    `by_series: false` scales all by what they have together.
    """
    sites.run(*PREPARING[:2])
    values = np.load(sites.root / "data/prepared/values.npy")
    ten = values[12:16, 0]  # 1, 2, 3, 4 of b, whose training rows these are
    np.testing.assert_allclose(ten, (np.arange(4) - 1.5) / np.std(np.arange(4)), rtol=1e-6)
    np.testing.assert_allclose(values[:6, 0].mean(), 0, atol=1e-6)
    scaler = artifacts.read_json_record(sites.root / "data/prepared/scaler.json", Scaler)
    assert scaler.own and scaler.own.of("b")["level"].center == 2.5
    assert set(scaler.own.of("a")) == {"level"}  # a static column says how series differ
    sizes = values[[0, 12, 20], 1]
    assert sizes[0] < sizes[1] < sizes[2]
    together = sites.write(card=PANEL, params=WINDOW | {"impute_scale.by_series": False})
    together.run("impute_scale")
    units = json.loads((sites.root / "data/prepared/scaler.json").read_text())["own"]["series"]
    assert {(own["level"]["center"], own["level"]["size"]) for own in units.values()} == {(0, 1)}
    assert np.load(sites.root / "data/prepared/values.npy")[20:, 0].min() > 1


def test_a_series_is_filled_from_its_own_past(project: Project) -> None:
    """A gap at a series' start gets its own mean, not the last value of the series above it."""
    table = toy_panel()
    early = (table["site"] == "b") & (table["level"] <= 2)
    table = table.assign(level=table["level"].mask(early))
    project.write(table, card=PANEL, params=WINDOW).run(*PREPARING[:2])
    values = np.load(project.root / "data/prepared/values.npy")[:, 0]
    state = np.load(project.root / "data/prepared/imputed.npy")[:, 0]
    assert state[12:16].tolist() == [1, 2, 0, 0]
    mean = (np.arange(10, 70, 10) - 35) / np.std(np.arange(10, 70, 10))
    np.testing.assert_allclose(values[:6], mean, rtol=1e-6)
    np.testing.assert_allclose(values[12:16], [0, 0, -1, 1], atol=1e-6)


def test_an_unknown_static_value_is_the_mean_of_all() -> None:
    """It is no gap, however many rows it lacks: no window is lost, and the training mean stands."""
    train = pd.DataFrame({"y": [1.0, 2, 3, 4], "kind=N": [1.0, 1, 1, 0]})
    imputer = Imputer.fit(train, "ffill", 1, 2, static=["kind=N"])
    rows = pd.DataFrame({"y": [5.0, 6, 7], "kind=N": [np.nan] * 3})
    filled, state = imputer.apply(rows)
    assert filled["kind=N"].tolist() == [0.75] * 3
    assert state.tolist() == [[OBSERVED, FILLED]] * 3
    assert "static" not in Imputer.fit(train, "ffill", 1, 2).model_dump()


def test_steps_and_changes_are_within_series() -> None:
    """From one series to the next there is no step in time and no change."""
    train = pd.DataFrame({"y": [0.0, 1.0, 100.0, 101.0, 103.0]})
    fitted = Scaler.fit(train, "minmax", firsts=[0, 2])
    assert fitted.columns["y"].change == pytest.approx(np.std([1, 1, 2]) / 103)
    gaps = pd.DataFrame({"y": [0, np.nan, 2, 9, np.nan, 8, 7, np.nan, 6.0, 5, 4]})
    each = Borders.of(dict.fromkeys("abc", 3) | {"d": 1, "e": 1})
    assert (Imputer.fit(gaps, "ffill", 1, 2).step, Imputer.fit(gaps, "ffill", 1, 2, each).step) == (
        1,
        2,
    )


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    horizon=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_features_of_a_series_are_its_own(lengths: list[int], horizon: int, seed: int) -> None:
    """Differences, seasons and gaps know nothing of the series above."""
    names = [
        "level",
        "difference:level",
        "seasonal:level",
        "since:level",
        "missing:level",
        "hour_sin",
    ]
    borders = Borders.of({str(i): length for i, length in enumerate(lengths)})
    random, rows = np.random.default_rng(seed), int(borders.edges[-1])
    values = random.normal(size=(rows, 1)).astype(np.float32)
    state = random.integers(0, 2, (rows, 1)).astype(np.uint8)
    times = toy_times(rows)

    def built(part: slice, of: Borders | None) -> Any:
        gaps = features.Gaps(state[part], 2)
        given_ = toy_card(), horizon, {"level": 2.0}, gaps, of
        return features.build(values[part], ["level"], names, times[part], *given_)

    whole = built(slice(None), borders)
    for _, part in borders.parts():
        np.testing.assert_array_equal(whole[part], built(part, None))


def test_targets_are_in_own_units_and_forecasts_in_the_cards(sites: Project) -> None:
    """A series' targets less its centre, over its size; what comes out is as it went in."""
    sites.run(*PREPARING)
    params = {"window.look_back": 3, "window.horizon": 2}
    experiment = Experiment(toy_params(params), toy_card(**PANEL))
    task = prepared(experiment, Layout(sites.root))
    seen: Seen = task.seen
    ingested = panel.read(Layout(sites.root).series, toy_card(**PANEL))
    np.testing.assert_allclose(
        seen.targets[12:14, 0], [-1.5 / np.std(range(4)), -0.5 / np.std(range(4))]
    )
    origins = np.array([5, 15, 22])
    own = np.repeat(seen.targets[origins][:, None], 2, axis=1)
    level = ingested.frame["level"].to_numpy()[origins]
    np.testing.assert_allclose(seen.in_units(own, origins)[:, 1, 0], level)
    quantiles = np.repeat(own[..., None], 3, axis=3)
    np.testing.assert_allclose(seen.in_units(quantiles, origins)[:, 0, 0, 2], level)


def test_what_was_last_observed_is_of_the_same_series() -> None:
    """Before its first value a series has none, whatever the series above it ends with."""
    targets = np.array([[1.0], [2], [np.nan], [np.nan], [5]])
    seen = Seen(
        toy_times(5), np.zeros((5, 1), np.float32), targets, borders=Borders.of({"a": 2, "b": 3})
    )
    np.testing.assert_array_equal(seen.known[:, 0], [1, 2, np.nan, np.nan, 5])
    assert seen.last[:, 0].tolist() == [0, 1, 2, 2, 4]


def test_what_is_known_ahead_is_known_in_each_series(project: Project) -> None:
    """A series that lacks what is known ahead is named; all of them at once."""
    table = toy_panel()
    late = table["time"] >= "2014-01-01 11:00"
    columns = PANEL["columns"] | {"plan": {}}
    card = PANEL | {"columns": columns, "known_ahead": ["plan", "size"]}
    project.write(table.assign(plan=(table["level"] / 2).mask(late)), card=card, params=WINDOW)
    with pytest.raises(PipelineError) as caught:
        project.run(*PREPARING)
    first, second = str(caught.value).splitlines()
    assert first.startswith("series a: known_ahead: plan: expected values up to the last forecast")
    assert second.startswith("series b: known_ahead: plan:") and "in the 3 rows after" in second
    never = table.assign(plan=table["level"].mask(table["site"] == "c"))
    project.write(never, card=card, params=WINDOW)
    with pytest.raises(
        PipelineError, match=r"series c: .* none in the 3 rows from 2014-01-01 02:0"
    ):
        project.run(*PREPARING)


@pytest.mark.parametrize("name", ["persistence", "last_change", "seasonal_naive"])
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    missing=st.floats(0, 0.6),
    seed=st.integers(0, 9),
)
def test_a_series_of_many_is_forecast_as_if_alone(
    name: str, lengths: list[int], missing: float, seed: int
) -> None:
    """From each of its rows, the first as well, a baseline knows nothing of the series above."""
    borders = Borders.of({str(i): length for i, length in enumerate(lengths)})
    random = np.random.default_rng(seed)
    values = random.normal(size=int(borders.edges[-1]))
    targets = pd.DataFrame({"y": np.where(random.random(len(values)) < missing, np.nan, values)})
    of_all = naive_forecast(name, targets, np.arange(len(targets)), 3, 2, borders=borders)
    for _, part in borders.parts():
        own = naive_forecast(name, targets[part], np.arange(part.stop - part.start), 3, 2)
        np.testing.assert_array_equal(of_all[part], own)


def test_no_window_that_lacks_rows_is_trained_on(sites: Project) -> None:
    """Of the validation origins, stopping sees those with a whole look-back in their series."""
    ends = {"train": "2014-01-01 05:00", "validation": "2014-01-01 10:00", "test": "2014-01-01 13"}
    sites.write(card=PANEL | {"split": ends}, params=WINDOW).run(*PREPARING)
    on_disk = Runs(np.load(sites.root / "data/windows/validation.npy"))
    assert np.asarray(on_disk).tolist() == [5, 6, 7, 8, 12, 13, 14]
    experiment = Experiment(toy_params({**WINDOW}), toy_card(**PANEL | {"split": ends}))
    task = prepared(experiment, Layout(sites.root))
    assert np.asarray(task.train).tolist() == [2, 3]
    assert np.asarray(task.validation).tolist() == [5, 6, 7, 8, 14]


def test_own_units_by_the_median() -> None:
    """One spike moves neither centre nor size; where half are the same, the deviation is the size.

    The median of 0, 1, 2, 3 and 100 is 2, the median distance from it 1.
    """
    spiky, flat = [0.0, 1, 2, 3, 100, np.nan], [5.0, 5, 5, 5, 9, np.nan]
    train = {name: pd.DataFrame({"y": y}) for name, y in (("a", spiky), ("b", flat))}
    own = OwnUnits.fit(train, ["y"], from_zero=(), least=2, by_median=["y"])
    assert own.of("a")["y"] == Own(center=2, size=1.4826)
    assert own.of("b")["y"].center == 5
    assert own.of("b")["y"].size == pytest.approx(np.nanstd(flat))

"""Many series in one table: read, checked by series, and stored below each other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data import panel, raw_panel, tables
from pipeline.data.panel import Borders
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from tests.toys import PANEL, Project, toy_card, toy_panel, toy_times

SITES = toy_card(**PANEL)
INGESTED = "data/ingested/series.parquet"


@pytest.fixture
def sites(project: Project) -> Project:
    """A project of the toy panel."""
    return project.write(toy_panel(), card=PANEL, params={"window.look_back": 3})


def refusal(table: pd.DataFrame, **changes: Any) -> list[str]:
    """The lines that refuse a table."""
    with pytest.raises(PipelineError) as caught:
        raw_panel.to_panel(table, toy_card(**PANEL | changes), "t.csv")
    return str(caught.value).splitlines()


def test_series_lie_below_each_other(sites: Project) -> None:
    """Sorted by name and time, each on its own grid, whatever the order of the table's rows."""
    stored = pd.read_parquet(sites.run("ingest").root / INGESTED)
    assert list(stored) == ["site", "level", "size"]
    assert stored["site"].tolist() == ["a"] * 12 + ["b"] * 8 + ["c"] * 3
    levels = [*range(10, 130, 10), *range(1, 9), 500, 510, 520]
    assert stored["level"].tolist() == levels
    assert stored["size"].tolist() == [2] * 12 + [4] * 8 + [6] * 3
    times = toy_times(14)
    assert stored.index.tolist() == [*times[:12], *times[6:], *times[2:5]]
    found = artifacts.read_json(sites.root / "data/ingested/quality.json")
    assert found["rows"] == 23 and found["first"] == "2014-01-01 00:00:00"
    assert {name: one["rows"] for name, one in found["series"].items()} == {
        "a": 12,
        "b": 8,
        "c": 3,
    }


def test_a_hole_is_filled_in_its_own_series() -> None:
    """An absent time stamp is a missing row of its series alone, which keeps its static value."""
    table = toy_panel()
    hole = (table["site"] == "b") & (table["level"] == 4)
    series, given_rows = raw_panel.to_panel(table[~hole], SITES, "t.csv")
    parts = dict(series.parts())
    assert parts["b"]["level"].tolist()[:3] == [1, 2, 3]
    assert np.isnan(parts["b"]["level"].iloc[3]) and len(parts["b"]) == 8
    assert parts["b"]["size"].tolist() == [4] * 8
    assert [len(part) for part in parts.values()] == [12, 8, 3] and [
        given.rows for given in given_rows
    ] == [12, 7, 3]


@settings(max_examples=20)
@given(
    lengths=st.dictionaries(
        st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1),
        st.integers(1, 5),
        min_size=1,
        max_size=6,
    )
)
def test_a_panel_is_read_as_it_was_written(
    lengths: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Names, borders and values come back, whatever the names; so do borders and starts alone."""
    borders = Borders.of({name: lengths[name] for name in sorted(lengths)})
    rows = int(borders.edges[-1])
    frame = pd.DataFrame({"level": np.arange(rows) + 0.5, "size": 1.0}, index=toy_times(rows))
    path = tmp_path_factory.mktemp("panel") / "series.parquet"
    panel.write(path, panel.Panel(frame, borders), SITES)
    back = panel.read(path, SITES)
    assert back.borders.names == borders.names
    assert back.borders.edges.tolist() == borders.edges.tolist()
    pd.testing.assert_frame_equal(back.frame, frame, check_freq=False)
    timeline = panel.outline(path, SITES, rows)
    assert timeline.borders.edges.tolist() == borders.edges.tolist()
    assert timeline.starts.tolist() == frame.index[borders.firsts].tolist()
    number = borders.number(np.arange(rows))
    assert [borders.names[i] for i in number] == np.repeat(borders.names, borders.lengths).tolist()
    behind = [i for length in borders.lengths for i in range(length)]
    assert (np.arange(rows) - borders.first(np.arange(rows))).tolist() == behind


def test_one_series_is_a_panel_of_one(project: Project) -> None:
    """A table without names has one series, and its file has no column of names."""
    series = panel.read(project.run("ingest").root / INGESTED, toy_card())
    assert series.borders.names == ("",) and series.borders.edges.tolist() == [0, 120]
    assert list(series.frame) == ["level", "flow", "wind"]


def test_each_series_is_read_as_if_it_were_alone() -> None:
    """A series of a panel equals the same rows read as a table of one series."""
    table, alone = toy_panel(), toy_card(**PANEL | {"series": None, "static": [], "excluded": []})
    series, _ = raw_panel.to_panel(table, SITES, "t.csv")
    for name, part in series.parts():
        own = table[table["site"] == name].drop(columns="site")
        pd.testing.assert_frame_equal(part, tables.to_series(own, alone, "t.csv"), check_freq=False)


def test_names_may_be_numbers_or_words_for_missing() -> None:
    """Numbers are names as they are written, and NA is a name: only an empty cell is none."""
    table = toy_panel()
    for given_names, found in (
        ({"a": 7, "b": 10, "c": 8}, ["10", "7", "8"]),
        ({"a": "NA", "b": " b ", "c": "nan"}, ["NA", "b", "nan"]),
    ):
        named = table.assign(site=table["site"].map(given_names))
        series, _ = raw_panel.to_panel(named, SITES, "t.csv")
        assert list(series.borders.names) == found


def test_names_may_be_an_input(project: Project) -> None:
    """A series' name is seen by a model if it stands among columns, in static and in inputs."""
    own = PANEL["columns"] | {"site": {"categories": ["a", "b", "c"]}}
    card = PANEL | {"columns": own, "static": ["site", "size"], "inputs": ["level", "site"]}
    project.write(toy_panel(), card=card).run("ingest")
    series = panel.read(project.root / INGESTED, toy_card(**card))
    assert list(series.frame) == ["level", "size", "site"]
    assert series.frame["site"].tolist() == ["a"] * 12 + ["b"] * 8 + ["c"] * 3


def test_all_that_is_wrong_is_said_at_once_by_series() -> None:
    """A line for missing names and one for each series, with the row's number in the table."""
    table = toy_panel().sort_values(["site", "time"]).reset_index(drop=True)
    table.index += 1
    table.loc[3, "time"] = table.loc[2, "time"]
    table.loc[16, "size"] = 5
    table["site"] = table["site"].mask(table.index == 22, "")
    table.loc[23, "level"] = np.inf
    lines = refusal(table)
    for line, start in zip(
        lines,
        (
            "t.csv: column site, row 22: expected the name of a series in every row, found none in",
            "t.csv: series a: column time, row 3: 2014-01-01 01:00:00 appears twice, expected one",
            "t.csv: series b: column size, row 16: expected one value in all of a series, as the "
            "card's static says, found 5.0 after 4.0 in row 13",
            "t.csv: series c: column level, row 23: expected a finite number",
        ),
        strict=True,
    ):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda t: t.drop(columns="site"), ["t.csv: column site missing; found time, level, size"]),
        (lambda t: t.assign(depth=1), ["t.csv: unknown column depth"]),
        (lambda t: t.iloc[:0], ["t.csv: no rows"]),
        (lambda t: t.assign(site=""), ["column site, row 1: expected the name of a series"]),
        (
            lambda t: t.assign(time=t["time"].mask(t["level"] == 4, "2014-01-01 09:30")),
            ["series b: column time", "whole number of 1h after 2014-01-01 06:00:00, found"],
        ),
        (
            lambda t: t.assign(level=t["level"].astype(object).mask(t["level"] == 4, "4,5")),
            ["series b: column level", "found '4,5'; a number if the card has decimal"],
        ),
    ],
)
def test_a_wrong_panel_is_named(
    change: Callable[[pd.DataFrame], pd.DataFrame], parts: list[str]
) -> None:
    """One line says which column, series and row."""
    (line,) = refusal(change(toy_panel()))
    for part in parts:
        assert part in line


def test_of_many_wrong_series_the_first_are_said() -> None:
    """Twenty lines, and how many more there are."""
    row = {"time": "2014-01-01 00:00", "level": 1.0, "size": 1.0}
    table = pd.DataFrame([row | {"site": f"s{i:02d}"} for i in range(25) for _ in range(2)])
    lines = refusal(table)
    assert len(lines) == 21 and lines[20] == "and 5 more"
    assert lines[1].startswith("t.csv: series s01: column time, row 4: 2014-01-01 00:00:00 appears")


def test_some_series_are_taken_by_name(sites: Project) -> None:
    """`ingest.series` reads those alone; a name that is not there is told with its neighbour."""
    sites.write(card=PANEL, params={"ingest.series": ["c", "a"]}).run("ingest")
    assert panel.read(sites.root / INGESTED, SITES).borders.names == ("a", "c")
    table = toy_panel().replace({"site": {"a": "Antwerp"}})
    with pytest.raises(PipelineError, match=r"t.csv \(Antwerp, b, c\), found Antwerpen; did you m"):
        raw_panel.to_panel(table, SITES, "t.csv", wanted=["b", "Antwerpen"])


WRONG_CARDS = {
    "static alone": ({"series": None}, "static beside series alone"),
    "static unknown": ({"static": ["place"]}, "static to name columns of the card, found place"),
    "static target": ({"static": ["level"]}, "expected targets that change within a series"),
    "series is time": ({"series": "time"}, "series to be another column than the time's"),
    "series is a column": ({"series": "level"}, "level to tell series apart and be no input"),
    "series excluded": ({"excluded": ["site"]}, "expected site to be used or excluded"),
}


@pytest.mark.parametrize("change", WRONG_CARDS)
def test_a_wrong_card_of_a_panel_is_named(change: str) -> None:
    """What contradicts itself is said before any table is read."""
    keys, message = WRONG_CARDS[change]
    with pytest.raises(PipelineError, match=message):
        toy_card(**PANEL | keys)


@pytest.mark.parametrize(
    ("params", "card", "message"),
    [
        ({"ingest.series": ["a"]}, {}, "ingest.series: expected null for a table with one series"),
        (
            {"window.inputs": ["level", "difference:size"]},
            PANEL,
            "window.inputs: difference:size: expected a column that changes within a series",
        ),
    ],
)
def test_wrong_parameters_of_a_panel_are_named(
    project: Project, params: dict[str, Any], card: dict[str, Any], message: str
) -> None:
    """What the card's series do not allow is said with its key."""
    project.write(card=card, params=params)
    with pytest.raises(PipelineError, match=message):
        project.run("ingest")

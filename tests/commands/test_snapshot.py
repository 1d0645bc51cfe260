"""A table that grows: its new state is pinned if the old rows are as they were."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from pipeline.config import cards
from pipeline.data import growth, raw_panel
from pipeline.data.panel import Panel
from pipeline.files import artifacts
from tests.repositories import run
from tests.toys import CARD, PANEL, Project, changed, to_yaml, toy_card, toy_panel, toy_table


def panel(table: pd.DataFrame, **card: object) -> Panel:
    """What a raw table is read to."""
    return raw_panel.to_panel(table, toy_card(**card), "table")[0]


def test_rows_that_changed_are_named_and_new_ones_counted() -> None:
    """A value that was missing and is there counts as changed; a series may be gone."""
    later = toy_table(33, missing=0)
    table = later.head(30).copy()
    same = growth.compare(panel(table), panel(table))
    assert (same.kept, same.changed, list(same.new)) == (30, [], [])
    later.loc[3, "level"], later.loc[8, "level"] = 99.5, None
    table.loc[7, "flow"], later.loc[7, "flow"] = None, 2.5
    table.loc[9, "wind"], later.loc[9, "wind"] = "N", "S"
    found = growth.compare(panel(table), panel(later.drop(12)))
    assert found.kept == 25
    first, *others, absent = found.changed
    assert first == f"2014-01-01 03:00:00: level was {table.loc[3, 'level']}, is 99.5"
    assert others == [
        "2014-01-01 07:00:00: flow was missing, is 2.5",
        f"2014-01-01 08:00:00: level was {table.loc[8, 'level']}, is missing",
        "2014-01-01 09:00:00: wind was N, is S",
    ]
    assert absent.startswith("2014-01-01 12:00:00: level was ") and absent.count("is missing") == 3
    assert list(found.new) == list(pd.date_range("2014-01-02 06:00", periods=3, freq="h"))


def test_each_series_of_a_panel_is_compared() -> None:
    """Rows are named with their series; a series may be new, or gone."""
    table = toy_panel()
    before = panel(table[table["site"] != "c"], **PANEL)
    later = table[table["site"] != "b"].copy()
    later.loc[later["time"] == "2014-01-01 02:00", "level"] = 0.0
    found = growth.compare(before, panel(later, **PANEL))
    assert found.kept == 11
    assert found.changed == [
        "series a: 2014-01-01 02:00:00: level was 30.0, is 0.0",
        "series b: expected its 8 rows, found none",
    ]
    assert len(found.new) == 3


@pytest.mark.slow
def test_a_table_grows_and_its_pin_follows(project: Project, tmp_path: Path) -> None:
    """The command pins what only grew, refuses what changed by its rows, and pins that by force."""
    root, pin = project.root, project.root / "data/raw/toy.dvc"
    run(root, "git", "init", "-q")
    run(root, "dvc", "init", "-q")
    split = {"train": "rest", "validation": "last 1 day", "test": "last 1 day"}
    whole = toy_table(130, missing=0)
    project.write(whole.head(120), card={"sha256": artifacts.sha256(project.table), "split": split})
    command = (sys.executable, "-m", "pipeline", "snapshot", "toy")
    env = {"PYTHONPATH": str(Path(__file__).parents[2])}
    assert "120 rows, the first state" in run(root, *command, env=env)
    first = pin.read_text()
    project.table.write_text(whole.to_csv(index=False))
    said = run(root, *command, env=env)
    assert (
        "data/raw/toy/toy.csv: 120 rows as they were, 10 new from 2014-01-06 00:00:00 to "
        "2014-01-06 09:00:00\n" in said
    )
    assert "next: git add data/raw/toy.dvc data/datasets/toy.yaml && git commit -m" in said
    second = pin.read_text()
    assert second != first
    card = cards.read_card_file(project.card)
    assert card.sha256 == artifacts.sha256(project.table)
    was, whole.loc[40, "level"] = whole.loc[40, "level"], 77.0
    project.table.write_text(whole.to_csv(index=False))
    said = run(root, *command, status=1, env=env)
    assert "expected the rows that data/raw/toy.dvc pins, found 1 changed" in said
    assert "; if that is right, pin them with: python -m pipeline snapshot toy --force\n" in said
    assert f"2014-01-02 16:00:00: level was {was}, is 77.0" in said
    assert pin.read_text() == second and cards.read_card_file(project.card) == card
    assert "1 changed" in run(root, *command, "--force", env=env)
    assert pin.read_text() != second
    run(root, "git", "add", "-f", "data/raw/toy/toy.csv")
    said = run(root, *command, status=1, env=env)
    assert "data/raw/toy: expected a table that DVC pins, found it in Git" in said


@pytest.mark.slow
def test_a_database_grows_and_its_snapshot_follows(project: Project, tmp_path: Path) -> None:
    """A snapshot replaces the file and its pin if no old row changed; runs read the file alone."""
    root, table = project.root, toy_table(130)
    project.table.unlink()
    project.card.write_text(
        to_yaml(changed(CARD, {"file": "toy.parquet", "query": "SELECT * FROM meter"}))
    )
    for program in ("git", "dvc"):
        run(root, program, "init", "-q")
    command = (sys.executable, "-m", "pipeline", "snapshot", "toy")
    env = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DATABASE_URL": f"sqlite:///{tmp_path}/meter.db",
    }

    def store(rows: pd.DataFrame) -> None:
        with closing(sqlite3.connect(tmp_path / "meter.db")) as database:
            rows.to_sql("meter", database, index=False, if_exists="replace")

    store(table.head(120))
    run(root, *command, env=env)
    file = root / "data/raw/toy/toy.parquet"
    before = file.read_bytes()
    store(table)
    said = run(root, *command, env=env)
    assert "120 rows as they were, 10 new" in said
    assert "10 rows after 2014-01-05 23:00:00, where split.test ends, are not used" in said
    after = file.read_bytes()
    assert after != before
    table.loc[0, "level"] = 55.0
    store(table)
    assert "level was" in run(root, *command, status=1, env=env)
    assert file.read_bytes() == after
    assert "meter.db" not in "".join(
        path.read_text(errors="replace") for path in (root / "data").rglob("*") if path.is_file()
    )
    project.run("ingest")

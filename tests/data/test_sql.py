"""What a database answers becomes Parquet that reads to the series of the same rows as CSV."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy

from pipeline.commands import new_dataset, snapshot
from pipeline.config import cards
from pipeline.data import raw_panel, tables
from pipeline.data.sources import reading, sql
from pipeline.errors import PipelineError
from tests import postgres
from tests.toys import PANEL, Project, toy_card, toy_panel, toy_table

QUERY = "SELECT * FROM meter WHERE note LIKE 'x%'"


def values() -> pd.DataFrame:
    """The toy table with all digits of a double."""
    table = toy_table()
    table["level"] *= np.pi
    return table


def series(table: pd.DataFrame, form: str = "%Y-%m-%d %H:%M", **card: Any) -> pd.DataFrame:
    """What a raw table is read to."""
    time = {"column": "time", "format": form}
    return tables.to_series(table, toy_card(time=time, **card), "table")


@pytest.fixture
def plain(tmp_path: Path) -> pd.DataFrame:
    """The series of the table as CSV."""
    values().to_csv(tmp_path / "plain.csv", index=False)
    return series(reading.read_table(tmp_path / "plain.csv", toy_card()))


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a database with the table, its rows in no order, as the variable has it."""
    file = tmp_path / "meter.db"
    with closing(sqlite3.connect(file)) as database:
        values().sample(frac=1, random_state=1).to_sql("meter", database, index=False)
    monkeypatch.setenv(sql.ADDRESS, f"sqlite:///{file}")
    return f"sqlite:///{file}"


def snapped(path: Path, card: cards.Card | None = None) -> pd.DataFrame:
    """The answer to the query as a snapshot writes and reading reads it."""
    snapshot.write(path, QUERY, card)
    return reading.read_table(path, card or toy_card())


def test_sqlite_reads_to_the_series_of_the_csv_file(
    sqlite: str, plain: pd.DataFrame, tmp_path: Path
) -> None:
    """Rows are in order of time, whatever the database does; the same answer has the same bytes."""
    found = series(snapped(tmp_path / "one.parquet", toy_card()))
    pd.testing.assert_frame_equal(found, plain, check_exact=True)
    snapped(tmp_path / "two.parquet", toy_card())
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert sqlite.encode() not in (tmp_path / "one.parquet").read_bytes()


def test_a_panel_is_in_order_of_its_series(sqlite: str, tmp_path: Path) -> None:
    """Many series in one answer are the panel that they are as CSV, each below the one before."""
    card, path = toy_card(**PANEL), tmp_path / "panel.parquet"
    with closing(sqlite3.connect(sqlite.removeprefix("sqlite:///"))) as database:
        toy_panel().sample(frac=1, random_state=1).to_sql("sites", database, index=False)
    snapshot.write(path, "SELECT * FROM sites", card)
    table = reading.read_table(path, card)
    assert table["site"].is_monotonic_increasing
    found, _ = raw_panel.to_panel(table, card, "answer")
    plain, _ = raw_panel.to_panel(toy_panel(), card, "plain")
    pd.testing.assert_frame_equal(found.frame, plain.frame, check_exact=True)
    assert found.borders.names == plain.borders.names


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL server with a database."""
    with postgres.server("meters") as address:
        yield f"{address}/meters"


@pytest.mark.slow
def test_postgresql_reads_to_the_series_of_the_csv_file(
    server: str, plain: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numerics, timestamps with a zone and booleans of a real server; nothing in it changes."""
    engine = sqlalchemy.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE meter (time timestamptz, level double precision, flow numeric(12, 2), "
            "wind text, note text, whole bigint, at date, raw bytea)"
        )
        rows = values().sample(frac=1, random_state=1).astype(object)
        rows["time"] += "+00"
        for row in rows.where(rows.notna(), None).to_dict("records"):
            connection.execute(
                sqlalchemy.text(
                    "INSERT INTO meter VALUES (:time, :level, :flow, :wind, :note, 7, '2014-01-01')"
                ),
                row,
            )
    monkeypatch.setenv(sql.ADDRESS, server)
    asked = "SELECT time, level, flow, wind, note FROM meter WHERE note LIKE 'x%' AND '1:2' <> 'a'"
    monkeypatch.setattr(sys.modules[__name__], "QUERY", asked)
    form = "%Y-%m-%d %H:%M:%S%z"
    card = toy_card(time={"column": "time", "format": form})
    found = series(snapped(tmp_path / "one.parquet", card), form)
    utc = plain.tz_localize("UTC")
    pd.testing.assert_frame_equal(found, utc, check_exact=True, check_freq=False)
    for query, message in (
        ("SELECT nothing FROM meter", 'query: .*column "nothing" does not exist'),
        ("DELETE FROM meter", "query: .*DELETE"),
        (
            "SELECT time, '{1}'::int[] FROM meter",
            "expected numbers, text or times, found list",
        ),
    ):
        with pytest.raises(PipelineError, match=message) as told:
            snapshot.write(tmp_path / "none.parquet", query)
        assert "\n" not in str(told.value)
    wrong = server.replace("mlflow@", "mlflow:a-secret@").replace("/meters", "/absent")
    monkeypatch.setenv(sql.ADDRESS, wrong)
    with pytest.raises(PipelineError, match=r'DATABASE_URL: .*"absent" does not exist') as told:
        snapshot.write(tmp_path / "none.parquet", "SELECT 1")
    assert "a-secret" not in str(told.value)
    assert not (tmp_path / "none.parquet").exists()


@pytest.mark.parametrize(
    ("address", "query", "message"),
    [
        (None, QUERY, "DATABASE_URL: expected the database's address"),
        ("no address", QUERY, "DATABASE_URL: .*found: no address, such as postgresql"),
        ("sqlite:///none.db", QUERY, r"DATABASE_URL: none\.db: no such file"),
        ("nosuch://u:a-secret@h/d", QUERY, "DATABASE_URL: .*nosuch"),
        ("", "SELECT * FROM none", "query: .*no such table: none"),
        ("", "SELECT * FROM meter WHERE 1 = 0", "query: expected at least one row, found none"),
        ("", "DROP TABLE meter", "query: .*attempt to write a readonly database"),
        ("", "SELECT 1 AS a UNION SELECT 'x'", "query: column a: expected values of one kind"),
        ("", "SELECT x'00' AS a", "query: column a: expected numbers, text or times, found binary"),
    ],
)
def test_what_a_database_cannot_answer_is_told_in_one_line(
    address: str | None,
    query: str,
    message: str,
    sqlite: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line says what is wrong, without the address's password; no file is written."""
    if address is None:
        monkeypatch.delenv(sql.ADDRESS)
    else:
        monkeypatch.setenv(sql.ADDRESS, address or sqlite)
    with pytest.raises(PipelineError, match=message) as told:
        snapshot.write(tmp_path / "made.parquet", query)
    assert "\n" not in str(told.value) and "a-secret" not in str(told.value)
    assert not (tmp_path / "made.parquet").exists()
    sql.ask(sqlite, QUERY)  # the table is still there


def test_a_data_set_begins_with_a_query(
    project: Project,
    sqlite: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A first snapshot writes the file, new-dataset a card that has the query, not the address."""
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(sys, "argv", ["snapshot", "mine", "--query", QUERY])
    snapshot.main()
    command = capsys.readouterr().out.split("next: python -m pipeline ")[1].split()
    assert command == ["new-dataset", "data/raw/mine/mine.parquet"]
    monkeypatch.setattr(sys, "argv", command)
    new_dataset.main()
    assert "ingest will accept the table" in capsys.readouterr().out
    assert cards.read_card("mine").query == QUERY
    assert sqlite not in (project.root / "data/datasets/mine.yaml").read_text()
    monkeypatch.setattr(sys, "argv", ["snapshot", "mine", "--query", QUERY])
    with pytest.raises(PipelineError, match=r"mine\.yaml: exists; write the query there"):
        snapshot.main()

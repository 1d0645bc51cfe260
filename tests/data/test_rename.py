"""A column has another name in the card than in the table, wherever its rows come from."""

from typing import Any

import pandas as pd
import pytest

from pipeline.config import input_names
from pipeline.data import tables
from pipeline.data.sources import reading
from pipeline.errors import PipelineError
from tests.toys import CARD, Project, changed, toy_card, toy_table

COLUMNS: dict[str, Any] = {
    "level": CARD["columns"]["level"],
    "of_week": {},
    "wind": CARD["columns"]["wind"],
}
INPUTS = ["level", "of_week", "weekday", "wind"]
RENAMED = {
    "rename": {"weekday": "of_week", "direction\n(N or S)": "wind"},
    "columns": COLUMNS,
    "inputs": INPUTS,
}


def as_published() -> pd.DataFrame:
    """The toy table with a column called as a calendar term and a header of two lines."""
    return toy_table().rename(columns={"flow": "weekday", "wind": "direction\n(N or S)"})


def test_file_and_request_are_read_by_the_names_of_the_card(tmp_path) -> None:
    """Rows of a file, of JSON and with a caller's types become the series of the card's names."""
    card = toy_card(**RENAMED)
    project = Project(tmp_path).write(as_published(), card=RENAMED)
    table = reading.read_table(project.table, card)
    assert list(table.columns) == list(as_published().columns)
    expected = tables.to_series(
        toy_table().rename(columns={"flow": "of_week"}), toy_card(**RENAMED | {"rename": {}}), "toy"
    )
    request = pd.DataFrame.from_records(as_published().to_dict("records"))
    for rows in (table, request, tables.typed(table, card, list(COLUMNS))):
        pd.testing.assert_frame_equal(tables.to_series(rows, card, "toy"), expected)


def test_a_calendar_term_is_free_beside_a_column_of_its_name() -> None:
    """The column is used under its new name, or excluded, beside the calendar term."""
    expanded = input_names.expand(INPUTS, toy_card(**RENAMED))
    assert expanded == ["level", "of_week", "weekday_sin", "weekday_cos", "wind=N", "wind=S"]
    without = {"level": COLUMNS["level"], "wind": COLUMNS["wind"]}
    apart = RENAMED | {"columns": without, "excluded": ["note", "of_week"]}
    card = toy_card(**apart | {"inputs": ["level", "weekday"]})
    assert list(tables.to_series(as_published(), card, "toy")) == ["level", "wind"]


def test_an_absent_column_is_told_by_the_name_in_the_table() -> None:
    """The line names the column as the table should have it."""
    with pytest.raises(
        PipelineError, match=r"column weekday missing; found time, level, 'direction\\n"
    ):
        tables.to_series(as_published().drop(columns="weekday"), toy_card(**RENAMED), "toy")


def test_two_columns_cannot_get_one_name() -> None:
    """A name that appears twice among the new ones, or in the table, is refused."""
    with pytest.raises(PipelineError, match="rename to give each column a name of its own"):
        toy_card(rename={"a": "flow", "b": "flow"})
    with pytest.raises(PipelineError, match="column level appears twice"):
        tables.to_series(toy_table(), toy_card(rename={"note": "level"}), "toy")
    with pytest.raises(PipelineError, match=r"weekday to be used or excluded.*rename: \{weekday: "):
        toy_card(**changed(CARD, {"excluded": ["weekday"], "inputs": ["level", "weekday"]}))

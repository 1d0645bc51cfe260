"""Gaps are counted, and those that come regularly are held against the imputation's limit."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.config import input_names
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.forecasting.forecaster import Forecaster, rows_needed
from pipeline.models.registry import build
from pipeline.models.spec import Spec
from pipeline.preparation import features
from pipeline.preparation.imputation import Imputer, remarks
from pipeline.preparation.scaling import Scaler
from pipeline.runtime import determinism
from tests.toys import Project, shaped, toy_card, toy_params, toy_table, toy_times

PREPARING = ("ingest", "impute_scale", "window")


def market(weeks: int) -> pd.DataFrame:
    """Hours, of which 9 to 15 on weekdays have a price: between weeks 65 are missing."""
    hours = np.arange(168 * weeks)
    day, hour = hours // 24 % 7, hours % 24
    trade = (day < 5) & (hour >= 9) & (hour <= 15)
    return pd.DataFrame(
        {"price": np.where(trade, 1.0, np.nan), "volume": np.where(trade, 2, np.nan)}
    )


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (5, "a gap of 65 rows every 168 rows is longer than .*: from its row 6 on.*limit=65"),
        (24, "a gap of 65 rows every 168 rows is longer than .*: from its row 25 on.*limit=65"),
        (65, None),
    ],
)
def test_a_limit_shorter_than_regular_gaps_is_named(limit: int, expected: str | None) -> None:
    """Weekends without trade go beyond the limit: one line for all columns has the remedy."""
    lines = remarks([market(6)], limit)
    assert len(lines) == bool(expected)
    for line in lines:
        assert line.startswith("price, volume: ")
        assert re.search(str(expected), line)


def test_gaps_by_chance_are_not_regular() -> None:
    """Gaps of all lengths and of one length, wherever they fall, ask for no other limit."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"any": np.ones(5000), "one": np.ones(5000)})
    for first in random.choice(4900, 60, replace=False):
        table.loc[first : first + random.integers(1, 60), "any"] = np.nan
        table.loc[first : first + 9, "one"] = np.nan
    assert remarks([table], 5) == []


def test_ingest_counts_gaps(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """How many, how long, and how many forecasts would start inside one, of the target."""
    table = toy_table(missing=0)
    table.loc[[5, 6, 7, 20], "level"] = np.nan
    table.loc[9, "flow"] = np.nan
    project.write(table).run("ingest")
    said = capsys.readouterr().err
    assert (
        "target level: 4 rows without a value, in 2 gaps of up to 3: 3.3% of all origins are in one"
        in said
    )
    assert "flow" not in said
    assert json.loads(project.read("data/ingested/quality.json"))["gaps"] == {
        "level": 2,
        "flow": 1,
        "wind": 0,
    }


def test_impute_scale_names_the_limit(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """The line stands on the screen of the stage that imputes, and goes with the right limit."""
    table = toy_table(missing=0)
    for first in range(10, 110, 20):
        table.loc[first : first + 4, "level"] = np.nan
    project.write(table).run("ingest", "impute_scale")
    assert "series.parquet: level: a gap of 5 rows every 20 rows" in capsys.readouterr().err
    project.write(table, params={"impute_scale.imputation.limit": 5}).run("impute_scale")
    assert capsys.readouterr().err == ""


def test_gap_inputs_are_served_as_they_are_trained(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw rows make the features that training saw, and the rows needed make the same forecast."""
    inputs = ("level", "wind", "missing:level", "since:level", "since:flow", "missing:wind")
    changes = {"window.inputs": list(inputs), "evaluate.levels": [80]}
    table, params = toy_table(missing=0.4), toy_params(changes)
    project.write(table, params=changes).run(*PREPARING)
    monkeypatch.chdir(project.root)
    card, scaler = toy_card(), artifacts.read_json_record(HERE.scaler, Scaler)
    imputer = artifacts.read_json_record(HERE.imputer, Imputer)
    made = Spec(
        dataset="toy",
        inputs=inputs,
        features=tuple(input_names.expand(inputs, card)),
        targets=("level",),
        **shaped(params),
    )
    determinism.settle(1)
    build(made, scaler).save_weights("model.weights.h5")
    served = Forecaster(card, made, imputer, scaler, Path("model.weights.h5"))

    seen = features.build(
        artifacts.read_array(HERE.values),
        [name for group in card.channels.values() for name in group],
        made.features,
        toy_times(len(table)),
        card,
        made.horizon,
        scaler.changes,
        features.Gaps(artifacts.read_array(HERE.imputed), imputer.limit),
    )
    prepared = served.prepare(served.read(table.astype(object)))
    np.testing.assert_array_equal(prepared.features, seen)
    origins, needed = np.array([60, 85, 110]), rows_needed(made, card, imputer)
    whole = served.forecast(prepared, origins)
    for origin, expected in zip(origins, whole, strict=True):
        rows = table.iloc[origin - needed + 1 : origin + 1]
        found = served.predict(rows)["forecast"].to_numpy()
        np.testing.assert_array_equal(found, expected.ravel())

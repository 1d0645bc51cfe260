"""Forecasts from a table as people have it: the same digits in every form that a caller sends."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config.reading import read_experiment
from pipeline.data.sources import reading
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.forecasting import endpoints
from pipeline.forecasting.example import newest
from pipeline.forecasting.forecaster import Forecaster
from pipeline.models.baselines import FittedBaseline
from pipeline.models.spec import Spec
from pipeline.preparation.imputation import Imputer
from pipeline.preparation.scaling import Scaler
from tests.toys import Project, toy_times

ROWS = 120
CARD: dict[str, Any] = {
    "delimiter": ";",
    "decimal": ",",
    "thousands": ".",
    "rename": {"": "day"},
    "time": {
        "columns": ["day", "hour"],
        "format": "%d/%m/%Y %H",
        "sort": True,
        "repeated": "mean",
    },
    "columns": {"load": {"unit": "MW"}},
    "excluded": [],
    "targets": ["load"],
    "inputs": ["load"],
}
MODEL = {"train.model": {"name": "seasonal_naive", "season": 6}, "train.residual": "none"}


def text() -> str:
    """Newest rows first, a day without a name, an hour beside it, 1.012,25 MW; one row twice."""
    load = 1000 + 50 * np.sin(np.arange(ROWS)) + np.arange(ROWS) / 8
    written = [f"{value:,.3f} MW".translate(str.maketrans(",.", ".,")) for value in load]
    times = toy_times(ROWS)
    rows = [f"{t:%d/%m/%Y};{t.hour};{cell}" for t, cell in zip(times, written, strict=True)]
    return "\n".join([";hour;load", *reversed([*rows, rows[-1]]), ""])


@pytest.fixture
def served(project: Project, monkeypatch: pytest.MonkeyPatch) -> Forecaster:
    """A model of that table."""
    project.write(card=CARD, params=MODEL)
    project.table.write_text(text(), encoding="utf-8")
    project.run("ingest", "impute_scale")
    monkeypatch.chdir(project.root)
    experiment = read_experiment()
    scaler = artifacts.read_json_record(HERE.scaler, Scaler)
    imputer = artifacts.read_json_record(HERE.imputer, Imputer)
    spec = Spec.of(experiment)
    weights = Path("weights.h5")
    FittedBaseline(spec, scaler).save_weights(weights)  # it learns nothing
    return Forecaster(experiment.card, spec, imputer, scaler, weights, "numpy")


def test_every_form_gives_the_same_digits(
    served: Forecaster, project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """File, CSV and JSON over HTTP, strings and numbers, and a table over its times."""
    table = reading.read_table(project.table, served.card)
    with caplog.at_level(logging.WARNING):
        expected = served.predict(table)
    assert "rounded" not in caplog.text
    assert "now sorted by time (time.sort): 119" in caplog.text
    assert "now made one with it (time.repeated): 1" in caplog.text
    wanted = expected["forecast"].tolist()
    assert wanted[0] == 1000 + round(50 * np.sin(114) + 114 / 8, 3)
    typed = pd.read_csv(io.StringIO(text()), sep=";", thousands=".", decimal=",")
    typed["load"] = [float(x[:-3].replace(".", "").replace(",", ".")) for x in typed["load"]]
    indexed = pd.DataFrame({"load": typed["load"][::-1].to_numpy()[:-1]}, toy_times(ROWS))
    for frame in (typed, indexed, typed.assign(load=typed["load"].astype(object))):
        assert served.predict(frame)["forecast"].tolist() == wanted
    content = {
        endpoints.CSV: [text().encode()],
        endpoints.JSON: [
            json.dumps({"dataframe_split": json.loads(frame.to_json(orient="split"))}).encode()
            for frame in (table, typed)
        ]
        + [json.dumps({"dataframe_records": typed.to_dict(orient="records")}).encode()],
    }
    for kind, requests in content.items():
        for request in requests:
            answer = json.loads(endpoints.answer(served, kind, request))
            assert [row["forecast"] for row in answer["predictions"]] == wanted
            assert any("sorted by time" in line for line in answer["warnings"])


def test_an_origin_is_named_as_the_table_writes_it(served: Forecaster, project: Project) -> None:
    """By its day and hour, or by ISO 8601."""
    table = reading.read_table(project.table, served.card)
    first, second = (served.predict(table, [o]) for o in ("05/01/2014 12", "2014-01-05 12:00"))
    pd.testing.assert_frame_equal(first, second)


def test_rows_that_are_shown_to_callers_are_the_newest_by_time(
    served: Forecaster, project: Project
) -> None:
    """The table begins with them; a column without a name is called as pandas calls it."""
    table = reading.read_table(project.table, served.card)
    shown = newest(table, served.spec, served.card, served.imputer)
    assert list(shown) == ["Unnamed: 0", "hour", "load"]
    answer = served.predict(shown)
    assert set(answer["origin"]) == {toy_times(ROWS)[-1]}
    assert answer["forecast"].tolist() == served.predict(table)["forecast"].tolist()

"""A model that uses what is known ahead, served from raw rows that go on after the origin."""

import json
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from pipeline.config.experiment import Experiment
from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.experiments.run import run_experiment
from pipeline.files import artifacts
from pipeline.files.layout import HERE, Layout
from pipeline.forecasting import endpoints
from pipeline.forecasting.example import newest
from pipeline.forecasting.forecaster import Forecaster, rows_needed, stage_files
from pipeline.models.registry import build
from pipeline.models.spec import Spec
from pipeline.preparation.imputation import Imputer
from pipeline.preparation.scaling import Scaler
from pipeline.runtime import determinism
from tests.toys import Project, toy_card, toy_params, toy_table

HORIZON, ORIGIN = 3, 100
Served = Callable[..., Forecaster]


def table() -> pd.DataFrame:
    """A table with gaps everywhere, but for the level and the flow that these tests end with."""
    made = toy_table(missing=0.3)
    made.loc[[60, 85, ORIGIN, 116], "level"] = 9.0
    made.loc[[63, 88, ORIGIN + HORIZON, 119], "flow"] = 2.0
    return made


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Imputer and scaler of the table."""
    return Project(tmp_path_factory.mktemp("steps")).write(table()).run("ingest", "impute_scale")


@pytest.fixture
def served(prepared: Project, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Makes a Forecaster with fresh weights that has some columns known ahead."""
    monkeypatch.chdir(prepared.root)

    def of(*known: str) -> Forecaster:
        changes = {"window.inputs": ["level", "wind"], "window.known_ahead": [*known]}
        made = Spec.of(Experiment(toy_params(changes | {"train.residual": "none"}), toy_card()))
        scaler = artifacts.read_json_record(HERE.scaler, Scaler)
        imputer = artifacts.read_json_record(HERE.imputer, Imputer)
        determinism.settle(1)
        build(made, scaler).save_weights("model.weights.h5")
        return Forecaster(toy_card(), made, imputer, scaler, Path("model.weights.h5"), "numpy")

    return of


def rows(own: Forecaster, origin: int, after: int = HORIZON, **others: Any) -> pd.DataFrame:
    """The raw rows that a forecast needs, and some after the origin that have the flow alone."""
    needed = rows_needed(own.spec, own.card, own.imputer)
    made = table().iloc[origin - needed + 1 : origin + 1 + after].copy()
    made.loc[origin + 1 :, ["level", "wind"]] = None
    return made.assign(**others)


@pytest.mark.slow
def test_an_experiment_with_known_columns_runs_from_end_to_end(project: Project) -> None:
    """What is scored is what is served; a network that sees the cause of a level is far better."""
    random = np.random.default_rng(1)
    made = toy_table(300, missing=0.05)
    flow = random.gamma(2, 3, 300).round(2)
    level = (10 + 2 * flow + random.normal(0, 0.3, 300)).clip(0).round(2)
    errors = {}
    for known in ([], ["flow", "hour"]):
        train = {"train.epochs": 12, "train.patience": 12, "train.learning_rate": 0.02}
        params = train | {"window.known_ahead": known, "train.residual": "none"}
        split = {"split": {"train": 180, "validation": 240, "test": 300}}
        project.write(made.assign(flow=flow, level=level), split, params)
        layout = Layout(project.root)
        with chdir(project.root):
            scored = run_experiment(read_experiment(), layout)
        errors[len(known)] = scored.metrics["test"]["rmse"]
    own = Forecaster.load(stage_files(layout, "toy"))
    answer = own.predict(scored.example)
    np.testing.assert_array_equal(
        forecast(answer), scored.forecasts["test"].of(slice(-1, None)).model.ravel()
    )
    assert errors[2] < errors[0] / 3


def forecast(answer: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The numbers of an answer."""
    return answer["forecast"].to_numpy()


def test_served_is_what_is_scored(served: Served) -> None:
    """From rows without a later target come the bytes that the whole table gives, gaps and all."""
    own = served("flow", "hour")
    whole = own.prepare(own.read(table()))
    for origin in (60, 85, ORIGIN):
        expected = own.forecast(whole, np.array([origin])).ravel()
        answer = own.predict(rows(own, origin))
        assert set(answer["origin"]) == {whole.times[origin]}
        np.testing.assert_array_equal(forecast(answer), expected)
        np.testing.assert_array_equal(
            forecast(own.predict(rows(own, origin), [str(whole.times[origin])])), expected
        )


def test_values_after_the_last_target_are_told(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """The origin has a target; of the rows after it only what is known ahead is used."""
    own = served("flow", "hour")
    given = rows(own, ORIGIN)
    expected = forecast(own.predict(given))
    caplog.clear()
    given.loc[ORIGIN + 1, "wind"] = "S"
    np.testing.assert_array_equal(forecast(own.predict(given)), expected)
    assert caplog.messages[0] == (
        "input: no row after 2014-01-05 04:00:00 has a value of level: the forecast starts from "
        "there, and later values of wind are not used"
    )


def test_a_later_value_of_another_column_is_not_seen(served: Served) -> None:
    """A level after a told origin changes nothing; the flow of the last step does."""
    own = served("flow", "hour")
    given, origin = rows(own, ORIGIN), "2014-01-05 04:00"
    expected = forecast(own.predict(given, [origin]))
    level = given.copy()
    level.loc[ORIGIN + 1 :, "level"] = 99.0
    np.testing.assert_array_equal(forecast(own.predict(level, [origin])), expected)
    flow = given.copy()
    flow.loc[ORIGIN + HORIZON, "flow"] = 9.0
    other = forecast(own.predict(flow, [origin]))
    assert (other[:-1] == expected[:-1]).all()
    assert other[-1] != expected[-1]


def test_requests_go_on_after_the_origin(served: Served) -> None:
    """CSV and both forms of JSON have the rows after it, and give what Python gives."""
    own = served("flow", "hour")
    given = rows(own, ORIGIN)
    expected = forecast(own.predict(given)).tolist()
    split = json.loads(given.to_json(orient="split", index=False))
    records = json.loads(given.to_json(orient="records"))
    for kind, body in (
        (endpoints.CSV, given.to_csv(index=False)),
        (endpoints.JSON, json.dumps({"dataframe_split": split})),
        (endpoints.JSON, json.dumps({"dataframe_records": records})),
    ):
        answer = json.loads(endpoints.answer(own, kind, body.encode()))["predictions"]
        assert [row["forecast"] for row in answer] == expected, kind


def test_a_gap_of_what_is_known_ahead_is_told(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """It is imputed as an input's gap is, and its times are listed."""
    own = served("flow")
    given = rows(own, ORIGIN)
    given.loc[ORIGIN + 2, "flow"] = None
    own.predict(given)
    assert "input: flow, known ahead, has no value at 2014-01-05 06:00:00: imputed" in (
        caplog.messages
    )


@pytest.mark.parametrize("after", [0, 2])
def test_what_is_lacking_ahead_is_listed(served: Served, after: int) -> None:
    """The column and the times that it lacks, whether rows are absent or empty."""
    own = served("flow", "hour")
    given = rows(own, ORIGIN)
    given.loc[ORIGIN + 1 + after :, "flow"] = None
    given.loc[ORIGIN + 1 : ORIGIN + after, "flow"] = 1.0
    said = (
        "input: expected what is known ahead in the 3 rows after the origin 2014-01-05 04:00:00; "
        f"lacking are flow from 2014-01-05 0{5 + after}:00:00 to 2014-01-05 07:00:00"
    )
    for some in (given, given.loc[: ORIGIN + after]):
        with pytest.raises(PipelineError) as caught:
            own.predict(some)
        assert str(caught.value) == said


def test_the_calendar_needs_no_rows_after_the_origin(served: Served) -> None:
    """Its terms follow from the times, which go on by themselves; the newest row of any value is
    the origin, as where nothing is known ahead."""
    own = served("hour", "month")
    whole = own.prepare(own.read(table()))
    expected = own.forecast(whole, np.array([ORIGIN])).ravel()
    np.testing.assert_array_equal(forecast(own.predict(rows(own, ORIGIN, after=0))), expected)
    unseen = rows(own, ORIGIN, after=0)
    unseen.loc[ORIGIN, ["level", "wind"]] = [None, "N"]
    assert set(own.predict(unseen)["origin"]) == {whole.times[ORIGIN]}


def test_the_rows_that_are_shown_to_callers_make_a_forecast(served: Served) -> None:
    """The table's newest, of which the last have what is known ahead alone."""
    own = served("flow", "hour")
    shown = newest(table().astype(str).replace("nan", ""), own.spec, own.card, own.imputer)
    assert shown["level"].tail(HORIZON).isna().all()
    assert shown["flow"].tail(1).notna().all()
    assert set(own.predict(shown)["origin"]) == {pd.Timestamp("2014-01-05 20:00")}


def test_rows_after_the_end_of_a_plan_are_not_shown(served: Served) -> None:
    """A plan that ends before the table does still makes an example that can be forecast."""
    own = served("flow", "hour")
    short = table()
    short.loc[short.index[-3:], "flow"] = None
    shown = newest(short.astype(str).replace("nan", ""), own.spec, own.card, own.imputer)
    assert shown["flow"].tail(1).notna().all()
    assert set(own.predict(shown)["origin"]) == {pd.Timestamp("2014-01-05 17:00")}

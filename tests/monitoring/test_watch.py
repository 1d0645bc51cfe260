"""A model watched from what is usual of it to the page."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.data.panel import Borders, Panel
from pipeline.evaluation.forecasts import MODEL, Forecasts, Made
from pipeline.files.artifacts import json_text
from pipeline.files.records import parse
from pipeline.monitoring import scores, usual
from pipeline.monitoring.usual import Usual
from pipeline.monitoring.watch import Watched, changes, watch
from pipeline.preparation.scaling import Scaler
from pipeline.reports import monitor_page
from tests.toys import toy_card, toy_spec, toy_times

ROWS, TRAIN, NEW = 1000, 400, 700  # the training span's end, and the first row in service
CARD, SPEC, SCALER = toy_card(title="A <b>toy</b>"), toy_spec(), Scaler(columns={})


def series() -> Panel:
    """A wave of six hours and noise, all through alike."""
    random, x = np.random.default_rng(2), np.arange(ROWS)
    level = 10 + 5 * np.sin(x * np.pi / 3) + random.normal(0, 1, ROWS)
    return Panel(pd.DataFrame({"level": level}, toy_times(ROWS)), Borders.of({"": ROWS}))


def forecasts(panel: Panel, first: int, end: int) -> Forecasts:
    """The wave without the noise, from each origin, and an interval of two to either side."""
    origins = np.arange(first, end - 3)
    rows = origins[:, None, None] + np.arange(1, 4)[:, None]  # [N, H, 1]
    made = 10 + 5 * np.sin(rows * np.pi / 3)
    seen = panel.frame["level"].to_numpy()[rows]
    around = Made(made, {80.0: (made - 2, made + 2)}).around
    return Forecasts(origins, seen, {MODEL: made}, {MODEL: around})


@pytest.fixture(scope="module")
def learned() -> Usual:
    """What is usual of the model, as it is read from its file."""
    panel = series()
    spans = {"validation": forecasts(panel, 400, 550), "test": forecasts(panel, 550, 700)}
    made = usual.of(SPEC, CARD, SCALER, panel, np.array([[0, TRAIN]]), spans)
    return parse(json.loads(json_text(made.model_dump(mode="json"))), Usual, "usual.json")


def watched(learned: Usual, of: pd.Series) -> Watched:
    """What is found where the rows in service are these."""
    panel = series()
    made = forecasts(panel, NEW, ROWS)
    times = toy_times(ROWS)
    given = pd.DataFrame(
        {
            "origin": times[made.origins].repeat(3),
            "time": times[(made.origins[:, None] + [1, 2, 3]).ravel()],
            "target": "level",
            "forecast": made.model.ravel(),
            "lo-80": made.model.ravel() - 2,
            "hi-80": made.model.ravel() + 2,
        }
    )
    came = Panel(of.to_frame("level"), Borders.of({"": len(of)}))
    return watch(learned, CARD, SPEC, SCALER, came, scores.typed(given, CARD, "file"))


def test_a_model_that_goes_on_as_on_test_raises_no_alarm(learned: Usual) -> None:
    """Its scores are near those of test, the baseline forecasts the same rows, nothing is left."""
    found = watched(learned, series().frame["level"].iloc[NEW - 6 :])
    assert found.alarms == [] and found.left_out == {}
    assert learned.baseline.name == "seasonal_naive"
    now, test = found.scores["level"], learned.test["level"]
    assert list(now) == ["all", "1", "2", "3"]
    assert now["all"]["rmse"] == pytest.approx(test["all"]["rmse"], rel=0.15)
    assert now["all"]["skill"] == pytest.approx(1 - 0.5**0.5, abs=0.1)  # its noise is twice


def test_an_alarm_stands_in_tree_and_page(learned: Usual) -> None:
    """A level that shifts is found in inputs and errors; names are text, not markup."""
    came = series().frame["level"].iloc[NEW - 6 :].copy()
    came.iloc[150:] += 20
    found = watched(learned, came)
    assert {alarm.of for alarm in found.input_alarms} == {"level"}
    assert "mae" in {alarm.statistic for alarm in found.error_alarms}
    ends = {str(found.spans[alarm.chunk][1]) for alarm in found.alarms}
    shifted = came.index[150]
    assert all(shifted < pd.Timestamp(end) <= shifted + pd.Timedelta(hours=18) for end in ends)
    tree = json.loads(json_text(found.tree()))
    assert {one["statistic"] for one in tree["alarms"]} >= {"ks", "outside", "mae"}
    page = monitor_page.html(found, CARD, "models:/toy/1")
    assert found.say(found.alarms[0]) in page and "A &lt;b&gt;toy&lt;/b&gt;" in page
    assert page.count('src="data:image/png') == 3


def test_rows_of_the_training_span_are_not_judged_by_it(learned: Usual) -> None:
    """They are told of, and their forecasts are still scored."""
    found = watched(learned, series().frame["level"])
    assert found.notes[0].startswith("400 rows up to 2014-01-17 15:00:00 are of the training span")
    assert found.matched == 3 * (ROWS - NEW - 3)


def test_limits_of_errors_that_are_none_are_told(learned: Usual) -> None:
    """Where validation and test were too short for them, no alarm is no good sign."""
    came = series().frame["level"].iloc[NEW - 6 :]
    found = watched(learned.model_copy(update={"error_limits": {}}), came)
    line = "errors: validation and test were too short for limits: no alarm is raised"
    assert line in found.notes and line not in watched(learned, came).notes


def test_a_sensor_that_died_in_the_new_rows_is_told(learned: Usual) -> None:
    """What came before them is no concern, however it was."""
    panel = series()
    since = panel.frame.index[NEW]

    def told(rows: slice) -> list[str]:
        frame = panel.frame.copy()
        frame.iloc[rows] = 4.0
        came = Panel(frame, panel.borders)
        return list(changes(learned, CARD, SPEC, SCALER, came, since))

    assert told(slice(0)) == told(slice(TRAIN + 50, NEW - 50)) == []
    lines = told(slice(ROWS - 100, ROWS))
    assert any(line.startswith("column level: ks is ") for line in lines)
    assert list(changes(learned, CARD, SPEC, SCALER, panel, panel.frame.index[-1])) == []

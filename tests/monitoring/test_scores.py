"""Forecasts joined with what came: matrices written by hand."""

import numpy as np
import pandas as pd
import pytest

from pipeline.config.params import SeasonalNaive
from pipeline.data.panel import Borders, Panel
from pipeline.errors import PipelineError
from pipeline.monitoring import scores
from tests.toys import CARD, naive, toy_card, toy_spec, toy_times

CAME = [1.0, 2.0, 3.0, 4.0, np.nan, 6.0, 7.0, 8.0]
PERSISTENCE = naive([6])["persistence"]


def forecasts(rows: list[tuple[int, int, float]], **columns: object) -> pd.DataFrame:
    """Forecasts as predict writes them, of (hour of the origin, hour of the time, forecast)."""
    times = toy_times(24).astype(str)
    made = {
        "origin": [times[origin] for origin, _, _ in rows],
        "time": [times[time] for _, time, _ in rows],
        "target": "level",
        "forecast": [value for _, _, value in rows],
    }
    return scores.typed(pd.DataFrame(made).assign(**columns), toy_card(), "file")


def came(names: dict[str, list[float]] | None = None) -> Panel:
    """What came, of one series or of several."""
    parts = names or {"": CAME}
    frame = pd.concat([pd.DataFrame({"level": v}, toy_times(len(v))) for v in parts.values()])
    return Panel(frame, Borders.of({name: len(values) for name, values in parts.items()}))


def test_what_has_no_observation_is_counted_by_why() -> None:
    """Not come, not observed, not among the rows, made again, another target, too far ahead."""
    rows = [(2, 3, 9.0), (2, 3, 5.0), (2, 4, 5.0), (6, 8, 5.0), (0, 7, 5.0), (3, 5, 5.0)]
    given = forecasts(rows)
    other = given.iloc[[0]].assign(target="wind")
    early = given.iloc[[0]].assign(time=pd.Timestamp("2013-12-31"))
    joined = scores.join(
        pd.concat([given, other, early]), came(), toy_spec(), toy_card(), PERSISTENCE
    )
    assert joined.rows[["step", "forecast", "observed", "baseline"]].to_numpy().tolist() == [
        [1, 5, 4, 3],
        [2, 5, 6, 4],
    ]
    assert joined.left_out == {
        "of another target": 1,
        "made again later from the same origin": 1,
        "not come yet": 1,
        "of a time that is not among the rows": 1,
        "not observed at that time": 1,
        "beyond the horizon": 1,
    }


def test_scores_are_those_of_the_formulas() -> None:
    """Errors 1 and -1 at step 1, 3 at step 2, the baseline's -1, -2 and -2."""
    given = forecasts(
        [(2, 3, 5.0), (4, 5, 5.0), (5, 7, 11.0)], **{"lo-80": [4, 4, 9], "hi-80": [6, 6, 13]}
    )
    joined = scores.join(given, came(), toy_spec(), toy_card(), PERSISTENCE)
    assert joined.rows["baseline"].tolist() == [3, 4, 6]  # of the gap the last value before it
    found = scores.scores(scores.tally(joined.rows))["level"]
    assert list(found) == ["all", "1", "2"]
    assert found["all"] == pytest.approx(
        {
            "n": 3,
            "mae": 5 / 3,
            "rmse": (11 / 3) ** 0.5,
            "bias": 1.0,
            "skill": 1 - (11 / 9) ** 0.5,
            "coverage_80": 2 / 3,
            # over .1: (4 - 4) .1, (6 - 4) .1, (8 - 9) -.9
            "pinball_10": (0 + 0.2 + 0.9) / 3,
            # over .9: (4 - 6) -.1, (6 - 6), (8 - 13) -.1
            "pinball_90": (0.2 + 0 + 0.5) / 3,
        }
    )
    assert found["2"]["n"] == 1 and found["2"]["bias"] == 3


def test_skill_is_of_the_rows_that_the_baseline_has() -> None:
    """A seasonal naive of three rows has a forecast from the third row on, and none before."""
    rule = SeasonalNaive(name="seasonal_naive", season=3)
    given = forecasts([(1, 2, 9.0), (2, 3, 4.0), (5, 6, 6.0)])
    joined = scores.join(given, came(), toy_spec(), toy_card(), rule)
    np.testing.assert_array_equal(joined.rows["baseline"], [np.nan, 1, 4])
    assert scores.scores(scores.tally(joined.rows))["level"]["1"]["skill"] == pytest.approx(
        1 - (0.5 / 9) ** 0.5
    )


def test_series_are_joined_by_name() -> None:
    """Each forecast meets its own series; of one that sent no rows it is counted."""
    card = toy_card(series="site", columns={**CARD["columns"]})
    times = toy_times(24).astype(str)
    given = pd.DataFrame({"site": ["b", "a", "c"], "origin": times[0], "time": times[1]})
    given = given.assign(target="level", forecast=[20.0, 2.0, 5.0])
    panel = came({"a": [1.0, 2.0], "b": [10.0, 20.0]})
    joined = scores.join(scores.typed(given, card, "file"), panel, toy_spec(), card, PERSISTENCE)
    assert joined.rows[["series", "observed", "baseline"]].to_numpy().tolist() == [
        ["b", 20, 10],
        ["a", 2, 1],
    ]
    assert joined.left_out == {"of a series without rows": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"origin": None}, "file: expected forecasts as predict writes them, found no column orig"),
        ({"time": "noon"}, "file: column time, forecast 1: expected a time by ISO 8601, found 'no"),
        ({"forecast": "x"}, "file: column forecast, forecast 1: expected a number, found 'x'"),
    ],
)
def test_what_is_no_forecast_is_said(change: dict[str, str | None], message: str) -> None:
    """The file, the column, the row, what was expected and what was found."""
    given = forecasts([(0, 1, 1.0)]).astype("str")
    (name, value), *_ = change.items()
    given = given.drop(columns=name) if value is None else given.assign(**{name: value})
    with pytest.raises(PipelineError, match=f"^{message}"):
        scores.typed(given, toy_card(), "file")

"""What is said of rows whose values are far from everything seen in training.

The network forecasts the training mean, so that nothing has to be trained.
"""

from collections.abc import Callable, Mapping
from contextlib import chdir
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config.experiment import Experiment
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.forecasting import forecaster
from pipeline.forecasting.forecaster import Forecaster, Network, stage_files
from pipeline.models.spec import Spec
from pipeline.monitoring.inputs import Column
from pipeline.preparation.scaling import Scaler
from tests.toys import CARD, PANEL, Project, changed, toy_card, toy_params, toy_table, toy_times

Make = Callable[..., Forecaster]
RANGES = {"level": (3.0, 18.0), "flow": (0.1, 20.0)}
LAST = 110  # the last row with a level; the flow is known further ahead


@pytest.fixture
def made(project: Project, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a Forecaster of a table, with values of card and parameters changed by name and key."""

    def untrained(spec: Spec, scaler: Scaler, *_: Any) -> Network:
        def zeros(seen: Any) -> Any:
            return np.zeros((len(seen[0] if spec.known_features else seen), spec.horizon, 1))

        return Network(spec, scaler, zeros)

    monkeypatch.setattr(forecaster, "load", untrained)

    def make(
        table: pd.DataFrame,
        params: dict[str, Any] | None = None,
        ranges: Mapping[str, tuple[Any, ...]] = RANGES,
        **card: Any,
    ) -> Forecaster:
        project.write(table, card, params).run("ingest", "impute_scale")
        spec = Spec.of(Experiment(toy_params(params), toy_card(**changed(CARD, card))))
        columns = {
            name: Column(
                lowest=low, highest=high, observed=tuple(of) or None, values={}
            ).model_dump()
            for name, (low, high, *of) in ranges.items()
        }
        with chdir(project.root):
            HERE.usual.parent.mkdir(parents=True, exist_ok=True)
            artifacts.write_json(HERE.model_json, spec.model_dump(mode="json"))
            if ranges:
                artifacts.write_json(HERE.usual, {"columns": columns})
            return Forecaster.load(stage_files(HERE, "toy"))

    return make


def rows(**far: dict[int, float]) -> pd.DataFrame:
    """The toy table up to three rows after the last level, with some values of it replaced."""
    table = toy_table(missing=0).iloc[: LAST + 4].astype({"wind": object})
    table.loc[LAST + 1 :, ["level", "wind"]] = None
    for name, values in far.items():
        for row, value in values.items():
            table.loc[row, name] = value
    return table


AHEAD = {"window.inputs": ["level"], "window.known_ahead": ["flow"]}
IT, FLOW = "the forecast is made from it", "(0.1 to 20), found 100000"
TOLD: dict[str, Any] = {
    "the newest value": (
        {}, rows(level={LAST: -9999.0}), LAST, ("column level", f"(3 to 18), found -9999: {IT}"),
    ),
    "a whole look-back": (
        {}, rows(level=dict.fromkeys(range(LAST - 7, LAST + 1), 1e4)), LAST - 7,
        ("column level", "(3 to 18), found 10000 and 7 more as far off: the forecast is made from"),
    ),
    "an input": ({}, rows(flow={LAST - 3: 1e5}), LAST - 3, ("column flow", f"{FLOW}: {IT}")),
    "a row ahead": (AHEAD, rows(flow={LAST + 2: 1e5}), LAST + 2, ("column flow", FLOW)),
    "a season before": (
        {"window.inputs": ["level", "seasonal:flow"]}, rows(flow={LAST - 9: 1e5}), LAST - 9,
        ("column flow", FLOW),
    ),
    "the row before the first change": (
        {"window.inputs": ["level", "difference:flow"]}, rows(flow={LAST - 8: 1e5}), LAST - 8,
        ("column flow", FLOW),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_a_far_value_that_decides_a_forecast_is_told(
    made: Make, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """One line has the column, the first such row, what was seen in training and what was found."""
    params, table, row, (column, found) = TOLD[name]
    model = made(toy_table(missing=0), params)
    caplog.clear()
    model.predict(table if params is AHEAD else table[: LAST + 1], where="rows")
    (line,) = caplog.messages
    time = toy_times(120)[row]
    assert line.startswith(
        f"rows: {column}, {time}: expected a value near those of training {found}"
    )


UNTOLD: dict[str, Any] = {
    "before the look-back": [{}, rows(level={LAST - 8: -9999.0})],
    "a new highest value": [{}, rows(level={LAST: 32.0}, flow={LAST: 39.0})],
    "a column that is no input": [{"window.inputs": ["level"]}, rows(flow={LAST: 1e5})],
    "of which only the gaps are read": [
        {"window.inputs": ["level", "missing:flow"]}, rows(flow={LAST: 1e5}),
    ],
    "after the last step": [AHEAD, rows(flow={LAST + 3: 1e5})],
    "before the first step, known ahead": [AHEAD, rows(flow={LAST - 1: 1e5})],
    "later than a season before": [
        {"window.inputs": ["level", "seasonal:12:flow"]}, rows(flow={LAST - 3: 1e5}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", UNTOLD)
def test_other_values_are_not_told(made: Make, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """Nothing is said of a value that decides no forecast, nor of one somewhat beyond the range."""
    params, table = UNTOLD[name]
    model = made(toy_table(missing=0), params)
    caplog.clear()
    origin = toy_times(120)[LAST - (params is AHEAD)]
    model.predict(table if params is AHEAD else table[: LAST + 1], [str(origin)], where="rows")
    assert caplog.messages == []


def test_many_origins_have_one_line(made: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A value is told once, however many forecasts it decides; one that decides none is not."""
    table = rows(level={80: 1e4, LAST: -9999.0})[: LAST + 1]
    model = made(toy_table(missing=0))
    caplog.clear()
    model.predict(table, [str(time) for time in toy_times(120)[70:100]], where="rows")
    (line,) = caplog.messages
    assert "2014-01-04 08:00:00: expected" in line and "found 10000: the" in line


def test_without_a_range_only_what_is_beyond_doubt_is_told(
    made: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A model without usual.json has means and deviations, and far is ten times as far."""
    model = made(toy_table(missing=0), ranges={})
    caplog.clear()
    model.predict(rows(level={LAST: 200.0})[: LAST + 1])
    assert caplog.messages == []
    model.predict(rows(level={LAST: -9999.0})[: LAST + 1])
    (line,) = caplog.messages
    assert "near those of training (mean 9." in line and line.endswith(
        ": the forecast is made from it"
    )


def sites() -> pd.DataFrame:
    """A small and a large site, which rise and fall alike."""
    wave = 3 + np.sin(np.arange(60)) + np.random.default_rng(1).normal(0, 0.1, 60)
    times = toy_times(60).strftime("%Y-%m-%d %H:%M")
    parts = [
        pd.DataFrame({"time": times, "site": site, "level": (scale * wave).round(3), "size": scale})
        for site, scale in (("a", 10.0), ("b", 10_000.0))
    ]
    return pd.concat(parts, ignore_index=True)


def test_a_series_is_judged_at_its_own_size(made: Make, caplog: pytest.LogCaptureFixture) -> None:
    """What is usual of a large series is far off in a small one, and a new one may be either."""
    own = {"level": (-2.0, 2.0)}
    model = made(sites(), {"window.inputs": ["level", "size"]}, own, **PANEL)
    table = sites().assign(site=lambda rows: rows["site"].replace("a", "c"))
    caplog.clear()
    model.predict(sites(), where="rows")
    assert caplog.messages == []
    for site, large in (("a", False), ("b", True), ("c", True)):
        given = (table if site == "c" else sites()).query("site == @site").reset_index(drop=True)
        given.loc[59, "level"] = 30_000.0
        caplog.clear()
        model.predict(given, where="rows")
        said = [line for line in caplog.messages if "near those of training" in line]
        assert len(said) == (not large)
        given.loc[59, "level"] = -9e6
        caplog.clear()
        model.predict(given, where="rows")
        (line,) = (line for line in caplog.messages if "near those of training" in line)
        assert line.startswith(f"rows: series {site}: column level, 2014-01-03 11:00:00: expected")
        assert ("in any series)" if site == "c" else "at this series' size)") in line


def test_a_plan_of_0_and_1_is_told_as_that(made: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Though in own units it lies elsewhere in a series in which it is rarer."""
    table, at = sites(), np.arange(120)
    table["size"] = np.where(table["site"] == "a", at % 2, at % 30 == 0).astype(float)
    ranges, inputs = {"size": (-1.0, 6.0, 0.0, 1.0)}, {"window.inputs": ["level", "size"]}
    model = made(table, inputs, ranges, **PANEL | {"static": []})
    given = table.query("site == 'a'").reset_index(drop=True)
    given.loc[59, "size"] = 900.0
    caplog.clear()
    model.predict(given, where="rows")
    (line,) = (line for line in caplog.messages if "near those of training" in line)
    assert "expected a value near those of training (0 to 1), found 900: the forecast" in line

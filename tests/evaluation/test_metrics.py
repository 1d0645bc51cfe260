"""Scores are those of their formulas, on what was observed; the table of metrics is read by all."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.evaluation import metrics, scoring
from pipeline.evaluation.forecasts import MODEL, Bands, Floats, Forecasts, Made, Part
from pipeline.evaluation.metrics import Metric, Scores
from pipeline.evaluation.scoring import Yardstick
from pipeline.reports import markdown
from pipeline.tracking import comparison, labels
from pipeline.tracking.logged_runs import Trial

VALUES = arrays.arrays(
    np.float64, (4, 3), elements=st.floats(-100, 100).map(lambda value: round(value, 2))
)


def scores(
    observed: npt.NDArray[np.float64],
    forecast: npt.NDArray[np.float64],
    seasonal_error: float | None = None,
) -> Scores:
    """Of one target; brief without a seasonal error."""
    yardstick = Yardstick(np.array([seasonal_error or 0.0]), np.ones(1))
    shown = metrics.BRIEF if seasonal_error is None else metrics.STORED
    return scoring.pooled(observed[..., None], Made(forecast[..., None]), yardstick, shown)


@given(observed=VALUES, forecast=VALUES, missing=st.integers(0, 11))
def test_scores_are_their_formulas(
    observed: npt.NDArray[np.float64], forecast: npt.NDArray[np.float64], missing: int
) -> None:
    """R2, MAE, RMSE and MAPE of the observed targets, a zero target left out of MAPE."""
    observed.flat[missing], observed.flat[missing - 1] = np.nan, 5.0
    known = ~np.isnan(observed)
    y, f = observed[known], forecast[known]
    result = scores(observed, forecast)
    error = y - f
    if np.ptp(y) > 0:
        explained = 1 - (error**2).sum() / ((y - y.mean()) ** 2).sum()
        assert result["r2"] == pytest.approx(explained, abs=1e-9)
    assert result["mae"] == pytest.approx(np.abs(error).mean())
    assert result["rmse"] == pytest.approx((error**2).mean() ** 0.5)
    assert result["mape"] == pytest.approx(np.abs(error[y != 0] / y[y != 0]).mean())


def test_scores_by_hand() -> None:
    """Two hits, one miss of 2, one of 1 at a zero target, one target missing."""
    observed = np.array([[1.0, 4.0], [0.0, np.nan], [2.0, np.nan]])
    forecast = np.array([[1.0, 2.0], [1.0, 9.0], [2.0, 9.0]])
    result = scores(observed, forecast, seasonal_error=1.5)
    assert result == pytest.approx(
        {
            "r2": 1 - 5 / 8.75,
            "mae": 3 / 4,
            "rmse": (5 / 4) ** 0.5,
            "mape": (0 + 2 / 4 + 0) / 3,
            "smape": (0 + 2 / 3 + 2 + 0) / 4,
            "mase": 0.5,
            "n": 4,
            "zeros": 1,
        }
    )


@pytest.mark.parametrize(
    ("observed", "forecast", "undefined"),
    [
        ([3.0], [4.0], {"r2", "mase"}),
        ([0.0, 0.0], [0.0, 1.0], {"mape", "mase"}),
        ([0.0], [0.0], {"r2", "mape", "mase"}),
    ],
)
def test_a_score_that_is_not_defined_is_left_out(
    observed: list[float], forecast: list[float], undefined: set[str]
) -> None:
    """One target, targets that are all zero, a perfect seasonal rule: no score is made up."""
    result = scores(np.array(observed), np.array(forecast), seasonal_error=0.0)
    assert np.isfinite(list(result.values())).all()
    assert {"r2", "mae", "rmse", "mape", "smape", "mase", "n", "zeros"} - set(result) == undefined


def test_scores_of_intervals_by_hand() -> None:
    """Two values inside, one 1 below and one 2 above; nine quantiles that are all the same."""
    observed, same = np.array([0.0, 4.0, 5.0, 9.0]), np.full(4, 5.0)
    levels = {80: (np.ones(4), np.full(4, 7.0)), 97.5: (np.full(4, -9.0), np.full(4, 9.0))}
    quantiles = {float(at): same for at in range(10, 100, 10)} | {2.5: same}
    result = metrics.measured({"observed": observed, "levels": levels, "quantiles": quantiles})
    losses = {q: (q * 4 + (1 - q) * 6) / 4 for q in (0.025, *(i / 10 for i in range(1, 10)))}
    assert result == pytest.approx(
        {
            "coverage_80": 0.5,
            "coverage_97.5": 1,
            "width_80": 6,
            "width_97.5": 18,
            "winkler_80": 6 + 10 * (1 + 2) / 4,
            "winkler_97.5": 18,
            "wql": 2 * sum(losses[i / 10] for i in range(1, 10)) / 9 / 4.5,
            **{f"pinball_{100 * q:g}": loss for q, loss in losses.items()},
            **{f"below_{100 * q:g}": 0.75 for q in losses},
        }
    )
    del quantiles[50.0]  # one of the nine is lacking
    assert "wql" not in metrics.measured({"observed": observed, "quantiles": quantiles})


def test_a_level_has_a_row_of_its_own() -> None:
    """Found by its name in scores, in order; a coverage is the better, the nearer to its level."""
    names = {"test/coverage_95", "test/coverage_80", "test/coverage_80_h01", "test/wql", "width_80"}
    rows = metrics.listed(names, metrics.STORED, "test/")
    assert [row.name for row in rows] == ["wql", "coverage_80", "coverage_95"]
    assert [row.title for row in rows] == ["WQL", "COVERAGE 80", "COVERAGE 95"]
    errors = [rows[1].error({"coverage_80": share}) for share in (0.75, 0.8, 0.9)]
    assert errors == pytest.approx([0.05, 0, 0.1])
    assert metrics.listed({"width_80"}, metrics.STORED)[0].error({"width_80": 3}) == 3


def test_nothing_observed_has_no_score() -> None:
    """Scores of nothing are refused."""
    with pytest.raises(ValueError, match="at least one observed target"):
        scores(np.array([np.nan]), np.array([1.0]))


def test_the_seasonal_error_needs_both_values() -> None:
    """The mean over pairs one season apart of which both were observed; 0 without a pair."""
    series = pd.Series([1.0, 2.0, np.nan, 4.0, 4.0, 9.0])
    assert metrics.seasonal_error(series, 2) == pytest.approx((2 + 5) / 2)
    assert metrics.seasonal_error(series, 6) == 0


def test_skill_is_relative_to_a_rule() -> None:
    """Half the rule's error is a skill of .5, more is below 0; of no error there is none."""
    assert metrics.skill(5, 10) == 0.5
    assert metrics.skill(20, 10) == -1
    assert metrics.skill(1, 0) is None


def test_scaled_errors_pool_over_targets() -> None:
    """Errors count in deviations; a missing target does not count, a NaN forecast does."""
    observed = np.array([[[1.0, 10.0]], [[2.0, np.nan]]])
    forecast = np.array([[[2.0, 30.0]], [[2.0, 7.0]]])
    yardstick = Yardstick(np.zeros(2), np.array([1.0, 10.0]))
    result = scoring.pooled(observed, Made(forecast), yardstick)
    assert result == pytest.approx({"mse_scaled": 5 / 3, "mae_scaled": 1.0, "n": 3})
    forecast[0, 0, 0] = np.nan
    assert np.isnan(scoring.pooled(observed, Made(forecast), yardstick)["mse_scaled"])


def test_intervals_pool_over_targets() -> None:
    """Widths count in deviations, a share of hits in neither unit, WQL in the targets' own."""
    observed = np.array([[[1.0, 10.0]], [[2.0, np.nan]], [[9.0, 40.0]]])
    wide = np.array([2.0, 30.0])
    quantiles = {float(at): observed * 0 + 1 for at in range(10, 100, 10)}
    made = Made(observed, {80: (observed * 0, observed * 0 + wide)}, quantiles)
    yardstick = Yardstick(np.zeros(2), np.array([1.0, 10.0]))
    result = scoring.pooled(observed, made, yardstick, blocks=np.arange(3))
    missed = (7 / 1 + 10 / 10) / 5
    expected = {"coverage_80": 3 / 5, "width_80": (3 * 2 + 2 * 3) / 5, "n": 5}
    expected |= {"winkler_80": expected["width_80"] + 10 * missed}
    expected |= {"wql": (0 + 1 + 8 + 9 + 39) / (1 + 2 + 9 + 10 + 40)}  # .5 of what lies above
    assert {name: result[name] for name in expected} == pytest.approx(expected)
    assert "pinball_10" not in result
    each = scoring.by_target(observed, made, yardstick, ["level", "flow"])
    assert (each["flow"]["width_80"], each["flow"]["coverage_80"]) == (30, 0.5)
    assert {"pinball_10", "rmse"} < each["level"].keys()


def report(targets: list[str]) -> dict:
    """metrics.json of a model that is off by 2, a near baseline by 1 and a far one by 3."""
    random = np.random.default_rng(1)
    seen = random.normal(10, 1, (20, 3, len(targets)))
    off = {MODEL: 2.0, "far": 3.0, "near": 1.0}
    made = Forecasts(np.arange(20), seen, {name: seen + error for name, error in off.items()})
    ones = np.ones(len(targets))
    return scoring.report({"validation": made, "test": made}, targets, Yardstick(ones, ones), {})


def trial(name: str, flat: Scores) -> Trial:
    """A run with these scores, told apart from others by its units."""
    params = {"train.seed": "1", "train.model.units": name}
    return Trial(name * 32, name, "", params, flat, {}, None, "1")


def test_a_metric_is_one_row_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Added there, it is in metrics.json, summary.json, MLflow, the report and the runs' table."""
    bias = Metric("bias", lambda y, f: f - y, metrics.PAIR, metrics.OWN, metrics.COMPARED)
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, bias))
    one = report(["level"])
    for at in (one["test"], one["validation_by_horizon"]["h02"], scoring.summary(one)["test"]):
        assert at["bias"] == pytest.approx(2)
    flat = labels.flat_scores(one)
    for key, value in (("test/bias", 2), ("validation/bias_h03", 2), ("near/bias", 1)):
        assert flat[key] == pytest.approx(value)
    header, body = markdown.rows(one)
    assert [row[header.index("bias")] for row in body] == ["1.000", "2.000", "3.000"]
    header, [line] = comparison.table(comparison.rows([trial("a", flat)])[0])
    shown = dict(zip(header, line, strict=True))
    assert (shown["validation bias"], shown["test rmse"]) == ("2.000", "2.000")

    two = report(["level", "flow"])
    assert "bias" not in two["test"]
    assert two["test_by_target"]["flow"]["bias"] == pytest.approx(2)
    assert "| rmse | mae | mape | r2 | mase | bias |" in "".join(
        markdown._by_target(two["test_by_target"])
    )


@pytest.mark.parametrize(("best", "order"), [(0.0, ["near", "far"]), (9.0, ["far", "near"])])
@pytest.mark.parametrize("targets", [["level"], ["level", "flow"]])
def test_what_is_better_stands_in_the_table(
    best: float, order: list[str], targets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Best baseline, the report's order, the runs' order and the view in the UI follow a row."""
    rows = tuple(dataclasses.replace(metric, best=best) for metric in metrics.METRICS)
    monkeypatch.setattr(metrics, "METRICS", rows)
    made = report(targets)
    assert made["best_baseline"] == order[0]
    assert [row[0] for row in markdown.rows(made)[1]] == [order[0], MODEL, order[1]]
    flat = labels.flat_scores(made)
    assert list(trial("a", flat).baselines("validation")) == order
    key = f"validation/{metrics.deciding(made['test']).name}"
    found, _ = comparison.rows([trial("a", flat), trial("b", flat | {key: flat[key] / 2})])
    assert [row.trials[0].name for row in found] == ["b", "a"][:: 1 if best == 0 else -1]
    view = labels.view("1", metrics.deciding(made["test"]), 0.0)
    assert ('orderByAsc\\": true' in view["mlflow.sharedViewState.best"]) == (best == 0)


def test_windows_apart_are_of_many_steps() -> None:
    """One origin a day of 24 steps is; every hour, or one step from every row, is not."""
    for stride, horizon, expected in (
        (24, 24, True),
        (23, 24, False),
        (1, 24, False),
        (1, 1, False),
    ):
        origins = np.arange(0, 10 * stride, stride)
        observed = np.zeros((10, horizon, 1))
        assert Forecasts(origins, observed, {MODEL: observed}).apart == expected


PARTS = st.one_of(
    st.slices(12),
    st.lists(st.integers(0, 11), max_size=6).map(lambda rows: np.array(rows, dtype=np.int64)),
).filter(lambda part: not isinstance(part, slice) or (part.step or 1) > 0)


@given(PARTS, st.data())
def test_a_part_of_a_part_has_its_own_intervals(part: Part, data: st.DataObject) -> None:
    """And of no window but those that are asked for are any made."""
    values, asked = np.arange(12.0).reshape(12, 1, 1), []
    whole = Made(values, {80: (values - 1, values + 1)}, {50: values})

    def around(at: Part) -> tuple[Bands, dict[float, Floats]]:
        asked.append(len(values[at]))
        return whole.around(at)

    rows = np.arange(12)
    forecasts = Forecasts(rows, values, {MODEL: values}, {MODEL: around}).of(part)
    count = len(forecasts.origins)
    inner = data.draw(st.slices(count)) if count else slice(None)
    inner = inner if (inner.step or 1) > 0 else slice(None)
    found = forecasts.of(inner)
    made, of = found.made(MODEL), found.origins.tolist()
    assert [*asked] == [len(of)]
    for array in (made.point, made.bands[80][0] + 1, made.bands[80][1] - 1, made.quantiles[50]):
        assert array.ravel().tolist() == of == rows[part][inner].tolist()

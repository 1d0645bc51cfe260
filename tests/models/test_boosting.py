"""Boosting: what it sees, what it learns that no line can, and how it is kept."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from pipeline.config import frequencies, versions
from pipeline.config import params as schema
from pipeline.config.checks import check
from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.files.layout import Layout
from pipeline.models import boosting
from pipeline.models.baselines import FittedBaseline
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Seen, Task, forecasts
from pipeline.preparation.features import Gaps
from pipeline.preparation.scaling import Scale, Scaler
from pipeline.runtime import determinism
from pipeline.tracking.publishing import requirements
from tests.toys import ROOT, seen_hours, toy_card, toy_params, toy_times

ROWS, CUT, LOOK_BACK, HORIZON = 2000, 1700, 30, 2
SCALER = Scaler(columns={name: Scale() for name in "ab"})


def spec(**changes: Any) -> Spec:
    """Boosting of `a` and `b` from both."""
    own: dict[str, Any] = {
        "dataset": "toy",
        "inputs": ("a", "b"),
        "features": ("a", "b"),
        "targets": ("a", "b"),
        "look_back": LOOK_BACK,
        "horizon": HORIZON,
        "model": schema.Boosting(name="boosting", rounds=300, learning_rate=0.2),
        "residual": "none",
        "normalisation": "none",
    }
    return Spec(**own | changes)


def series() -> Floats:
    """A slow walk, and its last value with a sign that the hour decides, which no line can see."""
    noise = np.random.default_rng(1).normal(size=(ROWS, 2))
    walk = lfilter([0.3], [1, -0.95], noise[:, 0])
    day = np.where(np.arange(ROWS) % 24 < 12, 1, -1)
    return np.stack([walk, day * np.roll(walk, 1) + 0.1 * noise[:, 1]], axis=1)


def task(values: Floats, observed: Floats | None = None, **changes: Any) -> Task:
    """Windows to train on before the cut, and the others."""
    seen = seen_hours(values.astype(np.float32), values if observed is None else observed)
    spans = np.arange(LOOK_BACK - 1, CUT - HORIZON), np.arange(CUT - 1, ROWS - HORIZON)
    return Task(spec(**changes), SCALER, seen, *spans)


@pytest.fixture(scope="module")
def given_task() -> Task:
    """What all tests here that need no other are fitted on."""
    return task(series())


@pytest.fixture(scope="module")
def fitted(given_task: Task) -> FittedBaseline:
    """One model for all tests."""
    return FittedBaseline(given_task.spec, SCALER).fit(given_task)


def error(model: FittedBaseline, on: Task) -> Floats:
    """The RMSE of `b` at each step of validation."""
    made = forecasts(model, on.seen, np.asarray(on.validation))[..., 1]
    came = np.stack([on.seen.targets[on.validation + h + 1, 1] for h in range(HORIZON)], axis=1)
    rmse: Floats = np.sqrt(np.mean((made - came) ** 2, axis=0))
    return rmse


def test_it_learns_what_no_line_can(given_task: Task, fitted: FittedBaseline) -> None:
    """Where the hour decides a sign, its errors are at most 80% of ridge's."""
    ridge = FittedBaseline.of(schema.Ridge(name="ridge"), given_task)
    assert (error(fitted, given_task) < 0.8 * error(ridge, given_task)).all()


def test_of_what_comes_later_it_sees_the_clock_alone(
    given_task: Task, fitted: FittedBaseline
) -> None:
    """Other values before the window or after its origin change nothing; another hour does."""
    seen, origin = given_task.seen, 1800
    made = forecasts(fitted, seen, np.array([origin]))
    features, targets = seen.features.copy(), seen.targets.copy()
    for values in (features, targets):
        values[origin + 1 :] = 99
        values[: origin + 1 - LOOK_BACK] = -99
    again = forecasts(fitted, Seen(seen.times, features, targets), np.array([origin]))
    np.testing.assert_array_equal(again, made)
    later = replace(seen, times=seen.times + pd.Timedelta("12h"))
    assert (forecasts(fitted, later, np.array([origin])) != made).any()


def test_the_same_windows_give_the_same_bytes(given_task: Task, fitted: FittedBaseline) -> None:
    """Whatever was fitted before, and however many threads the process has."""
    again = boosting.fit(given_task, given_task.spec.model)  # type: ignore[arg-type]
    assert {k: v.tobytes() for k, v in again.items()} == {
        k: v.tobytes() for k, v in fitted.learned.items()
    }


def test_a_missing_target_is_not_learned_from(fitted: FittedBaseline, given_task: Task) -> None:
    """What stands in a gap is not seen, even where validation or a whole target is one."""
    values, targets = series(), series()
    targets[100:140, 1], targets[CUT:, 0] = np.nan, np.nan
    some = task(values, targets)
    model = FittedBaseline(some.spec, SCALER).fit(some)
    assert (error(model, given_task) < 1.1 * error(fitted, given_task)).all()
    targets[:, 0] = np.nan
    none = task(values, targets)
    made = forecasts(FittedBaseline(none.spec, SCALER).fit(none), none.seen, np.array([1800]))
    assert (made[..., 0] == 0).all()  # the training mean
    assert np.isfinite(made).all()


def test_it_is_kept_as_numbers_and_text(
    given_task: Task, fitted: FittedBaseline, tmp_path: Path
) -> None:
    """No pickle: lines as numbers, trees as LightGBM's text; loaded, it forecasts the same."""
    path = tmp_path / "model.weights.h5"
    fitted.save_weights(path)
    trees = "trees of 32 inputs"  # seven values and six means of each, and six of the step
    with h5py.File(path) as file:
        kinds = {name: item.dtype.kind for name, item in file.items()}
        text = bytes(file[trees][1, 0])
    assert kinds.pop(trees) == "S"
    assert set(kinds.values()) == {"f"}
    assert text.startswith(b"tree\nversion=")
    origins = np.arange(1790, 1800)
    loaded = FittedBaseline(given_task.spec, SCALER).load_weights(path)
    found, expected = (forecasts(m, given_task.seen, origins) for m in (loaded, fitted))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"look_back": 400},
        {"horizon": 3},
        {"targets": ("a",)},
        {"features": ("a",)},
        {"model": schema.Ridge(name="ridge")},
    ],
)
def test_trees_of_other_windows_are_refused(
    fitted: FittedBaseline, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Another look-back, horizon, target, input or baseline has other weights."""
    fitted.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match=r"weights of .* where model\.json has"):
        FittedBaseline(spec(**changes), SCALER).load_weights(tmp_path / "model.weights.h5")


def test_a_target_that_is_no_input_is_forecast_from_the_others() -> None:
    """Its own past is not looked at: the line of it is flat."""
    own = task(series(), inputs=("a",), features=("a",), targets=("a", "b"))
    own = replace(own, seen=replace(own.seen, features=own.seen.features[:, :1]))
    model = FittedBaseline(own.spec, SCALER).fit(own)
    assert (model.learned["slope"][:, 1] == 0).all()
    assert error(model, own)[0] < 0.6 * own.seen.targets[:, 1].std()


@given(st.integers(1, 50_000), st.integers(1, 100), st.integers(1, 400))
def test_examples_are_bounded_and_fair(windows: int, steps: int, inputs: int) -> None:
    """However many windows, their inputs fit into memory, and each step is seen as often."""
    names = tuple(str(i) for i in range(inputs))
    made = spec(inputs=names, features=names, look_back=1440)
    most = boosting._most(made)
    assert 4 * most * boosting._inputs(made) <= boosting.HELD
    place, step = boosting._pairs(windows, range(8, 8 + steps), most)
    assert 0 < len(place) <= most <= boosting.EXAMPLES
    assert place[0] == 0 and place[-1] < windows
    counts = np.bincount(step - 8, minlength=steps)
    assert len(counts) == steps and np.ptp(counts) <= 1


@pytest.mark.parametrize("horizon", [1, 2, 3, 4, 24, 720])
def test_each_step_has_its_group(horizon: int) -> None:
    """Side by side and without a gap, twice as many steps in each as before."""
    groups = boosting._groups(horizon)
    assert [step for group in groups for step in group] == list(range(1, horizon + 1))
    assert [len(group) for group in groups[:-1]] == [2**i for i in range(len(groups) - 1)]


def test_the_clock_is_the_cards() -> None:
    """Of a series kept as UTC, the hour is that of the card's time zone, in summer and winter."""
    time = {"column": "t", "format": "%Y-%m-%d %H:%M", "timezone": "Europe/Berlin"}
    card = toy_card(columns={"a": {}, "b": {}}, inputs=["a"], targets=["a"], excluded=[], time=time)
    stamps = pd.DatetimeIndex(["2020-01-01 12:00", "2020-07-01 12:00"], tz="UTC")
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]}, index=stamps)
    gaps = Gaps(np.zeros((2, 2), np.uint8), 1)
    values = frame.to_numpy(np.float32)
    seen = Seen.of(spec(), card, SCALER, frame, values, list(frame), gaps)
    assert seen.times.hour.tolist() == [13, 14]
    assert (seen.times == stamps).all()


@pytest.mark.parametrize(("frequency", "back"), [("MS", 12), ("W-MON", 52), ("B", 5), ("rows", 0)])
def test_of_the_calendar_it_sees_the_year_or_the_week_before(frequency: str, back: int) -> None:
    """The target's newest value in the window so many rows before each step; of rows none."""
    rows, step = 120, frequencies.step(frequency)
    values = np.arange(rows, dtype=np.float32)[:, None]
    times = toy_times(rows) if not step.tells else step.grid(pd.Timestamp("2001-01-01"), rows)
    seen = Seen(times, values, values.astype(np.float64), every=step)
    own = spec(inputs=("a",), features=("a",), targets=("a",), look_back=60, horizon=8)
    origins, steps = np.array([60, 61, 100]), np.array([1, 6, 8])
    same = boosting._of_steps(own, seen, origins, steps, 0)[:, 4:]
    at = origins + steps - back * -(-steps // back) if back else np.zeros(3)
    np.testing.assert_array_equal(same, np.stack([at, np.zeros(3)], axis=1))


def test_where_lightgbm_is_absent_a_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything runs; other models do not need it, nor does the file of versions.

    A served model's requirements name it.
    """
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    model = {"train.model": {"name": "boosting"}, "train.residual": "none"}
    (needed,) = {*requirements(Experiment(toy_params(model), toy_card()))} - {
        *requirements(Experiment(toy_params({}), toy_card()))
    }
    assert needed.startswith("lightgbm==")
    for changes in (model, {"evaluate.baselines": ["boosting"]}):
        with pytest.raises(PipelineError, match=r"^boosting: expected LightGBM .* pip install"):
            check(Experiment(toy_params(changes), toy_card()))
    check(Experiment(toy_params({}), toy_card()))
    others = {k: v for k, v in determinism.libraries().items() if k != "lightgbm"}
    monkeypatch.setattr(determinism, "libraries", lambda: others)
    assert versions.changes(Layout(ROOT)) == []

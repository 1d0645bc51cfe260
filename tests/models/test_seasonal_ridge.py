"""A regression on seasonal differences: what it sees by hand, what it learns, what is refused."""

from typing import Any

import numpy as np
import pytest

from pipeline.config.experiment import Experiment
from pipeline.config.params import SeasonalRidge
from pipeline.data.panel import Borders
from pipeline.data.windows import ahead
from pipeline.files.records import parse
from pipeline.models import seasonal_ridge
from pipeline.models.baselines import FittedBaseline
from pipeline.models.spec import Spec
from pipeline.models.task import Seen, Task, forecasts
from pipeline.preparation.own_units import OwnUnits
from pipeline.preparation.scaling import Scale, Scaler
from tests.toys import Project, toy_card, toy_params, toy_times

SEASONAL: dict[str, Any] = {"name": "seasonal_ridge", "seasons": [2, 4]}


def spec(**model: Any) -> Spec:
    """Two steps from four rows, b known ahead."""
    return Spec(
        dataset="toy",
        inputs=("a",),
        features=("a",),
        targets=("a",),
        known_ahead=("b",),
        known_features=("b",),
        look_back=4,
        horizon=2,
        model=parse(SEASONAL | model, SeasonalRidge, "model"),
        residual="none",
        normalisation="none",
    )


def sites(names: tuple[str, ...], slopes: tuple[float, ...]) -> Seen:
    """Series of 100 rows in which a change of b since two rows before is so many changes of a."""
    known = np.random.default_rng(1).normal(size=(len(names), 100)).cumsum(axis=1)
    target = np.array(slopes)[:, None] * known + np.tile([3.0, -1.0], 50)
    both = [part.reshape(-1, 1) for part in (target, known)]
    borders = Borders.of(dict.fromkeys(names, 100))
    times = toy_times(100 * len(names))
    return Seen(times, both[0].astype(np.float32), both[0], both[1].astype(np.float32), borders)


def task(by_series: bool = True) -> Task:
    """Two sites, the one's slope the other's negative."""
    made, own = spec(by_series=by_series, alphas=[1e-6]), OwnUnits.none(["one", "two"], ["a", "b"])
    scaler = Scaler(columns={"a": Scale(), "b": Scale()}, own=own)
    seen = sites(("one", "two"), (2.0, -2.0))
    rows = np.r_[3:70], np.r_[70:97]
    train, validation = (np.concatenate([some, some + 100]) for some in rows)
    return Task(made, scaler, seen, train, validation)


def test_what_a_step_is_forecast_from_by_hand() -> None:
    """Of squares from row 4 on: all is less the value two rows before each step."""
    squares = np.square(np.arange(7.0))[:, None]
    known = (10 * np.arange(7.0))[:, None].astype(np.float32)
    seen = Seen(toy_times(7), squares.astype(np.float32), squares, known)
    made, before = seasonal_ridge.changes(spec(), seen, np.array([4]))
    assert before[0, :, 0].tolist() == [9, 16]
    assert made[0, :, 0].tolist() == [
        [16 - 9, 1 - 9, 50 - 30, 10 - 30],  # last, four rows before, b, b four rows before
        [16 - 16, 4 - 16, 60 - 40, 20 - 40],
    ]


def test_each_series_has_its_own_map_and_a_new_one_that_of_all() -> None:
    """Opposite slopes are learned by series; together they cancel."""
    own, pooled = task(), task(by_series=False)
    observed = ahead(own.seen.targets, own.validation, 2)
    model, other = (FittedBaseline(one.spec, one.scaler).fit(one) for one in (own, pooled))
    np.testing.assert_allclose(forecasts(model, own.seen, own.validation), observed, atol=0.01)
    assert np.abs(forecasts(other, own.seen, own.validation) - observed).max() > 1
    np.testing.assert_array_equal(model.learned["kernel"][0], other.learned["kernel"][0])
    unseen = sites(("new",), (2.0,))
    made, alike = (forecasts(one, unseen, np.arange(70, 97)) for one in (model, other))
    np.testing.assert_array_equal(made, alike)


def test_a_series_without_a_window_has_the_map_of_all() -> None:
    """What was learned of the others is better than nothing."""
    some = task()
    some = Task(some.spec, some.scaler, some.seen, some.train[:67], some.validation)
    learned = FittedBaseline(some.spec, some.scaler).fit(some).learned
    np.testing.assert_array_equal(learned["kernel"][2], learned["kernel"][0])
    np.testing.assert_array_equal(learned["bias"][2], learned["bias"][0])


def test_nothing_later_is_seen_and_the_window_is_enough() -> None:
    """Other later values, and rows before the window, change no byte; the known steps do."""
    one = task()
    model = FittedBaseline(one.spec, one.scaler).fit(one)
    made = forecasts(model, one.seen, np.array([80]))
    features, targets, known = (
        part.copy() for part in (one.seen.features, one.seen.targets, one.seen.ahead)
    )
    features[81:], targets[81:], known[83:], features[:77] = 9, 9, 9, 9
    other = Seen(one.seen.times, features, targets, known, one.seen.borders)
    assert forecasts(model, other, np.array([80])).tobytes() == made.tobytes()
    known[82] += 1
    assert (forecasts(model, other, np.array([80])) != made).any()


def test_a_transform_holds_for_it() -> None:
    """Fitted and undone in the scale of the inputs: the sinh of what a line makes of asinh."""
    one = task()
    bent = Scale(transform="median_asinh", median=5.0, spread=2.0)
    scaler = Scaler(columns={"a": bent, "b": Scale()}, own=one.scaler.own)
    units = scaler.inverse(one.seen.targets, ["a"])
    seen = Seen(one.seen.times, one.seen.features, units, one.seen.ahead, one.seen.borders)
    bent_task = Task(one.spec, scaler, seen, one.train, one.validation)
    made = forecasts(FittedBaseline(one.spec, scaler).fit(bent_task), seen, one.validation)
    straight = forecasts(FittedBaseline(one.spec, one.scaler).fit(one), one.seen, one.validation)
    np.testing.assert_allclose(made, 5 + 2 * np.sinh(straight), rtol=1e-6)


def test_a_season_longer_than_the_window_is_refused_or_left_out(project: Project) -> None:
    """As a model in one line; beside another model the report goes without and says why."""
    own = {"train.model": SEASONAL | {"seasons": [4, 9]}, "train.residual": "none"}
    said = project.write(params=own).refused("ingest")
    assert "window.look_back: expected at least 9 with train.model.name seasonal_ridge" in said
    from pipeline.config.checks import unfitted

    listed = {"evaluate.baselines": ["persistence", "seasonal_ridge"]}
    long, short = (
        Experiment(toy_params(listed), toy_card(season=season)) for season in ([6, 9], [6])
    )
    assert "at least 9, found 8" in unfitted(long)["seasonal_ridge"]
    assert "seasonal_ridge" not in unfitted(short)


@pytest.mark.parametrize("seasons", [[], [0]])
def test_seasons_are_rows(project: Project, seasons: list[int]) -> None:
    """None, or one of no rows, is refused by its key."""
    own = {"train.model": SEASONAL | {"seasons": seasons}, "train.residual": "none"}
    assert "train.model.seasons" in project.write(params=own).refused("ingest")

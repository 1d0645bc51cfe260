"""Intervals hold what they promise, learn from the calibration span alone, and are nested."""

import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binomtest, norm

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.records import parse
from pipeline.forecasting import learning
from pipeline.forecasting.conformal import Calibration, Method, needed, rank
from pipeline.forecasting.drift import replay
from pipeline.forecasting.learning import calibrate

Floats = npt.NDArray[np.float64]
NAMES = ("level", "a", "b")
FEW = Method(levels=(50, 80), quantiles=(0.1, 0.5, 0.9))
WAYS = (
    FEW,
    FEW.model_copy(update={"scaled": NAMES}),
    FEW.model_copy(update={"bins": 3}),
    FEW.model_copy(update={"scaled": NAMES, "bins": 3}),
)
GIVEN = FEW.model_copy(update={"given": (0.1, 0.25, 0.5, 0.75, 0.9)})
EVERY = (*WAYS, GIVEN, GIVEN.model_copy(update={"scaled": NAMES, "bins": 3}))
VALUES = arrays.arrays(
    np.float64, (2, 40, 2, 1), elements=st.integers(0, 1000).map(lambda i: i / 8)
)


def drawn(n: int, horizon: int = 1, seed: int = 1, quantiles: int = 0) -> tuple[Floats, Floats]:
    """Forecasts [n, horizon, 1], or of quantiles, and what came: errors grow with the level."""
    random = np.random.default_rng(seed)
    level = random.gamma(2, 20, (n, horizon, 1))
    observed = level * random.gamma(4, 1 / 4, level.shape)
    if quantiles:
        return level[..., None] * np.linspace(0.5, 1.5, quantiles), observed
    return level, observed


@pytest.mark.parametrize(
    ("n", "share", "expected"),
    [
        (9, "0.8", 8),
        (10, "0.8", 9),
        (19, "0.95", 19),
        (29, "0.1", 3),
        (99, "0.07", 7),
        (9, "0.1", 1),
    ],
)
def test_ranks_by_hand(n: int, share: str, expected: int) -> None:
    """ceil((n + 1) share), exactly where the product is whole: floats would give 4 for 30 * 0.1."""
    assert rank(n, Fraction(share)) == expected


@pytest.mark.parametrize(("share", "least"), [("0.5", 1), ("0.8", 4), ("0.95", 19), ("0.975", 39)])
def test_the_number_needed_is_the_least_that_has_the_rank(share: str, least: int) -> None:
    """With one error fewer the rank would be that of an error beyond the largest."""
    assert needed(Fraction(share)) == least
    assert rank(least, Fraction(share)) <= least
    assert rank(least - 1, Fraction(share)) > least - 1


def test_intervals_and_quantiles_by_hand() -> None:
    """Of nine errors -8 to 8 by twos, the 8th by size is 8 and the 9th with its sign 8."""
    errors = np.array([4.0, -8, 0, 8, -2, 6, -4, 2, -6, np.nan])
    forecast = np.full((10, 1, 1), 10.0)
    made = calibrate(FEW, forecast, forecast + errors[:, None, None], ["level"])
    [cell] = made.cells
    assert (cell.target, cell.step, cell.n) == ("level", 1, (9,))
    assert cell.levels["80"].ranks == (8,) and cell.levels["80"].errors == (8,)
    assert cell.levels["50"].ranks == (5,) and cell.levels["50"].errors == (4,)
    assert [cell.quantiles[q].ranks for q in ("0.1", "0.5", "0.9")] == [(1,), (5,), (9,)]
    bands = made.bands(np.array([[[3.0]]]), [0.0])
    found = {level: [end.item() for end in ends] for level, ends in bands.items()}
    assert found == {50: [0, 7], 80: [0, 11]}  # not -1: the least value is 0
    assert made.quantiles(np.array([[[3.0]]]), [0.0]).ravel().tolist() == [0, 3, 11]


def test_every_bin_has_its_own_rank() -> None:
    """Errors of 1 below the median forecast and of 5 above it: each forecast gets its own."""
    forecast = np.arange(20.0)[:, None, None]
    observed = forecast + np.where(forecast < 10, 1, 5)
    made = calibrate(FEW.model_copy(update={"bins": 2}), forecast, observed, ["level"])
    [cell] = made.cells
    assert (cell.edges, cell.n) == ((9.5,), (10, 10))
    low, high = made.bands(np.array([9.0, 9.5, 500.0])[:, None, None])[80]
    assert (high - low).ravel().tolist() == [2, 10, 10]


def test_bins_with_too_few_errors_are_merged() -> None:
    """Nine errors that .9 needs: 30 make three bins at most, and equal forecasts only one."""
    forecast, observed = drawn(30)
    wanted = FEW.model_copy(update={"bins": 30})
    assert calibrate(wanted, forecast, observed, ["level"]).cells[0].n == (9, 9, 12)
    assert calibrate(wanted, 0 * forecast, observed, ["level"]).cells[0].n == (30,)


def test_scaled_errors_grow_with_the_forecast() -> None:
    """With errors of a tenth of forecast and floor the interval is a tenth of them wide."""
    forecast = np.linspace(1, 39, 39)[:, None, None]  # a mean of 20, a floor of 2
    observed = forecast + (forecast + 2) / 10 * np.tile([1, -1, 1], 13)[:, None, None]
    made = calibrate(WAYS[1], forecast, observed, ["level"])
    low, high = made.bands(np.array([[[0.0]], [[98.0]]]))[80]
    assert made.cells[0].floor == pytest.approx(2)
    assert (high - low).ravel() == pytest.approx([0.4, 20])


TRIES = 1500


def hits(n: int, fitted: int = 0) -> int:
    """In how many of so many tries an interval of 80%, from n errors, holds a new value.

    `fitted`: the n values are those that a regression on so many columns was fitted to.
    """
    random = np.random.default_rng(7)
    y, new = random.normal(size=(n, TRIES, 1)), random.normal(size=(1, TRIES, 1))
    columns = np.linalg.qr(random.normal(size=(n, fitted)))[0]
    forecast = np.einsum("nb,mb,mhk->nhk", columns, columns, y)
    method = Method(levels=(80,), quantiles=(0.5,))
    low, high = calibrate(method, forecast, y, ["level"]).bands(np.zeros_like(new))[80]
    return int(((low <= new) & (new <= high)).sum())


def test_coverage_is_what_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of exchangeable errors rank / (n + 1), by a binomial test that two mistakes do not pass."""

    def p(count: int) -> tuple[float, float]:
        """Of the very coverage, and of the promise that it is 80% or more."""
        exact, promise = (9 / 11, "two-sided"), (0.8, "less")
        one, other = (binomtest(count, TRIES, *test).pvalue for test in (exact, promise))
        return one, other

    assert min(p(hits(10))) > 0.01
    assert max(p(hits(10, fitted=4))) < 1e-6, "in-sample residuals"
    monkeypatch.setattr(learning, "rank", lambda n, share: math.ceil(n * share))
    assert max(p(hits(10))) < 1e-6, "without + 1"


@pytest.mark.parametrize("method", EVERY)
def test_every_way_covers_at_every_step_and_size(method: Method) -> None:
    """Levels and quantiles hold their share of 4,000 new values at each step; bins in each bin."""
    data = [drawn(4000, 3, seed, len(method.given)) for seed in (1, 2)]
    made = calibrate(method, *data[0], ["level"])
    forecast, new = data[1]
    spread = 4 * np.sqrt(2 / 4000) / 2  # four standard errors, of both spans
    for level, (low, high) in made.bands(forecast).items():
        inside = (low <= new) & (new <= high)
        assert inside.mean(axis=(0, 2)) == pytest.approx(level / 100, abs=spread)
        if method.bins > 1:
            middle = method.own(forecast, 0.5)
            upper = middle > np.quantile(middle, 2 / 3)
            assert inside[upper].mean() == pytest.approx(level / 100, abs=spread)
    below = new[..., None] <= made.quantiles(forecast)
    assert below.mean(axis=(0, 1, 2)) == pytest.approx(method.quantiles, abs=spread)


def test_quantiles_of_a_model_are_conformalised() -> None:
    """True quantiles stay as they are, ones too narrow are widened to the true ones' place."""
    random = np.random.default_rng(3)
    y = random.normal(size=(4000, 1, 1))
    for stretch in (1.0, 0.3):
        own = np.broadcast_to(stretch * norm.ppf(GIVEN.given), (*y.shape, 5))
        made = calibrate(GIVEN, own, y, ["level"])
        for level, (low, high) in made.bands(own[:1]).items():
            end = norm.ppf(0.5 + level / 200)
            assert [low.item(), high.item()] == pytest.approx([-end, end], abs=0.1)
        assert made.quantiles(own[:1]).ravel() == pytest.approx(norm.ppf(FEW.quantiles), abs=0.1)


def test_each_end_of_quantiles_moves_by_itself() -> None:
    """Of nine errors -1 to 7: .1 moves out by 1, the 9th by size, and .9 by 7; of eight, both."""
    own, y = np.zeros((9, 1, 1, 5)), np.arange(-1.0, 8)[:, None, None]
    method = Method(levels=(80,), quantiles=(0.1, 0.9), given=GIVEN.given)
    [cell] = calibrate(method, own, y, ["level"]).cells
    learned = cell.levels["80"]
    assert (learned.ranks, learned.errors, learned.upper) == ((9,), (1,), (7,))
    few = Method(levels=(80,), quantiles=(0.5,), given=GIVEN.given)
    made = calibrate(few, own[:8], y[:8], ["level"])
    learned = made.cells[0].levels["80"]
    assert (learned.ranks, learned.errors, learned.upper) == ((8,), (6,), ())
    assert [end.item() for end in made.bands(own[:1])[80]] == [-6, 6]


def test_a_calibration_of_earlier_code_moves_both_ends_alike() -> None:
    """Without errors of an upper end those of the level are for both, as they were served."""
    own, y = np.zeros((9, 1, 1, 5)), np.arange(-1.0, 8)[:, None, None]
    method = Method(levels=(80,), quantiles=(0.1, 0.9), given=GIVEN.given)
    tree = calibrate(method, own, y, ["level"]).model_dump(mode="json")
    tree["cells"][0]["levels"]["80"] = {"ranks": [8], "errors": [6.0]}
    read = parse(tree, Calibration, "calibration.json")
    assert [end.item() for end in read.bands(own[:1])[80]] == [-6, 6]
    assert read.model_dump(mode="json") == tree


@settings(max_examples=30)
@given(values=VALUES, seed=st.integers(0, 99))
def test_levels_are_nested(values: Floats, seed: int) -> None:
    """Each level's interval holds that of a lower one, and quantiles rise, whatever was given."""
    forecast, observed = values
    crossing = observed[..., None] + np.random.default_rng(seed).normal(0, 3, (40, 2, 1, 5))
    for method, own in [*((way, forecast) for way in WAYS), (GIVEN, crossing)]:
        made = calibrate(method, own, observed, ["level"])
        follows = replay(
            made.bands(own), method.own(own, 0.5), observed, np.arange(len(own)), [0.0], gain=0.3
        )
        for bands in (made.bands(own, [0.0]), follows):
            (inner_low, inner_high), (low, high) = bands.values()
            assert (low >= 0).all()
            assert (low <= inner_low).all() and (inner_high <= high).all()
            assert (inner_low <= inner_high).all()
        assert (np.diff(made.quantiles(own, [0.0])) >= 0).all()


@settings(max_examples=20)
@given(values=VALUES, scale=st.sampled_from([0.25, 2.0, 64.0]), shift=st.integers(-50, 50))
def test_intervals_are_in_the_units_of_the_target(values: Floats, scale: float, shift: int) -> None:
    """In other units and, where errors are not relative, from another zero they are the same."""
    points, observed = values
    for method in EVERY:
        moved = 0 if method.scaled else shift
        forecast = points[..., None] + np.linspace(-9, 9, 5) if method.given else points
        made = calibrate(method, forecast, observed, ["level"])
        both = (scale * part + moved for part in (forecast, observed))
        other = calibrate(method, *both, ["level"])
        if not method.scaled:  # a forecast on an edge may change its bin by a rounding
            assert [cell.n for cell in other.cells] == [cell.n for cell in made.cells]
        for level, ends in made.bands(forecast).items():
            for end, there in zip(ends, other.bands(scale * forecast + moved)[level], strict=True):
                assert there == pytest.approx(scale * end + moved)
        quantiles = other.quantiles(scale * forecast + moved)
        assert quantiles == pytest.approx(scale * made.quantiles(forecast) + moved)


@pytest.mark.parametrize("method", EVERY)
def test_a_forecast_has_the_same_interval_alone_and_among_others(method: Method) -> None:
    """No other row of the test span moves a bound."""
    made = calibrate(method, *drawn(100, 3, 1, len(method.given)), ["level"])
    forecast, _ = drawn(50, 3, 2, len(method.given))
    for level, ends in made.bands(forecast).items():
        for end, alone in zip(ends, made.bands(forecast[7:8])[level], strict=True):
            np.testing.assert_array_equal(end[7:8], alone)
    np.testing.assert_array_equal(made.quantiles(forecast)[7:8], made.quantiles(forecast[7:8]))


@pytest.mark.parametrize("way", [WAYS[3], EVERY[-1]])
def test_a_calibration_is_read_as_it_was_written(way: Method) -> None:
    """Through JSON, every digit stays, and each target has what was learned of it."""
    pairs = [drawn(100, 2, seed, len(way.given)) for seed in (1, 2)]
    forecast, observed = (np.concatenate(parts, axis=2) for parts in zip(*pairs, strict=True))
    made = calibrate(way, forecast, observed, ["b", "a"])
    text = artifacts.json_text(made.model_dump(mode="json"))
    read = Calibration.model_validate_json(text)
    assert read == made == parse(made.model_dump(mode="json"), Calibration, "calibration.json")
    for k, (own, came) in enumerate(pairs):
        alone = calibrate(way, own, came, ["a"])
        np.testing.assert_array_equal(
            read.bands(forecast)[80][1][..., [k]], alone.bands(own)[80][1]
        )


def test_too_few_windows_are_refused() -> None:
    """One line names the target, the step, how many it needs and how many there were."""
    forecast, observed = drawn(20, 2)
    method = Method(levels=(80, 95))
    calibrate(method, forecast[:19], observed[:19], ["level"])
    observed[:5, 1] = np.nan  # unobserved targets do not count
    with pytest.raises(PipelineError, match=r"at least 19 .* level at step 2 .* found 15"):
        calibrate(method, forecast, observed, ["level"])
    with pytest.raises(PipelineError, match=r"at step 1 .* found 0"):
        calibrate(method, forecast, np.full_like(observed, np.nan), ["level"])


def test_a_level_that_a_model_does_not_forecast_is_made_of_its_neighbours() -> None:
    """Of the quartiles of a normal, 95% and 30% are the normal ones; and they hold their share."""
    random, normal = np.random.default_rng(1), NormalDist(10, 3)
    own = np.tile([normal.inv_cdf(q) for q in (0.25, 0.5, 0.75)], (2000, 1, 1, 1))
    method = Method(levels=(30, 95), given=(0.25, 0.5, 0.75))
    for level in method.levels:
        ends = [normal.inv_cdf(0.5 + way * level / 200) for way in (-1, 1)]
        assert np.ravel(method.ends(own[:1], level)) == pytest.approx(ends)
    y = random.normal(11, 4, (2000, 1, 1))  # the forecasts are too low and too narrow
    low, high = calibrate(method, own, y, ["level"]).bands(own)[95]
    # Of 2,000 errors each end holds the 1,951st, which are 97.5% of 2,001.
    assert [int((y < low).sum()), int((y > high).sum())] == [49, 49]
    one = Method(levels=(80,), given=(0.5,))
    assert (one.own(own[..., [1]], 0.1) == own[..., 1]).all()

"""Linear maps by hand, beside least squares, and as what a network's output is added to."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.config.experiment import Experiment
from pipeline.config.params import LinearMap
from pipeline.data.windows import Rows, ahead, seen
from pipeline.errors import PipelineError
from pipeline.experiments.run import run_experiment
from pipeline.experiments.task import prepared
from pipeline.files.layout import Layout
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.models import linear
from pipeline.models.baselines import FittedBaseline, members
from pipeline.models.task import forecasts
from pipeline.reports import markdown, report
from tests.toys import Project, seen_hours, toy_card, toy_params

Floats = npt.NDArray[np.float64]
PHASES = LinearMap(less="mean", period=2)


def fitted(own: LinearMap, series: Floats, train: Rows, look_back: int, horizon: int) -> Floats:
    """The map that a series without gaps gives, hardly penalised."""
    return linear.fit(own, look_back, *whole(series), (train, train), horizon, [1e-9])


def whole(series: Floats) -> tuple[Floats, Rows, Floats]:
    """A series without a gap: what is known, where it was observed, and the targets."""
    return series, np.arange(len(series))[:, None] + np.zeros(series.shape, np.int64), series


def test_what_a_phase_sees_by_hand() -> None:
    """A window of two periods of 2: the rows of each phase, and the mean of 3 around each row."""
    window = np.array([[0.0, 3, 6, 3]])  # less its mean, 3: -3, 0, 3, 0
    kernel = np.eye(4)[:, :1]  # what comes next is the phase's first row
    steps = linear.steps(PHASES, kernel, window[:, :, None])[0, :, 0]
    assert steps.tolist() == [0, 3]
    kernel = np.eye(4)[:, 3:]  # the mean around the phase's last row
    steps = linear.steps(PHASES, kernel, window[:, :, None])[0, :, 0]
    assert steps.tolist() == [4, 4.5]  # of 3, 6, 3, and at the end of 6, 3
    assert linear.by_phase(PHASES, np.arange(4.0)[None]).tolist() == [[0, 2], [1, 3]]


@pytest.mark.parametrize("own", [LinearMap(), LinearMap(less="mean")])
def test_a_map_is_least_squares_of_windows_less_their_level(own: LinearMap) -> None:
    """One kernel for two series, without an intercept."""
    series = np.random.default_rng(1).normal(size=(60, 2)).cumsum(axis=0)
    train = np.arange(3, 57)
    x, y = (part.transpose(0, 2, 1) for part in (seen(series, train, 4), ahead(series, train, 2)))
    level = x[..., -1:] if own.less == "last" else x.mean(axis=-1, keepdims=True)
    rows = (x - level).reshape(-1, 4), (y - level).reshape(-1, 2)
    expected = np.linalg.lstsq(*rows, rcond=None)[0]
    kernel = fitted(own, series, train, 4, 2)
    made = linear.steps(own, kernel, seen(series, train, 4))
    wanted = (rows[0] @ expected + level.reshape(-1, 1)).reshape(len(train), 2, 2)
    np.testing.assert_allclose(made, wanted.transpose(0, 2, 1), atol=1e-5)


def test_phases_share_a_map_that_continues_each() -> None:
    """Two phases that each grow by their own step go on to do so."""
    rows = np.arange(60)
    series = np.where(rows % 2, 5 + 0.1 * rows, -2 * 0.1 * rows)[:, None]
    train = np.arange(7, 50)
    kernel = fitted(PHASES, series, train, 8, 4)
    assert kernel.shape == linear.kernel_shape(PHASES, 8, 4) == (8, 2)
    made = linear.steps(PHASES, kernel, seen(series, np.array([53, 54]), 8))
    np.testing.assert_allclose(made, ahead(series, np.array([53, 54]), 4), atol=1e-3)


@given(
    arrays(np.float64, (1, 8, 1), elements=st.floats(-5, 5)),
    st.floats(-100, 100),
    st.floats(0.1, 10),
    st.sampled_from([LinearMap(), LinearMap(less="mean"), PHASES]),
)
def test_a_window_that_is_higher_or_wider_has_forecasts_that_are(
    window: Floats, shift: float, scale: float, own: LinearMap
) -> None:
    """A constant more is that constant more, a factor that factor, whatever the map."""
    kernel = np.random.default_rng(2).normal(size=linear.kernel_shape(own, 8, 4))
    one = linear.steps(own, kernel, window)
    other = linear.steps(own, kernel, scale * window + shift)
    np.testing.assert_allclose(other, scale * one + shift, atol=1e-6)


def test_gaps_are_left_out_and_a_series_not_yet_begun_has_no_forecast() -> None:
    """Windows with a missing target teach nothing; before the first value there is no level."""
    series = np.random.default_rng(3).normal(size=(80, 1)).cumsum(axis=0)
    train = np.arange(3, 70)
    targets = series.copy()
    targets[40] = np.nan
    known = train[~np.isin(train, [37, 38, 39])]
    given_gap = linear.fit(LinearMap(), 4, *whole(series)[:2], targets, (train, train), 3, [1.0])
    without = linear.fit(LinearMap(), 4, *whole(series), (known, known), 3, [1.0])
    np.testing.assert_allclose(given_gap, without, rtol=1e-9)
    late = np.where(np.arange(8) < 4, np.nan, 1.0)[None, :, None]
    assert np.isnan(linear.steps(LinearMap(), given_gap, late[:, :4])).all()
    assert np.isfinite(linear.steps(LinearMap(), given_gap, late[:, 3:7])).all()


def test_what_a_map_sees_of_gaps() -> None:
    """A gap has the value before it in the window, the last row the last value known at all."""
    gap = np.nan
    rows = seen_hours(np.zeros((7, 1)), [[gap], [2.0], [gap], [4.0], [gap], [gap], [gap]])
    windows = linear.past(rows.known, rows.last, np.array([2, 4, 6]), 3)
    np.testing.assert_array_equal(windows[..., 0], [[gap, 2, 2], [gap, 4, 4], [gap, gap, 4]])


def test_a_member_without_a_training_window_is_refused() -> None:
    """A look-back longer than the training span is named."""
    series = np.zeros((20, 1))
    with pytest.raises(PipelineError, match="training window with look_back 15 rows, found none"):
        fitted(LinearMap(), series, np.arange(9), 15, 2)


def test_a_baseline_that_sees_more_than_the_model_is_told(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report and the terminal say which sees further back, and who is best at which step."""
    pair = {"name": "linear", "members": [{"look_back": 12}, {"less": "mean", "period": 1}]}
    own = {"train.model": {"name": "persistence"}, "train.residual": "none"}
    own |= {"evaluate.baselines": ["drift", pair]}
    experiment, layout = Experiment(toy_params(own), toy_card()), Layout(tmp_path, project.root)
    evaluation = run_experiment(experiment, layout)
    report.write(experiment, layout, evaluation)
    capsys.readouterr()
    markdown.show(evaluation.metrics, "toy", markdown.sees_more(experiment))
    for text in (layout.report.read_text(), capsys.readouterr().out):
        assert "linear sees 12 rows, the model 8" in text
        assert "The smallest error at each step: linear at 1 to 3" in " ".join(text.split())


def test_the_mean_of_the_members_is_forecast(project: Project, tmp_path: Path) -> None:
    """Two members are fitted and averaged; what was saved forecasts the same."""
    two = [{"look_back": 6}, {"less": "mean", "period": 1}]
    own = {"train.model": {"name": "linear", "members": two}, "train.residual": "none"}
    experiment = Experiment(toy_params(own), toy_card())
    layout = Layout(tmp_path, project.root)
    run_experiment(experiment, layout)
    task = prepared(experiment, layout)
    kept = FittedBaseline(task.spec, task.scaler).load_weights(layout.weights)
    origins = np.asarray(task.validation)
    made = []
    for name, member, rows in members(kept.model, task.spec.look_back):
        past = linear.past(task.seen.known, task.seen.last, origins, rows)
        past = task.scaler.standardise(past, task.spec.targets)
        made.append(linear.steps(member, kept.learned[name], past))
    np.testing.assert_allclose(
        forecasts(kept, task.seen, origins),
        task.scaler.units(np.mean(made, axis=0), task.spec.targets),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        (
            {"train.model": {"name": "linear", "members": [{"look_back": 9}]}},
            "at most window.look_back (8), found 9",
        ),
        (
            {"evaluate.baselines": [{"name": "linear", "members": [{"period": 4}]}]},
            "a period that divides the look_back (8) and window.horizon (3), found 4",
        ),
        ({"evaluate.baselines": ["drift", "drift"]}, "expected each once, found drift 2 times"),
        ({"evaluate.baselines": []}, "at least 1 item, found []"),
        ({"evaluate.baselines": ["linaer"]}, 'found "linaer"'),
    ],
)
def test_a_baseline_that_cannot_be_is_refused(
    project: Project, changes: dict[str, Any], word: str
) -> None:
    """One line names the key, what was expected and what was found."""
    with pytest.raises(PipelineError) as refused:
        project.write(params=changes | {"train.residual": "none"}).run("ingest")
    assert word in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "wrapped",
    [
        {},
        pytest.param({"normalisation": "revin"}, marks=pytest.mark.slow),
        pytest.param({"acceleration": "xla"}, marks=pytest.mark.slow),
        {"loss": "pinball"},  # of a target that is standardised as an input, too
    ],
)
def test_a_network_learns_what_the_map_leaves(
    project: Project, tmp_path: Path, wrapped: dict[str, str]
) -> None:
    """With an output of zero it forecasts what the map does, which training does not change.

    Of quantiles that is the median.
    """
    own: dict[str, Any] = {"train.residual": "linear", "train.learning_rate": 1e-9}
    own |= {f"train.{key}": value for key, value in wrapped.items()}
    experiment = Experiment(toy_params(own), toy_card())
    layout = Layout(tmp_path, project.root)
    run_experiment(experiment, layout)
    task = prepared(experiment, layout)
    forecaster = Forecaster.load(stage_files(layout, "toy"))
    network = forecaster.model.steps.__self__
    head = network.get_layer("head")
    head.set_weights([np.zeros_like(weight) for weight in head.get_weights()])
    origins = np.asarray(task.validation)
    place = task.spec.positions
    past = task.scaler.restandardise(task.seen.features[:, place], task.spec.targets)
    past = past.astype(np.float64)
    wanted = task.scaler.standardise(task.seen.targets, task.spec.targets)
    spans = np.asarray(task.train), origins
    settings = task.spec.horizon, (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
    kernel = linear.fit(
        LinearMap(), task.spec.look_back, *whole(past)[:2], wanted, spans, *settings
    )
    steps = linear.steps(LinearMap(), kernel, seen(past, origins, task.spec.look_back))
    made = task.spec.point(forecasts(forecaster.model, task.seen, origins))
    np.testing.assert_allclose(made, task.scaler.units(steps, task.spec.targets), rtol=1e-4)
    if wrapped in ({}, {"loss": "pinball"}):
        plain = Forecaster.load(stage_files(layout, "toy"), backend="numpy")
        again = Forecaster.load(stage_files(layout, "toy"))
        one, other = (forecasts(f.model, task.seen, origins) for f in (plain, again))
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)

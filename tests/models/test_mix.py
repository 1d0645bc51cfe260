"""A network's forecast mixed with baselines': shares by step, in one file of weights."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.config import network_size
from pipeline.config.experiment import Experiment
from pipeline.data.windows import ahead
from pipeline.experiments.evaluate import Evaluation
from pipeline.experiments.run import run_experiment
from pipeline.experiments.task import prepared
from pipeline.files.layout import Layout
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.models import mix
from pipeline.models.baselines import BY_NAME, FittedBaseline
from pipeline.models.mix import Mixed
from pipeline.models.task import Task, forecasts
from pipeline.preparation.scaling import Scale, Scaler
from pipeline.reports import report
from pipeline.tracking import labels
from tests.toys import Project, toy_card, toy_params

Made = tuple[Experiment, Layout, Evaluation, Mixed, Task]
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A quantile network that saw hardly anything, mixed with two maps' mean and with ridge."""
    root = tmp_path_factory.mktemp("mix")
    Project(root)
    maps = {"name": "linear", "members": [{"look_back": 6}, {"less": "mean"}]}
    changes = {
        "train.mix": [maps, "ridge"],
        "train.loss": "pinball",
        "evaluate.baselines": ["persistence", maps],
        "evaluate.levels": [50],
    }
    own, layout = Experiment(toy_params(changes), toy_card()), Layout(root)
    evaluation = run_experiment(own, layout)
    model: Any = Forecaster.load(stage_files(layout, "toy")).model
    return own, layout, evaluation, model, prepared(own, layout)


def errors(task: Task, made: Floats) -> Floats:
    """The squared error of forecasts on validation by step, standardised."""
    observed = ahead(task.seen.targets, np.asarray(task.validation), task.spec.horizon)
    return np.nanmean(np.square(observed - made), axis=(0, 2))  # type: ignore[no-any-return]


def test_a_share_is_no_worse_than_either_alone(made: Made) -> None:
    """On validation, which chooses it, at each step; and between those two it is the best."""
    _, _, _, model, task = made
    origins = np.asarray(task.validation)
    each = [forecasts(one, task.seen, origins) for one in (model.network, *model.others)]
    each[0] = task.spec.point(each[0])
    mixed = task.spec.point(forecasts(model, task.seen, origins))
    whole = np.vstack([1 - model.shares.sum(axis=0), model.shares])  # [1 + M, H]
    assert (whole >= 0).all()
    assert (model.shares > 0.1).any()
    np.testing.assert_allclose(mixed, np.einsum("ah,anhk->nhk", whole, each))
    found = errors(task, mixed)
    for one in each:
        assert (found <= errors(task, one) + 1e-9).all()
        towards = mixed + 0.05 * (one - mixed)
        assert (found <= errors(task, towards) + 1e-9).all()


def test_quantiles_move_with_the_point(made: Made) -> None:
    """Each by the part of its way that has the least pinball loss, and they rise."""
    _, _, _, model, task = made
    origins = np.asarray(task.validation)
    alone, mixed = (forecasts(one, task.seen, origins) for one in (model.network, model))
    assert (np.diff(mixed) >= 0).all()
    level = np.array(task.spec.quantiles)
    assert ((model.parts >= 0) & (model.parts <= 1)).all()
    assert model.parts[level == 0.5] == 1
    way = task.spec.point(mixed - alone)[..., None]
    middle = task.spec.quantiles.index(0.5)
    expected = mix.rising(alone + model.parts * way, middle)
    np.testing.assert_allclose(mixed, expected, atol=1e-9)
    came = ahead(task.seen.targets, origins, task.spec.horizon)[..., None]

    def pinball(parts: Floats) -> Floats:
        miss = came - (alone + parts * way)
        return np.nansum(np.maximum(level * miss, (level - 1) * miss), axis=(0, 1, 2))  # type: ignore[no-any-return]

    for near in (model.parts - 0.1, model.parts + 0.1):
        worse = pinball(near.clip(0, 1)) >= pinball(model.parts) - 1e-9
        assert worse[level != 0.5].all()


def test_the_point_is_that_of_the_shares_where_quantiles_stay(made: Made) -> None:
    """A median that moves past the others is not sorted away: they are drawn to it."""
    _, _, _, model, task = made
    assert task.spec.quantiles
    origins = np.asarray(task.validation)
    middle = task.spec.quantiles.index(0.5)
    stay = replace(model, parts=(np.array(task.spec.quantiles) == 0.5).astype(float))
    alone, moved, found = (
        forecasts(one, task.seen, origins) for one in (model.network, model, stay)
    )
    point = task.spec.point(moved)
    crossed = (point < alone[..., 0]) | (point > alone[..., -1])
    assert crossed.any()
    np.testing.assert_array_equal(task.spec.point(found), point)
    assert (np.diff(found) >= 0).all()
    below = np.minimum(alone[..., :middle], point[..., None])
    np.testing.assert_allclose(found[..., :middle], below, atol=1e-9)


@given(
    arrays(np.float64, (4, 5), elements=st.floats(-1e9, 1e9)),
    st.integers(0, 4),
)
def test_rising_keeps_the_middle_and_what_does_not_cross_it(made: Floats, middle: int) -> None:
    """It is the sorted array where all in front of the middle are below it and the others above."""
    found = mix.rising(made, middle)
    assert (np.diff(found) >= 0).all()
    np.testing.assert_array_equal(found[:, middle], made[:, middle])
    center = made[:, [middle]]
    apart = (made[:, :middle] <= center).all(axis=1) & (made[:, middle:] >= center).all(axis=1)
    np.testing.assert_array_equal(found[apart], np.sort(made)[apart])
    np.testing.assert_array_equal(mix.rising(found, middle), found)


def test_parts_on_a_log_scale_keep_quantiles_above_zero() -> None:
    """There a point that is halved halves its quantiles; a forecast below 0 is as 0."""
    column = Scale(center=1.0, scale=2.0, transform="log1p")
    scaler = Scaler(columns={"flow": column})
    values = np.array([[0.0], [3.0], [-5.0]])
    scaled = scaler.scaled(values, ["flow"])
    np.testing.assert_allclose(scaled, (np.log1p([[0.0], [3.0], [0.0]]) - 1) / 2)
    np.testing.assert_allclose(scaler.inverse(scaled, ["flow"]), [[0.0], [3.0], [0.0]], atol=1e-12)


def test_numpy_mixes_as_tensorflow_does(made: Made) -> None:
    """To 1e-5, from the same files."""
    _, layout, _, model, task = made
    plain = Forecaster.load(stage_files(layout, "toy"), "numpy").model
    origins = np.asarray(task.validation)
    one, other = (forecasts(m, task.seen, origins) for m in (plain, model))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_without_a_value_the_network_is_alone(made: Made) -> None:
    """Where the others have nothing to start from, their shares are none."""
    _, _, _, model, task = made
    origins = np.asarray(task.validation)[:4]
    nothing = SimpleNamespace(forecast=lambda seen, rows: np.full((len(rows), 3, 1), np.nan))
    blind = Mixed(model.network, [nothing] * 2, model.shares, model.parts)  # type: ignore[arg-type]
    expected = model.network.forecast(task.seen, origins)
    np.testing.assert_allclose(blind.forecast(task.seen, origins), expected, rtol=1e-6)


def test_what_is_said_of_it(made: Made) -> None:
    """The report and MLflow have the shares; the scores of the mix are the model's."""
    own, layout, evaluation, model, task = made
    metrics = evaluation.metrics
    assert list(metrics["members"]) == ["1", "mixed"]
    assert metrics["members"]["mixed"]["rmse"] == pytest.approx(metrics["validation"]["rmse"])
    shares = metrics["mix"]
    assert list(shares) == ["linear", "ridge"]
    assert list(shares["linear"]) == ["h01", "h02", "h03"]
    for each, by_step in zip(model.shares, shares.values(), strict=True):
        assert [*by_step.values()] == pytest.approx(each, rel=1e-3)
    report.write(own, layout, evaluation)
    text = layout.report.read_text()
    assert "by lstm and linear and ridge." in text
    assert f"linear has a share of {shares['linear']['h01']:.0%} at h01 and" in text
    assert f" and ridge has a share of {shares['ridge']['h01']:.0%} at h01 and" in text
    assert all(f"| {name} |" in text for name in ("the network", "linear", "ridge", "mixed"))
    scored = metrics["validation_baselines"]
    assert [*scored] == ["persistence", "linear", "ridge"]  # what is mixed in is scored as well
    fitted = FittedBaseline.of(BY_NAME["ridge"], task)
    rows = np.asarray(task.validation)
    miss = forecasts(fitted, task.seen, rows) - ahead(task.seen.targets, rows, task.spec.horizon)
    assert scored["ridge"]["rmse"] == pytest.approx(np.sqrt(np.nanmean(np.square(miss))), rel=1e-6)
    flat = labels.flat_scores(metrics)
    assert flat["mix/ridge_h03"] == shares["ridge"]["h03"]
    assert "mixed" in str([key for key in flat if key.startswith("members/")])
    assert labels.hyperparameters(own)["train.mix"].startswith("{'name': 'linear'")
    count = network_size.whole(own.params, len(task.spec.features), 1).weights
    network: Any = model.network.steps
    learned = sum(w.size for w in network.__self__.get_weights() if w.dtype.kind == "f")
    others = sum(array.size for one in model.others for array in one.learned.values())
    assert count == learned + model.shares.size + model.parts.size + others


def test_another_model_s_shares_are_refused(made: Made, tmp_path: Path) -> None:
    """By their shape, and where the file has none at all."""
    _, layout, _, model, _ = made
    other, again, first = (tmp_path / name for name in ("other.h5", "1.h5", "2.h5"))
    for path in (other, again, first):
        h5py.File(path, "w").close()  # of no network
    Mixed(model.network, model.others, np.zeros((2, 2)), model.parts).save(other)
    with pytest.raises(
        ValueError, match=r"shares and parts of \(\(2, 2\), .* where model\.json has \(\(2, 3\), "
    ):
        mix.load(model.network, other)
    assert mix.load(model.network, layout.weights).shares.tolist() == model.shares.tolist()
    for path in (again, first):
        model.save(path)
    assert again.read_bytes() == first.read_bytes()


@given(st.integers(-30, 30).map(lambda tenths: tenths / 10), st.integers(0, 3))
def test_a_share_by_hand(weight: float, missing: int) -> None:
    """What was observed as so much of one and the rest of the other gives that share, in [0, 1]."""
    random = np.random.default_rng(1)
    one, other = random.normal(size=(2, 6, 2, 1))
    came = one + weight * (other - one)
    came[:missing] = np.nan
    share, left = mix.shares(mix.products([np.stack([one, other]) - came], 2, 2), [0])
    np.testing.assert_allclose(share[0], np.clip(weight, 0, 1), atol=1e-9)
    known = np.isfinite(came)
    mixed = one + np.clip(weight, 0, 1) * (other - one)
    of, alone = (np.square((came - made)[known]).sum() for made in (mixed, one))
    np.testing.assert_allclose(left, np.sqrt(of / alone) if weight else 1, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"train.model": {"name": "linear"}, "train.residual": "none", "train.mix": ["linear"]},
            "train.mix: expected [] with train.model.name linear, since a network is what",
        ),
        (
            {"train.mix": ["linear"], "train.residual": "none", "window.inputs": ["flow"]},
            "train.mix: expected level among window.inputs, since linear sees nothing else",
        ),
        (
            {"train.mix": [{"name": "linear", "members": [{"look_back": 9}]}]},
            "train.mix: linear: expected members with a look_back of at most window.look_back (8)",
        ),
        ({"train.mix": ["linear", {"name": "linear"}]}, "train.mix: expected each baseline once"),
        ({"train.mix": ["drift"]}, "train.mix"),
    ],
)
def test_what_cannot_be_mixed_is_refused(
    project: Project, changes: dict[str, Any], words: str
) -> None:
    """One line names the key, what was expected and what was found."""
    said = project.write(params=changes).refused("ingest")
    assert words in said
    assert "\n" not in said

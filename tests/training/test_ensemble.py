"""An ensemble: its members are networks by themselves, and their mean is forecast."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from pipeline.config import network_size
from pipeline.config.experiment import Experiment
from pipeline.config.members import fits
from pipeline.errors import PipelineError
from pipeline.experiments.evaluate import Evaluation
from pipeline.experiments.run import run_experiment
from pipeline.experiments.task import prepared
from pipeline.experiments.train import train
from pipeline.experiments.validate import validate
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting import numpy_backend
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.models.registry import build
from pipeline.models.spec import Spec
from pipeline.models.task import forecasts
from pipeline.preparation.scaling import Scale, Scaler
from pipeline.reports import markdown, pictures, report
from pipeline.tracking import labels
from tests.toys import Project, arrays, shaped, toy_card, toy_params

SETTINGS: dict[str, Any] = {
    "train.loss": "pinball",
    "train.model.input_dropout": 0.3,
    "train.epochs": 3,
    "train.patience": 1,
    "evaluate.baselines": ["persistence"],
}


def experiment(changes: dict[str, Any]) -> Experiment:
    """The toy experiment as these tests have it, with changes."""
    return Experiment(toy_params(SETTINGS | changes), toy_card())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Layout, Evaluation]:
    """An ensemble of two with seed 2, whose members have the seeds 3 and 4."""
    root = tmp_path_factory.mktemp("ensemble")
    Project(root)
    own, layout = experiment({"train.ensemble": 2, "train.seed": 2}), Layout(root)
    return own, layout, run_experiment(own, layout)


def test_another_seed_has_other_members() -> None:
    """Those of three seeds are disjoint, and of one network's seed they are that seed."""
    seeds = [
        [fit.seed for fit in fits(toy_params({"train.ensemble": 5, "train.seed": seed}).train)]
        for seed in (1, 2, 3)
    ]
    assert seeds == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14, 15]]
    for seed in (0, 7):
        [alone] = fits(toy_params({"train.seed": seed}).train)
        assert alone == toy_params({"train.seed": seed}).train


def test_a_member_is_the_network_with_its_seed(
    made: tuple[Experiment, Layout, Evaluation], tmp_path: Path
) -> None:
    """To the bit, whatever was fitted before it; and its history is that network's."""
    _, layout, _ = made
    (tmp_path / "data").mkdir()
    for name in ("ingested", "prepared", "windows"):
        (tmp_path / "data" / name).symlink_to(layout.root / "data" / name)
    own = Layout(tmp_path, layout.project)
    train(experiment({"train.seed": 4}), own)
    alone, together = arrays(own.weights), arrays(layout.weights)
    group = "layers/functional_1/"
    inside = {k.removeprefix(group): v for k, v in together.items() if k.startswith(group)}
    inside = {name: array for name, array in inside.items() if "seed_generator" not in name}
    kept = {name: array for name, array in alone.items() if "seed_generator" not in name}
    assert inside.keys() == kept.keys()
    assert all((inside[name] == kept[name]).all() for name in kept)
    history, single = pd.read_csv(layout.history), pd.read_csv(own.history)
    second = history[history["member"] == 2].drop(columns="member").reset_index(drop=True)
    pd.testing.assert_frame_equal(second, single)


def test_the_mean_is_forecast_and_scored(made: tuple[Experiment, Layout, Evaluation]) -> None:
    """Quantile by quantile, so that they rise; all members together score what the model does."""
    own, layout, evaluation = made
    forecaster = Forecaster.load(stage_files(layout, "toy"))
    task = prepared(own, layout)
    origins = np.asarray(task.validation)
    model: Any = forecaster.model
    each = [forecasts(one, task.seen, origins) for one in model.alone]
    mean = forecasts(model, task.seen, origins)
    np.testing.assert_allclose(mean, np.mean(each, axis=0), rtol=1e-5)
    assert (np.diff(mean) >= 0).all()
    assert not np.allclose(each[0], each[1], rtol=1e-3)
    members = evaluation.metrics["members"]
    assert list(members) == ["1", "2"]
    validation = evaluation.metrics["validation"]
    assert {"rmse", "mae"} <= members["2"].keys()
    for name, score in members["2"].items():
        assert score == pytest.approx(validation[name], rel=1e-5), name
    assert members["1"]["rmse"] != pytest.approx(validation["rmse"], rel=1e-4)
    assert validate(own, layout)["rmse"] == pytest.approx(validation["rmse"], rel=1e-5)
    plain = Forecaster.load(stage_files(layout, "toy"), "numpy")
    np.testing.assert_allclose(forecasts(plain.model, task.seen, origins), mean, rtol=1e-4)


def test_what_is_said_of_it(made: tuple[Experiment, Layout, Evaluation]) -> None:
    """Report, picture and MLflow say how many members there are and what they give."""
    own, layout, evaluation = made
    report.write(own, layout, evaluation)
    text = layout.report.read_text()
    assert "by 2 x lstm." in text
    assert "## What each further member gives" in text
    assert "(kept: of 2 members' up to 3 epochs, epochs" in text
    assert "Of the ensemble's first member. " in text
    assert labels.name(own).startswith("2 x lstm 4, 8 to 3, seed 2")
    assert "with 2 x lstm (pinball loss, seed 2)" in labels.note(own)
    flat = labels.flat_scores(evaluation.metrics)
    assert flat["members/rmse_2"] == evaluation.metrics["members"]["2"]["rmse"]
    history = pd.read_csv(layout.history)
    [axes] = pictures.loss(history).axes
    assert len(axes.lines) == 6  # training, validation and the kept epoch of each
    rows: list[Any] = history.to_dict("records")
    kept = history[history["kept"] == 1]
    best = labels.best(rows)
    assert best["best/epoch"] == (kept["epoch"] + 1).mean()
    assert best["best/validation_loss"] == pytest.approx(kept["validation/loss"].mean())
    assert markdown.heading(experiment({})).endswith("by lstm")


def test_a_network_alone_says_nothing_of_members(tmp_path: Path) -> None:
    """Neither model.json nor history.csv nor the scores have a word of them."""
    spec = Spec(
        dataset="toy", inputs=("level",), features=("level",), targets=("level",),
        **shaped(toy_params()),
    )  # fmt: skip
    assert {"ensemble", "members", "mix"}.isdisjoint(spec.model_dump(mode="json"))
    assert spec.groups == ["layers"]
    assert spec.networks == [spec]
    assert (spec.title, spec.model_copy(update={"ensemble": 3}).title) == ("lstm", "3 x lstm")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("gru", {"train.normalisation": "revin"}),
        ("seq2seq_lstm", {"train.loss": "mse"}),
        ("cnn_lstm", {"train.residual": "damped"}),
        ("segment_gru", {"train.model.segment": 2, "train.loss": "pinball"}),
    ],
)
def test_any_network_may_have_members(name: str, more: dict[str, Any], tmp_path: Path) -> None:
    """Their mean is forecast, their weights are found again, their number is foreseen."""
    params = toy_params({"train.model.name": name, "train.ensemble": 3} | more)
    names = ("level",)
    spec = Spec(
        dataset="toy", inputs=names, features=names, targets=names, ensemble=3, **shaped(params)
    )
    scaler = Scaler(columns={"level": Scale()})
    network = build(spec, scaler)
    random = np.random.default_rng(1)
    network.set_weights([random.normal(0, 0.3, w.shape) for w in network.get_weights()])
    network.save_weights(tmp_path / "model.weights.h5")
    again = build(spec, scaler)
    again.load_weights(tmp_path / "model.weights.h5")
    windows = random.normal(size=(4, 8, 1)).astype(np.float32)
    made = network.predict_on_batch(windows)
    assert made.shape == (4, *spec.outputs)
    np.testing.assert_array_equal(made, again.predict_on_batch(windows))
    with h5py.File(tmp_path / "model.weights.h5") as file:
        assert all(group in file for group in spec.groups)
    learned = sum(w.size for w in network.get_weights() if w.dtype.kind == "f")
    assert network_size.whole(params, 1, 1).weights == learned
    with pytest.raises(PipelineError, match=r"backend numpy: expected a model of rnn or lstm"):
        numpy_backend.load(spec, scaler, tmp_path / "model.weights.h5")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"train.model": {"name": "ridge"}, "train.residual": "none", "train.ensemble": 2},
            "train.ensemble: expected 1 with train.model.name ridge, which has no seed; found 2",
        ),
        (
            {"train.ensemble": 3, "train.seed": 0},
            "train.seed: expected 1 to 715,827,882 with train.ensemble 3",
        ),
        ({"train.ensemble": 0}, "train.ensemble: expected greater than or equal to 1, found 0"),
        ({"train.ensemble": 101}, "train.ensemble: expected less than or equal to 100, found 101"),
    ],
)
def test_what_can_be_no_ensemble_is_refused(
    project: Project, changes: dict[str, Any], words: str
) -> None:
    """One line names the key, what was expected and what was found."""
    said = project.write(params=changes).refused("ingest")
    assert words in said
    assert "\n" not in said


def test_a_member_that_diverges_is_named(
    made: tuple[Experiment, Layout, Evaluation], tmp_path: Path
) -> None:
    """With the epoch, before anything is written."""
    _, layout, _ = made
    (tmp_path / "data").mkdir()
    for name in ("ingested", "prepared", "windows"):
        (tmp_path / "data" / name).symlink_to(layout.root / "data" / name)
    own = Layout(tmp_path, layout.project)
    wild = {"train.ensemble": 2, "train.learning_rate": 1e9, "train.optimizer": "sgd"}
    with pytest.raises(PipelineError, match=r"in epoch \d of member 1 of 2, expected a finite"):
        train(experiment(wild | {"train.loss": "mse"}), own)
    assert not own.weights.exists()
    assert artifacts.read_json(layout.model_json)["ensemble"] == 2

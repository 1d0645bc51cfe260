"""Models side by side on rows that are new to them, and fitted to all rows by a refit."""

from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from pipeline.commands import promote, retrain
from pipeline.config.experiment import Experiment
from pipeline.data import panel, splits
from pipeline.data.panel import Timeline
from pipeline.errors import PipelineError
from pipeline.experiments import chosen, newest, refit
from pipeline.experiments.evaluate import Evaluation
from pipeline.experiments.run import run_experiment
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.models.mix import Mixed
from tests.commands.test_compare_promote import trial
from tests.toys import Project, toy_card, toy_params, toy_spec

Made = tuple[Experiment, Layout, Evaluation]
SETTINGS: dict[str, Any] = {
    "train.epochs": 3,
    "train.learning_rate": 0.001,  # so slow that the last epoch is the best
    "evaluate.baselines": ["persistence"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A network of three epochs, trained on rows 0 to 71, stopped on 72 to 95, tested to 119."""
    root = tmp_path_factory.mktemp("newest")
    Project(root)
    own, layout = Experiment(toy_params(SETTINGS), toy_card()), Layout(root)
    return own, layout, run_experiment(own, layout)


def timeline(made: Made) -> Timeline:
    """When the rows are."""
    own, layout, _ = made
    return panel.read(layout.series, own.card, []).timeline(own.card)


def test_what_is_learned_ends_where_test_begins(made: Made) -> None:
    """The last row of validation, or of a span that makes intervals; all rows of a refit."""
    own, _, _ = made
    assert str(splits.learned_until(own, timeline(made))) == "2014-01-04 23:00:00"
    every = replace(own, refit=True)
    assert str(splits.learned_until(every, timeline(made))) == "2014-01-05 23:00:00"
    assert splits.of(every, timeline(made))["train"].tolist() == [[0, 120]]
    assert splits.of(own, timeline(made))["train"].tolist() == [[0, 72]]
    ends = {"train": 60, "validation": 80, "calibration": 100, "test": 120}
    with_calibration = replace(own, card=toy_card(split=ends))
    assert str(splits.learned_until(with_calibration, timeline(made))) == "2014-01-05 03:00:00"


def test_all_that_is_new_scores_as_test_does(made: Made) -> None:
    """After the model's own spans it is the test span, to the digits of metrics.json."""
    own, layout, evaluation = made
    one = Forecaster.load(stage_files(layout, "toy"))
    learned = splits.learned_until(own, timeline(made))
    found = newest.compare(own, layout, {"a": one, "b": one}, learned)
    assert found.scores["a"] == found.scores["b"]
    assert (found.origins, str(found.first)) == (22, "2014-01-04 23:00:00")
    test = evaluation.metrics["test"]
    names = ("rmse", "mae", "mase", "coverage_80", "winkler_95", "n")
    assert {name: found.scores["a"][name] for name in names} == {name: test[name] for name in names}
    later = newest.compare(own, layout, {"a": one}, pd.Timestamp("2014-01-05 06:00"))
    assert (later.origins, str(later.first)) == (15, "2014-01-05 06:00:00")


def test_what_cannot_be_compared_is_said(made: Made) -> None:
    """Less than a season of new origins, and a model of other steps."""
    own, layout, _ = made
    with pytest.raises(PipelineError, match=r"a season \(6\) of origins after .*, found 2; wait"):
        newest.compare(own, layout, {}, pd.Timestamp("2014-01-05 19:00"))
    spec: Any = SimpleNamespace(spec=SimpleNamespace(horizon=2, targets=("level",)))
    with pytest.raises(PipelineError, match=r"^version 1: expected forecasts of level 3 steps"):
        newest.compare(own, layout, {"version 1": spec}, pd.Timestamp("2014-01-05 06:00"))


def test_a_refit_trains_as_the_training_did(made: Made, tmp_path: Path) -> None:
    """On the same rows it has the same weights and losses, to the bit.

    Not with dropout: to look at validation moves its seed on in Keras' recurrent layers, though
    nothing is dropped there.
    """
    own, layout, _ = made
    history = pd.read_csv(layout.history)
    assert refit.chosen(layout) == [3], "expected the last epoch to be the best"
    from pipeline.training.refit import refit_networks

    model, losses = refit_networks(prepared(own, layout), own.params.train, [3])
    model.save_weights(tmp_path / "again.weights.h5")
    with h5py.File(layout.weights) as one, h5py.File(tmp_path / "again.weights.h5") as other:
        names: list[str] = []
        one.visititems(lambda name, item: names.append(name) if hasattr(item, "dtype") else None)
        names = [name for name in names if "seed_generator" not in name]
        assert names
        assert all(np.array_equal(one[name][()], other[name][()]) for name in names)
    assert [epoch["train/loss"] for epoch in losses] == history["train/loss"].tolist()


def test_a_refit_learns_from_all_rows(made: Made, tmp_path: Path) -> None:
    """Its scaler is of all rows, its intervals are the model's before, and it forecasts."""
    own, layout, evaluation = made
    again = Layout(tmp_path, layout.project)
    history = refit.refit(own, layout, again, [3], stage_files(layout, "toy"))
    assert list(history) == ["train/loss"] and len(history) == 3
    assert again.calibration.read_bytes() == layout.calibration.read_bytes()
    forecaster = Forecaster.load(stage_files(again, "toy"))
    level = evaluation.series.frame["level"]
    centre = forecaster.scaler.columns["level"].center
    assert centre == pytest.approx(level.mean()) and centre != pytest.approx(level[:72].mean())
    forecast = forecaster.predict(evaluation.example)
    assert len(forecast) == 3 and "hi-95" in forecast and forecast["forecast"].notna().all()


def test_the_epochs_of_members_are_their_own(tmp_path: Path) -> None:
    """Counted from 1, where history.csv counts from 0."""
    layout = Layout(tmp_path)
    layout.history.parent.mkdir(parents=True)
    rows = {"member": [1, 1, 2, 2], "epoch": [0, 1, 0, 1], "kept": [0, 1, 1, 0]}
    pd.DataFrame(rows).to_csv(layout.history, index=False)
    assert refit.chosen(layout) == [2, 1]


def test_a_baseline_is_not_refitted() -> None:
    """Penalties and trees were chosen on validation, and are not epochs."""
    changes = {"train.model": {"name": "ridge"}, "train.residual": "none"}
    with pytest.raises(PipelineError, match=r"^--refit: expected a network .*name: ridge; retrain"):
        refit.check(Experiment(toy_params(changes), toy_card()))


def test_of_a_mix_the_network_alone_is_refitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Baselines, shares and scale of a mix that auto chose stay; it forecasts, and says of what."""
    monkeypatch.setattr(chosen, "TRIED", ("linear", "boosting"))
    monkeypatch.setattr(chosen, "_fewest", lambda *_: (0, 1))
    asked = Experiment(toy_params({"train.mix": "auto"}), toy_card())
    Project(tmp_path / "own")
    layout, again = Layout(tmp_path / "own"), Layout(tmp_path / "again", tmp_path / "own")
    evaluation = run_experiment(asked, layout)
    own = chosen.trained(asked, layout)
    capsys.readouterr()
    refit.refit(own, layout, again, [2], stage_files(layout, "toy"))
    kept, made = (artifacts.read_json(one.model_json) for one in (layout, again))
    assert kept == made and kept["chosen"] == {"train.mix": ["linear", "boosting"]}
    assert "refit: linear, boosting, the shares and the scale are kept" in capsys.readouterr().err
    assert again.scaler.read_bytes() == layout.scaler.read_bytes()
    old, new = (Forecaster.load(stage_files(one, "toy")) for one in (layout, again))
    before, after = old.predict(evaluation.example), new.predict(evaluation.example)
    assert (before["forecast"] != after["forecast"]).any()
    assert isinstance(old.model, Mixed) and isinstance(new.model, Mixed)
    np.testing.assert_array_equal(new.model.shares, old.model.shares)
    for one, other in zip(new.model.others, old.model.others, strict=True):
        for name, array in one.learned.items():
            np.testing.assert_array_equal(array, other.learned[name])


def test_a_champion_that_stays_is_refitted_as_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is auto is as its own training chose it from fewer rows; other settings are named."""
    asked = {"train.epochs": "auto", "train.mix": "auto"}
    later = Experiment(toy_params(asked), toy_card(), found={"train.epochs": 24, "train.mix": []})
    chosen = {"train.epochs": 30, "train.mix": ["boosting"]}
    spec = toy_spec().model_copy(update={"chosen": chosen}).model_dump(mode="json")
    artifacts.write_json(tmp_path / "model.json", spec)
    files = {"model.json": tmp_path / "model.json"}
    refitted: list[Any] = []
    monkeypatch.setattr(retrain.watched_runs, "find", lambda *_: SimpleNamespace(files=files))
    monkeypatch.setattr(retrain.logged_runs, "losses", lambda _: [([], [], 7)])
    monkeypatch.setattr(retrain, "_refit", lambda *given: refitted.append(given))
    new = trial("new", train__epochs="24", train__mix="auto")
    for changes in ({}, {"train__seed": "2"}):
        old = trial("old", **{"train__epochs": "30", "train__mix": "auto", **changes})
        behind = retrain.Champion("3", "of", old, pd.Timestamp("2014-01-04"))
        retrain._refit_champion(later, new, behind)
    (own, of, epochs, kept), *others = refitted
    assert others == []
    assert (of.name, epochs, kept) == ("old", [7], files)
    assert own.params.train.epochs == 30
    assert [one.name for one in own.params.train.mixed] == ["boosting"]
    said = capsys.readouterr().out
    assert said.startswith("version 3 is not refitted: it was made by other settings (train.seed)")


def test_a_split_that_stays_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the form of one that moves."""
    Project(tmp_path)
    monkeypatch.setattr("sys.argv", ["retrain"])
    message = r"^split: expected ends that move as .* test: last 90 days, found train: 72$"
    with chdir(tmp_path), pytest.raises(PipelineError, match=message):
        retrain.main()


def test_the_newest_rows_decide_in_the_place_of_validation() -> None:
    """The champion's data and split are of an older state of the table, and are not asked for."""
    new, old = trial("new"), replace(trial("old"), data="e" * 64)
    won = promote.Reason(retrain.NEWEST, True, "RMSE 1, the champion's 2")
    reasons = promote.judge(new, old, servable=True, newest=won)
    assert [one.rule for one in reasons] == ["servable", "clean", "baselines", retrain.NEWEST]
    assert all(one.holds for one in reasons)
    assert "same data" in [
        one.rule for one in promote.judge(new, old, servable=True) if not one.holds
    ]

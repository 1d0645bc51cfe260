"""An ensemble of networks that differ in more than their seeds: the best trials of a search."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config import members, network_size
from pipeline.config.changes import NAME
from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.experiments.evaluate import Evaluation
from pipeline.experiments.executors import Inline
from pipeline.experiments.run import run_experiment
from pipeline.experiments.search import best
from pipeline.experiments.search.study import Search
from pipeline.experiments.task import prepared
from pipeline.experiments.train import train
from pipeline.experiments.workers import PROCESSES, Workers, of_members
from pipeline.files.layout import Layout
from pipeline.files.yaml import read_record
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.models.task import forecasts
from pipeline.reports import report
from pipeline.reproduction import members as measured
from pipeline.reproduction import worked_examples
from pipeline.tracking import labels
from tests.experiments.search.test_trials import begun
from tests.toys import ROOT, Project, arrays, toy_card, toy_params

# Two cells of other sizes, and two ways to begin from the last value.
SEARCH: dict[str, Any] = {
    "trials": 9,
    "sampler": "grid",
    "ranges": {
        NAME: {"choice": ["lstm", "rnn"]},
        "train.residual": {"choice": ["last", "damped"]},
    },
}
Made = tuple[Search, Experiment, Layout, Evaluation]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A search of four networks, and the ensemble of the best three."""
    root = tmp_path_factory.mktemp("best")
    changes = {"train.loss": "pinball", "evaluate.baselines": ["persistence"]}
    Project(root).write(params=changes)
    search = begun(root, SEARCH)
    search.run(Inline())
    params, said = best.ensemble(search, 3)
    assert said == []
    own, layout = Experiment(params, search.base.card), Layout(root)
    return search, own, layout, run_experiment(own, layout)


def test_the_members_are_the_networks_of_the_trials(made: Made) -> None:
    """To the bit, the best first; and the first alone scores what its trial did."""
    search, _, layout, evaluation = made
    together = arrays(layout.weights)
    ranked = [one.runs[0] for one in search.ranked[:3]]
    for group, trial in zip(("functional", "functional_1", "functional_2"), ranked, strict=True):
        alone = arrays(trial.layout.weights)
        inside = {name: together[f"layers/{group}/{name}"] for name in alone}
        assert all((inside[name] == alone[name]).all() for name in alone)
    found = evaluation.metrics["members"]
    assert list(found) == ["1", "2", "3"]
    assert found["1"]["rmse"] == pytest.approx(ranked[0].outcome().scores["rmse"], rel=1e-5)
    validation = evaluation.metrics["validation"]
    assert found["3"]["rmse"] == pytest.approx(validation["rmse"], rel=1e-5)


def test_they_are_read_again_by_either_backend(made: Made) -> None:
    """model.json has what each has to itself; TensorFlow and NumPy forecast the mean of all."""
    _, own, layout, _ = made
    task = prepared(own, layout)
    origins = np.asarray(task.validation)
    models: list[Any] = [
        Forecaster.load(stage_files(layout, "toy"), backend).model
        for backend in ("tensorflow", "numpy")
    ]
    kinds = [(spec.model.name, spec.residual) for spec in models[0].spec.networks]
    assert len(set(kinds)) == 3
    assert kinds == [(one.model.name, one.residual) for one in members.fits(own.params.train)]
    one, other = (forecasts(model, task.seen, origins) for model in models)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    each = [forecasts(alone, task.seen, origins) for alone in models[0].alone]
    np.testing.assert_allclose(one, np.mean(each, axis=0), rtol=1e-5, atol=1e-5)


def test_what_is_said_of_them(made: Made) -> None:
    """The report and MLflow name the models; the count of weights is that of all."""
    search, own, layout, evaluation = made
    report.write(own, layout, evaluation)
    text = layout.report.read_text()
    names = [one.runs[0].params.train.model.name for one in search.ranked[:3]]
    twice = next(name for name in names if names.count(name) == 2)
    assert f"2 x {twice}" in labels.name(own)
    assert f"2 x {twice}" in text.splitlines()[2]
    said = text.replace("\\", "")
    assert "networks that differ in their settings (changes of 1: none; 2: train." in said
    assert labels.hyperparameters(own)["train.members"].startswith("{}, {'train.")
    task = prepared(own, layout)
    network: Any = Forecaster.load(stage_files(layout, "toy")).model
    learned = sum(w.size for w in network.steps.__self__.get_weights() if w.dtype.kind == "f")
    assert network_size.whole(own.params, len(task.spec.features), 1).weights == learned


def test_what_further_members_cost_is_measured(made: Made) -> None:
    """By both backends, of so many members, beside what these score; a table says it."""
    _, own, layout, evaluation = made
    took = measured.costs(own, layout, (1, 2))
    assert set(took) == {(of, count) for of in ("TensorFlow", "NumPy") for count in (1, 2)}
    assert all(len(own) == 2 and min(own) > 0 for own in took.values())
    by_alphabet = dict(reversed(evaluation.metrics["members"].items()))  # as JSON may have it
    header, _, *lines = measured.shown(by_alphabet, took).splitlines()
    assert header.startswith("| members | rmse | mae |")
    assert header.endswith("| less rmse | TensorFlow, 1 (ms) | TensorFlow, 1,024 (ms) | "
                           "NumPy, 1 (ms) | NumPy, 1,024 (ms) |")  # fmt: skip
    assert [line.split(" | ")[0] for line in lines] == ["| 1", "| 2"]


def test_every_network_among_the_worked_examples_is_measured() -> None:
    """All but boosting, which has no members."""
    examples = read_record(ROOT / worked_examples.DEFINITIONS, worked_examples.Definitions).examples
    left_out = [one.name for one in examples if not measured.is_network(one)]
    assert left_out == ["pm25-boosting"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_several_processes_give_the_same_bytes(made: Made, tmp_path: Path) -> None:
    """Of weights, model.json and history; the epochs are told in the order of the members."""
    _, own, layout, _ = made
    (tmp_path / "data").mkdir()
    for name in ("ingested", "prepared", "windows"):
        (tmp_path / "data" / name).symlink_to(layout.root / "data" / name)
    other = Layout(tmp_path, layout.project)
    train(own, other, workers=Workers(2))
    for path in ("weights", "model_json", "history"):
        assert getattr(other, path).read_bytes() == getattr(layout, path).read_bytes(), path
    assert pd.read_csv(other.history)["member"].is_monotonic_increasing
    wild = {"train.ensemble": 2, "train.learning_rate": 1e9, "train.optimizer": "sgd"}
    with pytest.raises(PipelineError, match=r"in epoch \d of member \d of 2, expected a finite"):
        diverging = Experiment(toy_params(wild | {"train.loss": "mse"}), toy_card())
        train(diverging, other, workers=Workers(2))


def test_the_shell_says_how_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by default; what is no number ends in one line."""
    for name in ("MEMBER_WORKERS", "MEMBER_EXECUTOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")  # which is for Ray alone
    assert of_members() == Workers(1, PROCESSES)
    monkeypatch.setenv("MEMBER_WORKERS", "3")
    assert of_members() == Workers(3, PROCESSES)
    for text in ("0", "-1", "two", ""):
        monkeypatch.setenv("MEMBER_WORKERS", text)
        with pytest.raises(PipelineError, match=r"MEMBER_WORKERS: expected a number of processes"):
            of_members()
    monkeypatch.delenv("MEMBER_WORKERS")
    monkeypatch.setenv("MEMBER_EXECUTOR", "slurm")
    with pytest.raises(PipelineError, match="MEMBER_EXECUTOR: expected processes or ray, found sl"):
        of_members()


def test_seeds_of_members_are_those_of_an_ensemble() -> None:
    """Each of them has as many; the first so many are the members with the first seed."""
    changes = {
        "train.seed": 3,
        "train.ensemble": 2,
        "train.members": [{}, {NAME: "gru", "train.learning_rate": 0.02}],
    }
    train_ = toy_params(changes).train
    found = [(one.model.name, one.learning_rate, one.seed) for one in members.fits(train_)]
    assert found == [("lstm", 0.01, 5), ("gru", 0.02, 5), ("lstm", 0.01, 6), ("gru", 0.02, 6)]
    assert members.title(train_) == "2 x lstm, 2 x gru"
    assert all(not one.members and one.ensemble == 1 for one in members.fits(train_))


WRONG = "train.members: member 2: "


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"window.look_back": 9}, WRONG + "expected keys of train, such as train.model.name, "
         "found window.look_back; what a forecast sees"),
        ({"learning_rate": 0.1}, WRONG + "expected keys of train, such as train.model.name, found"),
        ({"train.seed": 7}, WRONG + "expected no train.seed, since the members' seeds follow"),
        ({"train.quantiles": [0.5]}, WRONG + "expected no train.quantiles"),
        ({"train.learning_rat": 0.1}, WRONG + "train.learning_rat: unknown key in train; did you"),
        ({"train.learning_rate": -1}, WRONG + "train.learning_rate: expected greater than 0"),
        ({NAME: "ridge"}, WRONG + "expected a network, found ridge"),
        ({NAME: "lstm"}, WRONG + "expected another network than member 1, found the same"),
        ({"train.loss": "pinball"}, WRONG + "train.loss: expected pinball of all members or of "
         "none, found pinball where train.loss is huber"),
        ({NAME: "segment_gru"}, WRONG + "window.look_back: expected a multiple of"),
        ({NAME: "cnn_lstm", "train.acceleration": "xla"}, WRONG + "train.acceleration: expected n"),
    ],
)  # fmt: skip
def test_what_can_be_no_member_is_refused(
    project: Project, own: dict[str, Any], words: str
) -> None:
    """One line names the member, the key, what was expected and what was found."""
    with pytest.raises(PipelineError) as refused:
        project.write(params={"train.members": [{}, own]}).run("ingest")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train.members": [{}]}, "train.members: expected none or two at least, found one"),
        ({"train.members": ["gru"]}, "train.members.[0]: expected "),
        (
            {"train.members": [{}, {NAME: "gru"}], "train.ensemble": 51},
            "train.members: expected at most 100 networks, found 2 members with train.ensemble 51",
        ),
        (
            {
                "train.model": {"name": "ridge"}, "train.residual": "none",
                "train.members": [{}, {"train.optimizer": "sgd"}],
            },
            "train.members: expected [] with train.model.name ridge, which is no network",
        ),
    ],
)  # fmt: skip
def test_what_can_have_no_members_is_refused(
    project: Project, changes: dict[str, Any], words: str
) -> None:
    """Before anything runs, in one line."""
    said = project.write(params=changes).refused("ingest")
    assert words in said
    assert "\n" not in said

"""The report's page: how to get from a commit's parameters to a run's."""

import shutil
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from pipeline.config.experiment import Experiment
from pipeline.config.params import Params
from pipeline.config.reading import read_params
from pipeline.repository import changed_params as differences
from pipeline.tracking import labels
from tests.repositories import commit
from tests.toys import PARAMS, changed, to_yaml, toy_card

SPLITS = ({"train": 0.6, "validation": 0.8, "test": 1.0}, None)


def params_of(directory: Path, tree: dict) -> Params:
    """These parameters, by way of a file as a user's."""
    file = directory / "wanted.yaml"
    file.write_text(to_yaml(tree))
    return read_params(file)


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A repository with the toy's parameters, one of them as YAML 1.2 has it."""
    text = to_yaml(changed(PARAMS, {"train.learning_rate": "RATE"}))
    (tmp_path / "params.yaml").write_text(text.replace("RATE", "1e-3"))
    commit(tmp_path, "params")
    return tmp_path


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"train.learning_rate": 0.002, "window.look_back": 9}, id="keys of the file"),
        pytest.param({"train.acceleration": "xla"}, id="a key that the file lacks"),
        pytest.param(
            {"train.model": {"name": "ridge", "alphas": [1.0]}, "train.residual": "none"},
            id="another model",
        ),
        pytest.param(
            {"window.inputs": ["T (°C)", "load", "Yes, or no", "null", 'a"b']},
            id="names with signs in them",
        ),
    ],
)
def test_the_command_makes_the_runs_parameters(committed: Path, changes: dict) -> None:
    """What the page tells to set is taken by DVC and gives the very parameters."""
    wanted = params_of(committed, changed(PARAMS, {"train.learning_rate": 0.001} | changes))
    with chdir(committed):
        flags = differences.flags(wanted)
        apply_overrides("params.yaml", flags)
        assert read_params() == wanted


def test_the_command_goes_from_one_split_to_another(tmp_path: Path) -> None:
    """From the file's own split to the card's, which is null, and back."""
    own, cards = ({**PARAMS, "window": {**PARAMS["window"], "split": split}} for split in SPLITS)
    for there, wanted in ((own, cards), (cards, own)):
        (tmp_path / "params.yaml").write_text(to_yaml(there))
        commit(tmp_path, "params")
        params = params_of(tmp_path, wanted)
        with chdir(tmp_path):
            apply_overrides("params.yaml", differences.flags(params))
            assert read_params() == params


def test_a_commit_without_readable_parameters_changes_nothing(committed: Path) -> None:
    """A report does not fail over what somebody committed."""
    wanted = params_of(committed, PARAMS)
    (committed / "params.yaml").write_text("ingest: [")
    commit(committed, "broken")
    with chdir(committed):
        assert differences.flags(wanted) == []
        shutil.rmtree(".git")
        assert differences.flags(wanted) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "lstm 4, 8 to 3, seed 1"),
        ({"window.look_back": 9, "train.seed": 2}, "lstm 4, 9 to 3, seed 2"),
        ({"train.patience": 3, "evaluate.stretch": 9}, "lstm 4, 8 to 3, seed 1; patience 3"),
        (
            {"train.model": {"name": "gru", "units": [4], "dropout": 0.5}},
            "gru 4, 8 to 3, seed 1; model.dropout 0.5",
        ),
        ({"train.model": {"name": "ridge"}, "train.residual": "none"}, "ridge, 8 to 3, seed 1; r"),
    ],
)
def test_a_run_is_called_by_what_is_its_own(
    committed: Path, changes: dict, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The experiment's name leads, what differs from the committed parameters follows."""
    params = params_of(committed, changed(PARAMS, {"train.learning_rate": 0.001} | changes))
    own = Experiment(params, toy_card())
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    with chdir(committed):
        assert labels.name(own).startswith(name)
        assert len(labels.name(own)) < len(name) + len("esidual none") + 1
        monkeypatch.setenv("DVC_EXP_NAME", "longer")
        assert labels.name(own).startswith(f"longer: {name}")


def test_what_is_auto_in_the_commit_is_not_in_a_runs_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is, or will be once the network is trained; what was set in its place is."""
    auto = dict.fromkeys(("train.epochs", "train.mix", "train.model.input_dropout"), "auto")
    tree = changed(PARAMS, auto)
    (tmp_path / "params.yaml").write_text(to_yaml(tree))
    commit(tmp_path, "params")
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    none, own = (params_of(tmp_path, changed(tree, c)) for c in ({"train.mix": []}, {}))
    with chdir(tmp_path):
        assert labels.name(Experiment(own, toy_card())) == "lstm 4, 8 to 3, seed 1"
        assert labels.name(Experiment(none, toy_card())) == "lstm 4, 8 to 3, seed 1; mix []"

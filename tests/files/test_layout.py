"""Where an experiment's files are: below its own root, and its data below the project."""

from pathlib import Path

import pytest

from pipeline.config.experiment import Experiment
from pipeline.experiments.run import run_experiment
from pipeline.files.layout import Layout
from tests.toys import Project, toy_card, toy_params

OF_PROJECT = {"params", "cards", "raw", "holidays", "versions"}


def files(directory: Path) -> dict[str, bytes]:
    """The bytes of every file below a directory."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def test_outputs_are_below_the_root_and_data_below_the_project() -> None:
    """Without a project, both are below the root."""
    root, project = Path("elsewhere/trial"), Path("here")
    places = {
        name: path
        for name, path in vars(Layout(root, project)).items()
        if name not in ("root", "project")
    }
    below = {name for name, path in places.items() if path.is_relative_to(project)}
    assert below == OF_PROJECT
    assert all(places[name].is_relative_to(root) for name in places.keys() - below)
    assert Layout(root, project).origins("test").is_relative_to(root)
    assert Layout(root, project).raw_table("toy").is_relative_to(project)
    assert all(path.is_relative_to(root) for path in vars(Layout(root)).values())


def test_experiments_beside_each_other_keep_to_their_own(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They write nothing into the project, into each other's place, or where they are called."""
    called, outside = (tmp_path_factory.mktemp(name) for name in ("called", "outside"))
    monkeypatch.chdir(called)
    before, kept = files(project.root), {}
    for name, horizon in (("one", 2), ("two", 3)):
        model = {"train.model": {"name": "persistence"}, "train.residual": "none"}
        experiment = Experiment(toy_params(model | {"window.horizon": horizon}), toy_card())
        made = run_experiment(experiment, Layout(outside / name, project.root))
        assert made.forecasts["test"].observed.shape[1] == horizon
        kept[name] = files(outside / name)
    assert files(project.root) == before
    assert files(called) == {}
    assert {path.name for path in outside.iterdir()} == kept.keys()
    assert files(outside / "one") == kept["one"]
    assert kept["one"].keys() == kept["two"].keys()
    assert kept["one"]["data/reports/metrics.json"] != kept["two"]["data/reports/metrics.json"]

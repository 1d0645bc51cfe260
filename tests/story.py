"""Ridge and three experiments of two networks in a repository of their own, for all tests."""

import functools
from pathlib import Path

import mlflow
import pytest

from tests.forking import command
from tests.full_repository import SMALL, experiment, make, run

WINDOWS = [f"{key}={value}" for key, value in SMALL.items() if key.startswith("window.")]


class Story:
    """A repository with ridge and three experiments of two networks, the last one the best."""

    def __init__(self, directory: Path) -> None:
        self.directory = make(directory)
        settings = ("~train.model", "+train.model={name: ridge}", "train.residual=none")
        flags = [part for setting in (*settings, *WINDOWS) for part in ("-S", setting)]
        run(self.directory, "dvc", "exp", "run", "-n", "ridge-1", *flags)
        run(self.directory, "git", "restore", "params.yaml")
        experiment(self.directory, "small-1")
        self.second = experiment(self.directory, "small-2", train__seed=2)  # what it said
        larger = {"train.model.units": "[24]", "train.epochs": 12, "window.stride": 6}
        experiment(self.directory, "large-1", **larger)
        self.client = mlflow.MlflowClient(self.store)

    @property
    def store(self) -> str:
        """The repository's own store."""
        return f"sqlite:///{self.directory}/mlflow.db"

    def id(self, name: str) -> str:
        """The id of the run that a DVC experiment logged."""
        found = self.client.get_experiment_by_name("beijing_pm25")
        assert found is not None
        where = f"tags.`dvc.experiment` = '{name}'"
        (logged,) = self.client.search_runs([found.experiment_id], where)
        return str(logged.info.run_id)

    def say(self, name: str, *arguments: str, status: int = 0) -> str:
        """What one of the pipeline's commands prints."""
        return command(self.directory, name, *arguments, status=status)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The experiments, run by the first test module that asks for them."""
    return _told(tmp_path_factory.getbasetemp())


@functools.cache
def _told(base: Path) -> Story:
    directory = base / "story"
    directory.mkdir()
    return Story(directory)

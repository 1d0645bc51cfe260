"""Three experiments of two models in a repository of their own, run once for all tests."""

import functools
import sys
from pathlib import Path

import mlflow
import pytest

from tests.repository import experiment, make, run


class Story:
    """A repository with three experiments of two models, the last one the best."""

    def __init__(self, directory: Path) -> None:
        self.directory = make(directory)
        experiment(self.directory, "small-1")
        experiment(self.directory, "small-2", train__seed=2)
        larger = {"train.model.units": "[12]", "train.epochs": 8, "window.stride": 6}
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

    def say(self, module: str, *arguments: str, status: int = 0) -> str:
        """What one of the pipeline's commands prints."""
        command = [sys.executable, "-m", f"pipeline.{module}", *arguments]
        return run(self.directory, *command, status=status)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The experiments, run by the first test module that asks for them."""
    return _told(tmp_path_factory.getbasetemp())


@functools.cache
def _told(base: Path) -> Story:
    directory = base / "story"
    directory.mkdir()
    return Story(directory)

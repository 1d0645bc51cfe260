"""A network fitted by several processes that share the parts of each batch."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.experiments import team_fits
from pipeline.experiments.log import Epoch, Log
from pipeline.experiments.resume import resumed
from pipeline.experiments.train import train
from pipeline.files.layout import Layout
from pipeline.models.spec import Spec
from pipeline.training import checkpoint
from tests.toys import Project, toy_card, toy_params, toy_spec

# Batches that their parts do not divide, dropout, missing targets, and a rate that ends it early.
SETTINGS: dict[str, Any] = {
    "train.loss": "pinball",
    "train.learning_rate": 0.05,
    "train.epochs": 12,
    "train.patience": 2,
    "train.shards": 3,
    "train.batch_size": 8,
    "train.model.input_dropout": 0.3,
    "train.model.dropout": 0.2,
}


class Watched(Log):
    """Kills the workers of this process once an epoch, from 0, is told."""

    def __init__(self, deadly: int | None) -> None:
        self.deadly, self.killed = deadly, 0.0

    def epoch(self, number: int, scores: Epoch) -> None:
        """Kill."""
        if number == self.deadly:
            children = psutil.Process().children(recursive=True)
            for one in (one for one in children if "spawn_main" in " ".join(one.cmdline())):
                one.kill()
            self.killed = time.monotonic()


def trained(layout: Layout, team: int, deadly: int | None = None) -> Watched:
    """A training by so many processes, which keeps its state."""
    watched = Watched(deadly)

    @contextmanager
    def logging(experiment: Experiment, layout: Layout, before: str) -> Iterator[Watched]:
        yield watched

    experiment = Experiment(toy_params(SETTINGS), toy_card())
    if deadly is None:
        train(experiment, layout, logging, resumed, team=team)
    else:
        with pytest.raises(PipelineError) as lost:
            train(experiment, layout, logging, resumed, team=team)
        assert time.monotonic() - watched.killed < 10
        assert str(lost.value).startswith(f"train: worker 2 of {team} (")
        assert "expected it to stay until the training ends, found its end" in str(lost.value)
        assert "\n" not in str(lost.value)
    return watched


def outputs(layout: Layout) -> list[bytes]:
    """What a training writes."""
    return [path.read_bytes() for path in (layout.weights, layout.model_json, layout.history)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_come_to_the_bytes_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One process, two, and two of which one is killed and one goes on: the same files."""
    monkeypatch.setattr(checkpoint, "EVERY", 0)
    Project(tmp_path).write(params=SETTINGS).run("ingest", "impute_scale", "window")
    layout = Layout(tmp_path)
    trained(layout, 1)
    whole = outputs(layout)
    assert 3 < len(pd.read_csv(layout.history)) < SETTINGS["train.epochs"]
    layout.weights.unlink()
    trained(layout, 2)
    assert outputs(layout) == whole
    layout.weights.unlink()
    trained(layout, 2, deadly=1)
    assert not layout.weights.exists()
    capsys.readouterr()
    trained(layout, 1)
    assert "train: goes on after epoch 2" in capsys.readouterr().err
    assert outputs(layout) == whole
    assert not [one for one in psutil.Process().children() if "spawn_main" in str(one.cmdline())]


def test_the_shell_says_how_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by default; what is no number ends in one line."""
    monkeypatch.delenv("TRAIN_WORKERS", raising=False)
    assert team_fits.train_workers() == 1
    monkeypatch.setenv("TRAIN_WORKERS", "3")
    assert team_fits.train_workers() == 3
    monkeypatch.setenv("TRAIN_WORKERS", "two")
    with pytest.raises(PipelineError, match="TRAIN_WORKERS: expected a number of processes, found"):
        team_fits.train_workers()


def test_members_and_parts_do_not_both_multiply() -> None:
    """Members side by side that each start processes are refused; one of both is not."""
    many: Spec = toy_spec(ensemble=2)
    team_fits.check(many, 1, 2)
    team_fits.check(many, 2, 1)
    with pytest.raises(PipelineError, match=r"TRAIN_WORKERS: expected 1 where .* found 3"):
        team_fits.check(many, 2, 3)


def test_more_processes_than_parts_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said; with one part nothing is started."""
    alone = Experiment(toy_params({"train.shards": 1}), toy_card())
    before = psutil.Process(os.getpid()).children()
    with team_fits.led(alone, Layout(Path("nowhere")), 4) as leads:
        assert leads is team_fits.ALONE
    assert capsys.readouterr().err == (
        "TRAIN_WORKERS: 1 of 4 processes share the parts of a batch, since train.shards is 1\n"
    )
    assert psutil.Process(os.getpid()).children() == before

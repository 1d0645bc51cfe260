"""A network fitted by several processes that share the parts of each batch."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import pandas as pd
import psutil
import pytest

from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.experiments import ray_cluster, team_fits
from pipeline.experiments.log import Epoch, Log
from pipeline.experiments.resume import resumed
from pipeline.experiments.team_fits import Seat, Team
from pipeline.experiments.train import train
from pipeline.experiments.workers import Workers
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models.spec import Spec
from pipeline.training import checkpoint
from tests.processes import below, kill
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
    """Does something once the second epoch is told."""

    def __init__(self, strike: Callable[[], object]) -> None:
        self.strike = strike

    def epoch(self, number: int, scores: Epoch) -> None:
        """Strike."""
        if number == 1:
            self.strike()


def begun(root: Path, **changes: Any) -> Layout:
    """A project whose windows are made, with keys of `train` changed."""
    changed = SETTINGS | {f"train.{key}": value for key, value in changes.items()}
    Project(root).write(params=changed).run("ingest", "impute_scale", "window")
    return Layout(root)


def trained(layout: Layout, team: Team, strike: Callable[[], object] = lambda: None) -> list[bytes]:
    """What a training by a team writes, which keeps its state."""

    @contextmanager
    def logging(experiment: Experiment, layout: Layout, before: str) -> Iterator[Watched]:
        yield Watched(strike)

    layout.weights.unlink(missing_ok=True)
    train(Experiment(toy_params(SETTINGS), toy_card()), layout, logging, resumed, team=team)
    return [path.read_bytes() for path in (layout.weights, layout.model_json, layout.history)]


def lost(layout: Layout, team: Team, kill: Callable[[], object]) -> None:
    """A training of which some are killed in the middle: it ends at once, in a line."""
    killed = []

    def strike() -> None:
        kill()
        killed.append(time.monotonic())

    with pytest.raises(PipelineError) as found:
        trained(layout, team, strike)
    assert time.monotonic() - killed[0] < 60
    assert re.fullmatch(
        rf"train: worker [2-{team.count}] of {team.count} \(.*, process \d+\): expected it to stay "
        "until the training ends, found its end; called again, the stage goes on .*",
        str(found.value),
    )
    assert not layout.weights.exists()


def helpers() -> list[psutil.Process]:
    """The processes that this one has started as workers."""
    return below(psutil.Process(), "spawn_main")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_come_to_the_bytes_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One process, two, and two of which one is killed and one goes on: the same files."""
    monkeypatch.setattr(checkpoint, "EVERY", 0)
    layout = begun(tmp_path)
    whole = trained(layout, Team(1))
    assert 3 < len(pd.read_csv(layout.history)) < SETTINGS["train.epochs"]
    assert trained(layout, Team(2)) == whole
    lost(layout, Team(2), lambda: [kill(one) for one in helpers()])
    capsys.readouterr()
    assert trained(layout, Team(1)) == whole
    assert "train: goes on after epoch 2" in capsys.readouterr().err
    assert helpers() == []


def test_the_shell_says_how_many_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process by default; a cluster decides for itself how many tasks it takes."""
    monkeypatch.setattr(ray_cluster, "check", lambda address: None)
    for name in ("TRAIN_WORKERS", "TRAIN_EXECUTOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert Team.of_shell() == Team(1)
    monkeypatch.setenv("TRAIN_WORKERS", "3")
    assert Team.of_shell().others() == Workers(2)
    monkeypatch.setenv("TRAIN_EXECUTOR", "ray")
    assert Team.of_shell().others() == Workers(1, "ray", "head:6379")
    monkeypatch.delenv("RAY_ADDRESS")
    assert Team.of_shell().others() == Workers(2, "ray")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TRAIN_WORKERS", "two", "TRAIN_WORKERS: expected a number of processes, found two"),
        ("TRAIN_WORKERS", "0", "TRAIN_WORKERS: expected a number of processes, found 0"),
        ("TRAIN_EXECUTOR", "slurm", "TRAIN_EXECUTOR: expected processes or ray, found slurm"),
    ],
)
def test_what_the_shell_cannot_mean_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    """Before anything is started."""
    monkeypatch.setenv(name, value)
    with pytest.raises(PipelineError, match=f"^{message}$"):
        Team.of_shell()


def test_members_and_parts_do_not_both_multiply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members side by side that each start processes are refused; one of both is not."""
    monkeypatch.setattr(ray_cluster, "check", lambda address: None)
    many: Spec = toy_spec(ensemble=2)
    there = Workers(1, "ray", "head:6379")
    team_fits.check(many, Workers(1), Team(2, there))
    for members in (Workers(2), there):
        team_fits.check(many, members, Team(1))
        team_fits.check(toy_spec(), members, Team(3))
        with pytest.raises(PipelineError, match=r"TRAIN_WORKERS: expected 1 where .* found 3"):
            team_fits.check(many, members, Team(3))


def test_an_address_that_is_not_this_machines_is_one_line() -> None:
    """It listens at the one that the cluster knows it by, or not at all."""
    with team_fits._listening("127.0.0.1") as server:
        assert server.getsockname()[0] == "127.0.0.1"
    with (
        pytest.raises(
            PipelineError, match=r"^train: expected an address of .* 203\.0\.113\.1: Cannot"
        ),
        team_fits._listening("203.0.113.1"),
    ):
        pass


def test_a_worker_that_does_not_reach_who_leads_is_named(tmp_path: Path) -> None:
    """The training ends with what the worker found, before it has waited for it."""
    path = tmp_path / "2.json"
    artifacts.write_json(path, {"host": "node-7", "found": "[Errno 113] No route to host"})
    seat = Seat(Experiment(toy_params(), toy_card()), Layout(tmp_path), 2, 3, ("10.0.0.1", 4),
                b"token", path)  # fmt: skip
    left = Queue[tuple[Seat, Path]]()
    team_fits._all_stay(Future(), left)
    left.put((seat, path))
    with pytest.raises(PipelineError) as found:
        team_fits._all_stay(Future(), left)
    assert str(found.value) == (
        "train: worker 3 of 3 (node-7): expected to reach who leads, at 10.0.0.1:4, found: "
        "[Errno 113] No route to host"
    )
    assert "token" not in repr(seat)


def test_more_processes_than_parts_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said; with one part nothing is started."""
    alone = Experiment(toy_params({"train.shards": 1}), toy_card())
    before = {*psutil.Process().children()}
    with team_fits.led(alone, Layout(Path("nowhere")), Team(4)) as leads:
        assert leads is team_fits.ALONE
    assert capsys.readouterr().err == (
        "TRAIN_WORKERS: 1 of 4 processes share the parts of a batch, since train.shards is 1\n"
    )
    assert before.issuperset(psutil.Process().children())  # of others, some may have ended

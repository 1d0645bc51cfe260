"""A training that was interrupted: what it goes on from, and what begins it anew."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.config.experiment import Experiment
from pipeline.experiments.log import Epoch, Log
from pipeline.experiments.resume import resumed
from pipeline.experiments.train import train
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models import boosting
from pipeline.training import checkpoint, fit
from tests.toys import Project, toy_card, toy_params

SETTINGS: dict[str, Any] = {
    "train.loss": "pinball",
    "train.epochs": 3,
    "train.patience": 3,
}
ENSEMBLE: dict[str, Any] = {
    "train.model.input_dropout": 0.3, "train.ensemble": 2, "train.mix": ["linear"]
}  # fmt: skip
AUTO: dict[str, Any] = {"train.mix": "auto", "train.model.input_dropout": "auto"}
RIDGE: dict[str, Any] = {"train.model": {"name": "ridge"}, "train.residual": "none"}


class Killed(BaseException):
    """The end of a process, as far as a training can tell."""


def killed(*_: object) -> None:
    """What a process does when it is ended."""
    raise Killed


class Watched(Log):
    """Counts the epochs it is told, and may end the process in one of them, from 1."""

    def __init__(self, run: str, dies_in: int | None) -> None:
        self.run, self.dies_in = run, dies_in
        self.told: list[int] = []

    def epoch(self, number: int, scores: Epoch) -> None:
        """Count it."""
        self.told.append(number + 1)
        if number + 1 == self.dies_in:
            raise Killed


def trained(
    layout: Layout, changes: dict[str, Any], dies_in: int | None = None, run: str = "first"
) -> Watched:
    """A training of the toy, which keeps its state; what watched it. It may be killed."""
    made: list[Watched] = []

    @contextmanager
    def logging(experiment: Experiment, layout: Layout, before: str) -> Iterator[Watched]:
        made.append(Watched(before or run, dies_in))
        yield made[0]

    experiment = Experiment(toy_params(SETTINGS | changes), toy_card())
    if dies_in is None:
        train(experiment, layout, logging, resumed)
        assert not layout.checkpoint.exists()
    else:
        with pytest.raises(Killed):
            train(experiment, layout, logging, resumed)
    return made[0]


def outputs(layout: Layout) -> list[bytes]:
    """What a training writes."""
    return [path.read_bytes() for path in (layout.weights, layout.model_json, layout.history)]


@pytest.fixture
def every(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of each epoch is written, however short it is."""
    monkeypatch.setattr(checkpoint, "EVERY", 0)


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A toy project whose windows are made."""
    root = tmp_path_factory.mktemp("resume")
    Project(root).write(params=SETTINGS).run("ingest", "impute_scale", "window")
    return Layout(root)


@pytest.mark.usefixtures("every")
def test_an_ensemble_goes_on_to_the_same_files(
    windowed: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed in its first and in its second member: no epoch is trained twice, the run is one."""
    trained(windowed, ENSEMBLE)
    whole = outputs(windowed)
    windowed.weights.unlink()
    assert trained(windowed, ENSEMBLE, dies_in=2).told == [1, 2]
    log = trained(windowed, ENSEMBLE, dies_in=5, run="second")
    assert (log.run, log.told) == ("first", [1, 2, 3, 4, 5])
    assert [file.name for file in sorted(windowed.checkpoint.iterdir())] == [
        "checkpoint.json", "member_1.npz", "member_2.npz",
    ]  # fmt: skip
    log = trained(windowed, ENSEMBLE, run="third")
    assert (log.run, log.told) == ("first", [1, 2, 3, 4, 5, 6])
    assert outputs(windowed) == whole
    said = capsys.readouterr().err.splitlines()
    place = windowed.checkpoint
    assert said == [
        f"train: goes on after epoch {n} of MLflow run first; rm -r {place} begins anew"
        for n in (1, 4)
    ]


@pytest.mark.usefixtures("every")
def test_a_mix_goes_on_to_the_same_files(
    windowed: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed while baselines are tried for auto: the network is there, no epoch comes again."""
    trained(windowed, AUTO)
    whole = outputs(windowed)
    assert b"train.mix" in windowed.model_json.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(boosting, "fit", killed)
        trained(windowed, AUTO, dies_in=99)
    capsys.readouterr()
    monkeypatch.setattr(fit.OnPositions, "train_step", None)
    log = trained(windowed, AUTO, run="second")
    assert (log.run, log.told) == ("first", [1, 2, 3])
    assert "goes on after epoch 3 of MLflow run first" in capsys.readouterr().err
    assert outputs(windowed) == whole


def test_what_differs_begins_anew(windowed: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """Another parameter, other data, other code, another machine, a broken file: one line each."""
    place = windowed.checkpoint

    def anew(words: str, changes: dict[str, Any] = RIDGE) -> None:
        log = trained(windowed, changes, dies_in=1, run="another")
        assert log.run == "another"
        assert re.fullmatch(f"train: begins anew: {words}\n", capsys.readouterr().err)

    trained(windowed, RIDGE, dies_in=1)
    seed = RIDGE | {"train.seed": 2, "train.epochs": 4}
    anew(r"since it was interrupted, train\.epochs was 3, is 4 \(and 1 more\)", seed)
    anew(r"since it was interrupted, train\.epochs was 4, is 3 \(and 1 more\)")

    before = windowed.values.read_bytes()
    windowed.values.write_bytes(before[:-4] + b"\0\0\0\0")
    anew(r"since it was interrupted, data/prepared/values\.npy has changed")
    windowed.values.write_bytes(before)
    anew(r"since it was interrupted, data/prepared/values\.npy has changed")

    for part, key, words in (
        ("files", "pipeline/training", "pipeline/training has changed"),
        ("machine", "version.keras", r"version\.keras was other, is 3\..*"),
        ("machine", "threads", "threads was other, is 2"),
    ):
        kept = artifacts.read_json(place / "checkpoint.json")
        kept["key"][part][key] = "other"
        artifacts.write_json(place / "checkpoint.json", kept)
        anew(f"since it was interrupted, {words}")

    (place / "lstm.npz").write_bytes(b"PK")
    anew(f"{place / 'lstm.npz'}: expected a whole file, found no .npz")
    (place / "checkpoint.json").write_bytes(b"{")
    anew(f"{place / 'checkpoint.json'}: expected a whole file, found Expecting .*")
    trained(windowed, RIDGE)


def test_a_directory_without_its_key_is_emptied(
    windowed: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    """So it looks where a process died as it removed it; nothing is said, nothing goes on."""
    windowed.checkpoint.mkdir()
    (windowed.checkpoint / "lstm.npz").write_bytes(b"rest")
    assert trained(windowed, RIDGE, run="new").run == "new"
    assert "begins anew" not in capsys.readouterr().err


def test_a_baseline_has_no_epoch_to_go_on_from(windowed: Layout) -> None:
    """It is solved at once; interrupted, it goes on in the same run all the same."""
    log = trained(windowed, RIDGE, dies_in=1)
    assert [file.name for file in windowed.checkpoint.iterdir()] == ["checkpoint.json"]
    assert trained(windowed, RIDGE, run="second").run == log.run == "first"

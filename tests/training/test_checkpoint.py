"""A fit that was interrupted goes on to the bytes of one that was not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.experiments.resume import Resume
from pipeline.files import artifacts
from pipeline.models.registry import build
from pipeline.runtime import determinism
from pipeline.training import checkpoint, fit
from pipeline.training.state import About, State, StateFile
from tests.toys import toy_params
from tests.training.test_fit import SCALER, examples, spec

SETTINGS: dict[str, Any] = {
    "train.model.input_dropout": 0.3,
    "train.model.dropout": 0.2,
    "train.schedule": {"name": "cosine"},
    "train.learning_rate": 0.1,
    "train.loss": "mse",
    "train.epochs": 9,
    "train.patience": 2,
}


class Killed(BaseException):
    """The end of a process, as far as a fit can tell."""


def fitted(
    changes: dict[str, Any], file: StateFile | None = None, dies_in: int | None = None
) -> tuple[bytes, list[fit.Epoch]]:
    """Every variable of a network fitted to the wave, and the history.

    Killed in an epoch, from 0, before its state is kept; an epoch that comes again is none.
    """
    train = toy_params(SETTINGS | changes).train
    made = spec().model_copy(update={"model": train.model})
    told: list[fit.Epoch] = []

    def on_epoch(epoch: int, scores: fit.Epoch) -> None:
        assert epoch == len(told)
        told.append(scores)
        if epoch == dies_in:
            raise Killed

    determinism.settle(train.seed)
    network = build(made, SCALER)
    history = fit.fit(network, examples(), train, on_epoch, file=file)
    assert told == [{k: v for k, v in epoch.items() if k != "kept"} for epoch in history]
    return b"".join(np.asarray(variable).tobytes() for variable in network.variables), history


@pytest.fixture
def every(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of each epoch is written, however short it is."""
    monkeypatch.setattr(checkpoint, "EVERY", 0)


@pytest.mark.usefixtures("every")
@pytest.mark.parametrize(
    ("changes", "deaths"),
    [
        pytest.param({}, (0, 1, 4), id="adam, cosine, stops early"),
        pytest.param(
            {"train.acceleration": "xla", "train.epochs": 5},
            (1, 3),
            id="xla",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"train.optimizer": "rmsprop", "train.schedule": {"name": "constant"}},
            (2, 3),
            id="rmsprop",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_fit_goes_on_to_the_same_bytes(
    changes: dict[str, Any], deaths: Sequence[int], tmp_path: Path
) -> None:
    """Killed in one epoch after another: weights, random numbers, history are those of one fit."""
    whole, history = fitted(changes)
    assert len(history) >= 5
    file = StateFile(tmp_path / "lstm.npz", "this")
    for epoch in deaths:
        with pytest.raises(Killed):
            fitted(changes, file, dies_in=epoch)
        kept = file.read()
        assert (len(kept.about.epochs) if kept else 0) == epoch
    assert fitted(changes, file) == (whole, history)
    kept = file.read()
    assert kept is not None
    assert kept.about.ended


@pytest.mark.usefixtures("every")
def test_a_fit_that_was_done_trains_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights come back from the file, such as those of an ensemble's earlier members."""
    file = StateFile(tmp_path / "member_1.npz", "this")
    whole = fitted({}, file)
    monkeypatch.setattr(fit.OnPositions, "train_step", None)
    assert fitted({}, file) == whole


def test_a_short_epoch_is_passed_over_and_the_last_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing takes no more than a fiftieth of the time, whatever the disk."""
    written: list[int] = []
    clock = iter(range(1000))
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(
        StateFile, "write", lambda _, state: written.append(len(state.about.epochs))
    )
    _, history = fitted({"train.patience": 9}, StateFile(tmp_path / "lstm.npz", "this"))
    assert written == [1, len(history)]
    assert checkpoint.EVERY >= 50


def test_a_full_disk_does_not_end_a_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says that it will not go on from here, and it is said once."""
    monkeypatch.setattr(checkpoint, "EVERY", 0)

    def full(path: Path) -> Any:
        raise PipelineError(f"{path.name}: could not be written: No space left on device")

    monkeypatch.setattr(artifacts, "replacing", full)
    assert fitted({}, StateFile(tmp_path / "lstm.npz", "this")) == fitted({})
    assert capsys.readouterr().err == (
        "warning: lstm.npz: could not be written: No space left on device; the training goes on, "
        "but will not from here if it is killed\n"
    )


ABOUT = About(
    of="this", epochs=({"train/loss": 0.1 + 0.2},), best=1 / 3, best_epoch=0, wait=0, ended=False,
    seconds=1.5,
)  # fmt: skip
STATE = State(ABOUT, [np.arange(12, dtype=np.float32), np.array([1, 2], np.uint32)], [np.eye(3)])


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Every number to its last digit, every array with its type; of something else it is none."""
    StateFile(tmp_path / "a.npz", "this").write(STATE)
    found = StateFile(tmp_path / "a.npz", "this").read()
    assert found is not None
    assert found.about == ABOUT
    for one, other in ((found.variables, STATE.variables), (found.best, STATE.best)):
        assert [a.tobytes() for a in one] == [a.tobytes() for a in other]
        assert [a.dtype for a in one] == [a.dtype for a in other]
    assert StateFile(tmp_path / "a.npz", "that").read() is None
    assert StateFile(tmp_path / "b.npz", "this").read() is None
    assert Resume().file("lstm") is None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-30], id="cut short"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"other", id="other bytes"),
        pytest.param(lambda data: data.replace(b"\x00\x00\x80?", b"\x00\x00\x81?"), id="a bit"),
    ],
)
def test_a_broken_state_is_found(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Cut short, emptied or with a flipped bit it is not gone on from; the line names the file."""
    file = StateFile(tmp_path / "a.npz", "this")
    file.write(STATE)
    before = file.path.read_bytes()
    file.path.write_bytes(damage(before))
    assert file.path.read_bytes() != before
    with pytest.raises(PipelineError, match=r"a\.npz: expected a whole file, found "):
        file.read()

"""A batch cut in parts: what they add up to, whoever computes them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Client
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.errors import PipelineError
from pipeline.models.registry import build
from pipeline.runtime import determinism
from pipeline.training import fit, team
from pipeline.training.parts import InParts, check_states
from pipeline.training.team import Alone, Hello, Leader, Worker, in_order
from tests.toys import Project, toy_params
from tests.training.test_fit import SCALER, examples, spec

_ = np.nan
DROPS = {"train.model.input_dropout": 0.3, "train.model.dropout": 0.2}


def in_parts(shards: int, changes: dict[str, Any] | None = None, data: Any = None) -> InParts:
    """A network cut in parts, in its first epoch."""
    changes = {"train.batch_size": 7, "train.shards": shards} | (changes or {})
    settings = toy_params(changes).train
    determinism.settle(1)
    network = build(spec().model_copy(update={"model": settings.model}), SCALER)
    trained = fit.compiled(network, data or examples(), settings)
    assert isinstance(trained, InParts)
    trained.shuffle.next_epoch()
    return trained


def sums(trained: InParts, part: int, first: int = 0, windows: int = 7) -> Any:
    """What one part adds."""
    given = tf.constant(first, tf.int64), tf.constant(windows), tf.constant(part)
    return trained.sums(*given).numpy()


@pytest.mark.parametrize("loss", ["mse", "huber", "pinball"])
def test_parts_add_up_to_the_whole_batch(loss: str) -> None:
    """Of 13 windows in parts of 5, 5 and 3, gradients, loss and count are the batch's, to rounding.

    The batch's are those of the mean loss over its observed targets, some of which are missing.
    """
    quantiles = {"train.loss": loss, "train.loss_weights": "persistence"}
    settings = toy_params(quantiles).train
    made = spec().model_copy(update={"quantiles": settings.forecasts})
    determinism.settle(1)
    network, data = build(made, SCALER), examples()
    cut = toy_params(quantiles | {"train.batch_size": 13, "train.shards": 3}).train
    trained: Any = fit.compiled(network, data, cut)
    trained.shuffle.next_epoch()
    assert trained.each == 5
    total = in_order([sums(trained, part, windows=13) for part in range(3)])
    rows = trained.train_rows(trained.shuffle(tf.range(13, dtype=tf.int64)))
    observed = trained.observed(rows)
    count = int(np.isfinite(observed).sum())
    assert total[-1] == count < 26
    with tf.GradientTape() as tape:
        whole = trained.masked(observed, network(trained.inputs(rows), training=True))
    flat = [np.ravel(g) for g in tape.gradient(whole, network.trainable_variables)]
    np.testing.assert_allclose(total[:-2] / count, np.concatenate(flat), rtol=1e-4, atol=1e-6)
    assert total[-2] / count == pytest.approx(float(whole), rel=1e-5)


def test_a_part_without_targets_adds_nothing() -> None:
    """Where all of its targets are missing, or the epoch's last batch has no window for it."""
    trained = in_parts(4)
    assert not sums(trained, 3, windows=5).any()
    assert sums(trained, 1, windows=5).any()
    missing = replace(examples(), targets=np.full((60, 1), _, np.float32))
    trained = in_parts(2, data=missing)
    assert not sums(trained, 0).any()
    before = np.concatenate([np.ravel(w) for w in trained.network.get_weights()])
    trained.train_step(tf.range(7, dtype=tf.int64))
    after = np.concatenate([np.ravel(w) for w in trained.network.get_weights()])
    np.testing.assert_array_equal(after, before)


def test_dropout_follows_from_update_and_part() -> None:
    """Another part and the next update drop other units; the same one drops the same again."""
    data = replace(examples(), train=np.repeat(9, 35))  # so that all parts see the same windows
    trained = in_parts(2, {"train.batch_size": 6, **DROPS}, data)
    first, second = (sums(trained, part, windows=6) for part in (0, 1))
    assert (first != second).any()
    np.testing.assert_array_equal(sums(trained, 0, windows=6), first)
    trained.optimizer.iterations.assign(1)
    assert (sums(trained, 0, windows=6) != first).any()


def test_a_fit_in_parts_repeats_to_the_byte() -> None:
    """Batches that parts do not divide, dropout: two runs give the same weights and history."""

    def fitted() -> tuple[bytes, list[fit.Epoch]]:
        settings = toy_params({"train.batch_size": 7, "train.shards": 2, "train.epochs": 2} | DROPS)
        determinism.settle(1)
        network = build(spec().model_copy(update={"model": settings.train.model}), SCALER)
        history = fit.fit(network, examples(), settings.train)
        return b"".join(array.tobytes() for array in network.get_weights()), history

    assert fitted() == fitted()


def test_sums_are_added_in_the_parts_order() -> None:
    """In float32 1e8 + 1 - 1e8 is 0 and 1e8 - 1e8 + 1 is 1."""
    rows = np.array([[1e8], [1], [-1e8]], np.float32)
    assert in_order(rows).tolist() == [0]
    assert in_order(rows[[0, 2, 1]]).tolist() == [1]


TOKEN = b"a token"


def hello(place: int = 1, **about: Any) -> Hello:
    """What a worker says."""
    return Hello(place=place, host="there", process=7, about=about)


@contextmanager
def gathering(
    check: Any = lambda who, about: None, count: int = 2
) -> Iterator[tuple[tuple[str, int], list[Any]]]:
    """A leader that waits for one worker, or more: its address, and what became of it."""
    found: list[Any] = []

    def gather(server: socket.socket) -> None:
        try:
            found.append(team.gather(server, count, TOKEN, check, lambda: None))
        except PipelineError as error:
            found.append(error)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=gather, args=(server,))
        thread.start()
        yield server.getsockname(), found
        thread.join(10)
        assert not thread.is_alive()


def test_a_team_comes_to_one_sum() -> None:
    """Of five parts the leader has 0, 2, 4 and the worker 1, 3; both get the sum in order."""
    own = np.array([[1e8], [1], [-1e8], [2], [4]], np.float32)
    with gathering() as (address, found):
        worker = team.join(address, TOKEN, hello(), 2)
    leader = found[0]
    shares = [one.parts(5) for one in (leader, worker)]
    assert [list(share) for share in shares] == [[0, 2, 4], [1, 3]]
    told: list[Any] = []
    thread = threading.Thread(target=lambda: told.append(worker.total(own[shares[1]])))
    thread.start()
    total = leader.total(own[shares[0]])
    thread.join()
    assert total.tolist() == told[0].tolist() == Alone().total(own).tolist() == [6]


def test_who_is_lost_is_named() -> None:
    """The other end closed, or silent for too long: one line, at once or after the wait."""
    with gathering() as (address, found):
        worker = team.join(address, TOKEN, hello(), 2)
    assert isinstance(worker, Worker) and isinstance(found[0], Leader)
    [link] = found[0].links
    team._settle(link.connection, 1)
    with pytest.raises(
        team.LostError, match=r"worker 2 of 2 \(there, process 7\).*no answer in ti"
    ):
        link.receive()
    worker.link.close()
    with pytest.raises(team.LostError, match=r"worker 2 of 2 \(there, process 7\): .*its end"):
        link.receive()


def test_strangers_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with another token and one that says nothing; the worker is taken in all the same."""
    monkeypatch.setattr(team, "HANDSHAKE", 1)
    with gathering() as (address, found):
        with socket.create_connection(address), pytest.raises(team.NobodyError):
            team.join(address, b"another token", hello(), 2)
        worker = team.join(address, TOKEN, hello(), 2)
    assert isinstance(found[0], Leader)
    assert worker.place == 1
    with pytest.raises(OSError):  # nobody listens any more
        Client(address, authkey=TOKEN)
    with pytest.raises(team.NobodyError, match="Connection refused"):
        team.join(address, TOKEN, hello(), 2)


def test_who_goes_before_all_are_there_may_come_again() -> None:
    """The team is whole once all are there at the same time; the second start has the place."""
    with gathering(count=3) as (address, found):
        team.join(address, TOKEN, hello(1), 3).link.close()
        other = team.join(address, TOKEN, hello(2), 3)
        again = team.join(address, TOKEN, hello(1), 3)
    found[0].tell(b"begin")
    assert [worker.link.receive() for worker in (again, other)] == [b"begin", b"begin"]


def test_a_worker_that_differs_is_named() -> None:
    """What the leader says against it is the training's line."""

    def check(who: str, about: dict[str, Any]) -> None:
        raise PipelineError(f"train: {who}: {about['keras']}")

    with gathering(check) as (address, found):
        team.join(address, TOKEN, hello(keras="3.14"), 2)
    assert str(found[0]) == "train: worker 2 of 2 (there, process 7): 3.14"


def test_workers_that_do_not_come_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a while, and the wait for them ends."""
    monkeypatch.setattr(team, "SOON", 0)
    monkeypatch.setattr(team, "START", 0.5)
    with gathering(count=3) as (address, found):
        worker = team.join(address, TOKEN, hello(2), 3)
    assert "expected 2 workers at the same time within 0.5 seconds, found 1" in str(found[0])
    assert capsys.readouterr().err == (
        "train: waits for worker 2, worker 3 of 3, at most 0.5 seconds in all\n"
    )
    worker.link.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train.shards": 0}, "train.shards: expected greater than or equal to 1"),
        ({"train.shards": 9, "train.batch_size": 8}, "train.shards: expected at most train.batch_"
         "size (8), found 9"),
        ({"train.shards": 2, "train.acceleration": "xla"}, "train.shards: expected 1 with "
         "train.acceleration xla"),
        ({"train.shards": 2, "train.model": {"name": "ridge"}, "train.residual": "none"},
         "train.shards: expected 1 with train.model.name ridge"),
        ({"train.shards": 2, "train.members": [{}, {"train.shards": 3}]},
         "expected no train.shards, since all members are cut"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_is_refused(
    project: Project, changes: dict[str, Any], words: str
) -> None:
    """Before anything runs, in one line."""
    said = project.write(params=changes).refused("ingest")
    assert words in said
    assert "\n" not in said


def test_a_batch_has_a_window_for_each_part() -> None:
    """Where training has fewer windows than a batch, that is known once they are counted."""
    few = replace(examples(), train=np.arange(5, 8))
    with pytest.raises(PipelineError, match=r"at most the 3 windows of a batch, found 4"):
        in_parts(4, data=few)


def test_states_that_parts_would_change_are_refused() -> None:
    """A network with a state of its own, which no order of the parts could share."""
    network = tf.keras.Sequential([tf.keras.layers.BatchNormalization(name="norm")])
    network.build((None, 3))
    with pytest.raises(PipelineError, match=r"train.shards: expected 1 with a network that has st"):
        check_states(network, "train.shards: expected 1", "the parts of a batch")

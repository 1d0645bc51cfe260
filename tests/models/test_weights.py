"""Files of weights: there is room for them, and they have the bytes that HDF5 writes to a disk."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pipeline.models import weights
from pipeline.models.baselines import BY_NAME, FittedBaseline
from pipeline.models.mix import Mixed
from pipeline.models.registry import build
from pipeline.preparation.scaling import Scale, Scaler
from tests.toys import shaped, toy_params, toy_spec

SCALER = Scaler(columns={"level": Scale()})


def on_disk(path: Path, content: bytes | None = None) -> h5py.File:
    """What `weights.writing` stands for."""
    return h5py.File(path, "a" if content else "w")


@pytest.mark.parametrize("members", [1, 3])
def test_a_file_has_room_and_the_bytes_of_one_made_on_disk(
    members: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network, an ensemble, either with baselines mixed in, and a baseline by itself."""
    network: Any = build(toy_spec(ensemble=members, **shaped(toy_params())), SCALER)
    random = np.random.default_rng(1)
    ridge, persistence = (
        FittedBaseline(toy_spec(model=BY_NAME[name]), SCALER) for name in ("ridge", "persistence")
    )
    ridge.learned = {"kernel": random.random((97, 3)), "alpha": random.random(1)}
    mixed = Mixed(network, [ridge, persistence], random.random((2, 3)), random.random(0))
    memory, disk = tmp_path / "memory.weights.h5", tmp_path / "disk.weights.h5"

    with monkeypatch.context() as patch:
        patch.setattr(network, "save_weights", lambda _: None)
        weights.save(network, memory)
    room = memory.stat().st_size
    weights.save(network, memory)
    assert room >= memory.stat().st_size
    network.save_weights(disk)
    assert memory.read_bytes() == disk.read_bytes()
    written = mixed.save, ridge.save_weights
    for write in written:
        write(memory)
        with monkeypatch.context() as patch:
            patch.setattr(weights, "writing", on_disk)
            write(disk)
        assert memory.read_bytes() == disk.read_bytes()

"""This project's networks for a case of the benchmarks, as its registry builds them."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config.params import Train
from pipeline.data.windows import Rows, Runs, one_run
from pipeline.files.records import parse
from pipeline.models.registry import build
from pipeline.models.spec import Spec
from pipeline.preparation.scaling import Scale, Scaler
from pipeline.training.batches import Examples, gatherers, lookup, order
from pipeline.training.shuffle import Shuffle


def ours(case: dict[str, Any]) -> tuple[keras.Model, Examples, Train]:
    """A network with fresh weights, random windows for `steps` batches an epoch, and settings."""
    model = {name: case[name] for name in ("units", "activation", "segment") if name in case}
    train = parse(
        {
            "seed": 1,
            "model": {"name": case["kind"], **model},
            "residual": "none",
            "loss": "mse",
            "optimizer": "adam",
            "learning_rate": 0.001,
            "batch_size": case["batch"],
            "epochs": 1_000_000,  # until the other side has measured enough
            "patience": 1_000_000,
            "acceleration": case.get("acceleration", "none"),
        },
        Train,
        "case",
    )
    names = tuple(f"column_{i}" for i in range(case["features"]))
    look_back, horizon = case["look_back"], case["horizon"]
    spec = Spec(
        dataset="random", inputs=names, features=names, targets=names[:1], look_back=look_back,
        horizon=horizon, model=train.model, residual=train.residual,
        normalisation=train.normalisation,
    )  # fmt: skip
    windows = case["batch"] * case["steps"]
    series = np.random.default_rng(1).normal(size=(windows + look_back + horizon, len(names)))
    features = series.astype(np.float32)
    first, targets = look_back - 1, features[:, :1].copy()
    train_span, other = (one_run(range(first, first + count)) for count in (windows, 1))
    examples = Examples(features, targets, train_span, other, look_back, horizon)
    return build(spec, Scaler(columns={name: Scale() for name in names})), examples, train


def epoch(
    examples: Examples, batch_size: int, seed: int
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """The batches of the first epoch, ([B, L, F], [B, H, K]), as training gathers them."""
    rows, shuffle = lookup(examples.train), Shuffle(len(examples.train), seed)
    windows, observed = gatherers(examples)
    shuffle.next_epoch()
    for positions in order(examples.train, batch_size):
        origins = rows(shuffle(positions))
        yield windows(origins).numpy(), observed(origins).numpy()


def batches(examples: Examples, origins: Rows | Runs, batch_size: int) -> tf.data.Dataset:
    """Batches of windows and targets, ([B, L, F], [B, H, K]), in order: to look at once."""
    row_at, (windows, observed) = lookup(origins), gatherers(examples)

    def batch(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = row_at(positions)
        return windows(rows), observed(rows)

    return order(origins, batch_size).map(batch)

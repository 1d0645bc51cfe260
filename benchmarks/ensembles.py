"""Part 10: what the members of an ensemble cost when it forecasts, by both backends."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from benchmarks.measure import ROUNDS, Row, in_turn, row
from pipeline.config.params import DECILES, Recurrent
from pipeline.forecasting.backends import Backend, load
from pipeline.models.registry import build
from pipeline.models.spec import Spec
from pipeline.models.task import Model, Seen, forecasts
from pipeline.preparation.scaling import Scale, Scaler

MEMBERS, ORIGINS = (1, 2, 5, 10), (1, 1024)
BACKENDS: tuple[Backend, ...] = ("tensorflow", "numpy")
LOOK_BACK, HORIZON, FEATURES = 24, 24, 16


def rows(quick: bool) -> Iterator[Row]:
    """Two LSTM(64) over 24 rows of 16 features, 24 steps ahead, nine quantiles; fresh weights.

    A forecast from one origin costs what 256 do: so many are made at once, whatever is asked.
    """
    names = tuple(f"column_{i}" for i in range(FEATURES))
    scaler = Scaler(columns={name: Scale() for name in names})
    count = max(ORIGINS) + LOOK_BACK + HORIZON
    walk = np.random.default_rng(1).normal(size=(count, FEATURES)).astype(np.float32)
    times = pd.date_range("2000-01-01", periods=count, freq="1h")
    seen = Seen(times, walk, walk[:, :1].astype(float))
    sizes = MEMBERS[:2] if quick else MEMBERS
    with tempfile.TemporaryDirectory() as folder:
        made = {
            (backend, size): model
            for size in sizes
            for backend, model in _models(size, names, scaler, Path(folder))
        }
        for origins in ORIGINS:
            rows_from = np.arange(LOOK_BACK, LOOK_BACK + origins)
            programs = {
                f"{backend}, {size} members" if size > 1 else f"{backend}, 1 network": _seconds(
                    model, seen, rows_from
                )
                for (backend, size), model in made.items()
            }
            in_turn(programs, 1)
            for name, seconds in in_turn(programs, 1 if quick else ROUNDS).items():
                case = f"two LSTM(64), 24 x 16, from {origins:,} origin{'s' * (origins > 1)}"
                yield row("ensembles", case, name, 1000 * median(seconds), "ms")


def _models(
    size: int, names: tuple[str, ...], scaler: Scaler, folder: Path
) -> Iterator[tuple[Backend, Model]]:
    spec = Spec(
        dataset="random", inputs=names, features=names, targets=names[:1], look_back=LOOK_BACK,
        horizon=HORIZON, model=Recurrent(name="lstm", units=(64, 64)), residual="damped",
        normalisation="none", quantiles=DECILES, ensemble=size,
    )  # fmt: skip
    weights = folder / f"{size}.weights.h5"
    build(spec, scaler).save_weights(weights)
    for backend in BACKENDS:
        yield backend, load(spec, scaler, weights, backend)


def _seconds(model: Model, seen: Seen, origins: np.ndarray) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        forecasts(model, seen, origins)
        return time.perf_counter() - start

    return seconds

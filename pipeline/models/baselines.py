"""The baselines: what a network must beat to be worth its training. NumPy runs all of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.config.params import Baseline, Naive, Ridge, SeasonalNaive
from pipeline.data.windows import Rows
from pipeline.models.ridge import solve_ridge
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Seen, Task
from pipeline.preparation.scaling import Scaler
from pipeline.runtime.determinism import THREADS


def naive(seasons: Sequence[int]) -> dict[str, Naive | SeasonalNaive]:
    """The naive baselines of a series by name; of several seasons each has its own."""
    names = [f"seasonal_naive_{season}" for season in seasons]
    if len(seasons) == 1:
        names = ["seasonal_naive"]
    seasonal = [SeasonalNaive(name="seasonal_naive", season=season) for season in seasons]
    return {
        "persistence": Naive(name="persistence"),
        **dict(zip(names, seasonal, strict=True)),
        "drift": Naive(name="drift"),
        "last_change": Naive(name="last_change"),
    }


class FittedBaseline:
    """The baseline that a spec names, and what it has learned by `fit`, as arrays."""

    def __init__(self, spec: Spec, scaler: Scaler) -> None:
        self.spec, self.scaler = spec, scaler
        self.model: Any = spec.model
        self.learned: dict[str, npt.NDArray[Any]] = {}

    @classmethod
    def of(cls, model: Baseline, task: Task) -> Self:
        """Another model than the task's own, fitted on it."""
        return cls(task.spec.model_copy(update={"model": model}), task.scaler).fit(task)

    def fit(self, task: Task) -> Self:
        """Learn from the task what is to be learned: most baselines learn nothing."""
        if self.model.name == "drift":
            row = (~np.isnan(task.seen.targets)).argmax(axis=0)
            first = np.take_along_axis(task.seen.targets, row[None], axis=0)[0]
            self.learned = {"first": first, "time": task.seen.times.as_unit("ns").asi8[row]}
        elif isinstance(self.model, Ridge):
            targets = self.scaler.standardise(task.seen.targets, self.spec.targets)
            spans = np.asarray(task.train), np.asarray(task.validation)
            kernel, bias = solve_ridge(
                lambda origins: self.flat_windows(task.seen, origins),
                targets, *spans, self.spec.horizon, self.model.alphas,
            )  # fmt: skip
            self.learned = {"kernel": kernel, "bias": bias}
        return self

    def forecast(self, seen: Seen, origins: Rows) -> Floats:
        """Forecasts in the targets' units, origins [B] -> [B, H, K]."""
        return BASELINES[self.model.name](self, seen, origins)

    def flat_windows(self, seen: Seen, origins: Rows) -> Floats:
        """Windows [B, L * F] as ridge sees them, what a transform has bent straightened."""
        windows = self.scaler.linear(seen.windows(self.spec, origins), self.spec.features)
        flat = windows.reshape(len(origins), self.spec.look_back * len(self.spec.features))
        # float64: normal equations square the condition number, which float32 cannot hold.
        return flat.astype(np.float64)

    def save_weights(self, path: Path) -> None:
        """Write what was learned as HDF5, the same bytes for the same arrays."""
        with h5py.File(path, "w") as file:
            for name, array in self.learned.items():
                file.create_dataset(name, data=array, track_times=False)

    def load_weights(self, path: Path) -> Self:
        """Read what `save_weights` wrote; ValueError if it is another model's."""
        with h5py.File(path) as file:
            self.learned = {name: np.asarray(item) for name, item in file.items()}
        found = {name: array.shape for name, array in self.learned.items()}
        if found != (expected := learned_shapes(self.spec)):
            raise ValueError(f"weights of {found} where model.json has {expected}")
        return self


def learned_shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """The shapes of what a baseline learns, by name."""
    steps, window = spec.horizon * len(spec.targets), spec.look_back * len(spec.features)
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "drift": dict.fromkeys(("first", "time"), (len(spec.targets),)),
        "ridge": {"kernel": (window, steps), "bias": (steps,)},
    }
    return shapes.get(spec.model.name, {})


def persistence(own: FittedBaseline, seen: Seen, origins: Rows) -> Floats:
    """Every step is the last observed value."""
    return np.repeat(seen.known[origins][:, None], own.spec.horizon, axis=1)


def drift(own: FittedBaseline, seen: Seen, origins: Rows) -> Floats:
    """The line from the first value that the fit observed through the last one known at the origin.

    Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 5.2.
    """
    known, last = seen.known[origins], seen.last[origins]  # [B, K]
    times = seen.times.as_unit("ns").asi8
    first = (own.learned["time"] - times[0]) // (times[1] - times[0])  # rows, maybe before these
    rise = (known - own.learned["first"]) / np.maximum(last - first, 1)
    ahead = origins[:, None] + np.arange(1, own.spec.horizon + 1)
    return known[:, None] + (ahead[..., None] - last[:, None]) * rise[:, None]


def last_change(own: FittedBaseline, seen: Seen, origins: Rows) -> Floats:
    """Every step is the last observed value plus the last change."""
    known = seen.known[origins]
    change = known - seen.known[np.maximum(origins - 1, 0)]
    return np.repeat((known + change)[:, None], own.spec.horizon, axis=1)


def seasonal_naive(own: FittedBaseline, seen: Seen, origins: Rows) -> Floats:
    """Each step is the value a whole number of seasons before it, the newest that is known.

    A value missing there is the last observed one before it, or, where there is none, before the
    origin.
    """
    step, season = np.arange(1, own.spec.horizon + 1), own.model.season
    back = step - season * -(-step // season)  # 0 or negative: rows from the origin
    rows = origins[:, None] + back
    then = seen.known[np.maximum(rows, 0)]
    return np.where((rows < 0)[..., None] | np.isnan(then), seen.known[origins][:, None], then)


def ridge(own: FittedBaseline, seen: Seen, origins: Rows) -> Floats:
    """A linear map of all that the window holds."""
    with threadpool_limits(THREADS):
        steps = own.flat_windows(seen, origins) @ own.learned["kernel"] + own.learned["bias"]
    shape = len(origins), own.spec.horizon, len(own.spec.targets)
    return own.scaler.units(steps.reshape(shape), own.spec.targets)


BASELINES: dict[str, Callable[[FittedBaseline, Seen, Rows], Floats]] = {
    "persistence": persistence,
    "drift": drift,
    "last_change": last_change,
    "seasonal_naive": seasonal_naive,
    "ridge": ridge,
}

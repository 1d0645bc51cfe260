"""The baselines: what a network must beat to be worth its training. NumPy runs all of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import ThreadpoolController

from pipeline.config.params import (
    Baseline,
    Boosting,
    Evaluate,
    Linear,
    LinearMap,
    Naive,
    Ridge,
    SeasonalNaive,
    SeasonalRidge,
)
from pipeline.data import windows
from pipeline.data.windows import Rows
from pipeline.files import on_disk
from pipeline.models import boosting, seasonal_ridge, weights
from pipeline.models import linear as linear_maps
from pipeline.models.ridge import Spans, solve_ridge
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Seen, Task
from pipeline.preparation.scaling import Scaler
from pipeline.runtime.determinism import THREADS


def beside(evaluate: Evaluate, seasons: Sequence[int]) -> dict[str, Baseline]:
    """The baselines of a report by name; of several seasons each has its seasonal naive."""
    found: dict[str, Baseline] = {}
    for one in evaluate.baselines:
        if isinstance(one, Baseline):
            found[one.name] = one
        elif one == "seasonal_naive":
            for season in seasons:
                name = one if len(seasons) == 1 else f"{one}_{season}"
                found[name] = SeasonalNaive(name=one, season=season)
        elif one == "seasonal_ridge":
            found[one] = SeasonalRidge(name=one, seasons=tuple(seasons))
        else:
            found[one] = BY_NAME[one]
    return found


class FittedBaseline:
    """The baseline that a spec names, and what it has learned by `fit`, as arrays."""

    def __init__(self, spec: Spec, scaler: Scaler) -> None:
        self.spec, self.scaler = spec, scaler
        self.model: Any = spec.model
        self.learned: dict[str, npt.NDArray[Any]] = {}

    @classmethod
    def of(cls, model: Baseline, task: Task) -> Self:
        """Another model than the task's own, fitted on it."""
        spec = task.spec.model_copy(update={"model": model, "quantiles": None})
        return cls(spec, task.scaler).fit(replace(task, spec=spec))

    def fit(self, task: Task) -> Self:
        """Learn from the task what is to be learned: most baselines learn nothing."""
        if self.model.name == "drift":
            learned = task.seen.beginnings
            if not self.scaler.own:
                learned = learned[0][0], learned[1][0]
            self.learned = dict(zip(("first", "time"), learned, strict=True))
        elif isinstance(self.model, Ridge | Linear):
            spans = np.asarray(task.train), np.asarray(task.validation)
            solve = self._ridge if isinstance(self.model, Ridge) else self._maps
            self.learned = solve(task.seen, task.wanted, spans)
        elif isinstance(self.model, Boosting):
            self.learned = boosting.fit(task, self.model)
        elif isinstance(self.model, SeasonalRidge):
            self.learned = seasonal_ridge.fit(task, self.model)
        return self

    def forecast(self, seen: Seen, origins: Rows) -> Floats:
        """Forecasts in the targets' units, origins [B] -> [B, H, K]."""
        return BASELINES[self.model.name](self, seen, origins)

    def _ridge(self, seen: Seen, wanted: Floats, spans: Spans) -> dict[str, Floats]:
        def outputs(origins: Rows) -> Floats:
            return windows.ahead(wanted, origins, self.spec.horizon).reshape(len(origins), -1)

        inputs = partial(self.flat_windows, seen)
        kernel, bias = solve_ridge(inputs, outputs, spans, self.model.alphas)
        return {"kernel": kernel, "bias": bias}

    def _maps(self, seen: Seen, wanted: Floats, spans: Spans) -> dict[str, Floats]:
        known = on_disk.by_rows(
            lambda part: self.scaler.standardise(seen.known[part], self.spec.targets),
            seen.known.shape,
            np.float64,
        )
        if self.spec.known_features:
            kernel, _ = solve_ridge(
                lambda rows: self._straight(seen.ahead[rows]),
                lambda rows: wanted[rows],
                spans,
                self.model.alphas,
            )
            self.learned = {"known": kernel}
            known = known - self.told(seen.ahead[seen.last])
            wanted = wanted - self.told(seen.ahead[:, None])
        past, settings = (known, seen.last, wanted), (self.spec.horizon, self.model.alphas)
        behind = [seen.behind(span) for span in spans]
        for name, one, rows in members(self.model, self.spec.look_back):
            whole = [span[b >= rows - 1] for span, b in zip(spans, behind, strict=True)]
            self.learned[name] = linear_maps.fit(one, rows, *past, (whole[0], whole[1]), *settings)
        return self.learned

    def told(self, known: npt.NDArray[np.float32]) -> Floats:
        """What `linear` makes of a row's known columns, [..., 1 or K, G] -> [..., K], standardised.

        Summed one by one: a matrix product's last digits depend on how many rows there are.
        """
        kernel = self.learned["known"]
        straight = self._straight(known)
        made: Floats = sum(straight[..., g] * kernel[g] for g in range(len(kernel)))
        return made

    def _straight(self, known: npt.NDArray[np.float32]) -> Floats:
        """Known columns [..., G] with what a transform has bent straightened."""
        return self.scaler.linear(known, self.spec.known_features).astype(np.float64)

    def flat_windows(self, seen: Seen, origins: Rows) -> Floats:
        """Windows and their steps as ridge sees them, [B, L * F + H * G].

        What a transform has bent is straightened.
        """
        straight = self.scaler.linear(seen.windows(self.spec, origins), self.spec.features)
        flat = straight.reshape(len(origins), self.spec.look_back * len(self.spec.features))
        if self.spec.known_features:
            steps = self._straight(seen.steps(self.spec, origins))
            flat = np.hstack([flat, steps.reshape(len(origins), -1)])
        # float64: normal equations square the condition number, which float32 cannot hold.
        return flat.astype(np.float64)

    def save_weights(self, path: Path) -> None:
        """Write what was learned as HDF5, the same bytes for the same arrays."""
        with weights.writing(path) as file:
            self.save(file)

    def save(self, group: h5py.Group) -> None:
        """Add what was learned to a group of an HDF5 file."""
        for name, array in self.learned.items():
            group.create_dataset(name, data=array, track_times=False)

    def load_weights(self, path: Path) -> Self:
        """Read what `save_weights` wrote; ValueError if it is another model's."""
        with h5py.File(path) as file:
            return self.take({name: np.asarray(item) for name, item in file.items()})

    def take(self, learned: dict[str, npt.NDArray[Any]]) -> Self:
        """Be the baseline that has learned these arrays; ValueError if they are another model's."""
        self.learned = learned
        found = {name: array.shape for name, array in learned.items()}
        if found != (expected := learned_shapes(self.spec, self.scaler)):
            raise ValueError(f"weights of {found} where model.json has {expected}")
        return self


def members(model: Linear, look_back: int) -> list[tuple[str, LinearMap, int]]:
    """Each map of `linear`: its name among what is learned, itself, and the rows it sees."""
    return [
        (f"kernel_{number}", one, one.look_back or look_back)
        for number, one in enumerate(model.members, start=1)
    ]


def learned_shapes(spec: Spec, scaler: Scaler) -> dict[str, tuple[int, ...]]:
    """The shapes of what a baseline learns, by name."""
    if isinstance(spec.model, Linear):
        kernels: dict[str, tuple[int, ...]] = {}
        if spec.known_features:
            kernels["known"] = len(spec.known_features), len(spec.targets)
        for name, one, rows in members(spec.model, spec.look_back):
            kernels[name] = linear_maps.kernel_shape(one, rows, spec.horizon)
        return kernels
    if isinstance(spec.model, SeasonalRidge):
        return seasonal_ridge.shapes(spec, scaler)
    steps, window = spec.horizon * len(spec.targets), spec.look_back * len(spec.features)
    window += spec.horizon * len(spec.known_features)
    each = [len(scaler.own.series)] if scaler.own else []
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "drift": dict.fromkeys(("first", "time"), (*each, len(spec.targets))),
        "ridge": {"kernel": (window, steps), "bias": (steps,)},
        "boosting": boosting.shapes(spec),
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
    value, time = own.learned["first"], own.learned["time"]
    began = seen.each.first(origins)
    if own.scaler.own:  # of many series each has its own; one that is new, its first that is given
        number, names = seen.each.number(origins), list(own.scaler.own.series)
        value, time = (part[number] for part in seen.beginnings)
        for i in np.unique(number):
            if (name := seen.each.names[i]) in own.scaler.own.series:
                place, of = names.index(name), number == i
                value[of], time[of] = own.learned["first"][place], own.learned["time"][place]
    # The row of the first value, maybe before those given.
    begins = pd.DatetimeIndex(np.broadcast_to(time, known.shape).ravel(), tz=seen.times.tz)
    starts = seen.times[began].repeat(known.shape[1])
    first = began[:, None] - seen.step.between(begins, starts).reshape(known.shape)
    rise = (known - value) / np.maximum(last - first, 1)
    ahead = origins[:, None] + np.arange(1, own.spec.horizon + 1)
    return known[:, None] + (ahead[..., None] - last[:, None]) * rise[:, None]


def last_change(own: FittedBaseline, seen: Seen, origins: Rows) -> Floats:
    """Every step is the last observed value plus the last change."""
    known = seen.known[origins]
    change = known - seen.known[np.maximum(origins - 1, seen.each.first(origins))]
    return np.repeat((known + change)[:, None], own.spec.horizon, axis=1)


def seasonal_naive(own: FittedBaseline, seen: Seen, origins: Rows) -> Floats:
    """Each step is the value a whole number of seasons before it, the newest that is known.

    A value missing there is the last observed one before it, or, where there is none, before the
    origin.
    """
    step, season = np.arange(1, own.spec.horizon + 1), own.model.season
    back = step - season * -(-step // season)  # 0 or negative: rows from the origin
    rows = origins[:, None] + back
    first = seen.each.first(origins)[:, None]  # of what is known of the series
    then = seen.known[np.maximum(rows, first)]
    return np.where((rows < first)[..., None] | np.isnan(then), seen.known[origins][:, None], then)


@cache
def threads() -> ThreadpoolController:
    """NumPy's, found once: that takes as long as the forecasts of many windows."""
    return ThreadpoolController()


def ridge(own: FittedBaseline, seen: Seen, origins: Rows) -> Floats:
    """A linear map of all that the window holds, and of what is known ahead of all its steps."""
    with threads().limit(limits=THREADS):
        steps = own.flat_windows(seen, origins) @ own.learned["kernel"] + own.learned["bias"]
    shape = len(origins), own.spec.horizon, len(own.spec.targets)
    return own.scaler.units(steps.reshape(shape), own.spec.targets)


def linear(own: FittedBaseline, seen: Seen, origins: Rows) -> Floats:
    """The mean of the members' maps of each target's own past, its gaps the last value before.

    Where something is known ahead, each target is first regressed on its own row's known columns.
    The maps, which all targets share, forecast what that leaves, and what it makes of each step is
    added: regression with errors that are forecast (Hyndman and Athanasopoulos, Forecasting:
    Principles and Practice, chapter 10).
    """
    made, ahead = [], own.spec.known_features
    for name, one, rows in members(own.model, own.spec.look_back):
        past = linear_maps.past(seen.known, seen.last, origins, rows, seen.behind(origins))
        past = own.scaler.standardise(past, own.spec.targets)
        if ahead:
            rows_seen = linear_maps.rows_seen(origins, rows)
            past = past - own.told(seen.ahead[seen.last[rows_seen]])
        with threads().limit(limits=THREADS):
            made.append(linear_maps.steps(one, own.learned[name], past))
    steps: Floats = np.mean(made, axis=0)
    if ahead:
        steps = steps + own.told(seen.steps(own.spec, origins)[:, :, None])
    return own.scaler.units(steps, own.spec.targets)


BASELINES: dict[str, Callable[[FittedBaseline, Seen, Rows], Floats]] = {
    "persistence": persistence,
    "drift": drift,
    "last_change": last_change,
    "seasonal_naive": seasonal_naive,
    "ridge": ridge,
    "linear": linear,
    "seasonal_ridge": lambda own, *of: seasonal_ridge.forecast(
        own.spec, own.scaler, own.learned, *of
    ),
    "boosting": lambda own, *of: boosting.forecast(own.spec, own.scaler, own.learned, *of),
}
# Those that a name alone tells; a seasonal naive has its season from the card.
BY_NAME: dict[str, Baseline] = {
    "persistence": Naive(name="persistence"),
    "drift": Naive(name="drift"),
    "last_change": Naive(name="last_change"),
    "ridge": Ridge(name="ridge"),
    "linear": Linear(name="linear"),
    "boosting": Boosting(name="boosting"),
}

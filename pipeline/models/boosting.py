"""Gradient boosting: a line from the last value to each step, and trees for what it leaves.

Trees by LightGBM (Ke et al. 2017) with splits drawn at random (Geurts et al. 2006); the step ahead
and the clock of the target's time are among their inputs, so that those of one target share all
steps.
"""

from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.input_names import TERMS
from pipeline.config.params import Boosting
from pipeline.data.windows import Rows
from pipeline.models.ridge import blocks
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Seen, Task
from pipeline.preparation.scaling import Scaler
from pipeline.runtime.extras import lightgbm
from pipeline.runtime.progress import progress

Float32 = npt.NDArray[np.float32]
Learned = dict[str, npt.NDArray[Any]]
EXAMPLES = 75_000  # pairs of window and step to learn from: those side by side tell nearly the same
HELD = 256 * 2**20  # bytes of their inputs, at most
LEAF = 0.003  # of the examples: the least that a leaf holds
PATIENCE = 40  # rounds without a better score on validation
FIXED = {
    "objective": "l2",
    "extra_trees": True,
    "feature_fraction": 0.2,
    "max_bin": 127,
    "deterministic": True,
    "force_col_wise": True,  # stated, since LightGBM would time both ways and take the faster
    # A second thread gains little with so few examples, and waits where cores are busy.
    "num_threads": 1,
    "seed": 1,
    "verbosity": -1,
}


def shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """The shapes of what is learned, by name; LightGBM's text of the trees is one for each target.

    Its name says how many inputs the trees have, so that no other window's are taken for these.
    """
    line = dict.fromkeys(("intercept", "slope", "deviation"), (spec.horizon, len(spec.targets)))
    return line | {f"trees of {_inputs(spec)} inputs": (len(spec.targets),)}


def fit(task: Task, model: Boosting) -> Learned:
    """Learn from pairs of window and step, EXAMPLES at even distances: the arrays of `shapes`.

    Pairs with a missing target are left out. The validation windows decide how many trees are kept.
    """
    spec, seen = task.spec, task.seen
    targets = task.scaler.standardise(seen.targets, spec.targets)
    learned, texts = _lines(task, targets), []
    parts = []
    for origins in (np.asarray(task.train), np.asarray(task.validation)):
        rows, steps = _pairs(spec, origins)
        windows, which = np.unique(rows, return_inverse=True)
        known = np.concatenate(
            [_of_windows(spec, task.scaler, seen, some) for some in blocks(windows)]
        )
        parts.append(
            (rows, steps, known[which], _line(task.scaler, learned, spec, seen, rows, steps))
        )
    with progress("rounds", model.rounds * len(spec.targets)) as tell:
        for k, name in enumerate(spec.targets):
            data = []
            for rows, steps, known, line in parts:
                left = targets[rows + steps, k] - line[:, k]
                there, deviation = ~np.isnan(left), learned["deviation"][steps - 1, k]
                x = np.hstack([known, _of_steps(spec, seen, rows, steps, k)])
                data.append((x[there], (left / deviation)[there], deviation[there] ** 2))
            texts.append(_trees(data, model, lambda name=name: tell(name)))
    *_, trees = shapes(spec)
    return learned | {trees: np.array(texts, np.bytes_)}


def forecast(spec: Spec, scaler: Scaler, learned: Learned, seen: Seen, origins: Rows) -> Floats:
    """Forecasts in the targets' units, origins [B] -> [B, H, K]."""
    rows = np.repeat(origins, spec.horizon)
    steps = np.tile(np.arange(1, spec.horizon + 1), len(origins))
    known = np.repeat(_of_windows(spec, scaler, seen, origins), spec.horizon, axis=0)
    made = _line(scaler, learned, spec, seen, rows, steps)
    *_, trees = shapes(spec)
    for k, text in enumerate(learned[trees]):
        if text:
            x = np.hstack([known, _of_steps(spec, seen, rows, steps, k)])
            left = _booster(bytes(text)).predict(x, num_threads=1)
            made[:, k] += left * learned["deviation"][steps - 1, k]
    return scaler.units(made.reshape(len(origins), spec.horizon, -1), spec.targets)


def _inputs(spec: Spec) -> int:
    """How many inputs the trees have: those of the window and those of the step."""
    features = sum(name not in TERMS for name in spec.features)
    return features * (2 * len(_spans(spec.look_back)) - 1) + 6


def _pairs(spec: Spec, origins: Rows) -> tuple[Rows, Rows]:
    """Origins and steps, from 1, of the examples; every step gets as many."""
    most = min(EXAMPLES, HELD // (4 * _inputs(spec)))
    every = max(-(-len(origins) * spec.horizon // most), 1)
    while gcd(every, spec.horizon) > 1:
        every += 1
    place, step = np.divmod(np.arange(0, len(origins) * spec.horizon, every), spec.horizon)
    return origins[place], step + 1


def _spans(look_back: int) -> list[int]:
    """Rows up to the origin, doubling: 1, 2, 3, 6, 12, 24 and so on to the whole window."""
    spans = [1, 2, *(3 * 2**i for i in range(look_back.bit_length()))]
    return [span for span in spans if span < look_back] + [look_back]


def _of_windows(spec: Spec, scaler: Scaler, seen: Seen, origins: Rows) -> Float32:
    """What an example knows of its window [B, P]: each feature's value at the far end of each span.

    And how far its last value is above the mean of the span, both on a linear scale. The window's
    own calendar is left out: the target's decides.
    """
    spans = np.array(_spans(spec.look_back))
    names = [i for i, name in enumerate(spec.features) if name not in TERMS]
    windows = scaler.linear(seen.windows(spec, origins), spec.features)[:, ::-1, names]
    parts = np.add.reduceat(windows, np.append(0, spans[:-1]), axis=1)  # newest rows first
    means = parts.cumsum(axis=1)[:, 1:] / spans[1:, None].astype(np.float32)
    known = np.concatenate([windows[:, spans - 1], windows[:, :1] - means], axis=1)
    return known.reshape(len(origins), -1)


def _of_steps(spec: Spec, seen: Seen, rows: Rows, steps: Rows, target: int) -> Float32:
    """What an example knows of its step [B, 6]: the step, the clock then, the target at that hour.

    That is its newest value in the window at the same time of day, and of the week; else 0.
    """
    step, name = seen.times[1] - seen.times[0], spec.targets[target]
    times = seen.times[rows] + pd.TimedeltaIndex(steps * step)
    columns = [steps, times.hour + times.minute / 60, times.day_of_week, times.day_of_year]
    for period in (pd.Timedelta("1D"), pd.Timedelta("7D")):
        season, then = period // step, np.zeros(len(rows))
        if name in spec.features and not period % step and 1 < season <= spec.look_back:
            newest = rows + steps - season * -(-steps // season)
            then = seen.features[newest, spec.features.index(name)]
        columns.append(then)
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def _last(scaler: Scaler, spec: Spec, seen: Seen, rows: Rows) -> Floats:
    """The targets' values at origins [B, K], on a linear scale; 0 of one that is no input."""
    features = scaler.linear(seen.features[rows], spec.features)
    last = np.zeros((len(rows), len(spec.targets)))
    for k, name in enumerate(spec.targets):
        if name in spec.features:
            last[:, k] = features[:, spec.features.index(name)]
    return last


def _lines(task: Task, targets: Floats) -> Learned:
    """Of each step and target [H, K]: the least squares line from the last value, and its error."""
    spec, train = task.spec, np.asarray(task.train)
    last = _last(task.scaler, spec, task.seen, train)
    learned = {name: np.zeros(shape) for name, shape in shapes(spec).items() if len(shape) > 1}
    learned["deviation"][:] = 1
    for step, k in np.ndindex(spec.horizon, len(spec.targets)):
        y = targets[train + step + 1, k]
        x, y = last[~np.isnan(y), k], y[~np.isnan(y)]
        if len(y) == 0:
            continue
        apart = x - x.mean()
        spread = np.mean(apart**2)
        slope = np.mean(apart * (y - y.mean())) / spread if spread > 0 else 0.0
        error = np.std(y - slope * x)
        learned["slope"][step, k] = slope
        learned["intercept"][step, k] = y.mean() - slope * x.mean()
        learned["deviation"][step, k] = error if error > 0 else 1.0
    return learned


def _line(
    scaler: Scaler, learned: Learned, spec: Spec, seen: Seen, rows: Rows, steps: Rows
) -> Floats:
    """What the lines forecast [B, K], standardised."""
    last = _last(scaler, spec, seen, rows)
    line: Floats = learned["intercept"][steps - 1] + learned["slope"][steps - 1] * last
    return line


def _trees(data: list[tuple[Float32, Floats, Floats]], model: Boosting, tell: Any) -> str:
    """LightGBM's text of the trees that are best on validation; empty where nothing was observed.

    Args:
        data: of train and validation, inputs [B, P], what to forecast [B] and the weights of
            squared errors on validation [B].
    """
    library = lightgbm()
    (x, y, _), (x_held, y_held, weight) = data
    if len(y) == 0:
        return ""
    settings = FIXED | {
        "learning_rate": model.learning_rate,
        "num_leaves": model.leaves,
        "min_data_in_leaf": max(int(LEAF * len(y)), 1),
    }
    train = library.Dataset(x, y, params=settings)
    held = [train.create_valid(x_held, y_held, weight)] if len(y_held) else []
    stop = [library.early_stopping(PATIENCE, verbose=False)] if held else []
    booster = library.train(
        settings, train, model.rounds, held, callbacks=[lambda _: tell(), *stop]
    )
    text: str = booster.model_to_string(num_iteration=booster.best_iteration)
    return text


@lru_cache(maxsize=1024)
def _booster(text: bytes) -> Any:
    return lightgbm().Booster(model_str=text.decode())

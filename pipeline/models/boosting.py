"""Gradient boosting: a line from the last value to each step, and trees for what it leaves.

Trees by LightGBM (Ke et al. 2017) with splits drawn at random (Geurts et al. 2006). Steps share
them in groups, so that their number grows with the horizon's logarithm; the step ahead and the
clock of the target's time are among their inputs, and what is known ahead of it.
"""

from functools import lru_cache
from itertools import product
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.config.input_names import TERMS
from pipeline.config.params import Boosting
from pipeline.data.windows import Rows
from pipeline.models.ridge import blocks
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Seen, Task
from pipeline.preparation.scaling import Scaler
from pipeline.runtime.determinism import THREADS
from pipeline.runtime.extras import lightgbm
from pipeline.runtime.progress import progress

Float32 = npt.NDArray[np.float32]
Learned = dict[str, npt.NDArray[Any]]
EXAMPLES = 50_000  # pairs of window and step for each group: neighbours tell nearly the same
HELD = 256 * 2**20  # bytes of their inputs, at most
LEAF = 0.006  # of the examples: the least that a leaf holds
MANY = 1024  # forecasts: of fewer a second thread costs more than it gains
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
    """The shapes of what is learned, by name; LightGBM's text of the trees of each group of steps.

    Its name says how many inputs the trees have, so that no other window's are taken for these.
    """
    rows = dict.fromkeys(("intercept", "slope", "deviation"), spec.horizon)
    rows[f"trees of {_inputs(spec)} inputs"] = len(_groups(spec.horizon))
    return {name: (count, len(spec.targets)) for name, count in rows.items()}


def fit(task: Task, model: Boosting) -> Learned:
    """Learn from pairs of window and step, EXAMPLES at even distances: the arrays of `shapes`.

    Pairs with a missing target are left out. The validation windows decide how many trees are kept.
    """
    spec, seen = task.spec, task.seen
    *_, trees = shapes(spec)
    learned = _lines(task) | {trees: np.zeros(shapes(spec)[trees], object)}
    most, columns = _most(spec), len(spec.targets)
    windows = [np.asarray(origins) for origins in (task.train, task.validation)]
    windows = [origins[:: -(-len(origins) // most)] for origins in windows]
    known = [
        np.concatenate([_of_windows(spec, task.scaler, seen, rows) for rows in blocks(origins)])
        for origins in windows
    ]
    with progress("sets of trees", learned[trees].size) as tell:
        for (group, steps), k in product(enumerate(_groups(spec.horizon)), range(columns)):
            data = []
            for origins, of_windows in zip(windows, known, strict=True):
                place, step = _pairs(len(origins), steps, most)
                rows, deviation = origins[place], learned["deviation"][step - 1, k]
                line = _line(spec, task.scaler, learned, seen, rows, step)[:, k]
                left = task.wanted[rows + step, k] - line
                there = ~np.isnan(left)
                x = np.hstack([of_windows[place], _of_steps(spec, seen, rows, step, k)])
                data.append((x[there], (left / deviation)[there], deviation[there] ** 2))
            learned[trees][group, k] = _trees(data, model)
            tell(spec.targets[k])
    return learned | {trees: learned[trees].astype(np.bytes_)}


def forecast(spec: Spec, scaler: Scaler, learned: Learned, seen: Seen, origins: Rows) -> Floats:
    """Forecasts in the targets' units, origins [B] -> [B, H, K]."""
    known, parts = _of_windows(spec, scaler, seen, origins), []
    *_, trees = shapes(spec)
    for texts, steps in zip(learned[trees], _groups(spec.horizon), strict=True):
        rows, step = np.repeat(origins, len(steps)), np.tile(steps, len(origins))
        of_windows = np.repeat(known, len(steps), axis=0)
        made = _line(spec, scaler, learned, seen, rows, step)
        for k, text in enumerate(texts):
            if text:
                x = np.hstack([of_windows, _of_steps(spec, seen, rows, step, k)])
                threads = THREADS if len(x) > MANY else 1
                left = _booster(bytes(text)).predict(x, num_threads=threads)
                made[:, k] += left * learned["deviation"][step - 1, k]
        parts.append(made.reshape(len(origins), len(steps), -1))
    return scaler.units(np.concatenate(parts, axis=1), spec.targets)


def _groups(horizon: int) -> list[range]:
    """Steps that share trees: 1, 2 to 3, 4 to 7 and so on; the first ones differ most."""
    firsts = [2**i for i in range(horizon.bit_length())]
    return [range(first, min(2 * first, horizon + 1)) for first in firsts]


def _inputs(spec: Spec) -> int:
    """How many inputs the trees have: those of the window and those of the step."""
    features = sum(name not in TERMS for name in spec.features)
    return features * (2 * len(_spans(spec.look_back)) - 1) + 6 + len(_plans(spec))


def _plans(spec: Spec) -> list[int]:
    """Which of the channels known ahead the trees see: all but the calendar, which is the clock."""
    return [i for i, name in enumerate(spec.known_features) if name not in TERMS]


def _most(spec: Spec) -> int:
    """Of how many windows, and pairs of a window and a step, the inputs are held."""
    return min(EXAMPLES, HELD // (4 * _inputs(spec)))


def _pairs(windows: int, steps: range, most: int) -> tuple[Rows, Rows]:
    """The place of a window, and a step, of each example; every step gets as many."""
    every = max(-(-windows * len(steps) // most), 1)
    while gcd(every, len(steps)) > 1:
        every += 1
    place, step = np.divmod(np.arange(0, windows * len(steps), every), len(steps))
    return place, step + steps.start


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
    """What an example knows of its step: the step, the clock then, the target at that hour, [B, 6].

    That is its newest value in the window at the same time of day, and of the week; by the calendar
    on the same weekday, or in the same month or week of the year; else 0. What is known ahead of
    the step follows. Where no row tells the next one's time, the clock is that of the origin.
    """
    step, name = seen.step, spec.targets[target]
    times = step.shift(seen.times[rows], steps) if step.tells else seen.times[rows]
    columns = [steps, times.hour + times.minute / 60, times.day_of_week, times.day_of_year]
    for season in (*step.cycles, 0, 0)[:2]:
        then = np.zeros(len(rows))
        if name in spec.features and 1 < season <= spec.look_back:
            newest = rows + steps - season * -(-steps // season)
            then = seen.features[newest, spec.features.index(name)]
        columns.append(then)
    columns += [seen.ahead[rows + steps, plan] for plan in _plans(spec)]
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def _last(spec: Spec, scaler: Scaler, seen: Seen, rows: Rows) -> Floats:
    """The targets' values at origins [B, K], on a linear scale; 0 of one that is no input."""
    features = scaler.linear(seen.features[rows], spec.features)
    last = np.zeros((len(rows), len(spec.targets)))
    for k, name in enumerate(spec.targets):
        if name in spec.features:
            last[:, k] = features[:, spec.features.index(name)]
    return last


def _lines(task: Task) -> Learned:
    """Of each step and target [H, K]: the least squares line from the last value, and its error."""
    spec, train = task.spec, np.asarray(task.train)
    last = _last(spec, task.scaler, task.seen, train)
    of = spec.horizon, len(spec.targets)
    learned = {"intercept": np.zeros(of), "slope": np.zeros(of), "deviation": np.ones(of)}
    for step, k in np.ndindex(spec.horizon, len(spec.targets)):
        y = task.wanted[train + step + 1, k]
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
    spec: Spec, scaler: Scaler, learned: Learned, seen: Seen, rows: Rows, steps: Rows
) -> Floats:
    """What the lines forecast [B, K], standardised."""
    last = _last(spec, scaler, seen, rows)
    line: Floats = learned["intercept"][steps - 1] + learned["slope"][steps - 1] * last
    return line


def _trees(data: list[tuple[Float32, Floats, Floats]], model: Boosting) -> str:
    """LightGBM's text of the trees that are best on validation; empty where nothing was observed.

    Args:
        data: of train and validation, inputs [B, P], what to forecast [B] and the weights of
            squared errors on validation [B].
    """
    (x, y, _), (x_held, y_held, weight) = data
    if len(y) == 0:
        return ""
    library, leaf = lightgbm(), max(int(LEAF * len(y)), 1)
    settings = FIXED | {"learning_rate": model.learning_rate, "num_leaves": model.leaves}
    settings |= {"min_data_in_leaf": leaf}
    train = library.Dataset(x, y, params=settings)
    held = [train.create_valid(x_held, y_held, weight)] if len(y_held) else []
    stop = [library.early_stopping(PATIENCE, verbose=False)] if held else []
    booster = library.train(settings, train, model.rounds, held, callbacks=stop)
    text: str = booster.model_to_string(num_iteration=booster.best_iteration)
    return text


@lru_cache(maxsize=1024)
def _booster(text: bytes) -> Any:
    return lightgbm().Booster(model_str=text.decode())

"""Ridge regression of each step's change since a season before on what else has changed since.

What repeats with the season needs no learning then: few numbers, the same for every step, say what
a change of a plan or a published forecast does. It is a regression on seasonal differences (Box and
Jenkins 1970), in the scale of the inputs, so that a card's transform holds for it; of many series
each has its own. Prices are forecast from such inputs by Lago et al. (2021, arXiv 2008.08004).
"""

from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.params import SeasonalRidge
from pipeline.data.windows import Rows, ahead
from pipeline.models.ridge import solve_ridge
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Seen, Task
from pipeline.preparation.scaling import Scaler

Learned = dict[str, npt.NDArray[np.float64]]


def shapes(spec: Spec, scaler: Scaler) -> dict[str, tuple[int, ...]]:
    """Of what is learned: a map of all series, then of each that has its own, of every target."""
    maps = 1 + len(_series(_own(spec), scaler)), len(spec.targets)
    inputs = len(_own(spec).lags(spec.horizon)) * (1 + len(spec.known_features))
    return {"kernel": (*maps, inputs), "bias": maps}


def fit(task: Task, model: SeasonalRidge) -> Learned:
    """The arrays of `shapes`, each penalty chosen on validation.

    A series without a training window has the map of all.
    """
    spec, seen, names = task.spec, task.seen, list(task.spec.targets)
    targets = task.scaler.transform(pd.DataFrame(seen.targets, columns=names)).to_numpy()
    spans = np.asarray(task.train), np.asarray(task.validation)
    learned = {name: np.zeros(shape) for name, shape in shapes(spec, task.scaler).items()}
    for number, one in enumerate([None, *_series(model, task.scaler)]):
        train, validation = (_of(seen, span, one) for span in spans)
        for k in range(len(names)):
            if not len(train):
                learned["kernel"][number, k] = learned["kernel"][0, k]
                learned["bias"][number, k] = learned["bias"][0, k]
                continue

            def inputs(rows: Rows, k: int = k) -> Floats:
                made, _ = changes(spec, seen, rows)
                return made[:, :, k].reshape(-1, made.shape[-1])

            def outputs(rows: Rows, k: int = k) -> Floats:
                _, before = changes(spec, seen, rows)
                came: Floats = ahead(targets, rows, spec.horizon)[..., k] - before[..., k]
                return came.reshape(-1, 1)

            kernel, bias = solve_ridge(inputs, outputs, (train, validation), model.alphas)
            learned["kernel"][number, k], learned["bias"][number, k] = kernel[:, 0], bias[0]
    return learned


def forecast(spec: Spec, scaler: Scaler, learned: Learned, seen: Seen, origins: Rows) -> Floats:
    """Forecasts in the targets' units, origins [B] -> [B, H, K]."""
    names = ["", *_series(_own(spec), scaler)]
    own = [names.index(name) if name in names else 0 for name in seen.each.names]
    number = np.array(own)[seen.each.number(origins)]
    made, before = changes(spec, seen, origins)
    kernel, bias = learned["kernel"][number][:, None], learned["bias"][number][:, None]
    # One by one: a matrix product's last digits depend on how many rows there are.
    parts = (made[..., p] * kernel[..., p] for p in range(made.shape[-1]))
    return np.asarray(scaler.inverse(before + bias + sum(parts), spec.targets), np.float64)


def changes(spec: Spec, seen: Seen, origins: Rows) -> tuple[Floats, Floats]:
    """What a step is forecast from, [B, H, K, P], and the target a season before it, [B, H, K].

    All is less its value that season before: the target's last value and that of each further
    season, what is known ahead of the step, and that of each further season.
    """
    first, *further = _own(spec).lags(spec.horizon)
    rows = origins[:, None] + np.arange(1, spec.horizon + 1)  # [B, H]
    past = {lag: np.maximum(rows - lag, 0) for lag in (first, *further)}
    own = seen.features[:, spec.positions].astype(np.float64)
    before = own[past[first]]
    made = [own[origins][:, None] - before, *(own[past[lag]] - before for lag in further)]
    if spec.known_features:
        steps = seen.steps(spec, origins).astype(np.float64)
        then = seen.ahead[past[first]].astype(np.float64)
        for known in (steps, *(seen.ahead[past[lag]].astype(np.float64) for lag in further)):
            each = np.moveaxis(known - then, -1, 0)[..., None]  # [G, B, H, 1]
            made += [np.broadcast_to(one, before.shape) for one in each]
    return np.stack(made, axis=-1), before


def _own(spec: Spec) -> SeasonalRidge:
    """The model's own keys."""
    return cast(SeasonalRidge, spec.model)


def _series(model: SeasonalRidge, scaler: Scaler) -> list[str]:
    """The series that have a map of their own, by name."""
    return list(scaler.own.series) if scaler.own and model.by_series else []


def _of(seen: Seen, origins: Rows, name: str | None) -> Rows:
    """A series' own among some origins; all where it has no name."""
    if name is None:
        return origins
    return origins[np.array(seen.each.names)[seen.each.number(origins)] == name]

"""A network's forecast moved towards a linear one, by a share for each step."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from pipeline.data.windows import Rows, ahead
from pipeline.models.baselines import FittedBaseline
from pipeline.models.network import Network
from pipeline.models.ridge import blocks
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Seen, Task, forecasts
from pipeline.runtime.progress import progress

GROUP = "mix"  # of the file of weights, beside what Keras writes


@dataclass(frozen=True)
class Mixed:
    """(1 - share) of a network's or an ensemble's point forecast and share of a linear map's.

    Its quantiles move with the point, so that they still rise.
    """

    network: Network
    linear: FittedBaseline
    shares: Floats  # [H] of linear

    @property
    def spec(self) -> Spec:
        """The network's."""
        return self.network.spec

    @property
    def batch(self) -> int:
        """Windows at a time."""
        return self.network.batch

    def forecast(self, seen: Seen, origins: Rows) -> Floats:
        """Forecasts in the targets' units, origins [B] -> [B, H, K] or [B, H, K, Q].

        The network's alone where a target has no value up to the origin.
        """
        made = self.network.forecast(seen, origins)
        gap = self.linear.forecast(seen, origins) - self.spec.point(made)
        move = np.nan_to_num(self.shares[:, None] * gap)  # [B, H, K]
        moved: Floats = made + (move[..., None] if self.spec.quantiles else move)
        return moved

    def save(self, path: Path) -> None:
        """Add shares and map to the network's weights; the same bytes for the same arrays."""
        with h5py.File(path, "a") as file:
            group = file.create_group(GROUP)
            for name, array in {"shares": self.shares, **self.linear.learned}.items():
                group.create_dataset(name, data=array, track_times=False)


def fit(network: Network, task: Task) -> tuple[Mixed, float]:
    """Fit the map on the task, and on validation how much it is worth at each step.

    Returns:
        The mix, and its RMSE on validation as a part of the network's alone; of targets that are
        standardised.
    """
    spec, seen = task.spec, task.seen
    alone = spec.beside
    linear = FittedBaseline(alone, task.scaler).fit(replace(task, spec=alone))
    parts = blocks(np.asarray(task.validation))

    def standardised() -> Iterator[tuple[Floats, Floats, Floats]]:
        with progress("blocks of the mix", len(parts)) as tell:
            for rows in parts:
                one, other, came = (
                    task.scaler.standardise(values, spec.targets)
                    for values in (
                        spec.point(forecasts(network, seen, rows)),
                        forecasts(linear, seen, rows),
                        ahead(seen.targets, rows, spec.horizon),
                    )
                )
                yield one, other, came
                tell("validation")

    own, left = shares(standardised(), spec.horizon)
    return Mixed(network, linear, own), left


def shares(parts: Iterable[tuple[Floats, Floats, Floats]], horizon: int) -> tuple[Floats, float]:
    """[H] how much of the other forecast is best at each step, by least squares; what that leaves.

    With errors e of the one forecast and g = other - one over all targets that were observed, the
    squared error of e - share * g is least for sum(e g) / sum(g g) (Bates and Granger 1969), which
    is held between 0 and 1.

    Args:
        parts: of forecasts by one, by the other, and what was observed, [N, H, K] each, NaN where
            there is none.

    Returns:
        The shares, and the RMSE with them as a part of the one forecast's alone: 1 where they gain
        nothing.
    """
    along, square, alone = np.zeros((3, horizon))
    for one, other, came in parts:
        gap, error = other - one, came - one
        known = np.isfinite(gap) & np.isfinite(error)
        gap, error = np.where(known, gap, 0), np.where(known, error, 0)
        along += (gap * error).sum(axis=(0, 2))
        square += np.square(gap).sum(axis=(0, 2))
        alone += np.square(error).sum(axis=(0, 2))
    best: Floats = np.divide(along, square, out=np.zeros(horizon), where=square > 0).clip(0, 1)
    with_it = (alone - 2 * best * along + np.square(best) * square).sum()
    return best, float(np.sqrt(max(with_it, 0) / alone.sum())) if alone.any() else 1.0


def load(network: Network, path: Path) -> Mixed:
    """Read what `Mixed.save` wrote; ValueError if it is another model's."""
    spec = network.spec
    with h5py.File(path) as file:
        if GROUP not in file:
            raise ValueError(f"expected a group {GROUP}, found none")
        arrays = {name: np.asarray(item) for name, item in file[GROUP].items()}
    own = arrays.pop("shares", np.zeros(0))
    if own.shape != (spec.horizon,):
        raise ValueError(f"shares of {own.shape} where model.json has {(spec.horizon,)}")
    return Mixed(network, FittedBaseline(spec.beside, network.scaler).take(arrays), own)

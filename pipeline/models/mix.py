"""A network's forecast moved towards those of baselines, by a share of each for each step."""

from collections.abc import Iterable, Iterator, Sequence
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
SHARES = "shares"
WHOLE = 1e5  # how much more it counts that shares add up to 1 than how large the error is


@dataclass(frozen=True)
class Mixed:
    """A network's or an ensemble's point forecast, moved by a share of the way to each baseline's.

    Its quantiles move with the point, so that they still rise.
    """

    network: Network
    others: Sequence[FittedBaseline]
    shares: Floats  # [M, H] of the others; the network has the rest

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
        point = self.spec.point(made)
        for other, own in zip(self.others, self.shares, strict=True):
            gap = other.forecast(seen, origins) - point
            move = np.nan_to_num(own[:, None] * gap)  # [B, H, K]
            made = made + (move[..., None] if self.spec.quantiles else move)
        return made

    def save(self, path: Path) -> None:
        """Add shares and baselines to the network's weights; the same bytes for the same arrays."""
        with h5py.File(path, "a") as file:
            group = file.create_group(GROUP)
            group.create_dataset(SHARES, data=self.shares, track_times=False)
            for other in self.others:
                own = group.create_group(other.model.name)
                for name, array in other.learned.items():
                    own.create_dataset(name, data=array, track_times=False)


def fit(network: Network, task: Task) -> tuple[Mixed, float]:
    """Fit the baselines on the task, and on validation how much each is worth at each step.

    Returns:
        The mix, and its RMSE on validation as a part of the network's alone; of targets that are
        standardised.
    """
    spec, seen = task.spec, task.seen
    others = [
        FittedBaseline(alone, task.scaler).fit(replace(task, spec=alone)) for alone in spec.beside
    ]
    parts = blocks(np.asarray(task.validation))

    def errors() -> Iterator[Floats]:
        with progress("blocks of the mix", len(parts)) as tell:
            for rows in parts:
                came = ahead(task.wanted, rows, spec.horizon)
                made = [spec.point(forecasts(network, seen, rows))]
                made += [forecasts(other, seen, rows) for other in others]
                yield np.stack(
                    [task.scaler.standardise(one, spec.targets) - came for one in made]
                )
                tell("validation")

    own, left = shares(errors(), len(others), spec.horizon)
    return Mixed(network, others, own), left


def shares(parts: Iterable[Floats], count: int, horizon: int) -> tuple[Floats, float]:
    """[M, H] how much of each other forecast is best at each step; what error that leaves.

    With C the mean products of the errors of all forecasts of a step, over targets that were
    observed, the shares w make w' C w least, are at least 0 and add up to 1 (Bates and Granger 1969,
    The Combination of Forecasts; not below 0, as Granger and Ramanathan 1984 discuss).

    Args:
        parts: errors of the network and of the M others, [1 + M, N, H, K] each, NaN where there is
            none.
        count: M.

    Returns:
        The shares of the others, and the RMSE with them as a part of the network's alone: 1 where
        they gain nothing.
    """
    products = np.zeros((horizon, 1 + count, 1 + count))
    for errors in parts:
        known = np.isfinite(errors).all(axis=0)
        there = np.where(known, errors, 0)
        products += np.einsum("anhk,bnhk->hab", there, there)
    best = np.stack([_best(product) for product in products], axis=1)  # [1 + M, H]
    left, alone = np.einsum("ah,hab,bh->", best, products, best), products[:, 0, 0].sum()
    return best[1:], float(np.sqrt(max(left, 0) / alone)) if alone else 1.0


def _best(products: Floats) -> Floats:
    """Shares of each forecast, [1 + M], from the products of their errors."""
    from scipy.optimize import nnls  # what forecasts with NumPy alone has no SciPy

    size = np.trace(products)
    if size == 0:
        return np.eye(len(products))[0]
    values, vectors = np.linalg.eigh(products / size)
    root = np.sqrt(values.clip(0))[:, None] * vectors.T  # whose products they are
    found, _ = nnls(np.vstack([root, np.full(len(root), WHOLE)]), np.append(0 * values, WHOLE))
    own: Floats = found / found.sum()
    return own


def load(network: Network, path: Path) -> Mixed:
    """Read what `Mixed.save` wrote; ValueError if it is another model's."""
    spec = network.spec
    with h5py.File(path) as file:
        if GROUP not in file:
            raise ValueError(f"expected a group {GROUP}, found none")
        group = file[GROUP]
        own = np.asarray(group.get(SHARES, ()))
        if own.shape != (expected := (len(spec.mix), spec.horizon)):
            raise ValueError(f"shares of {own.shape} where model.json has {expected}")
        others = []
        for alone in spec.beside:
            arrays = {key: np.asarray(item) for key, item in group.get(alone.model.name, {}).items()}
            others.append(FittedBaseline(alone, network.scaler).take(arrays))
    return Mixed(network, others, own)

"""A network's forecast moved towards those of baselines, by a share of each for each step."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from pipeline.data.windows import Rows, ahead
from pipeline.models import weights
from pipeline.models.baselines import FittedBaseline
from pipeline.models.network import Network
from pipeline.models.ridge import blocks
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Seen, Task, forecasts
from pipeline.runtime.progress import progress

GROUP = "mix"  # of the file of weights, beside what Keras writes
SHARES, PARTS = "shares", "parts"
WHOLE = 1e5  # how much more it counts that shares add up to 1 than how large the error is
TRIED = np.linspace(0, 1, 11)  # parts of the point's way


@dataclass(frozen=True)
class Mixed:
    """A network's or an ensemble's point forecast, moved by a share of the way to each baseline's.

    Each of its quantiles goes a part of the point's way, on the scale of inputs. The median goes
    all of it, as the shares are those of the best point forecast; what then crosses it is drawn
    back to it, and on either side the others are sorted, which makes no pinball loss larger
    (Chernozhukov, Fernandez-Val and Galichon 2010, Quantile and Probability Curves Without
    Crossing).
    """

    network: Network
    others: Sequence[FittedBaseline]
    shares: Floats  # [M, H] of the others; the network has the rest
    parts: Floats  # [Q] of the point's way, 1 of the median; [0] of a network that forecasts points

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
        moved = self._moved(made, [other.forecast(seen, origins) for other in self.others])
        if not self.spec.quantiles:
            return moved
        return rising(self._quantiles(made, moved, self.parts), self.spec.quantiles.index(0.5))

    def quantiles(self, seen: Seen, origins: Rows) -> Iterator[Floats]:
        """For each of `TRIED`, the quantiles as if all went that part of the way; not sorted."""
        made = forecasts(self.network, seen, origins)
        moved = self._moved(made, [forecasts(other, seen, origins) for other in self.others])
        for part in TRIED:
            yield self._quantiles(made, moved, np.full(made.shape[-1], part))

    def _moved(self, made: Floats, others: Sequence[Floats]) -> Floats:
        """The network's points, moved towards others' [B, H, K]."""
        moved = point = self.spec.point(made)
        for other, own in zip(others, self.shares, strict=True):
            moved = moved + np.nan_to_num(own[:, None] * (other - point))
        return moved

    def _quantiles(self, made: Floats, moved: Floats, parts: Floats) -> Floats:
        """The network's quantiles [B, H, K, Q], moved with the point by parts [Q] of its way."""
        names, scaler = self.spec.targets, self.network.scaler
        way = scaler.scaled(moved, names) - scaler.scaled(self.spec.point(made), names)
        each = scaler.scaled(np.moveaxis(made, -1, 0), names)  # [Q, B, H, K]
        each = each + parts[:, None, None, None] * way
        return np.moveaxis(scaler.inverse(each, names), 0, -1)

    def save(self, path: Path) -> None:
        """Add shares and baselines to the network's weights; the same bytes for the same arrays."""
        with weights.writing(path, path.read_bytes()) as file:
            group = file.create_group(GROUP)
            for name, array in {SHARES: self.shares, PARTS: self.parts}.items():
                group.create_dataset(name, data=array, track_times=False)
            for other in self.others:
                other.save(group.create_group(other.model.name))


def rising(quantiles: Floats, middle: int) -> Floats:
    """Quantiles [..., Q] none of which cross; the one in the middle is as it was."""
    center = quantiles[..., middle : middle + 1]
    below = np.sort(np.minimum(quantiles[..., :middle], center))
    above = np.sort(np.maximum(quantiles[..., middle + 1 :], center))
    return np.concatenate([below, center, above], axis=-1)


def fit(network: Network, task: Task) -> tuple[list[FittedBaseline], Floats]:
    """Fit the baselines of the spec's mix on the task; how they and the network err on validation.

    Returns:
        The baselines, M of them, and what `products` makes of the errors of the network and theirs;
        of targets that are standardised.
    """
    spec, seen = task.spec, task.seen
    others = [
        FittedBaseline(alone, task.scaler).fit(replace(task, spec=alone)) for alone in spec.beside
    ]

    def errors() -> Iterator[Floats]:
        for rows in _blocks(task):
            came = ahead(task.wanted, rows, spec.horizon)
            made = [spec.point(forecasts(network, seen, rows))]
            made += [forecasts(other, seen, rows) for other in others]
            yield np.stack([task.scaler.standardise(one, spec.targets) - came for one in made])

    return others, products(errors(), 1 + len(others), spec.horizon)


def spread(mixed: Mixed, task: Task) -> Mixed:
    """With the part of the way of each quantile that has the least pinball loss on validation.

    The median goes all of it. Of parts that are as good the smallest.
    """
    spec = task.spec
    if not spec.quantiles:
        return mixed
    level = np.array(spec.quantiles)
    losses = np.zeros((len(TRIED), len(level)))
    for rows in _blocks(task):
        came = ahead(task.wanted, rows, spec.horizon)  # [B, H, K]
        for place, made in enumerate(mixed.quantiles(task.seen, rows)):
            scaled = task.scaler.standardise(np.moveaxis(made, -1, 0), spec.targets)
            miss = np.moveaxis(came - scaled, 0, -1)  # [B, H, K, Q]
            losses[place] += np.nansum(np.maximum(level * miss, (level - 1) * miss), axis=(0, 1, 2))
    parts = np.where(level == 0.5, 1, TRIED[losses.argmin(axis=0)])
    return replace(mixed, parts=parts)


def _blocks(task: Task) -> Iterator[Rows]:
    """The validation origins, some at a time, with a bar."""
    parts = blocks(np.asarray(task.validation))
    with progress("blocks of the mix", len(parts)) as tell:
        for rows in parts:
            yield rows
            tell("validation")


def products(parts: Iterable[Floats], count: int, horizon: int) -> Floats:
    """[H, A, A] the sums of products of the errors of A forecasts at each step.

    Over targets of which all have a forecast, and which were observed.

    Args:
        parts: errors, [A, N, H, K] each, NaN where there is none.
        count: A.
    """
    found = np.zeros((horizon, count, count))
    for errors in parts:
        known = np.isfinite(errors).all(axis=0)
        there = np.where(known, errors, 0)
        found += np.einsum("anhk,bnhk->hab", there, there)
    return found


def shares(products: Floats, picked: Sequence[int]) -> tuple[Floats, float]:
    """[M, H] how much of each picked forecast is best at each step; what error that leaves.

    With C the products of a step, the shares w make w' C w least, are at least 0 and add up to 1
    (Bates and Granger 1969, The Combination of Forecasts).

    Args:
        products: of the network's errors, which come first, and of others': see `products`.
        picked: M of the others, numbered from 0.

    Returns:
        The shares of those, and the RMSE with them as a part of the network's alone: 1 where they
        gain nothing.
    """
    of = [0, *(1 + number for number in picked)]
    own = products[:, of][..., of]
    best = np.stack([_best(product) for product in own], axis=1)  # [1 + M, H]
    left, alone = np.einsum("ah,hab,bh->", best, own, best), own[:, 0, 0].sum()
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
        own, parts = (np.asarray(group.get(name, 0.0)) for name in (SHARES, PARTS))
        expected = (len(spec.mix), spec.horizon), (len(spec.quantiles or ()),)
        if (found := (own.shape, parts.shape)) != expected:
            raise ValueError(f"shares and parts of {found} where model.json has {expected}")
        others = []
        for alone in spec.beside:
            arrays = {
                key: np.asarray(item) for key, item in group.get(alone.model.name, {}).items()
            }
            others.append(FittedBaseline(alone, network.scaler).take(arrays))
    return Mixed(network, others, own, parts)

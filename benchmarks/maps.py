"""`python -m benchmarks.maps`: linear maps to mix the network of the run in data/ with.

It fits maps of several look-backs, levels and periods, mixes the network with the mean of up to
three of them, as `train.mix` does with the members of `linear`, and prints which sets have the
least product of MSE and MAE on the validation span, standardised. It prints the tables of
docs/tried.md.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.config.params import Linear, LinearMap
from pipeline.config.reading import read_experiment
from pipeline.data.windows import ahead
from pipeline.experiments.task import prepared
from pipeline.files.layout import HERE
from pipeline.forecasting import backends
from pipeline.models import mix
from pipeline.models.baselines import FittedBaseline
from pipeline.models.task import Model, forecasts
from pipeline.reports.formatting import table
from pipeline.runtime import determinism, process
from pipeline.runtime.progress import progress

Errors = npt.NDArray[np.float32]  # [N, H, K] of standardised targets
LOOK_BACKS = 336, 432, 504, 600, 720
PERIODIC = 432, 720  # of the maps that all phases of a day share
MOST = 3  # maps in a set; of that many one is periodic
ALPHAS = tuple(10.0**power for power in range(7))
SHOWN = 6


def candidates() -> list[LinearMap]:
    """The maps."""
    levels: tuple[Literal["last"], Literal["mean"]] = "last", "mean"
    plain = [LinearMap(look_back=rows, less=less) for rows in LOOK_BACKS for less in levels]
    return plain + [
        LinearMap(look_back=rows, less=less, period=24) for rows in PERIODIC for less in levels
    ]


def sets(maps: Sequence[LinearMap]) -> list[tuple[int, ...]]:
    """The sets of maps to try, by their places."""
    found = [own for size in range(1, MOST) for own in combinations(range(len(maps)), size)]
    return found + [
        own
        for own in combinations(range(len(maps)), MOST)
        if sum(maps[place].period is not None for place in own) == 1
    ]


def mixed(network: Errors, other: Errors) -> tuple[float, float]:
    """MSE and MAE of the network with the best share of the other at each step."""
    both = np.stack([network, other]).astype(np.float64)
    shares, _ = mix.shares(mix.products([both], 2, network.shape[1]), [0])
    error = both[0] + shares[0][:, None] * (both[1] - both[0])
    return float(np.mean(error**2)), float(np.mean(np.abs(error)))


def title(own: LinearMap) -> str:
    """A map as `-S` takes it."""
    keys = {"look_back": own.look_back, "less": own.less, "period": own.period}
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items() if value) + "}"


def main() -> None:
    """Print the sets that are best, and how many there were."""
    experiment = read_experiment(HERE)
    determinism.settle(experiment.params.train.seed)
    task = prepared(experiment, HERE)
    model = backends.load(task.spec, task.scaler, HERE.weights, "tensorflow")
    network = model.network if isinstance(model, mix.Mixed) else model
    origins, names = np.asarray(task.validation), task.spec.targets
    came = ahead(task.wanted, origins, task.spec.horizon)

    def errors(own: Model) -> Errors:
        made = task.scaler.standardise(task.spec.point(forecasts(own, task.seen, origins)), names)
        return (made - came).astype(np.float32)

    alone, maps, others = errors(network), candidates(), []
    with progress("maps", len(maps)) as tell:
        for own in maps:
            linear = Linear(name="linear", members=(own,), alphas=ALPHAS)
            others.append(errors(FittedBaseline.of(linear, task)))
            tell(title(own))
    tried, found = sets(maps), []
    with progress("sets", len(tried)) as tell:
        for places in tried:
            mean = np.mean([others[place] for place in places], axis=0)
            mse, mae = mixed(alone, mean)
            found.append((mse * mae, ", ".join(title(maps[place]) for place in places), mse, mae))
            tell(found[-1][1])
    best = sorted(found)[:SHOWN]
    lines = [("none", float(np.mean(alone**2)), float(np.mean(np.abs(alone))))]
    lines += [(f"[{text}]", mse, mae) for _, text, mse, mae in best]
    text = [[name, f"{mse:.4f}", f"{mae:.4f}"] for name, mse, mae in lines]
    print(f"the best {len(best)} of {len(tried)} sets of maps, {task.spec.horizon} steps\n")
    print(table(["mixed with", "MSE", "MAE"], text))


if __name__ == "__main__":
    process.settle()
    main()

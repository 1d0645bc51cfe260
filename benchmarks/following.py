"""`python -m benchmarks.following`: what intervals of the run in data/ are by other rules.

Whose ends are moved alike or each by itself; and whose errors are followed by the quantile tracker
of the report or by adaptive conformal inference (Gibbs and Candes 2021). It prints the tables of
docs/intervals.md.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.reading import read_experiment
from pipeline.data import panel, splits
from pipeline.data.windows import Rows, Runs
from pipeline.evaluation import scoring
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.forecasting import conformal, drift, learning
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.reports.formatting import table
from pipeline.runtime import determinism, process

Floats = npt.NDArray[np.float64]
GRID = (*map(float, range(1, 100)), 99.5, 99.9)  # levels between which the others are drawn
GAINS = 0.005, 0.01, 0.02
RATES = 0.002, 0.005, 0.01
PARTS = 2, 12, 26  # of the calibration span, of which each has intervals of the others' errors
HEADER = ["", "coverage", "by step", "by month", "width", "Winkler", "without end"]


class Alike(conformal.Method):
    """Both ends of a level's interval are moved by the same, of quantiles too."""

    def held(self, share: Fraction, n: int) -> Fraction:
        """What both hold together."""
        return share


def parted(n: int, parts: int, horizon: int) -> Iterator[tuple[Rows, Rows]]:
    """Of n windows in a row those of each part, and those of the others that share no target."""
    rows = np.arange(n)
    for own in np.array_split(rows, parts):
        yield own, np.flatnonzero((rows < own[0] - horizon) | (rows > own[-1] + horizon))


def ends(
    method: conformal.Method,
    made: dict[str, Floats],
    came: dict[str, Floats],
    learned_on: str,
    lowest: Floats,
) -> str:
    """The table of the lowest level's ends: Winkler and coverage by parts, and on test."""
    level, names = method.levels[0], tuple(map(str, range(came["test"].shape[2])))
    learned, seen = made[learned_on], came[learned_on]
    rows = []
    for name, kind in ("each by itself", conformal.Method), ("both alike", Alike):
        how = kind(**method.model_dump())
        told = [name]
        for parts in PARTS:
            bounds = np.empty((2, *seen.shape))
            for own, of in parted(len(seen), parts, seen.shape[1]):
                found = learning.calibrate(how, learned[of], seen[of], names)
                bounds[:, own] = found.bands(learned[own], lowest)[level]
            told.append(short((bounds[0], bounds[1]), seen, level))
        every = learning.calibrate(how, learned, seen, names)
        on_test = every.bands(made["test"], lowest)[level]
        rows.append([*told, short(on_test, came["test"], level)])
    return table(["ends", *(f"in {n} parts" for n in PARTS), "test"], rows)


def short(ends: Sequence[Floats], observed: Floats, level: float) -> str:
    """Winkler's score and coverage."""
    told = scores(ends, observed, np.zeros(len(observed), np.int64), level)
    return f"{told[-1]}, {told[0]}"


def adaptive(
    lows: Floats, highs: Floats, observed: Floats, level: float, rate: float
) -> tuple[Floats, Floats, Floats]:
    """Each window's interval of the level that adaptive conformal inference asks for.

    The level starts as it was promised. A miss raises it by rate * level, a hit lowers it by
    rate * (1 - level); an error h steps ahead is known h rows after its origin.

    Args:
        lows: [GRID, N, H, K] the bounds of each level of GRID, and so highs.
        observed: [N, H, K], NaN where nothing was observed: nothing is learned there.
        level: in percent.
        rate: how fast the level moves.

    Returns:
        Lower and upper bounds [N, H, K], those of the last level of GRID where more is asked for,
        and where 100% or more is: there no interval but one without end would do.
    """
    n, horizon, k = observed.shape
    wanted = np.full((horizon, k), level / 100)
    shares = np.array(GRID) / 100
    places = np.ix_(range(horizon), range(k))
    made, endless = np.empty((2, n, horizon, k)), np.zeros((n, horizon, k))
    for t in range(n):
        steps = np.arange(min(t, horizon))
        before = t - 1 - steps
        y = observed[before, steps]
        missed = ((y < made[0][before, steps]) | (y > made[1][before, steps])) - (1 - level / 100)
        # Where no interval but one without end would do, it would have held the value.
        missed = np.where(endless[before, steps] > 0, level / 100 - 1, missed)
        wanted[steps] += rate * np.where(np.isnan(y), 0, missed)
        endless[t] = wanted >= 1
        above = np.clip(np.searchsorted(shares, wanted), 1, len(shares) - 1)
        part = np.clip((wanted - shares[above - 1]) / (shares[above] - shares[above - 1]), 0, 1)
        for end, bounds in zip(made, (lows, highs), strict=True):
            below, over = bounds[(above - 1, t, *places)], bounds[(above, t, *places)]
            end[t] = below + part * (over - below)
    return made[0], made[1], endless


def scores(
    ends: Sequence[Floats], observed: Floats, months: npt.NDArray[np.int64], level: float
) -> list[str]:
    """Of intervals [N, H, K]: the row of a table from coverage to Winkler."""
    low, high = ends
    known = ~np.isnan(observed)
    inside = np.where(known, (low <= observed) & (observed <= high), np.nan)
    missed = np.maximum(np.maximum(low - observed, observed - high), 0)
    steps = np.nanmean(inside, axis=(0, 2))
    by_month = [np.nanmean(inside[months == month]) for month in np.unique(months)]
    width = (high - low)[known].mean()
    winkler = width + 2 / (1 - level / 100) * missed[known].mean()
    ranges = [f"{min(part):.1%} to {max(part):.1%}" for part in (steps, by_month)]
    return [f"{np.nanmean(inside):.1%}", *ranges, f"{width:.1f}", f"{winkler:.1f}"]


def main() -> None:
    """Print a table for each level."""
    process.settle()
    experiment = read_experiment()
    determinism.settle(experiment.params.train.seed)
    forecaster = Forecaster.load(stage_files(HERE, experiment.dataset))
    seen, spec = prepared(experiment, HERE).seen, forecaster.spec
    series = panel.read(HERE.series, experiment.card).frame
    learned_on = splits.calibrates(experiment.split.ends)
    origins = {
        span: np.asarray(Runs(artifacts.read_array(HERE.origins(span))))
        for span in (learned_on, "test")
    }
    made = {span: forecaster.forecast(seen, rows) for span, rows in origins.items()}
    came = {
        span: scoring.observed(series[list(spec.targets)], rows, spec.horizon)
        for span, rows in origins.items()
    }
    calibrated = artifacts.read_json_record(HERE.calibration, conformal.Calibration)
    grid = learning.calibrate(
        calibrated.method.model_copy(update={"levels": GRID}),
        made[learned_on], came[learned_on], spec.targets,
    ).bands(made["test"])  # fmt: skip
    lows, highs = (np.stack([grid[level][side] for level in GRID]) for side in (0, 1))
    fixed, middle, observed = calibrated.bands(made["test"]), spec.point(made["test"]), came["test"]
    test = origins["test"]
    months = pd.DatetimeIndex(series.index[test]).month.to_numpy()
    lowest = forecaster.lowest
    print("Ends of quantiles, Winkler and coverage of the lowest level:\n")
    print(ends(calibrated.method, made, came, learned_on, lowest))
    for level, bounds in fixed.items():
        rows = {"fixed": [np.maximum(end, lowest) for end in bounds]}
        for gain in GAINS:
            followed = drift.replay({level: bounds}, middle, observed, test, lowest, gain)
            rows[f"tracker, gain {gain:g}"] = [*followed[level]]
        body = [[name, *scores(of, observed, months, level), ""] for name, of in rows.items()]
        for rate in RATES:
            low, high, endless = adaptive(lows, highs, observed, level, rate)
            of = [np.maximum(end, lowest) for end in (low, high)]
            told = scores(of, observed, months, level)
            body.append([f"adaptive, rate {rate:g}", *told, f"{endless.mean():.1%}"])
        print(f"\nOf {level:g}%:\n\n{table(HEADER, body)}")


if __name__ == "__main__":
    main()

"""Train ten seeds for the band of scores that a reproduction on another machine must hit.

It trains the committed parameters with the committed code and writes data/reports/seed_band.json.
Rounding that differs between machines moves a training as another seed does, so a score made
elsewhere is taken for one more draw: the band is the 99 % prediction interval of the next draw,
mean ± t(0.995, n - 1) s sqrt(1 + 1/n).
"""

import argparse
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from pipeline.config.experiment import Experiment
from pipeline.config.params import Params
from pipeline.config.reading import read_experiment, read_params
from pipeline.errors import PipelineError
from pipeline.experiments.search import trial as trials
from pipeline.experiments.search.trial import Trial
from pipeline.experiments.workers import add_arguments, executor, workers_of
from pipeline.files import artifacts
from pipeline.files.layout import HERE, require
from pipeline.files.records import Record
from pipeline.repository import git, provenance
from pipeline.runtime.progress import progress

FILE = HERE.reports / "seed_band.json"
LEAST = 10  # seeds, of a band that anything is compared with
LEVEL = 0.99


class Score(Record):
    """One score by seed and the band that follows."""

    values: tuple[float, ...]
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Score":
        """The prediction interval of the next value."""
        from scipy.stats import t

        n = len(values)
        reach = t.ppf((1 + LEVEL) / 2, n - 1) * np.std(values, ddof=1) * np.sqrt(1 + 1 / n)
        mean = float(np.mean(values))
        return cls(values=tuple(values), low=mean - float(reach), high=mean + float(reach))


class Band(Record):
    """seed_band.json."""

    seeds: Annotated[tuple[int, ...], Field(min_length=LEAST)]
    parameters: dict[str, Any]  # all but the seed
    scores: dict[str, Score]


def read(params: Params) -> Band:
    """The committed band, which must have been made with these parameters."""
    remedy = "make it with: python -m pipeline seed-band; then commit it"
    file = require(FILE, remedy)
    try:
        band = artifacts.read_json_record(file, Band)
    except PipelineError as error:
        raise PipelineError(f"{str(error).split(';')[0]}; {remedy}") from None
    now = parameters(params)
    for name in sorted(now.keys() | band.parameters.keys()):
        if now.get(name) != band.parameters.get(name):
            raise PipelineError(
                f"{FILE}: expected a band for {name} {now.get(name)}, found one for "
                f"{band.parameters.get(name)}; {remedy}"
            )
    return band


def parameters(params: Params) -> dict[str, Any]:
    """What a band holds for: every parameter but the seed and what the report draws.

    The quantiles count where the loss is theirs, the members where there are many.
    """
    without = {"train.seed"} | ({"train.quantiles"} if params.train.loss != "pinball" else set())
    # Which a band of older code does not have.
    plain = {"train.ensemble": 1, "train.members": [], "train.mix": []}
    without |= {name for name, value in plain.items() if params.flat()[name] == value}
    return {
        name: value
        for name, value in params.flat().items()
        if name not in without and not name.startswith("evaluate.")
    }


def scores(file: Path = HERE.summary) -> dict[str, float]:
    """The network's scores in a summary.json, `SPAN/SCORE`, without the counts.

    Skill follows from them and from the baselines' scores, which have no seed.
    """
    summary = artifacts.read_json(file)
    return {
        f"{span}/{name}": value
        for span in ("test", "validation")
        for name, value in summary[span].items()
        if name != "n"
    }


def draw(run: Trial) -> Path:
    """Train and score with one seed, as the stages do; the summary's file."""
    trials.run(run)
    if failed := run.outcome().failed:
        raise PipelineError(failed)
    trials.score(run)
    return run.layout.summary


def _check_committed(experiment: Experiment) -> None:
    """PipelineError unless parameters, card and code are those of the commit."""
    if git.run(Path(), "status", "--porcelain", "--", str(HERE.params)):
        raise PipelineError(f"{HERE.params}: expected it as it is committed; commit it first")
    if provenance.tags(experiment.dataset).get(provenance.DIRTY) != "false":
        raise PipelineError(
            "expected code, card and data as they are committed, found changes (git status); "
            "commit them first"
        )


def main() -> None:
    """Derive the band of scores over seeds; commit what it writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=LEAST, metavar="N", help="how many, from 1 on")
    add_arguments(parser)
    options = parser.parse_args()
    if options.seeds < LEAST:
        raise PipelineError(f"--seeds: expected at least {LEAST}, found {options.seeds}")
    workers = workers_of(options)
    experiment, seeds = read_experiment(), range(1, options.seeds + 1)
    _check_committed(experiment)
    draws: dict[int, dict[str, float]] = {}
    with (
        workers.temporary("seed-band") as place,
        executor(workers) as at,
        progress("seeds", options.seeds) as tell,
    ):
        project = Path().resolve()
        runs = [Trial(place, project, experiment, 0, seed, {}) for seed in seeds]
        for run, summary in at.map(draw, runs):
            made = draws[run.seed] = scores(summary)
            tell(", ".join(f"{k} {v:.4g}" for k, v in made.items() if "test" in k))
    band = Band(
        seeds=tuple(seeds),
        parameters=parameters(read_params()),
        scores={name: Score.of([draws[seed][name] for seed in seeds]) for name in draws[1]},
    )
    artifacts.write_json(FILE, band.model_dump(mode="json"))
    for name, score in band.scores.items():
        print(f"{name}: {score.low:.5g} to {score.high:.5g}")

"""Train ten seeds for the band of scores that a reproduction on another machine must hit.

It trains in a clean clone and writes data/reports/seed_band.json. Rounding that differs between
machines moves a training as another seed does, so a score made elsewhere is taken for one more
draw: the band is the 99 % prediction interval of the next draw, mean ± t(0.995, n - 1) s sqrt(1 +
1/n).
"""

import argparse
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from pipeline.config.params import Params
from pipeline.config.reading import read_params
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE, require
from pipeline.files.records import Record
from pipeline.files.yaml import read_yaml
from pipeline.repository import dvc
from pipeline.reproduction import clean_clone
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
    plain = {"train.ensemble": 1, "train.mix": []}  # which a band of older code does not have
    without |= {name for name, value in plain.items() if params.flat()[name] == value}
    return {
        name: value
        for name, value in params.flat().items()
        if name not in without and not name.startswith("evaluate.")
    }


def scores() -> dict[str, float]:
    """The network's scores in summary.json, `SPAN/SCORE`, without the counts.

    Skill follows from them and from the baselines' scores, which have no seed.
    """
    summary = artifacts.read_json(HERE.summary)
    return {
        f"{span}/{name}": value
        for span in ("test", "validation")
        for name, value in summary[span].items()
        if name != "n"
    }


def main() -> None:
    """Derive the band of scores over seeds; commit what it writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=LEAST, metavar="N", help="how many, from 1 on")
    count = parser.parse_args().seeds
    if count < LEAST:
        raise PipelineError(f"--seeds: expected at least {LEAST}, found {count}")
    params = read_params()
    draws: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="seed-band-") as temporary:
        directory = clean_clone.make(Path(temporary) / "clone")
        knobs = directory / HERE.params
        committed = read_params(knobs)
        if parameters(committed) != parameters(params):
            raise PipelineError("params.yaml: expected it as it is committed; commit it first")
        with progress("seeds", count) as tell:
            for seed in range(1, count + 1):
                tree = read_yaml(knobs)
                tree["train"]["seed"] = seed
                artifacts.write_json(knobs, tree)  # which is YAML too
                dvc.run(directory, "repro")
                with chdir(directory):
                    draws.append(scores())
                tell(", ".join(f"{k} {v:.4g}" for k, v in draws[-1].items() if "test" in k))
    band = Band(
        seeds=tuple(range(1, count + 1)),
        parameters=parameters(committed),
        scores={name: Score.of([draw[name] for draw in draws]) for name in draws[0]},
    )
    artifacts.write_json(FILE, band.model_dump(mode="json"))
    for name, score in band.scores.items():
        print(f"{name}: {score.low:.5g} to {score.high:.5g}")

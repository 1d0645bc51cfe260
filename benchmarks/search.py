"""Part 9: what a trial costs beside its fit, in a warm worker."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import project
from benchmarks.measure import Row, row

TRIALS = 6
SETTINGS = {
    "trials": TRIALS,
    "sampler": "random",
    "ranges": {"train.learning_rate": {"float": [0.001, 0.01], "log": True}},
}


def rows(quick: bool) -> Iterator[Row]:
    """A toy experiment with several learning rates."""
    with tempfile.TemporaryDirectory() as folder:
        directory = project.repository(Path(folder), 2000)
        (directory / "search.yaml").write_text(json.dumps(SETTINGS))  # JSON is YAML
        warm = trials(directory)
        yield row("search", "a trial less fit", "in a warm worker", warm, "s", at_most=2)


def trials(directory: Path) -> float:
    """The median over trials of the seconds beside the fit, without a worker's first."""
    project.command(directory, "python", "-m", "pipeline", "search")
    files = sorted(directory.glob("data/searches/*/trials/*/*/result.json"))
    results = [json.loads(file.read_text()) for file in files]
    return median(one["seconds"] - one["fit_seconds"] for one in results[1:])

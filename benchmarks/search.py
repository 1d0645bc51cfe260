"""Part 9: what a trial costs beside its fit, in a warm worker, and a search beside DVC's queue."""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import project
from benchmarks.measure import Row, row

TRIALS = 6
SETTINGS = {
    "trials": TRIALS,
    "sampler": "random",
    "ranges": {"train.learning_rate": {"float": [0.001, 0.01], "log": True}},
}


def rows(quick: bool) -> Iterator[Row]:
    """A toy experiment with several learning rates, searched and then queued."""
    with tempfile.TemporaryDirectory() as folder:
        directory = project.repository(Path(folder), 2000)
        (directory / "search.yaml").write_text(json.dumps(SETTINGS))  # JSON is YAML
        searched = _seconds(directory, "python", "-m", "pipeline", "search")
        found = results(directory)
        beside = median(one["seconds"] - one["fit_seconds"] for one in found[1:])
        yield row("search", "a trial less fit", "in a warm worker", beside, "s", at_most=2)
        if quick:
            return
        began = time.perf_counter()
        for one in found:
            flags = [
                word for pair in one["changes"].items() for word in ("-S", "=".join(map(str, pair)))
            ]
            project.command(directory, "dvc", "exp", "run", "--queue", *flags)
        project.command(directory, "dvc", "exp", "run", "--run-all")
        queued = time.perf_counter() - began
        case = f"a search of {len(found)} trials"
        yield row(
            "search", case, "dvc exp run --queue", searched / queued, "x its time", at_most=0.5
        )


def results(directory: Path) -> list[dict[str, Any]]:
    """How each trial ended, in their order; the first has started the worker."""
    files = sorted(directory.glob("data/searches/*/trials/*/*/result.json"))
    return [json.loads(file.read_text()) for file in files]


def _seconds(directory: Path, *words: str) -> float:
    began = time.perf_counter()
    project.command(directory, *words)
    return time.perf_counter() - began

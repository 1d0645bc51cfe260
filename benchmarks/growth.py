"""Part 6: seconds and memory of each stage, from ten thousand rows to ten million."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import project
from benchmarks.measure import Row, peak, row

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
LIMIT = 150  # seconds; ten times as many rows are not tried if they might take longer
TRAIN = {"batch_size": 4096}
WINDOW = {"stride": 20}  # so that the data weigh more than the network


def rows(quick: bool) -> Iterator[Row]:
    """Five stages by decades of rows, and how they grow with the last of them."""
    found: dict[str, dict[str, list[float]]] = {
        stage: defaultdict(list) for stage in project.STAGES
    }
    done: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        project.write(directory, train=TRAIN, window=WINDOW)
        for size in SIZES[:1] if quick else SIZES:
            took = [sum(units["s"][i] for units in found.values()) for i in range(len(done))]
            # What depends on the rows is ten times as much; start-up stays.
            if done and took[-1] + 9 * (took[-1] - took[0]) > LIMIT:
                yield Row("growth", "pipeline", f"{size} rows", None, f"not tried: over {LIMIT} s")
                break
            project.write_table(directory, size)
            for stage, units in found.items():
                used = peak(f"pipeline.stages.{stage}", cwd=directory)
                for unit, value in (("s", used["seconds"]), ("MB", used["mb"])):
                    units[unit].append(value)
                    yield row("growth", stage, f"{size} rows", value, unit)
            done.append(size)
    if len(done) < 2:
        return
    step = np.log(done[-1] / done[-2])
    total = {
        unit: np.sum([units[unit] for units in found.values()], axis=0)
        if unit == "s"
        else np.max([units[unit] for units in found.values()], axis=0)
        for unit in ("s", "MB")
    }
    for case, units in (*found.items(), ("pipeline", total)):
        for unit, values in units.items():
            slope = float(np.log(values[-1] / values[-2]) / step)
            decade = f"{done[-2]:,} to {done[-1]:,} rows"
            what = f"exponent of {unit} by rows"
            yield row("growth", f"{case}, {decade}", "ours", slope, what, at_most=1.1)

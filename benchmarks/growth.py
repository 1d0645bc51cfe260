"""Part 6: seconds and memory of each stage, from ten thousand rows to ten million.

Of one series, and of 10 to 1,000 series of ten thousand rows, forecast at one time of day.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import project
from benchmarks.measure import Row, peak, row

LIMIT = 150  # seconds; ten times as many rows are not tried if they might take longer
TRAIN = {"batch_size": 4096}
WINDOW = {"stride": 20}  # so that the data weigh more than the network
OF_A_DAY = {"look_back": 24, "horizon": 24, "stride": 300}
MOST = 3000  # MB, of the largest


def rows(quick: bool) -> Iterator[Row]:
    """Five stages by decades of rows and of series, and how they grow with the last of them."""
    sizes = (10_000, 100_000, 1_000_000, 10_000_000)
    yield from _grown("rows", sizes, project.write_table, quick, train=TRAIN, window=WINDOW)
    settings: dict[str, Any] = {"train": TRAIN, "window": OF_A_DAY, "card": project.PANEL}
    yield from _grown("series", (10, 100, 1000), project.write_panel, quick, **settings)


def _grown(
    of: str,
    sizes: Sequence[int],
    write: Callable[[Path, int], None],
    quick: bool,
    **settings: dict[str, Any],
) -> Iterator[Row]:
    found: dict[str, dict[str, list[float]]] = {
        stage: defaultdict(list) for stage in project.STAGES
    }
    done: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        project.write(directory, **settings)
        for size in sizes[:1] if quick else sizes:
            took = [sum(units["s"][i] for units in found.values()) for i in range(len(done))]
            # What depends on the rows is ten times as much; start-up stays.
            if done and took[-1] + 9 * (took[-1] - took[0]) > LIMIT:
                yield Row("growth", "pipeline", f"{size} {of}", None, f"not tried: over {LIMIT} s")
                break
            write(directory, size)
            for stage, units in found.items():
                used = peak(f"pipeline.stages.{stage}", cwd=directory)
                for unit, value in (("s", used["seconds"]), ("MB", used["mb"])):
                    units[unit].append(value)
                    largest = of == "series" and unit == "MB" and size == sizes[-1]
                    aim = {"at_most": MOST} if largest else {}
                    yield row("growth", stage, f"{size} {of}", value, unit, **aim)
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
            decade = f"{done[-2]:,} to {done[-1]:,} {of}"
            what = f"exponent of {unit} by {of}"
            yield row("growth", f"{case}, {decade}", "ours", slope, what, at_most=1.1)

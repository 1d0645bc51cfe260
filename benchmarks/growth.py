"""Part 6: seconds and memory of each stage by decades of rows, and of series.

Of one series, the largest as Parquet too, and of as many series of a thousand rows, which are
forecast every three hours. Memory is what the machine must have: not what a file on disk holds as
well, which the system takes back whenever it needs room.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import project
from benchmarks.measure import Row, peak, row

ROWS = 1_000_000  # of the largest table; `--rows` asks for another
SERIES = 10_000  # at most
UPDATES, BATCH = 200, 1024  # of the training, whatever there is to learn from
OF_A_DAY = {"look_back": 24, "horizon": 24, "stride": 30}
MOST = 3000  # MB, of the largest
EXPONENT = 1.05
UNITS = {"seconds": "s", "own_mb": "MB"}


def rows(quick: bool) -> Iterator[Row]:
    """Five stages by decades of rows and of series, and how they grow with the last of them."""
    sizes = _decades(10_000, 10_000 if quick else ROWS)
    yield from _grown("rows", sizes, _of_rows)
    yield from _grown("series", _decades(1, 1 if quick else min(ROWS // 1000, SERIES)), _of_series)


def _decades(first: int, last: int) -> list[int]:
    """From first to last, each ten times the one before."""
    return [first * 10**i for i in range(len(str(last // first)))]


def _of_rows(directory: Path, size: int, form: str = "csv") -> None:
    window = {"stride": max(1, size * 8 // 10 // (UPDATES * BATCH))}
    card = {"file": f"walk.{form}"}
    project.write(directory, train={"batch_size": BATCH}, window=window, card=card)
    project.write_table(directory, size, form)


def _of_series(directory: Path, size: int) -> None:
    settings: dict[str, Any] = {"train": {"batch_size": BATCH}, "card": project.PANEL}
    project.write(directory, window=OF_A_DAY, **settings)
    project.write_panel(directory, size)


def _measured(directory: Path, of: str, most: bool) -> Iterator[tuple[str, str, Row]]:
    """The figures of each stage on the table that is there."""
    for stage in project.STAGES:
        used = peak(f"pipeline.stages.{stage}", cwd=directory)
        for key, unit in UNITS.items():
            aim = {"at_most": MOST} if most and unit == "MB" else {}
            yield stage, unit, row("growth", stage, of, used[key], unit, **aim)
        mapped = used["mb"] - used["own_mb"]
        yield stage, "", row("growth", stage, of, mapped, "MB of files on disk beside")


def _grown(of: str, sizes: Sequence[int], write: Callable[[Path, int], None]) -> Iterator[Row]:
    found: dict[str, dict[str, list[float]]] = {
        stage: defaultdict(list) for stage in project.STAGES
    }
    with tempfile.TemporaryDirectory(dir=project.DISK) as folder:
        directory = Path(folder)
        for size in sizes:
            write(directory, size)
            for stage, unit, one in _measured(directory, f"{size} {of}", size == sizes[-1]):
                yield one
                if unit:
                    found[stage][unit].append(one.value or 0)
        if of == "rows":
            yield from _as_parquet(directory, sizes[-1])
    if len(sizes) < 2:
        return
    decade = f"{sizes[-2]:,} to {sizes[-1]:,} {of}"
    for case, units in (*found.items(), ("pipeline", whole(found))):
        for unit, values in units.items():
            what = f"exponent of {unit} by {of}"
            slope = exponent(values)
            yield row("growth", f"{case}, {decade}", "ours", slope, what, at_most=EXPONENT)


def _as_parquet(directory: Path, size: int) -> Iterator[Row]:
    """The same values in a Parquet file, and whether the same comes out to the byte."""
    before = project.digests(directory)
    _of_rows(directory, size, "parquet")
    yield from (one for *_, one in _measured(directory, f"{size} rows of Parquet", most=True))
    after = project.digests(directory)
    differ = [name for name in before if before[name] != after.get(name)]
    case = f"{size} rows: CSV and Parquet"
    yield row("growth", case, "ours", len(differ), f"of {len(before)} files differ", at_most=0)


def whole(found: dict[str, dict[str, list[float]]]) -> dict[str, list[float]]:
    """Of all stages together the seconds, and the memory of the one that takes most."""
    pool: dict[str, Callable[..., Any]] = {"s": np.sum, "MB": np.max}
    return {
        unit: pool[unit]([units[unit] for units in found.values()], axis=0).tolist()
        for unit in UNITS.values()
    }


def exponent(values: Sequence[float]) -> float:
    """By what power of the size the last of values grew, each of ten times the size before."""
    return float(np.log10(values[-1] / values[-2]))

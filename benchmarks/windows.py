"""Part 1: memory, disk and time of `window` and of the training input, by rows and look-back."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.format import open_memmap

from benchmarks import project
from benchmarks.measure import Row, peak, row
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.preparation.imputation import BEYOND
from pipeline.preparation.scaling import Scale, Scaler

LOOK_BACKS = (24, 720)
RIVALS = {
    "loop": "tutorial loop that stacks copies",
    "view": "sliding_window_view and a copy",
    "keras": "keras.utils.timeseries_dataset_from_array",
}
BLOCK = 10_000_000


def rows(quick: bool) -> Iterator[Row]:
    """Peak memory of the stage and of the input: it depends on the rows, not on the look-back."""
    sizes = (10_000, 20_000) if quick else (1_000_000, 10_000_000, 100_000_000)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        base = _peaks(directory, 1_000, 24)
        seconds = []
        for size in sizes:
            found = {look_back: _peaks(directory, size, look_back) for look_back in LOOK_BACKS}
            series = size * 4 / 2**20
            seconds.append(found[720]["window seconds"])
            for what in ("window", "input"):
                case = f"{size:,} rows: {'stage window' if what == 'window' else 'training input'}"
                yield row(
                    "windows", case, "ours, 720 / 24", found[720][what] / found[24][what],
                    "x peak memory", at_most=1.1,
                )  # fmt: skip
                more = max(found[look_back][what] for look_back in LOOK_BACKS) - base[what]
                yield row(
                    "windows", case, "ours, less imports", more, "MB", at_most=2 * series + 200
                )
            disk = found[720]["disk"] / found[24]["disk"]
            yield row("windows", f"{size:,} rows: index", "720 / 24", disk, "x disk", at_most=1.1)
            yield row("windows", f"{size:,} rows: index", "ours", found[720]["disk"], "bytes")
            if size == sizes[0]:
                yield from _rivals(directory, size, found)
        yield row(
            "windows", f"{sizes[-1]:,} rows: stage window", "ours", seconds[-1], "s", at_most=20
        )
        growth = np.log(seconds[-1] / seconds[-2]) / np.log(sizes[-1] / sizes[-2])
        yield row(
            "windows", "stage window", "ours", growth, "exponent of time by rows", at_most=1.1
        )


def _rivals(directory: Path, size: int, ours: dict[int, dict[str, float]]) -> Iterator[Row]:
    """Peak memory of the input as others make it, over ours."""
    for look_back in LOOK_BACKS:
        for name, what in RIVALS.items():
            theirs = peak("benchmarks.training_input", name, str(look_back), cwd=directory)
            case = f"{size:,} rows, look-back {look_back}: training input"
            times = theirs["mb"] / ours[look_back]["input"]
            yield row("windows", case, what, times, "x our peak memory")


def _prepare(directory: Path, size: int) -> None:
    """What impute_scale leaves for a series of one column, a gap in every hundred thousand rows."""
    shutil.rmtree(directory / "data", ignore_errors=True)
    for folder in (HERE.prepared, HERE.series.parent):
        (directory / folder).mkdir(parents=True)
    project.write(directory)
    random = np.random.default_rng(1)
    values = open_memmap(directory / HERE.values, "w+", np.float32, (size, 1))
    state = open_memmap(directory / HERE.imputed, "w+", np.uint8, (size, 1))
    state[50_000::100_000] = BEYOND
    schema = pa.schema({"level": pa.float64(), "time": pa.timestamp("us")})
    with pq.ParquetWriter(directory / HERE.series, schema, use_dictionary=["level"]) as file:
        for start in range(0, size, BLOCK):
            part = slice(start, min(start + BLOCK, size))
            values[part, 0] = random.standard_normal(part.stop - part.start, np.float32)
            times = np.arange(part.start, part.stop) * 10_000_000
            columns = [np.zeros(len(times)), times.astype("datetime64[us]")]
            file.write_table(pa.table(columns, schema=schema))
    scaler = Scaler(columns={"level": Scale()})
    artifacts.write_json(directory / HERE.scaler, scaler.model_dump())


def _peaks(directory: Path, size: int, look_back: int) -> dict[str, float]:
    values = directory / HERE.values
    if not values.exists() or len(np.load(values, mmap_mode="r")) != size:
        _prepare(directory, size)
    project.write(directory, window={"look_back": look_back})
    window = peak("pipeline.stages.window", cwd=directory)
    training_input = peak("benchmarks.training_input", "ours", str(look_back), cwd=directory)
    files = (directory / HERE.windows).iterdir()
    return {
        "window": window["mb"],
        "window seconds": window["seconds"],
        "input": training_input["mb"],
        "disk": sum(file.stat().st_size for file in files),
    }

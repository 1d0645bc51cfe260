"""Part 7: the Forecaster's two backends: windows a second, and start-up to the first forecast."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import project
from benchmarks.measure import ROOT, ROUNDS, Row, in_turn, ratio, row
from pipeline.config.cards import Card
from pipeline.config.params import Params
from pipeline.files import artifacts
from pipeline.files.records import parse
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.forecaster import Forecaster, bundled_files
from pipeline.models.spec import Spec
from pipeline.models.task import Seen
from pipeline.preparation.imputation import Imputer
from pipeline.preparation.scaling import Scale, Scaler

BACKENDS: tuple[Backend, ...] = ("tensorflow", "numpy")
FIRST = """
import sys
from pathlib import Path
import pandas as pd
from pipeline.forecasting.forecaster import Forecaster, bundled_files
from pipeline.runtime import process
process.settle()
forecaster = Forecaster.load(bundled_files(Path(sys.argv[1])), sys.argv[2])
forecaster.predict(pd.read_csv(Path(sys.argv[1]) / "rows.csv", dtype=str))
"""


def rows(quick: bool) -> Iterator[Row]:
    """NumPy beside TensorFlow, for an LSTM(64) over 24 rows of one column."""
    rounds = 1 if quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        files = model(Path(folder))
        made = {backend: Forecaster.load(files, backend) for backend in BACKENDS}
        walk = np.random.default_rng(1).normal(size=(5000, 1)).astype(np.float32)
        seen = Seen(pd.date_range("2000-01-01", periods=5000, freq="10s"), walk, walk.astype(float))
        for batch, calls in ((1, 20), (4096, 2)):
            origins = np.arange(100, 100 + batch)
            programs: dict[str, Callable[[], float]] = {
                backend: _forecasts(forecaster, seen, origins, 1 if quick else calls)
                for backend, forecaster in made.items()
            }
            in_turn(programs, 1)
            measured = in_turn(programs, rounds)
            faster = ratio(measured["tensorflow"], measured["numpy"])
            case = f"windows a second, batch {batch:,}"
            yield row(
                "prediction", case, "NumPy over TensorFlow", faster, "x its speed",
                at_least=3 if batch == 1 else None,
            )  # fmt: skip
        starts: dict[str, Callable[[], float]] = {
            backend: _start(Path(folder), backend) for backend in BACKENDS
        }
        measured = in_turn(starts | {"python": _start(None, "")}, rounds)
        for backend in BACKENDS:
            slower = ratio(measured[backend], measured["python"])
            yield row(
                "prediction", "start-up to first forecast", backend, slower,
                "x python -c 'import pandas'",
            )  # fmt: skip
        faster = ratio(measured["tensorflow"], measured["numpy"])
        yield row(
            "prediction", "start-up to first forecast", "NumPy over TensorFlow", faster,
            "x its speed",
        )  # fmt: skip


def model(directory: Path) -> dict[str, Path]:
    """The files of a Forecaster with fresh weights, and raw rows to forecast from."""
    from pipeline.models.registry import build

    project.write(directory)
    card = parse(project.CARD, Card, "card")
    network = {"name": "lstm", "units": [64]}
    sections = project.PARAMS | {"train": project.PARAMS["train"] | {"model": network}}
    params = parse(sections, Params, "params")
    names = card.inputs
    spec = Spec(
        dataset="walk", inputs=names, features=names, targets=card.targets,
        look_back=params.window.look_back, horizon=params.window.horizon,
        model=params.train.model, residual=params.train.residual,
        normalisation=params.train.normalisation,
    )  # fmt: skip
    scaler = Scaler(columns={"level": Scale()})
    imputer = Imputer(method="ffill", limit=3, season=card.season, means={"level": 0.0})
    files = bundled_files(directory)
    (directory / "data/datasets/walk.yaml").rename(files["card.yaml"])
    for name, record in (("model.json", spec), ("scaler.json", scaler), ("imputer.json", imputer)):
        artifacts.write_json(files[name], record.model_dump(mode="json"))
    build(spec, scaler).save_weights(files["model.weights.h5"])
    times = pd.date_range("2000-01-01", periods=40, freq="10s").astype("str")
    pd.DataFrame({"time": times, "level": np.arange(40.0)}).to_csv(
        directory / "rows.csv", index=False
    )
    return files


def _forecasts(
    forecaster: Forecaster, seen: Seen, origins: np.ndarray, calls: int
) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        for _ in range(calls):
            forecaster.forecast(seen, origins)
        return time.perf_counter() - start

    return seconds


def _start(directory: Path | None, backend: str) -> Callable[[], float]:
    program = [FIRST, str(directory), backend] if directory else ["import pandas"]

    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", *program], cwd=ROOT, check=True, capture_output=True)
        return time.perf_counter() - start

    return seconds

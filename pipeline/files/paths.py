"""Where every artifact is, relative to the repository's root; dvc.yaml names the same places."""

from contextlib import suppress
from pathlib import Path

from pipeline.errors import PipelineError

PARAMS = Path("params.yaml")
CARDS = Path("data/datasets")
RAW = Path("data/raw")
VERSIONS = Path("data/versions.json")

INGESTED = Path("data/ingested")
SERIES = INGESTED / "series.parquet"
QUALITY = INGESTED / "quality.json"

PREPARED = Path("data/prepared")
VALUES = PREPARED / "values.npy"
IMPUTED = PREPARED / "imputed.npy"
IMPUTER = PREPARED / "imputer.json"
SCALER = PREPARED / "scaler.json"

WINDOWS = Path("data/windows")
WINDOWS_QUALITY = WINDOWS / "quality.json"

MODEL = Path("data/model")
MODEL_JSON = MODEL / "model.json"
WEIGHTS = MODEL / "model.weights.h5"

REPORTS = Path("data/reports")
HISTORY = REPORTS / "history.csv"
METRICS = REPORTS / "metrics.json"
SUMMARY = REPORTS / "summary.json"
PREDICTIONS = REPORTS / "predictions.parquet"
PLOTS = REPORTS / "plots"
REPORT = REPORTS / "report.md"


def card(dataset: str) -> Path:
    """The card of a data set: data/datasets/NAME.yaml."""
    return CARDS / f"{dataset}.yaml"


def raw_table(dataset: str, file: str | None = None) -> Path:
    """The raw table of a data set: the card's file in data/raw/NAME, NAME.csv by default."""
    return RAW / dataset / (file or f"{dataset}.csv")


def windows(span: str) -> Path:
    """The start rows of a span's windows: data/windows/SPAN.npy."""
    return WINDOWS / f"{span}.npy"


def require(path: Path, remedy: str) -> Path:
    """The path itself; PipelineError with the remedy if there is no such file, pipe or device."""
    with suppress(OSError):  # a name too long, a directory that may not be entered
        if path.exists() and not path.is_dir():
            return path
    raise PipelineError(f"{path}: no such file; {remedy}")

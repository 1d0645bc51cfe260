"""Where every file of an experiment is; dvc.yaml names the same places."""

import re
from contextlib import suppress
from pathlib import Path

from pipeline.errors import PipelineError


class Layout:
    """The places below two roots: an experiment's outputs, and the project that has its data.

    Without `project` they are one, as in a repository; an experiment that runs beside others has a
    root of its own.
    """

    def __init__(self, root: Path = Path(), project: Path | None = None) -> None:
        self.root, self.project = root, project = root, root if project is None else project
        self.params = project / "params.yaml"
        self.cards = project / "data/datasets"
        self.raw = project / "data/raw"
        self.holidays = project / "data/holidays"
        self.versions = project / "data/versions.json"

        ingested = root / "data/ingested"
        self.series = ingested / "series.parquet"
        self.quality = ingested / "quality.json"

        self.prepared = root / "data/prepared"
        self.values = self.prepared / "values.npy"
        self.imputed = self.prepared / "imputed.npy"
        self.imputer = self.prepared / "imputer.json"
        self.scaler = self.prepared / "scaler.json"

        self.windows = root / "data/windows"
        self.windows_quality = self.windows / "quality.json"
        self.windows_holidays = self.windows / "holidays.json"

        self.model = root / "data/model"
        self.model_json = self.model / "model.json"
        self.weights = self.model / "model.weights.h5"

        self.checkpoint = root / "data/checkpoint"

        self.calibration = root / "data/calibration/calibration.json"
        self.usual = root / "data/calibration/usual.json"

        self.reports = root / "data/reports"
        self.history = self.reports / "history.csv"
        self.metrics = self.reports / "metrics.json"
        self.summary = self.reports / "summary.json"
        self.predictions = self.reports / "predictions.parquet"
        self.by_series = self.reports / "by_series.parquet"
        self.plots = self.reports / "plots"
        self.report = self.reports / "report.md"

    def card(self, dataset: str) -> Path:
        """The card of a data set: data/datasets/NAME.yaml."""
        return self.cards / f"{dataset}.yaml"

    def raw_table(self, dataset: str, file: str | None = None) -> Path:
        """A data set's raw table: the card's file in data/raw/NAME, NAME.csv by default.

        Of several files it is a pattern, such as load-*.csv, which `matching` resolves.
        """
        return self.raw / dataset / (file or f"{dataset}.csv")

    def origins(self, span: str) -> Path:
        """The origins of a span's windows: data/windows/SPAN.npy."""
        return self.windows / f"{span}.npy"


HERE = Layout()


def matching(path: Path) -> list[Path]:
    """The file, pipe or device; or else the files that its name matches as a pattern, by name.

    Numbers in names count as numbers: part 2 comes before part 10.
    """
    with suppress(OSError):  # a name too long, a directory that may not be entered
        if path.exists():
            return [] if path.is_dir() else [path]
        if set("*?[") & set(path.name):
            found = [file for file in path.parent.glob(path.name) if file.is_file()]
            return sorted((file for file in found if file.name[0] != "."), key=_by_number)
    return []


def _by_number(file: Path) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", file.name)
    return [(int(part) if part.isdecimal() else 0, part) for part in parts]


def require(path: Path, remedy: str) -> Path:
    """The path itself; PipelineError with the remedy if there is no such file, pipe or device."""
    if matching(path):
        return path
    raise PipelineError(f"{path}: no such file; {remedy}")

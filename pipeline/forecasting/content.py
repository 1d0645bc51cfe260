"""What a model is, whatever it is called: the digest of its files."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.files import artifacts


def of(files: Mapping[str, Path]) -> str:
    """One sha256 over everything that makes a forecast, by which a run in MLflow is found.

    Nothing where one of them is lacking: whoever reads it says so.
    """
    names = "model.json", "model.weights.h5", "imputer.json", "scaler.json"
    paths = [files[name] for name in names]
    return artifacts.digest(*paths) if all(path.exists() for path in paths) else ""

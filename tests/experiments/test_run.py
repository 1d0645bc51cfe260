"""All of an experiment in one process: the bytes that the stages make, whatever ran before."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.files.layout import Layout
from tests.repositories import NO_STORE, copied, outputs, run, set_params
from tests.toys import from_yaml, to_yaml

# Experiments by what is changed in params.yaml; the first is what the repository has run.
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "baseline": {"train.model": {"name": "ridge"}, "train.residual": "none"},
    "wide": {
        "ingest.dataset": "wide",
        "window.look_back": 4,
        "window.horizon": 2,
    },
    "xla": {
        "train.acceleration": "xla",
        "train.ensemble": 2,
        "train.model": {"name": "lstm", "units": [4], "input_dropout": 0.5},
    },
}
PROGRAM = """
import json, sys
from pathlib import Path
from pipeline.runtime import process
process.settle()
from pipeline import api
for root, changes in json.loads(sys.argv[1]):
    made = api.experiment(changes.pop("ingest.dataset", "toy"), changes)
    api.run(made, root=Path(root))
"""
# What the stage adds.
REPORT = ("data/reports/plots", "data/reports/report.md")


@pytest.fixture(scope="module")
def project(finished_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy repository with a second, wide table beside the one that has run."""
    directory = copied(finished_toy, tmp_path_factory.mktemp("run") / "toy")
    card = from_yaml((directory / "data/datasets/toy.yaml").read_text())
    card |= {
        "layout": "wide",
        "wide": {"column": "level", "times": "T%H%M"},
        "time": {"column": "day", "format": "%Y%m%d"},
        "frequency": "6h",
        "columns": {"level": {}},
        "inputs": ["level"],
        "split": {"train": 0.6, "validation": 0.8, "test": 1.0},
    }
    (directory / "data/datasets/wide.yaml").write_text(to_yaml(card))
    (directory / "data/raw/wide").mkdir()
    days = pd.date_range("2014-01-01", periods=60, freq="D").strftime("%Y%m%d")
    levels = {f"T{hour:02d}00": [(i * 7 + hour) % 11 for i in range(60)] for hour in (0, 6, 12, 18)}
    pd.DataFrame({"day": days} | levels).to_csv(directory / "data/raw/wide/wide.csv", index=False)
    return directory


def in_one_process(project: Path, cases: Iterable[tuple[str, Path]]) -> None:
    """Run the cases one after the other, each below a root of its own."""
    wanted = json.dumps([(str(root), CASES[name]) for name, root in cases])
    run(project, sys.executable, "-c", PROGRAM, wanted, env=NO_STORE)


def by_dvc(project: Path, directory: Path, changes: dict[str, Any]) -> dict[str, bytes]:
    """The bytes that `dvc repro` makes of a case, which is the project's own without changes."""
    clone = copied(project, directory)
    set_params(clone, changes)
    run(clone, "dvc", "repro", env=NO_STORE)
    return outputs(clone)


def made(root: Path) -> dict[str, bytes]:
    """The bytes of every file below a root, by its path."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_process_makes_the_bytes_of_dvc(project: Path, tmp_path: Path) -> None:
    """Whatever ran before: in a row there and back, each pair of neighbours in either order."""
    there = ("wide", "xla", "default", "baseline")
    row = (*there, *there[-2::-1])
    roots = [tmp_path / f"root {place}" for place in range(len(row))]
    in_one_process(project, zip(row, roots, strict=True))
    for case, changes in CASES.items():
        expected = by_dvc(project, tmp_path / case, changes)
        expected = {path: b for path, b in expected.items() if not path.startswith(REPORT)}
        for name, root in zip(row, roots, strict=True):
            assert name != case or made(root) == expected, root


def test_every_file_is_below_the_root(tmp_path: Path) -> None:
    """A layout's outputs lie below its root, what it reads below its project."""
    layout = Layout(tmp_path / "out", tmp_path / "project")
    places = {name: path for name, path in vars(layout).items() if name not in ("root", "project")}
    read = {"params", "cards", "raw", "holidays", "versions"}
    for name, path in places.items():
        assert path.is_relative_to(layout.project if name in read else layout.root), name
    assert Layout(tmp_path).card("a") == tmp_path / "data/datasets/a.yaml"

"""Shared fixtures: toy projects, the committed table, and tables that may not be committed."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from pipeline.config.cards import Card, read_card_file
from pipeline.data import tables
from pipeline.data.sources import reading
from tests import repositories
from tests.toys import ROOT, Project

# The same examples each time, so that what passed once passes again; no deadline on shared cores.
settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("house")

LONGEST = (  # the groups to begin with
    "story",
    "test_pipeline",
    "test_reproducibility",
    "test_tracking_server",
    "test_worked_examples",
)
FILLING = "test_faults"  # many tests with nothing costly to share: where one process has room
ABSENT = "FORECAST_DATA names no folder with"


def pytest_configure(config: pytest.Config) -> None:
    """Ctrl-C does what it does by default, here and in what tests start.

    A shell's background job ignores it, and so does all that it starts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.option.loadscopereorder = False  # xdist takes groups in the order that is made below


def group(item: pytest.Item) -> str:
    """Tests that share a costly fixture go to one process: those of a file, those of the story."""
    return "story" if "story" in getattr(item, "fixturenames", ()) else item.path.stem


def pytest_itemcollected(item: pytest.Item) -> None:
    """Groups as xdist knows them."""
    if group(item) != FILLING:
        item.add_marker(pytest.mark.xdist_group(group(item)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups begin, then those of many tests; what fills gaps comes last."""
    tests = Counter(map(group, items))
    first = {name: place for place, name in enumerate(LONGEST)}
    items.sort(
        key=lambda item: (
            first.get(group(item), len(first)),
            group(item) == FILLING,
            -tests[group(item)],
        )
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A directory with the toy table, its card and parameters."""
    return Project(tmp_path)


@pytest.fixture
def projects(tmp_path: Path) -> Callable[[str], Project]:
    """Makes toy projects by name, each in its own directory."""

    def make(name: str) -> Project:
        directory = tmp_path / name
        directory.mkdir()
        return Project(directory)

    return make


@pytest.fixture(scope="session")
def tracking_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow store for the whole session, since making one takes seconds."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield uri


@pytest.fixture(scope="session")
def finished_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy repository whose pipeline has run, made once for all test processes; copy it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = shared / "toy.made"
    with FileLock(shared / "toy.lock"):
        if not made.exists():
            repositories.finish(shared / "toy")
            made.touch()
    return shared / "toy"


@pytest.fixture(scope="session")
def beijing() -> tuple[Card, pd.DataFrame]:
    """The committed data set: its card and its regular series."""
    card = read_card_file(ROOT / "data/datasets/beijing_pm25.yaml")
    raw = ROOT / "data/raw/beijing_pm25/beijing_pm25.csv"
    reading.verify(raw, card)
    return card, tables.to_series(reading.read_table(raw, card), card, raw.name)


@pytest.fixture
def published() -> Callable[[str], Path]:
    """Finds a table that may not be committed in the folder FORECAST_DATA; else the test skips."""

    def find(name: str) -> Path:
        path = Path(os.environ.get("FORECAST_DATA", "")) / name
        if "FORECAST_DATA" not in os.environ or not path.is_file():
            pytest.skip(f"{ABSENT} {name}")
        return path

    return find


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped for want of published tables."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if ABSENT in report.longrepr[2]
    ]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests skipped for want of load.csv and ETTh1.csv: set FORECAST_DATA "
            "to their folder",
            yellow=True,
        )

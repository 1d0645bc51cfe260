"""Part 5: everything that is not fit: imports, DVC, MLflow, plots."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import project
from benchmarks.measure import ROOT, ROUNDS, Row, in_turn, ratio, row

HEAVY = ("tensorflow", "keras", "mlflow", "matplotlib", "sklearn", "scipy")
# The other two build or run a network, and Keras loads whatever it may draw with.
WITHOUT_NETWORK = {"ingest": set(), "impute_scale": {"sklearn", "scipy"}, "window": set()}
SLOWEST = 3
MAKE = ("make", "-s", "--old-file=setup")  # as a user's, in this interpreter's environment


def rows(quick: bool) -> Iterator[Row]:
    """A toy experiment: what it loads, what five stages cost, and `make` where nothing changed."""
    rounds = 1 if quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        directory = project.repository(Path(folder))
        for stage in project.STAGES[:3]:
            idle = (modules(directory, stage) & set(HEAVY)) - WITHOUT_NETWORK[stage]
            what = ", ".join(HEAVY)
            yield row("overhead", f"{stage} loads in vain", what, len(idle), "of them", at_most=0)
        if quick:
            return
        for stage in project.STAGES:
            for name, share in slowest_imports(f"pipeline.stages.{stage}"):
                yield row("overhead", f"{stage}: imports", name, share, "of their time")

        def version() -> float:
            return _seconds(directory, "dvc", "--version")

        def whole() -> float:
            took = _seconds(directory, "dvc", "repro", "--force")
            return took - project.fit_seconds(directory)

        measured = in_turn({"five stages": whole, "dvc --version": version}, rounds)
        cost = ratio(measured["five stages"], measured["dvc --version"])
        yield row("overhead", "five stages less fit", "dvc --version", cost, "x its time")
        seconds = median(measured["five stages"])
        yield row("overhead", "five stages less fit", "ours", seconds, "s", at_most=12)
        trivial = project.trivial(directory / "trivial")
        for _ in "ab":  # the first writes reference.json, the second finds everything up to date
            project.command(directory, *MAKE)
        measured = in_turn(
            {
                "make": lambda: _seconds(directory, *MAKE),
                "dvc repro": lambda: _seconds(directory, "dvc", "repro"),
                "trivial": lambda: _seconds(trivial, "dvc", "repro"),
                "dvc --version": version,
            },
            rounds,
        )
        cost = ratio(measured["make"], measured["dvc --version"])
        yield row("overhead", "up to date: make", "dvc --version", cost, "x its time", at_most=2.5)
        for program in ("dvc --version", "trivial"):
            cost = ratio(measured["dvc repro"], measured[program])
            name = "a pipeline of one empty stage" if program == "trivial" else program
            yield row("overhead", "up to date: dvc repro", name, cost, "x its time")


def modules(directory: Path, stage: str) -> set[str]:
    """The packages that a stage has loaded by the time it ends."""
    program = (
        f"import json, sys; from pipeline.stages import {stage}; {stage}.main();"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    return set(json.loads(project.command(directory, "python", "-c", program).splitlines()[-1]))


def slowest_imports(module: str) -> list[tuple[str, float]]:
    """The packages whose own modules take the most of a module's import, and their share."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    own: dict[str, float] = {}
    for line in told.splitlines():
        took, _, name = line.removeprefix("import time:").split("|")
        if took.strip().isdigit():
            package = name.strip().split(".")[0]
            own[package] = own.get(package, 0) + int(took)
    whole = sum(own.values())
    largest = sorted(own, key=lambda package: -own[package])[:SLOWEST]
    return [(package, own[package] / whole) for package in largest]


def _seconds(directory: Path, *words: str) -> float:
    start = time.perf_counter()
    project.command(directory, *words)
    return time.perf_counter() - start

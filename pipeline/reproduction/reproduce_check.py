"""Reproduce the committed results from a clean clone and compare; exit 1 if they differ.

On the machine that made them every stage output must have the same bytes. On another one, where
libraries may sum in another order, ingest and window are exact, what impute_scale made and the
baselines' scores are within 1e-6 (shares of forecasts below a bound within 1e-4), and the network's
scores are within the band of seeds.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.reading import read_params
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.reports import terminal
from pipeline.repository import dvc, lockfile
from pipeline.repository.lockfile import Lock
from pipeline.reproduction import clean_clone, committed_results, seed_band

TOLERANCE = 1e-6
# Of shares of forecasts: where a value stands on a bound, a last digit decides on which side it is.
SHARES, SOME = ("below_", "coverage_"), 1e-4
EXACT = ("ingest", "window")  # stages that only read, compare and count


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    output: str
    expected: str
    found: str
    passed: bool
    verdict: str


def same_bytes(
    committed: Lock, made: Lock, stages: tuple[str, ...], directories: dict[str, dict[str, str]]
) -> Iterator[Finding]:
    """Each output of the stages by its md5; of a directory, which of its files differ."""
    for out in (out for stage in stages for out in committed.stages[stage].outs):
        found = made.checksums[out.path]
        passed = found == out.checksum
        verdict = "identical" if passed else "differs"
        if not passed and out.checksum.endswith(".dir"):
            before, now = directories[out.path], committed_results.contents(out.path)
            names = sorted(before.keys() | now.keys())
            changed = [name for name in names if before.get(name) != now.get(name)]
            verdict += f" ({', '.join(changed)})"
        yield Finding(out.path, out.checksum[:12], found[:12], passed, verdict)


def same_numbers(place: Path, expected: dict[str, Any], made: dict[str, Any]) -> Iterator[Finding]:
    """What each key of a file or directory holds, number by number."""
    for key, content in expected.items():
        found = [*_distances(content, made.get(key))]
        shares = [distance for name, distance in found if name.startswith(SHARES)]
        others = [distance for name, distance in found if not name.startswith(SHARES)]
        within, away, passed = [], [], True
        for what, bound, distances in (("", TOLERANCE, others), ("shares ", SOME, shares)):
            if distances:
                within.append(f"{what}within {bound:g}")
                away.append(f"{what}{max(distances):.1e} away")
                passed &= max(distances) <= bound
        verdict = "close" if passed else "too far"
        yield Finding(f"{place}: {key}", ", ".join(within), ", ".join(away), passed, verdict)


def same_counts(expected: dict[str, Any], made: dict[str, Any]) -> Iterator[Finding]:
    """How many targets were scored."""
    for span in ("test", "validation"):
        count, found = expected[span]["n"], made[span]["n"]
        verdict = "identical" if count == found else "differs"
        name = f"{HERE.metrics}: {span}/n"
        yield Finding(name, str(count), str(found), count == found, verdict)


def in_band(band: seed_band.Band, scores: dict[str, float]) -> Iterator[Finding]:
    """The network's scores within what seeds do to them."""
    for name, score in band.scores.items():
        value = scores.get(name, np.nan)
        passed = score.low <= value <= score.high
        expected = f"{score.low:.5g} to {score.high:.5g} ({len(band.seeds)} seeds)"
        output, verdict = f"{HERE.summary}: {name}", "within" if passed else "outside"
        yield Finding(output, expected, f"{value:.5g}", passed, verdict)


def _distances(expected: Any, found: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """The name and the difference of each number of two trees, of large ones as a part of them.

    It is infinite where they differ in shape or in a word.
    """
    if isinstance(expected, list) and isinstance(found, list):
        expected, found = ({str(i): one for i, one in enumerate(of)} for of in (expected, found))
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        for key in expected:
            yield from _distances(expected[key], found[key], key)
    elif isinstance(expected, int | float) and isinstance(found, int | float):
        yield name, abs(expected - found) / max(abs(expected), 1.0)
    else:
        yield name, 0.0 if expected == found else np.inf


def show(findings: list[Finding]) -> None:
    """The table on the terminal."""
    table = terminal.table()
    for heading in ("output", "expected", "found", "verdict"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        style = "" if finding.passed else "bold red"
        table.add_row(finding.output, finding.expected, finding.found, finding.verdict, style=style)
    terminal.show(table)


def check() -> list[Finding]:
    """In a clean clone: say what is being done, run the pipeline, compare."""
    committed = lockfile.read_whole_lock()
    if stale := dvc.stale():
        raise PipelineError(
            f"dvc.lock: expected it to be made from the committed state, found {'; '.join(stale)}; "
            "run: make; then commit"
        )
    expected, metrics = committed_results.read(committed), artifacts.read_json(HERE.metrics)
    here = committed_results.Machine.here()
    difference = expected.machine.difference(here)
    if difference:
        band = seed_band.read(read_params())
        print(f"comparing within bounds, since this is another machine: {difference}")
    else:
        print(
            "comparing bytes, since this machine made the committed results: "
            f"{here.processor}, the same vector instructions, the same requirements.lock"
        )
    dvc.run(Path(), "repro", "--no-run-cache", show=True)
    made = lockfile.read_whole_lock()
    if not difference:
        return [*same_bytes(committed, made, tuple(committed.stages), expected.directories)]
    again = artifacts.read_json(HERE.metrics)
    return [
        *same_bytes(committed, made, EXACT, expected.directories),
        *same_numbers(HERE.prepared, expected.prepared, committed_results.prepared()),
        *same_numbers(HERE.metrics, metrics["baselines"], again["baselines"]),
        *same_counts(metrics, again),
        *in_band(band, seed_band.scores()),
    ]


def main() -> None:
    """Make the committed results again from a clean clone and compare; exit 1 if they differ."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="reproduce-check-") as temporary,
        chdir(clean_clone.make(Path(temporary) / "clone")),
    ):
        findings = check()
    show(findings)
    failed = [finding.output for finding in findings if not finding.passed]
    if failed:
        raise PipelineError(
            f"expected {len(findings)} outputs as committed, found {len(failed)} that are not: "
            f"{', '.join(failed)}"
        )
    print(f"reproduced: {len(findings)} of {len(findings)}")

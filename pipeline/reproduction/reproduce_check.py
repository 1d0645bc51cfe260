"""Reproduce the committed results from a clean clone and compare; exit 1 if they differ.

On the machine that made them every stage output must have the same bytes. On another one, where
libraries may sum in another order, ingest and window are exact, what impute_scale made and the
baselines' scores are within 1e-6, and the network's scores are within the band of seeds.
"""

import argparse
import tempfile
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
from pipeline.reproduction.committed_results import Machine, Reference
from pipeline.reproduction.seed_band import Band

TOLERANCE = 1e-6
EXACT = ("ingest", "window")  # stages that only read, compare and count


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    output: str
    expected: str
    found: str
    verdict: str
    passed: bool = True


def same_bytes(
    committed: Lock, made: Lock, stages: tuple[str, ...], directories: dict[str, dict[str, str]]
) -> list[Finding]:
    """Each output of the stages by its md5; of a directory, which of its files differ."""
    findings = []
    for out in (out for stage in stages for out in committed.stages[stage].outs):
        found = made.checksums[out.path]
        passed = found == out.checksum
        verdict = "identical" if passed else "differs"
        if not passed and out.checksum.endswith(".dir"):
            before, now = directories[out.path], committed_results.contents(out.path)
            names = sorted(before.keys() | now.keys())
            changed = [name for name in names if before.get(name) != now.get(name)]
            verdict += f" ({', '.join(changed)})"
        findings.append(Finding(out.path, out.checksum[:12], found[:12], verdict, passed))
    return findings


def same_numbers(expected: Reference, made: dict[str, Any]) -> list[Finding]:
    """What impute_scale learned and made, number by number."""
    distances = {k: _distance(content, made[k]) for k, content in expected.prepared.items()}
    return [_close(f"{HERE.prepared}: {k}", distance) for k, distance in distances.items()]


def same_rules(expected: dict[str, Any], made: dict[str, Any]) -> list[Finding]:
    """The baselines' scores, and how many targets were scored."""
    findings = []
    for rule, scores in expected["baselines"].items():
        distance = _distance(scores, made["baselines"].get(rule))
        findings.append(_close(f"{HERE.metrics}: {rule}", distance))
    for span in ("test", "validation"):
        count, found = expected[span]["n"], made[span]["n"]
        verdict = "identical" if count == found else "differs"
        name = f"{HERE.metrics}: {span}/n"
        findings.append(Finding(name, str(count), str(found), verdict, count == found))
    return findings


def in_band(band: Band, scores: dict[str, float]) -> list[Finding]:
    """The network's scores within what seeds do to them."""
    findings = []
    for name, score in band.scores.items():
        value = scores.get(name, np.nan)
        passed = score.low <= value <= score.high
        expected = f"{score.low:.5g} to {score.high:.5g} ({len(band.seeds)} seeds)"
        output, verdict = f"{HERE.summary}: {name}", "within" if passed else "outside"
        findings.append(Finding(output, expected, f"{value:.5g}", verdict, passed))
    return findings


def _close(output: str, distance: float) -> Finding:
    passed = distance <= TOLERANCE
    verdict = "close" if passed else "too far"
    return Finding(output, f"within {TOLERANCE:g}", f"{distance:.1e} away", verdict, passed)


def _distance(expected: Any, found: Any) -> float:
    """The largest difference between two trees of numbers, of large ones as a part of them.

    It is infinite if they differ in shape or in a word.
    """
    if isinstance(expected, list) and isinstance(found, list):
        expected, found = dict(enumerate(expected)), dict(enumerate(found))
    if isinstance(expected, dict) and isinstance(found, dict):
        if expected.keys() != found.keys():
            return np.inf
        return max((_distance(expected[k], found[k]) for k in expected), default=0.0)
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return abs(expected - found) / max(abs(expected), 1.0)
    return 0.0 if expected == found else np.inf


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
    here = Machine.here()
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
        return same_bytes(committed, made, tuple(committed.stages), expected.directories)
    return [
        *same_bytes(committed, made, EXACT, expected.directories),
        *same_numbers(expected, committed_results.prepared()),
        *same_rules(metrics, artifacts.read_json(HERE.metrics)),
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

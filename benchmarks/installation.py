"""Part 12: the environment of `make setup`, its size and its time, beside all packages by pip."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

from benchmarks.measure import ROOT, Row, in_turn, ratio, row

LOCK, TOOLS = "requirements.lock", "requirements-dev.lock"
ROUNDS = 2  # of each, some two hundred packages
SIZE = 2000  # MB


def rows(quick: bool) -> Iterator[Row]:
    """Seconds and megabytes of each; both take the packages from pip's cache after one warm-up."""
    if quick:
        return
    with tempfile.TemporaryDirectory() as folder:
        ours, plain = Path(folder, "ours"), Path(folder, "plain")
        for directory in (ours, plain):
            directory.mkdir()
            for name in ("Makefile", LOCK, TOOLS):
                copyfile(ROOT / name, directory / name)

        def setup() -> float:
            return _seconds(ours, f"rm -rf .venv; make -s setup PYTHON={sys.executable}")

        def pip() -> float:
            install = f".venv/bin/python -m pip install -qq --require-hashes -r {TOOLS}"
            return _seconds(plain, f"rm -rf .venv; {sys.executable} -m venv .venv; {install}")

        setup()
        measured = in_turn({"ours": setup, "plain": pip}, ROUNDS)
        share = ratio(measured["ours"], measured["plain"])
        them = f"pip install -r {TOOLS}"
        yield row("installation", "make setup", them, share, "x its time", at_most=0.5)
        yield row("installation", "make setup", "ours", _megabytes(ours), "MB", at_most=SIZE)
        yield row("installation", "make setup", them, _megabytes(plain), "MB")
        _seconds(ours, "make -s tools")
        yield row("installation", "make tools", "ours", _megabytes(ours), "MB")


def _seconds(directory: Path, command: str) -> float:
    start = time.perf_counter()
    subprocess.run(["bash", "-ec", command], cwd=directory, check=True, capture_output=True)
    return time.perf_counter() - start


def _megabytes(directory: Path) -> float:
    """What the files take on disk."""
    return sum(path.lstat().st_blocks for path in directory.rglob("*")) * 512 / 2**20

"""Check params.yaml, card, table, dvc.lock and Git; write data/versions.json if it is old."""

import argparse

from pipeline.config import holidays, versions
from pipeline.config.reading import raw_table, read_experiment
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.repository import lockfile
from pipeline.runtime import determinism


def main() -> None:
    """Silent when all is right."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    if changes := "; ".join(versions.changes(HERE)):
        artifacts.write_json(HERE.versions, determinism.libraries())
        print(f"{HERE.versions}: written, so every stage will run again: {changes}")
    raw_table(experiment := read_experiment(), HERE)
    holidays.read(experiment, HERE)
    lockfile.check_repository()
    lockfile.check_rwlock()
    if lockfile.LOCK.exists():
        lockfile.read_lock()

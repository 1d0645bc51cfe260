"""Check params.yaml, card, table, dvc.lock and Git; write data/versions.json if it is old."""

import argparse

from pipeline.config import versions
from pipeline.config.experiment import raw_table, read_experiment
from pipeline.files import artifacts, paths
from pipeline.repository import lockfile
from pipeline.runtime import determinism


def main() -> None:
    """Silent when all is right."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    if changes := "; ".join(versions.changes()):
        artifacts.write_json(paths.VERSIONS, determinism.libraries())
        print(f"{paths.VERSIONS}: written, so every stage will run again: {changes}")
    params, card = read_experiment()
    raw_table(params, card)
    lockfile.check_repository()
    lockfile.check_rwlock()
    if lockfile.LOCK.exists():
        lockfile.read_lock()

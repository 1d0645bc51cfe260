"""Check params.yaml, card, table, dvc.lock and Git; write data/versions.json if it is old."""

import argparse
import sys

from pipeline.config import versions
from pipeline.config.experiment import raw_table, read_experiment, ridge_left_out
from pipeline.repository import lockfile


def main() -> None:
    """Silent when all is right."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    versions.update()
    params, card = read_experiment()
    raw_table(params, card)
    if reason := ridge_left_out(params, card):
        print(f"params.yaml: the report will have no ridge: {reason}", file=sys.stderr)
    lockfile.check_repository()
    lockfile.check_rwlock()
    if lockfile.LOCK.exists():
        lockfile.read_lock()

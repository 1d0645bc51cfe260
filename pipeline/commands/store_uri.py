"""Print the address of the repository's own MLflow store; create it if necessary."""

import argparse

from pipeline.tracking import database


def main() -> None:
    """One line on standard output."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    database.ensure(database.own())
    print(database.address(database.own()))

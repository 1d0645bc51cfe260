"""Print the address of the repository's own MLflow store; create it if necessary."""

from pipeline.tracking import database


def main() -> None:
    """One line on standard output."""
    database.ensure(database.own())
    print(database.address(database.own()))

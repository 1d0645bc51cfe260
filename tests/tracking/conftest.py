"""What tests of the store share."""

import signal
from collections.abc import Iterator

import pytest
import sqlalchemy


@pytest.fixture
def interrupted() -> Iterator[list[str]]:
    """Ctrl-C as the first metrics are written, in a transaction; the statement, once it came."""
    came: list[str] = []

    def interrupt(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("INSERT INTO metrics") and not came:
            came.append(statement)
            signal.raise_signal(signal.SIGINT)

    sqlalchemy.event.listen(sqlalchemy.Engine, "after_cursor_execute", interrupt)
    yield came
    sqlalchemy.event.remove(sqlalchemy.Engine, "after_cursor_execute", interrupt)

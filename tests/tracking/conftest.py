"""What tests of the store share."""

import signal
from collections.abc import Iterator

import mlflow
import pytest
import sqlalchemy


@pytest.fixture(params=["metrics"])
def interrupted(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Ctrl-C in a transaction, as the first row of a table is written; the statement then."""
    came: list[str] = []

    def interrupt(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith(f"INSERT INTO {request.param} ") and not came:
            came.append(statement)
            signal.raise_signal(signal.SIGINT)

    sqlalchemy.event.listen(sqlalchemy.Engine, "after_cursor_execute", interrupt)
    yield came
    sqlalchemy.event.remove(sqlalchemy.Engine, "after_cursor_execute", interrupt)


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Tests that point MLflow elsewhere, and at the end back."""
    before = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    yield monkeypatch
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)

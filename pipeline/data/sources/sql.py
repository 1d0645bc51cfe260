"""The answer to a query, as Arrow holds it: for a snapshot, since no run reads a database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy
from sqlalchemy.engine import URL

from pipeline.errors import PipelineError

ADDRESS = "DATABASE_URL"  # the variable with the database's address, which is written nowhere
ROWS = 50_000  # at a time


def ask(address: str, query: str) -> pa.Table:
    """The rows that a database gives, by SQLAlchemy's address; nothing is committed.

    SQLite and PostgreSQL refuse to change anything. PipelineError, which does not show the
    address, if the database cannot be reached, refuses the query or gives no rows, or a column has
    values of several kinds.
    """
    with _refused(ADDRESS):
        connection = sqlalchemy.create_engine(_there(address)).connect()
    with connection, _refused("query"):
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
        # The query as it is written: a % or a : in it is no parameter's.
        options: dict[str, Any] = {"no_parameters": True, "postgresql_readonly": True}
        options["stream_results"] = True
        found = connection.execution_options(**options).exec_driver_sql(query)
        if not found.returns_rows:
            raise PipelineError("query: expected one that gives rows, such as SELECT, found none")
        names = list(found.keys())
        parts = [_table(names, rows) for rows in found.partitions(ROWS)]
    if not parts:
        raise PipelineError("query: expected at least one row, found none")
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        said = str(error).splitlines()[0]
        raise PipelineError(f"query: expected values of one kind in a column: {said}") from None


def _there(address: str) -> URL:
    url = sqlalchemy.make_url(address)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise PipelineError(f"{ADDRESS}: {url.database}: no such file")  # which would be made
    return url


@contextmanager
def _refused(what: str) -> Iterator[None]:
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        said = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
        if type(error) is sqlalchemy.exc.ArgumentError:  # which may show the address
            said = "no address, such as postgresql+psycopg2://user:password@host/database"
        raise PipelineError(
            f"{what}: expected an answer of the database, found: {said.splitlines()[0]}"
        ) from None


def _table(names: Sequence[str], rows: Sequence[Any]) -> pa.Table:
    columns = zip(*rows, strict=True)
    made = [_array(name, cells) for name, cells in zip(names, columns, strict=True)]
    return pa.table(made, names)


def _array(name: str, cells: Sequence[Any]) -> pa.Array:
    numbers = [float(cell) if isinstance(cell, Decimal) else cell for cell in cells]
    try:
        made = pa.array(numbers)
    except pa.ArrowException as error:
        said = str(error).splitlines()[0]
        raise PipelineError(
            f"query: column {name}: expected values of one kind, found: {said}; cast it in the "
            "query, or leave it out"
        ) from None
    if pa.types.is_timestamp(made.type) and made.type.tz:
        return made.cast(pa.timestamp("us", "UTC"))  # a session's zone is nobody's business
    return made

"""The Forecaster over HTTP: MLflow's addresses, requests and answers, rows read as the card says.

MLflow's own server reads CSV by pandas before a model sees it, where a level None becomes missing
and 01 becomes 1, and repeats the whole request before it says what is wrong. Our own app replaces
it: its other addresses return constants, so keeping MLflow's app behind a route would save nothing.
"""

import asyncio
import io
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from anyio import Semaphore, fail_after, to_thread
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.version import VERSION
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.data import cells
from pipeline.data.sources import delimited
from pipeline.errors import PipelineError
from pipeline.files.records import shown
from pipeline.forecasting.answers import plain
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.forecaster import Forecaster
from pipeline.forecasting.service import Service

LIMIT = 32 * 2**20  # bytes of a request, and cells of a Parquet table, which may pack them small
CSV, JSON, PARQUET = "text/csv", "application/json", "application/vnd.apache.parquet"
TOGETHER = 8 * LIMIT  # bytes of all requests that are read or wait for their turn
# Requests that are answered at once; the others wait, so that memory is bounded. NumPy gives up the
# interpreter at each of its hundreds of small products: threads that take turns at it need half as
# long again. TensorFlow computes outside of it.
AT_ONCE: dict[Backend, int] = {"numpy": 1, "tensorflow": 4}
SMALL = 2**16  # bytes of a request that waits for no larger one; of those one is answered at a time
NAME = 100  # characters of a request's id
Keep = Callable[[pd.DataFrame], None]
LENGTH = 1000  # characters of an answer that says what is wrong
ADDRESSES = "expected POST /invocations, or GET /ping, /health, /ready or /version"


def app(service: Service) -> Starlette:
    """The web application that answers with a service's model, and logs that where it has a log.

    A request's id is its header X-Request-ID, or a new one; the answer has it too, and in X-Model
    which model made it.
    """
    turns, turns_of_large = Semaphore(AT_ONCE[service.now.forecaster.backend]), Semaphore(1)

    async def invocations(request: Request) -> Response:
        with _held(service) as hold:
            served = service.now
            kind = _kind(request, served.forecaster.card.encoding)
            content = await _content(request, service.patience, hold)
            name = request.headers.get("x-request-id", "")[:NAME] or uuid4().hex
            try:
                own = turns if len(content) <= SMALL else turns_of_large
                await _turn(own, service.patience)
                try:
                    keep = partial(served.keep, name)
                    answered = await to_thread.run_sync(
                        answer, served.forecaster, kind, content, keep, abandon_on_cancel=True
                    )
                finally:
                    own.release()
            except asyncio.CancelledError:  # by the server, when its time to stop is over
                raise HTTPException(503, "the server stops, and this took too long") from None
        about = {"X-Request-ID": name, "X-Model": quote(served.name, safe=":/@")}
        return Response(answered, headers=about, media_type=JSON)

    async def ready(_: Request) -> Response:
        if service.stopping:
            raise HTTPException(503, "the server stops")
        made_by = {"model": service.now.name, "content": service.now.forecaster.content}
        return Response(json.dumps(made_by), media_type=JSON)

    return Starlette(
        routes=[
            Route("/ping", lambda _: Response("\n", media_type=JSON)),
            Route("/health", lambda _: Response("\n", media_type=JSON)),
            Route("/ready", ready),
            Route("/version", lambda _: Response(VERSION, media_type=JSON)),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys(
            (PipelineError, HTTPException, ClientDisconnect, Exception), _problem
        ),
    )


def answer(forecaster: Forecaster, kind: str, content: bytes, keep: Keep | None = None) -> str:
    """The forecasts that a request of this media type asks for, as MLflow's JSON.

    `keep` gets them as well, once they are an answer.
    PipelineError if the content is not of its kind, or has no rows to forecast from.
    """
    params: dict[str, Any] = {}
    try:
        if kind == CSV:
            rows = delimited.parse_table(content, forecaster.card, "input")
        elif kind == PARQUET:
            rows = _from_parquet(content)
        else:
            rows, params = _from_json(content)
        with _Heard() as remarks:
            forecast = forecaster.predict(rows, **params)
    except RecursionError:
        raise PipelineError("input: expected rows, found brackets nested too deep") from None
    except UnicodeEncodeError:  # JSON may escape half of a surrogate pair
        raise PipelineError("input: expected text, found half of a surrogate pair") from None
    columns = plain(forecast)
    made = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if keep:
        keep(forecast)
    return json.dumps({"predictions": made} | ({"warnings": remarks} if remarks else {}))


class _Heard(logging.Handler):
    """The warnings that the pipeline logs meanwhile in the thread that asks."""

    def __enter__(self) -> list[str]:
        self.remarks: list[str] = []
        self.thread = threading.get_ident()
        self.setLevel(logging.WARNING)
        logging.getLogger("pipeline").addHandler(self)
        return self.remarks

    def __exit__(self, *_: object) -> None:
        logging.getLogger("pipeline").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread:
            self.remarks.append(record.getMessage())


def _problem(_: Request, error: Exception) -> Response:
    """What is wrong in one line, in MLflow's words for the kind of it."""
    status, code, message = 500, INTERNAL_ERROR, "the forecast failed; the server's log says why"
    if isinstance(error, PipelineError):
        status, code, message = 400, INVALID_PARAMETER_VALUE, str(error)
    elif isinstance(error, HTTPException):
        status, code = error.status_code, BAD_REQUEST
        message = ADDRESSES if status in (404, 405) else error.detail
    line = "; ".join(" ".join(part.split()) for part in message.splitlines())
    line = line if len(line) <= LENGTH else f"{line[:LENGTH]}..."
    said = MlflowException(line, error_code=code).serialize_as_json()
    return Response(said, status, getattr(error, "headers", None), media_type=JSON)


def _kind(request: Request, encoding: str) -> str:
    """The media type of a request's body; HTTPException if it is none that is read here."""
    if request.query_params:
        raise PipelineError(
            f"query: expected none, found {next(iter(request.query_params))[:60]!r}; put "
            "origins, levels and series into a JSON request, under params"
        )
    written = request.headers.get("content-type", "")
    kind, *parameters = (part.strip().lower() for part in written.split(";"))
    if kind not in (CSV, JSON, PARQUET):
        raise HTTPException(
            415,
            f"Content-Type: expected {CSV}, {JSON} or {PARQUET}, found {written[:60] or 'none'}",
        )
    charset = f"charset={encoding if kind == CSV else 'utf-8'}".lower()
    if odd := [part for part in parameters if part and part.replace('"', "") != charset]:
        raise HTTPException(
            415, f"Content-Type: expected no parameter but {charset}, found {odd[0][:60]}"
        )
    return kind


async def _turn(turns: Semaphore, patience: float) -> None:
    """Wait until fewer are answered; HTTPException if that takes too long."""
    try:
        with fail_after(patience):
            await turns.acquire()
    except TimeoutError:
        busy = f"busy: expected a turn within {patience:g} s, found none; try again later"
        raise HTTPException(503, busy, {"Retry-After": "1"}) from None


@contextmanager
def _held(service: Service) -> Iterator[Callable[[int], None]]:
    """Counts the bytes that a request adds to those in memory; HTTPException if they are too many.

    What was read is then thrown away, and another request may find room.
    """
    own = 0

    def hold(more: int) -> None:
        nonlocal own
        if service.held + more > TOGETHER:
            raise HTTPException(503, "busy: too many large requests; try again later")
        service.held += more
        own += more

    try:
        yield hold
    finally:
        service.held -= own


async def _content(request: Request, patience: float, hold: Callable[[int], None]) -> bytes:
    """A request's body. One that is too long is read to its end and not kept, so that whoever
    sends it gets to read the answer."""
    content, size = bytearray(), 0
    try:
        with fail_after(patience):
            async for part in request.stream():
                size += len(part)
                if size <= LIMIT:
                    hold(len(part))
                    content += part
    except TimeoutError:
        raise HTTPException(
            408, f"request: expected its end within {patience:g} s, found {size:,} bytes so far",
            {"Connection": "close"},
        ) from None  # fmt: skip
    _limit(size, "bytes")
    return bytes(content)


def _limit(found: int, what: str) -> None:
    if found > LIMIT:
        raise HTTPException(413, f"input: expected at most {LIMIT:,} {what}, found {found:,}")


def _from_parquet(content: bytes) -> pd.DataFrame:
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        _limit(file.metadata.num_rows * file.metadata.num_columns, "cells")
        frame: pd.DataFrame = file.read().to_pandas()
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(f"input: expected a table in Parquet, found {error}") from None
    return frame


def _from_json(content: bytes) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows of a request, and its params."""
    try:
        request = json.loads(content, object_pairs_hook=_each_once)
    except ValueError as error:
        raise PipelineError(f"input: expected JSON, found {error}") from None
    if not isinstance(request, dict):
        raise PipelineError(f"input: expected an object of JSON, found {shown(request)}")
    forms = [name for name in request if name in _FORMS]
    if len(forms) != 1 or request.keys() - {*_FORMS, "params"}:
        raise PipelineError(
            f"input: expected rows with named columns under {' or '.join(_FORMS)}, and optionally "
            f"params beside them, found {', '.join(request) or 'no key'}"
        )
    params = {} if request.get("params") is None else request["params"]
    if not isinstance(params, dict) or params.keys() - {"origins", "levels", "series"}:
        raise PipelineError(
            f"params: expected origins, levels and series and no other key, found {shown(params)}"
        )
    levels = params.get("levels")
    for key, what in (("origins", "time stamps as text"), ("series", "names as text")):
        given = params.get(key)
        if not (given is None or _is_list(given, str)):
            raise PipelineError(f"params.{key}: expected a list of {what}, found {shown(given)}")
    if not (levels is None or isinstance(levels, list)):
        raise PipelineError(f"params.levels: expected a list of percents, found {shown(levels)}")
    return _FORMS[forms[0]](request[forms[0]]), params


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise PipelineError(f"input: key {twice[:60]!r} appears twice in one JSON object")
    return content


def _from_split(split: Any) -> pd.DataFrame:
    keys = split.keys() if isinstance(split, dict) else set()
    if not {"columns", "data"} <= keys <= {"columns", "data", "index"}:
        raise PipelineError(f"dataframe_split: expected columns and data, found {shown(split)}")
    names, rows = split["columns"], split["data"]
    if not names or not _is_list(names, str):
        raise PipelineError(f"dataframe_split.columns: expected names, found {shown(names)}")
    cells.check_names(names, "dataframe_split")
    if not _is_list(rows, list):
        raise PipelineError(f"dataframe_split.data: expected a list of lists, found {shown(rows)}")
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            where = f"dataframe_split.data, row {number}"
            raise PipelineError(f"{where}: expected {len(names)} values, found {len(row)}")
    return pd.DataFrame(rows, columns=names)


def _from_records(rows: Any) -> pd.DataFrame:
    """A row for each record; a key that one lacks is a missing value, as null is."""
    if not _is_list(rows, dict):
        raise PipelineError(f"dataframe_records: expected a list of objects, found {shown(rows)}")
    names = {name for row in rows for name in row}
    cells.check_names(names, "dataframe_records")
    _limit(len(names) * len(rows), "cells")
    return pd.DataFrame(rows)


_FORMS = {"dataframe_split": _from_split, "dataframe_records": _from_records}


def _is_list(content: Any, kind: type) -> bool:
    return isinstance(content, list) and all(isinstance(each, kind) for each in content)

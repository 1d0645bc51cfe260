"""The forecast log: every answer, appended to a file for each day, off the path of the request.

A line of JSON is an answer: what made it (model, content), when, the request's id, and the
forecasts as columns and rows. A process that is killed loses what its thread had not yet written,
never a line that it had; of a line that the disk did not take whole, the reader says so.
"""

import json
import logging
import os
import queue
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from pipeline.errors import PipelineError
from pipeline.forecasting.answers import plain
from pipeline.models.spec import Spec

WAITING = 1000  # answers that wait for the disk at most; the next are dropped and counted
ROWS = 500_000  # and forecasts, since an answer of many series may have as many
TOLD = 60  # seconds between two lines that tell of dropped answers
LOG = logging.getLogger(__name__)


class MadeBy(NamedTuple):
    """Which model made a forecast: what it is called, its content and what it is."""

    model: str
    content: str
    spec: Spec


Waiting = tuple[str, MadeBy, str, pd.DataFrame]  # when, by what, the request's id, the forecast


class ForecastLog:
    """Appends answers to daily files from a thread of its own; as a context it ends with all
    written.

    `dropped` counts the answers that are in no file, because the queue was full or the disk did not
    take them; a line in the log tells of them, once a minute at most.
    """

    def __init__(self, folder: Path, waiting: int = WAITING) -> None:
        self.folder = folder
        self.dropped = self._told = 0
        self._next_told = 0.0
        self._rows = 0  # that wait
        self._counting = threading.Lock()
        self._queue: queue.Queue[Waiting | None] = queue.Queue(waiting)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._file(_now()), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640))
        except OSError as error:
            raise PipelineError(f"--log {folder}: expected a folder to write to: {error}") from None
        self._thread = threading.Thread(target=self._work, name="forecast log", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        self._tell(last=True)

    def add(self, made_by: MadeBy, request: str, forecast: pd.DataFrame) -> None:
        """Log a forecast as `Forecaster.predict` has it; returns at once."""
        with self._counting:
            fits = not self._rows or self._rows + len(forecast) <= ROWS
            self._rows += len(forecast) * fits
        try:
            if fits:
                self._queue.put_nowait((_now(), made_by, request, forecast))
                return
        except queue.Full:
            self._took(forecast)
        self._drop(1)

    def _work(self) -> None:
        """Write what waits, in one go for each day, and wait for more."""
        ended = False
        while not ended:
            taken = [self._queue.get()]
            while len(taken) < WAITING and not self._queue.empty():
                taken.append(self._queue.get())
            ended = None in taken
            by_day: dict[Path, list[str]] = {}
            for one in filter(None, taken):
                by_day.setdefault(self._file(one[0]), []).append(self._line(*one))
                self._took(one[3])
            for file, lines in by_day.items():
                try:
                    append(file, "".join(lines))
                except OSError as error:
                    LOG.warning("forecast log: %s: %s", file, error.strerror)
                    self._drop(len(lines))

    def _line(self, when: str, by: MadeBy, request: str, forecast: pd.DataFrame) -> str:
        about = {"model": by.model, "content": by.content, "request": request}
        columns = plain(with_steps(forecast, by.spec))
        rows = {"columns": [*columns], "data": [*zip(*columns.values(), strict=True)]}
        content = {"at": when, **about, **rows}
        return json.dumps(content, ensure_ascii=False) + "\n"

    def _file(self, when: str) -> Path:
        return self.folder / f"forecasts-{when[:10]}.jsonl"

    def _took(self, forecast: pd.DataFrame) -> None:
        with self._counting:
            self._rows -= len(forecast)

    def _drop(self, count: int) -> None:
        with self._counting:
            self.dropped += count
        self._tell()

    def _tell(self, last: bool = False) -> None:
        if self.dropped > self._told and (last or time.monotonic() >= self._next_told):
            self._told, self._next_told = self.dropped, time.monotonic() + TOLD
            LOG.warning(
                "forecast log: %s answers so far are in no file: the disk was too slow or full",
                f"{self.dropped:,}",
            )


def with_steps(forecast: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """A forecast with the step of each row beside its origin, from 1."""
    if "step" in forecast:  # in place of a time that nobody knows yet
        return forecast
    step = np.arange(len(forecast)) // len(spec.targets) % spec.horizon + 1
    made = forecast.copy(deep=False)
    made.insert(list(made).index("origin") + 1, "step", step)
    return made


def append(file: Path, text: str) -> None:
    """Append whole lines, which are on disk when this returns; OSError if they are not.

    A file that ends within a line, of a process or a disk that failed there, gets its end first.
    """
    content = text.encode()
    handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            content = b"\n" + content
        while content:
            content = content[os.write(handle, content) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def read(file: Path) -> tuple[pd.DataFrame, int]:
    """The forecasts in one of the log's files, with model, content and request; how many of its
    lines are broken."""
    parts, broken = [], 0
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                one: dict[str, Any] = json.loads(line)
                rows = pd.DataFrame(one["data"], columns=one["columns"])
                about = {key: one[key] for key in ("model", "content", "request")}
            except (ValueError, KeyError, TypeError):
                broken += bool(line.strip())
                continue
            parts.append(rows.assign(**about))
    return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()), broken


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

"""Long arrays on disk: forecasts of many series, and all that has a number for each of many rows.

A long array lies in a file without a name, which is gone with the process, however that ends. It is
mapped: what is computed is the same, to the last digit, but the system may take back the memory of
any of its pages whenever it needs it, so the machine must only have what is worked on.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pipeline.files.artifacts import unwritten

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
LONG = 2**25  # bytes from which on an array lies on disk
BLOCK = 2**20  # rows that are worked on at a time
# Where TMPDIR says nothing: /tmp lies in memory on many systems.
DISK = Path("/var/tmp")  # noqa: S108 - files there have no name


def blocks(rows: int, size: int = 0) -> Iterator[slice]:
    """All rows, BLOCK at a time; one empty block of none."""
    size = size or BLOCK
    for start in range(0, max(rows, 1), size):
        yield slice(start, min(start + size, rows))


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of zeros, on disk if it is long; PipelineError of a full disk."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size < max(LONG, 1):
        return np.zeros(shape, dtype)
    file, place = _nameless()
    try:
        if hasattr(os, "posix_fallocate"):  # or a full disk would end the process
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise unwritten(place, error) from error
    return _mapped(file, shape, dtype)


def by_rows(
    make: Callable[[slice], npt.NDArray[Any]], shape: tuple[int, ...], dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """An array [rows, ...] of which `make` gives the rows of a slice, some at a time."""
    made = zeros(shape, dtype)
    for part in blocks(shape[0]):
        made[part] = make(part)
    return made


def where(true: Callable[[slice], npt.NDArray[np.bool_]], count: int) -> Rows:
    """Which of so many rows `true` holds of, given some at a time: their numbers, rising."""
    many = sum(int(np.count_nonzero(true(part))) for part in blocks(count))
    made, end = zeros((many,), np.int64), 0
    for part in blocks(count):
        own = part.start + np.flatnonzero(true(part))
        made[end : end + len(own)] = own
        end += len(own)
    return made


class Growing:
    """A long array [rows] that is appended to until it is read."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._begin(np.dtype(dtype))

    def _begin(self, dtype: np.dtype[Any]) -> None:
        self._dtype, self._rows = dtype, 0
        self._file, self._place = _nameless()

    def append(self, values: npt.NDArray[Any]) -> None:
        """Put values below those before; all get a dtype that holds both.

        PipelineError of a full disk.
        """
        dtype = np.promote_types(self._dtype, values.dtype)
        if dtype != self._dtype:
            before = self.array()
            self._begin(dtype)
            for part in blocks(len(before)):
                self.append(before[part])
        try:
            self._file.write(np.ascontiguousarray(values, dtype).view(np.uint8).data)
        except OSError as error:
            raise unwritten(self._place, error) from error
        self._rows += len(values)

    def array(self) -> npt.NDArray[Any]:
        """All of them, mapped."""
        if not self._rows:
            return np.empty(0, self._dtype)
        try:
            self._file.flush()
        except OSError as error:
            raise unwritten(self._place, error) from error
        return _mapped(self._file, (self._rows,), self._dtype)


def _nameless() -> tuple[IO[bytes], Path]:
    # A container's file system may be read-only but for /tmp.
    ours = "TMPDIR" not in os.environ and os.access(DISK, os.W_OK)
    place = DISK if ours else Path(tempfile.gettempdir())
    try:
        return tempfile.TemporaryFile(dir=place), place
    except OSError as error:
        raise unwritten(place, error) from error


def _mapped(file: IO[bytes], shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.asarray(np.memmap(file, dtype, "r+", shape=shape))


class Kept:
    """An array [N, H, ...] that is written and read in parts, in a file without a name.

    In it each step of the N windows stands in one piece, since intervals are learned step by step.
    """

    def __init__(self, directory: Path, shape: tuple[int, ...]) -> None:
        self.shape, self._directory = shape, directory
        directory.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed with the object

    def write(self, part: slice, values: Floats) -> None:
        """Put the windows of a part there; PipelineError of a full disk."""
        try:
            for step in range(self.shape[1]):
                self._seek(step, part.start)
                self._file.write(np.ascontiguousarray(values[:, step]).data)
            self._file.flush()
        except OSError as error:
            raise unwritten(self._directory, error) from error

    def step(self, step: int) -> Floats:
        """One step of all windows: [N, ...]."""
        return self._read(step, slice(0, self.shape[0]))

    def __getitem__(self, part: slice | Rows) -> Floats:
        """The windows of a part: [n, H, ...]."""
        whole = slice(0, self.shape[0])
        rows, within = whole, part
        if isinstance(part, slice):
            first, end, stride = part.indices(self.shape[0])
            rows, within = slice(first, max(first, end)), slice(None, None, stride)
        steps = [self._read(step, rows)[within] for step in range(self.shape[1])]
        return np.stack(steps, axis=1)

    def _read(self, step: int, part: slice) -> Floats:
        found = np.empty((part.stop - part.start, *self.shape[2:]))
        self._seek(step, part.start)
        if found.size:
            self._file.readinto(found.data.cast("B"))
        return found

    def _seek(self, step: int, window: int) -> None:
        each = int(np.prod(self.shape[2:])) * np.dtype(np.float64).itemsize
        self._file.seek((step * self.shape[0] + window) * each)

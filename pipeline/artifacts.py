"""Reading and writing artifacts: whole or not at all, and the same bytes for the same content."""

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from pipeline.errors import PipelineError
from pipeline.strict import Record, parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

R = TypeVar("R", bound=Record)
REMEDY = "; remove it and run: dvc repro"
ALIGNMENT = 64  # bytes: at multiples of it arrays start that TensorFlow can use where they lie


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` once it is safely on disk.

    Raises:
        PipelineError: the file could not be written (a full disk, no permission); what stood at
            `path` is still there, whole.
    """
    beside = path.with_name(f".partial-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        # Libraries tell of a full disk each in their own words, some in several lines.
        reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
        raise PipelineError(
            f"{path}: could not be written, what stood there is kept: {reason}; is the disk full?"
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Text in UTF-8 with Unix line ends."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """JSON with sorted keys; a number that is not finite is an error."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """The one way that JSON is written here."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """The JSON in a file; PipelineError with the way to mend it if it is absent or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise broken(path, error) from None


def read_json_record(path: Path, record: type[R]) -> R:
    """The JSON in a file as a record."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise broken(path, "no JSON object")
    try:
        return parse(content, record, str(path))
    except PipelineError as error:
        raise broken(path, error) from None


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """An array as .npy."""
    with replacing(path) as beside, beside.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def read_array(path: Path) -> npt.NDArray[Any]:
    """The array in a .npy file, memory-mapped; what is written to it stays in memory."""
    try:
        # Not "r": TensorFlow shares no memory that may not be written.
        array: npt.NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise broken(path, error) from None
    return array


def aligned_zeros(rows: int, columns: int) -> npt.NDArray[np.float32]:
    """An array of zeros, [rows, columns], that TensorFlow can use where it lies, without a copy."""
    size = rows * columns * np.dtype(np.float32).itemsize
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size].view(np.float32).reshape(rows, columns)


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """A frame as Parquet."""
    with replacing(path) as beside:
        frame.to_parquet(beside)


def read_frame(path: Path) -> pd.DataFrame:
    """The frame in a Parquet file."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise broken(path, error) from None


def read_first_time(path: Path) -> pd.Timestamp:
    """The first time stamp of a frame in a Parquet file, without the rest of it."""
    try:
        rows = pq.ParquetFile(path).iter_batches(1, row_groups=[0], columns=["time"])
        return pd.Timestamp(next(rows).column("time")[0].as_py())
    except (OSError, ValueError) as error:
        raise broken(path, error) from None


def write_figure(path: Path, figure: "Figure") -> None:
    """A figure as PNG, without the date and the library's version."""
    with replacing(path) as beside:
        beside.write_bytes(png(figure))


def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG file, the same each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def broken(path: Path, error: object) -> PipelineError:
    """What to say of an artifact that cannot be used, and how to make it again."""
    if isinstance(error, FileNotFoundError):
        return PipelineError(f"{path}: no such file; the stage that writes it has not run: make")
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return PipelineError(f"{path}: expected a whole file, found {reason}{REMEDY}")

"""Reading and writing artifacts: whole or not at all, and the same bytes for the same content."""

import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import PipelineError
from pipeline.files.layout import matching
from pipeline.files.records import R, parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REMEDY = "; remove it and run: dvc repro"
OPEN = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")  # of the shell, which may be files
GROUP = 2**20  # rows of a table that stand together in a Parquet file, as its writer has it
FULL = (None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # errors of a full disk


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; the new file replaces `path` once it is safely on disk.

    A symbolic link stays, and its target is replaced. A device or a pipe is written to directly.
    PipelineError if it could not be written (a full disk, no permission): `path` is as it was.
    """
    kept = ""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "")
        if path.parent.is_file():
            raise NotADirectoryError(errno.ENOTDIR, "")
        special = str(path).startswith(OPEN) or (path.exists() and not path.is_file())
        if path.exists() and not special:
            kept = ", the old file is kept"
        with _through(path) if special else swapping(path) as written:
            yield written
    except OSError as error:
        raise unwritten(path, error, kept) from error


def unwritten(path: Path, error: OSError, kept: str = "") -> PipelineError:
    """What to say of a path that could not be written to."""
    # Each library reports a full disk in its own words, some on several lines.
    reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
    full = "; is the disk full?" if error.errno in FULL else ""
    return PipelineError(f"{path}: could not be written{kept}: {reason}{full}")


@contextmanager
def _through(path: Path) -> Iterator[Path]:
    with TemporaryDirectory() as directory:
        written = Path(directory) / path.name
        yield written
        with written.open("rb") as source, path.open("ab") as target:
            shutil.copyfileobj(source, target)


@contextmanager
def swapping(path: Path) -> Iterator[Path]:
    """`replacing` for what has to see its own errors: a path beside, which becomes the file."""
    real = Path(os.path.realpath(path))
    if path.is_symlink() and real.exists() and not real.stat().st_mode & 0o222:
        real = path  # a link into DVC's read-only cache is replaced itself
    beside = real.with_name(f".partial-{path.name}")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(real)
    finally:
        with suppress(OSError):  # where it could not be made it cannot be removed
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


def checksum(content: Any) -> str:
    """The sha256 of what is written so."""
    return hashlib.sha256(json_text(content).encode()).hexdigest()


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(*files: Path) -> str:
    """One sha256 over the contents of files."""
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()


def table_sha256(path: Path) -> str:
    """That of a raw table; of several files, of what the program sha256sum prints for them."""
    files = matching(path)
    if files == [path]:
        return sha256(path)
    lines = (f"{sha256(file)}  {file.name}\n" for file in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_json(path: Path) -> Any:
    """The JSON in a file; PipelineError with the remedy if it is absent or broken."""
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
        # Not "r": TensorFlow cannot share read-only memory.
        array: npt.NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise broken(path, error) from None
    return array


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """A frame as Parquet."""
    with replacing(path) as beside:
        frame.to_parquet(beside)


@contextmanager
def appending(path: Path, rows: int) -> Iterator[Callable[[pd.DataFrame], None]]:
    """What appends frames to a Parquet file of so many rows: the bytes are `write_frame`'s of all.

    Columns of names have the same categories in each.
    """
    with replacing(path) as beside, ExitStack() as open_file:
        writer: pq.ParquetWriter | None = None
        waiting: list[pa.Table] = []

        def write(least: int) -> None:
            """Whole groups of rows, as long as there are so many."""
            assert writer  # noqa: S101 - a frame has been appended
            table = pa.concat_tables(waiting)
            waiting.clear()
            while len(table) >= least:
                writer.write_table(table.slice(0, GROUP).combine_chunks(), GROUP)
                table = table.slice(GROUP)
            waiting.append(table)

        def append(frame: pd.DataFrame) -> None:
            nonlocal writer
            table = pa.Table.from_pandas(frame.set_axis(pd.RangeIndex(len(frame))))
            if writer is None:
                index = json.loads(table.schema.metadata[b"pandas"])
                index["index_columns"][0]["stop"] = rows
                metadata = {b"pandas": json.dumps(index).encode()}
                schema = table.schema.with_metadata(metadata)
                writer = open_file.enter_context(pq.ParquetWriter(beside, schema))
            waiting.append(table.cast(writer.schema))
            write(GROUP)

        yield append
        if writer and len(waiting[0]):
            write(1)


def read_frame(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """The frame in a Parquet file, or some of its columns."""
    try:
        frame = pd.read_parquet(path, columns=columns)
    except (OSError, ValueError) as error:
        raise broken(path, error) from None
    # Arrow keeps what it has freed: of a table's text and of this file, more than the frame takes.
    pa.default_memory_pool().release_unused()
    return frame


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

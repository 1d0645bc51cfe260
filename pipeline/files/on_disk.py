"""Arrays of forecasts on disk: a table of many series has more of them than fit into memory."""

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.files.artifacts import unwritten

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


class Kept:
    """An array [N, H, ...] that is written and read in parts, in a file without a name.

    The file is gone with the process, however that ends. In it each step of the N windows stands
    in one piece, since intervals are learned step by step.
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

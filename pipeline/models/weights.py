"""Files of weights, for which there is room before HDF5 writes them.

HDF5 that writes to a disk which gets full prints a traceback for each object, and may end in a
segmentation fault; what Python writes ends in one error.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

EACH = 8192  # bytes, at most, of what HDF5 says of an array


@contextmanager
def writing(path: Path, content: bytes | None = None) -> Iterator[h5py.File]:
    """An HDF5 file in memory, empty or with a file's content, which `path` is written from.

    It has the bytes of one that is made on disk.
    """
    with h5py.File.in_memory(content) as file:
        yield file
        file.flush()
        path.write_bytes(file.id.get_file_image())


def save(network: Any, path: Path) -> None:
    """Write a Keras network's weights; OSError, and nothing of HDF5's, where they do not fit.

    Keras itself writes to memory in another layout, with other bytes.
    """
    sizes = [4 * math.prod(one.shape) + EACH for one in network.weights]
    with path.open("wb") as file:
        file.write(bytes(EACH + sum(sizes)))
        file.flush()
        os.fsync(file.fileno())  # a network's disk says only now that it is full
    network.save_weights(path)

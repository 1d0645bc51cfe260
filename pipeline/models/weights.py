"""Files of weights, made in memory first.

HDF5 that writes to a disk which gets full prints a traceback for each object, and may end in a
segmentation fault. The bytes are those that it writes to a disk with room.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


@contextmanager
def writing(path: Path, content: bytes | None = None) -> Iterator[h5py.File]:
    """An HDF5 file in memory, empty or with a file's content, which `path` is written from."""
    with h5py.File.in_memory(content) as file:
        yield file
        file.flush()
        path.write_bytes(file.id.get_file_image())


def save(network: Any, path: Path) -> None:
    """Write a Keras network's weights, to the bytes of its own `save_weights`."""
    from keras.src.saving import saving_lib  # what forecasts with NumPy alone has no Keras

    class Store(saving_lib.H5IOStore):
        def _get_h5_file(self, *_: object) -> h5py.File:
            return file

    with writing(path) as file:  # Keras itself writes to memory in another layout
        store = Store(path, mode="w")
        saving_lib._save_state(
            network, weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
        )

"""Arrays that TensorFlow uses where they lie.

A tensor made of a NumPy array is a copy, so that a series would be held twice. What is handed over
by DLPack is not copied, but TensorFlow ends the process where such memory does not start at a
multiple of ALIGNMENT bytes, which NumPy does not promise. So an array that goes to the training is
cut out of a slightly longer one, from its first aligned byte on; of one that is not aligned, a copy
is made. The gain: features and targets are in memory once, however long the series.
"""

import numpy as np
import numpy.typing as npt

from pipeline.files import on_disk

ALIGNMENT = 64  # bytes


def aligned_zeros(rows: int, columns: int) -> npt.NDArray[np.float32]:
    """An array of zeros, [rows, columns], that TensorFlow can use without a copy."""
    size = rows * columns * np.dtype(np.float32).itemsize
    if size >= on_disk.LONG:
        return on_disk.zeros((rows, columns), np.float32)  # a page of memory is aligned
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size].view(np.float32).reshape(rows, columns)


def is_aligned(array: npt.NDArray[np.float32]) -> bool:
    """Whether TensorFlow can use the array without a copy."""
    whole = array.flags.c_contiguous and array.flags.writeable
    return bool(whole and array.ctypes.data % ALIGNMENT == 0)

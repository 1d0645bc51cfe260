"""Means and deviations of long columns, to the last digit as pandas has them, in less memory."""

import numpy as np
import numpy.typing as npt

from pipeline.files import on_disk

Floats = npt.NDArray[np.float64]


def known(values: Floats) -> Floats:
    """The values [n] that are not missing."""
    parts = [*on_disk.blocks(len(values))]
    counts = [int((~np.isnan(values[part])).sum()) for part in parts]
    found, first = on_disk.zeros((sum(counts),), np.float64), 0
    for part, count in zip(parts, counts, strict=True):
        own = values[part]
        found[first : first + count] = own[~np.isnan(own)]
        first += count
    return found


def changes(values: Floats, step: int = 1) -> Floats:
    """Each value [n] less the one so many rows before; NaN where none is."""

    def own(part: slice) -> Floats:
        first = min(max(part.start, step), part.stop)
        here = slice(first, part.stop)
        made = np.full(part.stop - part.start, np.nan)
        made[first - part.start :] = values[here] - values[first - step : part.stop - step]
        return made

    return on_disk.by_rows(own, values.shape, np.float64)


def mean_and_deviation(values: Floats) -> tuple[float, float]:
    """The mean of the values [n] that are not missing, and their standard deviation; or NaN."""
    gone = np.isnan(values)
    count = len(values) - int(gone.sum())
    if not count:
        return np.nan, np.nan
    own = on_disk.zeros(values.shape, np.float64)
    own[:] = values
    own[gone] = 0
    mean = own.sum() / count
    np.subtract(mean, own, out=own)
    np.square(own, out=own)
    own[gone] = 0
    return float(mean), float(np.sqrt(own.sum() / count))

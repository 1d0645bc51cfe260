"""How far a score on one span may lie from what it would be on many."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

DRAWS = 1000
MOST = 4096  # blocks: of more, neighbours are joined, or their draws would fill the memory
Counts = npt.NDArray[np.int64]  # [3, blocks]: their numbers, rising, hits and values


@lru_cache(maxsize=8)
def _times(blocks: int, draws: int) -> npt.NDArray[np.int64]:
    """How often each of so many blocks is drawn: [draws, blocks], the same each time."""
    equal = np.full(blocks, 1 / blocks)
    return np.random.default_rng(0).multinomial(blocks, equal, draws)


def counted(inside: npt.NDArray[np.bool_], blocks: npt.NDArray[np.int64]) -> Counts:
    """How many values of each block there are, and how many of them lie in their intervals.

    Args:
        inside: [n] whether each observed target lies in its interval.
        blocks: [n] the day, or another block, of each window's origin.
    """
    return together(np.stack([blocks, inside, np.ones_like(blocks)]))


def together(*counts: Counts) -> Counts:
    """Counts of parts, where a block may be in several, as one."""
    number, hits, values = np.concatenate(counts, axis=1)
    found, own = np.unique(number, return_inverse=True)
    sums = (np.bincount(own, weights=each).astype(np.int64) for each in (hits, values))
    return np.stack([found, *sums])


def coverage_error(counts: Counts, draws: int = DRAWS) -> float:
    """The standard error of a coverage, by a bootstrap of whole blocks (Kunsch 1989).

    Windows that overlap miss together: as if they were independent, the error would come out far
    too small.

    Args:
        counts: what `counted` gives.
        draws: samples of as many blocks as there are, with replacement; the same each time.
    """
    _, *each = counts
    firsts = np.arange(0, len(each[0]), -(-len(each[0]) // MOST))
    hits, values = (np.add.reduceat(one, firsts) for one in each)
    times = _times(len(hits), draws)
    return float(np.std((times @ hits) / (times @ values)))

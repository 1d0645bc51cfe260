"""How far a score on one span may lie from what it would be on many."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

DRAWS = 1000


@lru_cache(maxsize=8)
def _times(blocks: int, draws: int) -> npt.NDArray[np.int64]:
    """How often each of so many blocks is drawn: [draws, blocks], the same each time."""
    equal = np.full(blocks, 1 / blocks)
    return np.random.default_rng(0).multinomial(blocks, equal, draws)


def coverage_error(
    inside: npt.NDArray[np.bool_],
    blocks: npt.NDArray[np.int64],
    draws: int = DRAWS,
) -> float:
    """The standard error of a coverage, by a bootstrap of whole blocks (Kunsch 1989).

    Windows that overlap miss together: as if they were independent, the error would come out far
    too small.

    Args:
        inside: [n] whether each observed target lies in its interval.
        blocks: [n] the day, or another block, of each window's origin.
        draws: samples of as many blocks as there are, with replacement; the same each time.
    """
    own = np.unique(blocks, return_inverse=True)[1]
    hits, counts = np.bincount(own, weights=inside), np.bincount(own)
    times = _times(len(hits), draws)
    return float(np.std((times @ hits) / (times @ counts)))

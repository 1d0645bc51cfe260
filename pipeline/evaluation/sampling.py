"""How far a score on one span may lie from what it would be on many."""

import numpy as np
import numpy.typing as npt

DRAWS = 1000


def coverage_error(
    inside: npt.NDArray[np.bool_],
    known: npt.NDArray[np.bool_],
    blocks: npt.NDArray[np.int64],
    draws: int = DRAWS,
) -> float:
    """The standard error of a coverage, by a bootstrap of whole blocks (Kunsch 1989).

    Windows that overlap miss together: as if they were independent, the error would come out far
    too small.

    Args:
        inside: [N, ...] whether an observed target lies in its interval.
        known: [N, ...] whether it was observed.
        blocks: [N] the day, or another block, of each window's origin.
        draws: samples of as many blocks as there are, with replacement; the same each time.
    """
    own = np.unique(blocks, return_inverse=True)[1]
    sums = (array.reshape(len(own), -1).sum(axis=1) for array in (inside & known, known))
    hits, counts = (np.bincount(own, weights=number) for number in sums)
    hits, counts = hits[counts > 0], counts[counts > 0]
    equal = np.full(len(hits), 1 / len(hits))
    times = np.random.default_rng(0).multinomial(len(hits), equal, draws)  # [draws, blocks]
    return float(np.std((times @ hits) / (times @ counts)))

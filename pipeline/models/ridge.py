"""Ridge regression from a window to its steps: the strongest baseline that costs seconds."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.data.windows import Rows, ahead
from pipeline.runtime.determinism import THREADS

Floats = npt.NDArray[np.float64]
BLOCK = 1024  # windows held at once: one of a long look-back has thousands of numbers


def solve_ridge(
    windows: Callable[[Rows], Floats],
    targets: npt.NDArray[np.floating],
    train: Rows,
    validation: Rows,
    horizon: int,
    alphas: Sequence[float],
) -> tuple[Floats, Floats]:
    """Kernel [L * F, H * K] and bias [H * K] of ridge regression; `windows` gives [B, L * F].

    Hoerl and Kennard (1970), by the normal equations as scikit-learn solves them, but summed over
    blocks of windows, of which scikit-learn would hold all at once. The penalty is the best of
    `alphas` on the validation windows. Training windows with a missing target are left out; where
    that would be more than half of them, half of the steps are solved without the other half, and
    half of the targets of a single step, since a long horizon or many targets leave hardly a window
    without a gap.
    """
    gaps = np.isnan(targets)
    missing = np.concatenate([np.zeros_like(gaps[:1], int), gaps.cumsum(axis=0)])  # rows before it

    def solved(first: int, last: int, some: slice) -> tuple[Floats, Floats]:
        """Of the steps from `first` to before `last`, of some of the targets."""

        def examples(origins: Rows) -> Iterator[tuple[Floats, Floats]]:
            for rows in blocks(origins):
                wanted = ahead(targets[:, some], rows + first, last - first)
                columns = (last - first) * (some.stop - some.start)
                yield windows(rows), wanted.reshape(len(rows), columns).astype(np.float64)

        before, after = (missing[train + 1 + step, some] for step in (first, last))
        whole = train[(before == after).all(axis=1)]
        halves = []
        if 2 * len(whole) < len(train):
            middle, target = (first + last) // 2, (some.start + some.stop) // 2
            if first < middle:
                halves = [(first, middle, some), (middle, last, some)]
            elif some.start < target:
                parts = slice(some.start, target), slice(target, some.stop)
                halves = [(first, last, part) for part in parts]
        if halves:
            kernel, bias = (
                np.concatenate(part, axis=-1)
                for part in zip(*(solved(*half) for half in halves), strict=True)
            )
            return kernel, bias
        return _ridge(examples(whole), partial(examples, validation), alphas)

    # The sums depend on the number of BLAS threads, and the last digits with them.
    with threadpool_limits(THREADS):
        return solved(0, horizon, slice(0, targets.shape[1]))


def _ridge(
    train: Iterator[tuple[Floats, Floats]],
    validation: Callable[[], Iterator[tuple[Floats, Floats]]],
    alphas: Sequence[float],
) -> tuple[Floats, Floats]:
    """Kernel [P, Q] and bias [Q] from blocks of [B, P] and [B, Q]."""
    from scipy import linalg

    def moments(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        return x.sum(axis=0), y.sum(axis=0), x.T @ x, x.T @ y

    x, y = next(train)
    count, sums = len(x), moments(x, y)
    for x, y in train:
        count += len(x)
        for total, part in zip(sums, moments(x, y), strict=True):
            total += part  # in its place: of the largest there are two, not three
    x_sum, y_sum, gram, cross = sums
    mean, bias = x_sum / max(count, 1), y_sum / max(count, 1)  # nothing known: the mean, zero
    gram -= np.outer(x_sum, mean)
    cross -= np.outer(x_sum, bias)
    diagonal, best, least = gram.diagonal().copy(), np.empty(0), np.inf
    for i, alpha in enumerate(alphas):
        np.fill_diagonal(gram, diagonal + alpha)
        kernel = linalg.solve(gram, cross, assume_a="pos")
        error = sum(np.nansum(((x - mean) @ kernel + bias - y) ** 2) for x, y in validation())
        if i == 0 or error < least:
            best, least = kernel, error
    return best, bias - mean @ best


def blocks(origins: Rows) -> list[Rows]:
    """Origins in parts of which all windows are held at once."""
    return np.array_split(origins, range(BLOCK, len(origins), BLOCK))

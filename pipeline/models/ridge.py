"""Ridge regression, streamed: what is held at once does not grow with the windows."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.data.windows import Rows
from pipeline.runtime.determinism import THREADS

Floats = npt.NDArray[np.float64]
Spans = tuple[Rows, Rows]  # origins of the training and of the validation span
BLOCK = 1024  # windows held at once: one of a long look-back has thousands of numbers


def solve_ridge(
    inputs: Callable[[Rows], Floats],
    outputs: Callable[[Rows], Floats],
    origins: Spans,
    alphas: Sequence[float],
    intercept: bool = True,
) -> tuple[Floats, Floats]:
    """Kernel [P, Q] and bias [Q], zero without `intercept`, of ridge regression.

    Hoerl and Kennard (1970), by the normal equations as scikit-learn solves them, but summed over
    blocks of origins, of which scikit-learn would hold all at once. The penalty is the best of
    `alphas` on the validation span. Examples with a missing output are left out; where that would
    be more than half of them, half of the outputs are solved without the other half, since a long
    horizon or many targets leave hardly an example without a gap.

    Args:
        inputs: of origins [B], the examples' inputs [N, P]; N is B or a multiple of it.
        outputs: their outputs [N, Q], NaN where missing; a step's targets lie side by side.
    """

    train, validation = origins

    def solved(some: slice) -> tuple[Floats, Floats]:
        """Of some of the outputs."""

        def known(rows: Rows) -> tuple[Floats, npt.NDArray[np.bool_]]:
            wanted = outputs(rows)[:, some]
            return wanted, np.asarray(np.isfinite(wanted).all(axis=1))

        def examples(span: Rows, gaps: bool) -> Iterator[tuple[Floats, Floats]]:
            for rows in blocks(span):
                wanted, whole = known(rows)
                yield inputs(rows)[whole | gaps], wanted[whole | gaps]

        if some.stop - some.start > 1:
            share = np.concatenate([known(rows)[1] for rows in blocks(train)])
            if 2 * share.sum() < len(share):
                middle = (some.start + some.stop) // 2
                halves = slice(some.start, middle), slice(middle, some.stop)
                kernels, biases = zip(*map(solved, halves), strict=True)
                return np.concatenate(kernels, axis=1), np.concatenate(biases)
        return _ridge(examples(train, False), lambda: examples(validation, True), alphas, intercept)

    # The sums depend on the number of BLAS threads, and the last digits with them.
    with threadpool_limits(THREADS):
        return solved(slice(0, outputs(train[:1]).shape[1]))


def _ridge(
    train: Iterator[tuple[Floats, Floats]],
    validation: Callable[[], Iterator[tuple[Floats, Floats]]],
    alphas: Sequence[float],
    intercept: bool,
) -> tuple[Floats, Floats]:
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
    of = max(count, 1) if intercept else np.inf  # nothing known: the mean, zero
    mean, bias = x_sum / of, y_sum / of
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

"""The sampling error of a coverage is that of whole blocks."""

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.evaluation.sampling import counted
from pipeline.evaluation.sampling import coverage_error as of_counts


def coverage_error(inside: npt.NDArray[np.bool_], blocks: npt.NDArray[np.int64]) -> float:
    """Of values that are counted at once."""
    return of_counts(counted(inside, blocks))


def test_values_of_a_block_count_as_one() -> None:
    """Independent values have the binomial error; where a day misses together, that of its days."""
    random = np.random.default_rng(1)
    days, each = 400, 24
    day = np.arange(days).repeat(each)
    alone = random.random(days * each) < 0.8
    assert coverage_error(alone, day) == pytest.approx((0.8 * 0.2 / len(day)) ** 0.5, rel=0.2)
    together = np.repeat(random.random(days) < 0.8, each)
    assert coverage_error(together, day) == pytest.approx((0.8 * 0.2 / days) ** 0.5, rel=0.15)


def test_the_blocks_names_do_not_count() -> None:
    """The same error for days and for their seconds, each time."""
    random = np.random.default_rng(2)
    day, inside = np.arange(90) // 3, random.random(90) < 0.8
    error = coverage_error(inside, day)
    assert error == coverage_error(inside, day) == coverage_error(inside, day * 86_400) > 0


def test_neighbours_of_very_many_blocks_are_joined() -> None:
    """Where blocks know nothing of each other the error is that of chance, by few long ones too."""
    blocks = 100_000
    hits = np.random.default_rng(3).binomial(24, 0.8, blocks)
    counts = np.stack([np.arange(blocks), hits, np.full(blocks, 24)])
    assert of_counts(counts) == pytest.approx((0.8 * 0.2 / 24 / blocks) ** 0.5, rel=0.1)
    joined = counts[:, :20_000].reshape(3, 4_000, 5)
    by_hand = np.stack([joined[0, :, 0], joined[1].sum(axis=1), joined[2].sum(axis=1)])
    assert of_counts(counts[:, :20_000]) == of_counts(by_hand)

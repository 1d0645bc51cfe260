"""The sampling error of a coverage is that of whole blocks."""

import numpy as np
import pytest

from pipeline.evaluation.sampling import coverage_error


def test_values_of_a_block_count_as_one() -> None:
    """Independent values have the binomial error; where a day misses together, that of its days."""
    random = np.random.default_rng(1)
    days, each = 400, 24
    day = np.arange(days).repeat(each)
    known = np.ones((days * each, 2), bool)
    alone = random.random(known.shape) < 0.8
    assert coverage_error(alone, known, day) == pytest.approx(
        (0.8 * 0.2 / known.size) ** 0.5, rel=0.2
    )
    together = np.repeat(random.random((days, 1)) < 0.8, each, axis=0) & known
    assert coverage_error(together, known, day) == pytest.approx(
        (0.8 * 0.2 / days) ** 0.5, rel=0.15
    )


def test_what_was_not_observed_does_not_count() -> None:
    """Neither single values nor whole days, wherever they stand; the same answer each time."""
    random = np.random.default_rng(2)
    day, inside = np.arange(90) // 3, random.random((90, 4)) < 0.8
    known = random.random(inside.shape) < 0.7
    known[30:60] = False
    error = coverage_error(inside, known, day)
    assert error == coverage_error(inside ^ ~known, known, day)
    kept = np.r_[:30, 60:90]
    assert error == coverage_error(inside[kept], known[kept], day[kept] * 86_400) > 0

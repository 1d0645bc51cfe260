"""Scores of a sample from what its parts add to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.panel import Borders
from pipeline.evaluation import forecasts, scoring, sums
from pipeline.evaluation.forecasts import Made
from pipeline.evaluation.scoring import Yardstick


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    targets=st.integers(1, 2),
    far=st.sampled_from([0.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_parts_have_the_scores_of_the_whole(
    lengths: list[int], targets: int, far: float, seed: int
) -> None:
    """However it is cut, with blocks that lie in several parts, parts in which nothing was observed
    and values far from zero."""
    random, n = np.random.default_rng(seed), sum(lengths)
    seen = far + random.integers(-3, 4, (n, 3, targets)).astype(float)
    seen[random.random(seen.shape) < 0.3] = np.nan
    point, blocks = seen + random.normal(0, 1, seen.shape), np.sort(random.integers(0, 4, n))
    point = np.where(np.isnan(point), 0, point)
    levels = {80.0: (point - 1, point + 1)}
    deciles = {float(at): point + at / 50 - 1 for at in range(10, 100, 10)}
    made = Made(point, levels, deciles)
    yardstick = Yardstick(np.full(targets, 1.5), np.ones(targets))
    total: sums.Tree = {}
    for end, length in zip(np.cumsum(lengths), lengths, strict=True):
        at = slice(end - length, end)
        of = seen[at], made.part(at), yardstick
        total = sums.joined(total, scoring.summed(*of, blocks=blocks[at]))
    if np.isnan(seen).all():
        assert total == {}
        return
    whole = scoring.pooled(seen, made, yardstick, blocks=blocks)
    assert sums.finished(total) == pytest.approx(whole, rel=1e-8, abs=1e-8)


def test_a_long_series_is_scored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Series are whole up to LONGEST windows; of a longer one, as many values come at a time."""
    monkeypatch.setattr(forecasts, "LONGEST", 6)
    monkeypatch.setattr(forecasts, "MOST", 10)
    borders = Borders.of({"a": 3, "b": 15, "c": 6})
    found = [(part.start, part.stop) for part in forecasts.grouped(np.arange(24), borders, 2)]
    assert found == [(0, 3), (3, 6), (6, 9), (9, 12), (12, 15), (15, 18), (18, 24)]

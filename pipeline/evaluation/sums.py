"""What adds up over the parts of a sample, and the scores of all of it.

A table of many series is forecast and scored in groups: no score needs all forecasts at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.evaluation.sampling import coverage_error, together

Parts = tuple[Any, ...]
Tree = dict[str, Any]  # of sums, by name; scores once they are finished


def _added(one: Parts, other: Parts) -> Parts:
    return tuple(a + b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True)
class How:
    """How sums become a score."""

    value: Callable[..., Any]  # None where the score is not defined
    join: Callable[[Parts, Parts], Parts] = _added  # of two parts of a sample


@dataclass(frozen=True)
class Sum:
    """What one part of a sample, or several, give a score."""

    how: How
    parts: Parts

    @classmethod
    def of(cls, how: How, found: Any) -> "Sum":
        """Of what adds up, or of terms [n] that do."""
        return cls(how, found if isinstance(found, tuple) else (np.sum(found), len(found)))


def _explained(n: int, mean: float, spread: float, missed: float) -> float | None:
    """R2, as scikit-learn has it where nothing varies."""
    if n < 2:
        return None
    return 1 - missed / spread if spread else float(not missed)


def _explained_where_varied(n: int, mean: float, spread: float, missed: float) -> float | None:
    """R2, None where all values are one, of which a mean may miss them by rounding."""
    return 1 - missed / spread if spread > n * (1e-12 * mean) ** 2 else None


def _varied(one: Parts, other: Parts) -> Parts:
    """n, mean and squares around it of two parts together (Chan, Golub and LeVeque 1979)."""
    (n, mean, spread, missed), (m, far, own, more) = one, other
    apart, every = far - mean, n + m
    between = apart**2 * n * m / every
    return every, mean + apart * m / every, spread + own + between, missed + more


def _scaled(one: Parts, other: Parts) -> Parts:
    return one[0] + other[0], one[1] + other[1], one[2]  # parts of one series have one scale


def _weighted(n: int, size: float, losses: Any) -> float | None:
    return 2 * np.mean(losses / n) / (size / n) if size else None


MEAN = How(lambda total, n: total / n if n else None)
ROOT = How(lambda total, n: np.sqrt(total / n))
SCALED = How(lambda total, n, scale: total / n / scale, _scaled)
EXPLAINED = How(_explained, _varied)
WHERE_VARIED = How(_explained_where_varied, _varied)
WEIGHTED = How(_weighted)
SAMPLED = How(coverage_error, lambda one, other: (together(*one, *other),))
COUNT = How(int)


def joined(one: Tree, other: Tree) -> Tree:
    """The sums of two parts of a sample; what one of them lacks is the other's."""
    both = {name: _joined(one[name], other[name]) for name in one if name in other}
    return {**one, **other, **both}


def _joined(one: Any, other: Any) -> Any:
    if isinstance(one, Sum):
        return Sum(one.how, one.how.join(one.parts, other.parts))
    return joined(one, other)


def finished(tree: Mapping[str, Any]) -> Tree:
    """The scores of a tree of sums, less those that are not defined."""
    found: Tree = {}
    for name, own in tree.items():
        score = finished(own) if isinstance(own, dict) else own.how.value(*own.parts)
        if score is not None:
            found[name] = score if isinstance(score, int | dict) else float(score)
    return found

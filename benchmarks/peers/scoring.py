"""A clock that stands still while it is looked at, and the scores to look at."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np


class Reached(Exception):  # noqa: N818 - no error: the goal, or the end of patience
    """Training is over."""


class Stopwatch:
    """Seconds of fit; ends the fit once validation is good enough, or time is up."""

    def __init__(self, case: dict[str, Any], limit: float, score: Callable[[str], float]) -> None:
        self.case, self.limit, self.score = case, limit, score
        self.seconds, self.since = 0.0, time.perf_counter()

    def look(self) -> None:
        """Score validation off the clock; Reached if that is the end."""
        self.seconds += time.perf_counter() - self.since
        self.validation = self.score("validation")
        if self.validation <= self.case["wanted"] or self.seconds > self.limit:
            raise Reached
        self.since = time.perf_counter()

    def result(self) -> dict[str, Any]:
        """What to answer; the test score is looked at here alone."""
        return told(self.case, self.seconds, self.validation, self.score("test"))


def told(case: dict[str, Any], seconds: float, validation: float, test: float) -> dict[str, Any]:
    """An answer, its scores in the unit that the goal is told in."""
    unit = (lambda x: x**0.5 * case["unit"]) if case["horizon"] == 1 else (lambda x: x)
    return {
        "seconds": seconds,
        "validation": unit(validation),
        "test": unit(test),
        "reached": bool(validation <= case["wanted"]),
    }


def error(standardised: np.ndarray, origins: np.ndarray, forecast: np.ndarray) -> float:
    """Mean squared error of forecasts [N, H, K] where something was observed."""
    ahead = origins[:, None] + np.arange(1, forecast.shape[1] + 1)
    return float(np.nanmean((standardised[ahead] - forecast) ** 2))

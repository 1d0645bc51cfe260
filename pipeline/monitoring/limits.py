"""How far a chunk of rows may be from what is usual, learned from chunks of usual rows.

Neighbouring rows are alike, so a week is far from the distribution of three years and its p-value
is 0 in every week. What tells drift from weather is how far other weeks were.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

IN_A_ROW = 2  # chunks that must be over their limit before it is an alarm
FEWEST = 10  # chunks that limits are learned from
USUAL = 0.9  # the quantile of a statistic that it is measured in
KEPT = 0.995  # share of the usual pairs of chunks in which no statistic may be over its limit
MARGIN = 1.1  # and beyond the farthest of them, since few chunks do not show how far they may be
# What is too little to tell of, however steady the training span was. PSI below 0.1 is called no
# shift by those who use it (Siddiqi, Credit Risk Scorecards, 2006).
FLOOR = 0.05
FLOORS = {"psi": 0.1}
UNBOUNDED = ("psi", "mae")  # the others are shares


class Alarm(NamedTuple):
    """A statistic over its limit in as many chunks in a row as it takes."""

    of: str  # the column or the target
    statistic: str
    chunk: int  # the last of the first chunks in a row
    value: float  # there
    limit: float


def learned(usual: pd.DataFrame) -> pd.Series:
    """The limit of each statistic: [chunks, (of, statistic)] -> [(of, statistic)].

    One factor on what each statistic usually is makes all limits, so that the chance of a false
    alarm is that of all of them together. It is the least with which at most 1 - KEPT of the pairs
    of neighbouring chunks have any statistic over its limit in both.

    Empty if there are fewer than FEWEST chunks.
    """
    if len(usual) < FEWEST:
        return pd.Series(dtype=np.float64, index=usual.columns[:0])
    usual = usual.dropna(axis=1, how="all")
    scores = usual.apply(_open_ended)
    keys: list[Any] = list(usual.columns)
    least = [FLOORS.get(statistic, FLOOR * (statistic != "mae")) for _, statistic in keys]
    size = scores.quantile(USUAL).clip(lower=pd.Series(least, usual.columns)).replace(0, np.nan)
    ratio = (scores / size).fillna(0).to_numpy()
    worst = np.sort(np.minimum(ratio[1:], ratio[:-1]).max(axis=1))
    rank = min(int(np.ceil((len(worst) + 1) * KEPT)), len(worst))
    limit = size * max(worst[rank - 1], 1.0) * MARGIN
    shares = [statistic not in UNBOUNDED for _, statistic in keys]
    return limit.mask(shares, -np.expm1(-limit)).dropna()


def _open_ended(found: pd.Series) -> pd.Series:
    """A statistic without an upper end, so that 1 is over a share's limit, whatever the factor."""
    key: Any = found.name
    return found if key[1] in UNBOUNDED else -np.log1p(-found.clip(upper=0.999))


def alarms(found: pd.DataFrame, limits: pd.Series) -> list[Alarm]:
    """The statistics that are over their limits in IN_A_ROW chunks in a row, the first time each.

    `found` is [chunks, (of, statistic)], its index numbers the chunks; one that is not there breaks
    the row.
    """
    if found.empty:
        return []
    every = found.reindex(range(int(found.index[0]), int(found.index[-1]) + 1))
    told = []
    shared: list[Any] = list(limits.index.intersection(found.columns))
    for key in shared:
        over = (every[key] > limits[key]).astype(int)
        rows = over.rolling(IN_A_ROW).sum() == IN_A_ROW
        if rows.any():
            chunk = int(rows.idxmax())
            told.append(Alarm(key[0], key[1], chunk, float(every[key][chunk]), float(limits[key])))
    return sorted(told, key=lambda alarm: (alarm.chunk, alarm.of))

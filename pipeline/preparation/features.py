"""What a network may see of each row: columns, calendar, differences, a season before, gaps."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.cards import Card
from pipeline.config.holidays import Holidays, command
from pipeline.config.input_names import TERMS, Feature, of_time
from pipeline.data.panel import Borders
from pipeline.errors import PipelineError
from pipeline.files.aligned import aligned_zeros

Mask = npt.NDArray[np.bool_]
# Each term's period, and where in it a time stamp lies.
CALENDAR = {
    "hour": (24.0, lambda times: np.asarray(times.hour) + np.asarray(times.minute) / 60),
    "weekday": (7.0, lambda times: times.day_of_week),
    "day_of_year": (365.25, lambda times: times.day_of_year - 1),
    "month": (12.0, lambda times: times.month - 1),
}


class Gaps(NamedTuple):
    """What was imputed: for each value 0 where it was observed, and the limit of the imputation."""

    state: npt.NDArray[np.uint8]  # [rows, channels]
    limit: int  # rows


def made_of(
    marked: Mask,
    channels: Sequence[str],
    features: Sequence[str],
    season: int,
    horizon: int,
    ahead: bool = False,
) -> Mask:
    """Rows with a feature that `build` makes of a marked value: [rows, channels] -> [rows].

    `channels` names the columns of `marked`: the features' sources at least.
    """
    position = {name: i for i, name in enumerate(channels)}
    rows = np.zeros(len(marked), np.bool_)
    for name in features:
        if of_time(name):
            continue
        feature = Feature.of(name)
        if feature.gap:
            continue
        column = marked[:, position[feature.source]]
        if feature.difference:
            column = np.append(column[:1], column[1:] | column[:-1])
        lag = feature.back(season, horizon) if ahead else feature.lag(season, horizon)
        rows[lag:] |= column[: max(len(column) - lag, 0)]
    return rows


def build(
    values: npt.NDArray[np.float32],
    channels: Sequence[str],
    features: Sequence[str],
    times: pd.DatetimeIndex,
    card: Card,
    horizon: int,
    changes: Mapping[str, float],
    gaps: Gaps,
    borders: Borders | None = None,
    holidays: Mapping[str, Holidays] = {},
    ahead: bool = False,
) -> npt.NDArray[np.float32]:
    """The features of every row, from that row and rows of its series before it alone.

    Args:
        values: [rows, channels] scaled, nothing missing; `channels` are their names.
        features: the names to build, as `expand` gives them.
        changes: of each channel, what its differences are divided by (`Scale.change`).
        borders: of several series below each other; one series if None.
        holidays: of each feature such as holiday:DE.
        ahead: the rows are steps ahead: seasonal values are whole seasons before the row itself.

    Returns:
        [rows, features]; where the past does not reach far enough (`context`), 0. If the features
        are the channels as they stand, `values` itself: no copy is made of a memory-mapped array.
    """
    if list(features) == list(channels):
        return values
    local = by_clock(times, card)
    built = aligned_zeros(len(values), len(features))
    for _, rows in (borders or Borders.of({"": len(values)})).parts():
        part = Gaps(gaps.state[rows], gaps.limit)
        given = channels, features, local[rows], card, horizon, changes, part, holidays, ahead
        _fill(built[rows], values[rows], *given)
    return built


def _fill(
    built: npt.NDArray[np.float32],
    values: npt.NDArray[np.float32],
    channels: Sequence[str],
    features: Sequence[str],
    local: pd.DatetimeIndex,
    card: Card,
    horizon: int,
    changes: Mapping[str, float],
    gaps: Gaps,
    holidays: Mapping[str, Holidays],
    ahead: bool,
) -> None:
    """The features of one series, into zeros of their shape."""
    position = {name: i for i, name in enumerate(channels)}
    for j, name in enumerate(features):
        if name in TERMS:
            term, function = name.rsplit("_", 1)
            period, of = CALENDAR[term]
            angle = 2 * np.pi * np.asarray(of(local), np.float64) / period
            built[:, j] = np.sin(angle) if function == "sin" else np.cos(angle)
            continue
        if of_time(name):
            built[:, j] = on_holiday(name, holidays[name], local)
            continue
        feature = Feature.of(name)
        if feature.gap:
            gone = gaps.state[:, position[feature.source]] > 0
            built[:, j] = gone if feature.gap == "missing" else _since(gone, gaps.limit)
            continue
        column = values[:, position[feature.source]]
        if feature.difference:
            column = np.diff(column, prepend=column[:1]) / np.float32(changes[feature.source])
        of_feature = feature.back if ahead else feature.lag
        lag = of_feature(card.season, horizon)
        built[lag:, j] = column[: max(len(column) - lag, 0)]


def by_clock(times: pd.DatetimeIndex, card: Card) -> pd.DatetimeIndex:
    """The times by the clock of the card's time zone, if it has one."""
    return times if times.tz is None else times.tz_convert(card.time.timezone)


def on_holiday(name: str, own: Holidays, local: pd.DatetimeIndex) -> Mask:
    """Rows [rows] on a holiday by the local date; PipelineError of a year that `own` lacks."""
    years = local.year
    if len(outside := local[(years < own.first) | (years > own.last)]):
        first, last = min(own.first, years.min()), max(own.last, years.max())
        raise PipelineError(
            f"{name}: expected rows in {own.first} to {own.last}, whose holidays are known, found "
            f"{outside[0]}; before a training, {command(name, first, last)} writes more"
        )
    days = local.tz_localize(None).normalize()
    return np.asarray(days.isin(pd.DatetimeIndex([*own.dates])))


def _since(missing: Mask, limit: int) -> npt.NDArray[np.float64]:
    """Rows since the last value, in parts of those at which a gap goes beyond the limit: [rows].

    At most 1, so that no more rows decide it than decide what a gap is filled with.
    """
    rows = np.arange(len(missing))
    last = np.maximum.accumulate(np.where(missing, -1, rows))  # before the first row, if none yet
    since: npt.NDArray[np.float64] = np.minimum(rows - last, limit + 1) / (limit + 1)
    return since

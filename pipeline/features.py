"""What a network may see of each row: columns, calendar terms, differences, a season before."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.cards import Card
from pipeline.errors import PipelineError

# Each term's period, and where in it a time stamp lies.
CALENDAR = {
    "hour": (24.0, lambda times: times.hour + times.minute / 60),
    "weekday": (7.0, lambda times: times.day_of_week),
    "day_of_year": (365.25, lambda times: times.day_of_year - 1),
}
_TERMS = [f"{term}_{function}" for term in CALENDAR for function in ("sin", "cos")]
_DERIVED = re.compile(r"(difference|seasonal):(.+)")


def expand(inputs: Sequence[str], card: Card, key: str = "window.inputs") -> list[str]:
    """The features that `inputs` name, one for each channel of a window.

    An input is a column of the card (a category becomes one feature a level), a calendar term
    (`hour`, `weekday`, `day_of_year`: a sine and a cosine), `difference:COLUMN` (change since the
    row before) or `seasonal:COLUMN` (the value one season before the last step forecast).

    Raises:
        PipelineError: under `key`, names an input that is none of these, or stands twice.
    """
    features: list[str] = []
    for name in inputs:
        derived = _DERIVED.fullmatch(name)
        column = derived[2] if derived else name
        if column in card.columns:
            kind = f"{derived[1]}:{{}}" if derived else "{}"
            features += [kind.format(channel) for channel in card.channels[column]]
        elif name in CALENDAR:
            features += [f"{name}_sin", f"{name}_cos"]
        else:
            what = "excluded by the card" if column in card.excluded else "not known"
            raise PipelineError(
                f"{key}: {name} is {what}; expected columns ({', '.join(card.columns)}), "
                f"calendar terms ({', '.join(CALENDAR)}), difference:COLUMN or seasonal:COLUMN"
            )
    for name in features:
        if features.count(name) > 1:
            raise PipelineError(f"{key}: {name} stands twice, expected each input once")
    return features


def columns(inputs: Sequence[str], card: Card) -> list[str]:
    """The card's columns that the inputs are made from."""
    bare = [derived[2] if (derived := _DERIVED.fullmatch(name)) else name for name in inputs]
    return [name for name in card.columns if name in bare]


def sources(features: Sequence[str]) -> list[str]:
    """The channels that the features are made from, each once; calendar terms need none."""
    bare = [derived[2] if (derived := _DERIVED.fullmatch(name)) else name for name in features]
    return list(dict.fromkeys(name for name in bare if name not in _TERMS))


def seasonal_lag(season: int, horizon: int) -> int:
    """Rows from a row back to the value one season before the last step forecast from it.

    The step is `horizon` rows ahead; whole seasons are taken off it until the value is known.
    """
    return -(-horizon // season) * season - horizon


def context(features: Sequence[str], season: int, horizon: int) -> int:
    """Rows before a window that its first row's features are made from."""
    lags = [0]
    for name in features:
        if derived := _DERIVED.fullmatch(name):
            lags.append(1 if derived[1] == "difference" else seasonal_lag(season, horizon))
    return max(lags)


def build(
    values: npt.NDArray[np.float32],
    channels: Sequence[str],
    features: Sequence[str],
    times: pd.DatetimeIndex,
    card: Card,
    horizon: int,
) -> npt.NDArray[np.float32]:
    """The features of every row, from that row and rows before it alone.

    Args:
        values: [rows, channels] scaled, nothing missing.
        channels: the names of the columns of `values`.
        features: the names to build, as `expand` gives them.
        times: [rows] time stamps.
        card: gives the season and the time zone.
        horizon: steps ahead.

    Returns:
        [rows, features]; where the past does not reach far enough (`context`), 0. If the features
        are the channels as they stand, `values` itself: no copy is made of a memory-mapped array.
    """
    if list(features) == list(channels):
        return values
    position = {name: i for i, name in enumerate(channels)}
    local = times if times.tz is None else times.tz_convert(card.time.timezone)
    built = np.zeros((len(values), len(features)), np.float32)
    for j, name in enumerate(features):
        if name in position:
            built[:, j] = values[:, position[name]]
        elif derived := _DERIVED.fullmatch(name):
            column = values[:, position[derived[2]]]
            if derived[1] == "difference":
                built[1:, j] = np.diff(column)
            else:
                lag = seasonal_lag(card.season, horizon)
                built[lag:, j] = column[: len(column) - lag]
        else:
            term, function = name.rsplit("_", 1)
            period, of = CALENDAR[term]
            angle = 2 * np.pi * np.asarray(of(local), np.float64) / period
            built[:, j] = np.sin(angle) if function == "sin" else np.cos(angle)
    return built

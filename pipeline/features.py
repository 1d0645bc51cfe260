"""What a network may see of each row: columns, calendar, differences, a season before, gaps."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.artifacts import aligned_zeros
from pipeline.cards import Card
from pipeline.errors import PipelineError

# Each term's period, and where in it a time stamp lies.
CALENDAR = {
    "hour": (24.0, lambda times: times.hour + times.minute / 60),
    "weekday": (7.0, lambda times: times.day_of_week),
    "day_of_year": (365.25, lambda times: times.day_of_year - 1),
}
_TERMS = [f"{term}_{function}" for term in CALENDAR for function in ("sin", "cos")]
_FORMS = (
    "difference:COLUMN, seasonal:COLUMN, seasonal:ROWS:COLUMN, seasonal:ROWS:difference:COLUMN, "
    "missing:COLUMN or since:COLUMN, ROWS of up to nine digits"
)


class Gaps(NamedTuple):
    """What was imputed: for each value 0 where it was observed, and the limit of the imputation."""

    state: npt.NDArray[np.uint8]  # [rows, channels]
    limit: int  # rows


class Feature(NamedTuple):
    """A column or channel and what is made of it."""

    source: str
    difference: bool
    season: int | None  # rows; 0 for the card's season, None for the present value
    gap: Literal["missing", "since"] | None = None  # what is told of its gaps in place of its value

    @classmethod
    def of(cls, name: str) -> "Feature":
        """The parts of a name such as seasonal:672:difference:load."""
        for gap in ("missing", "since"):
            if name.startswith(f"{gap}:"):
                return cls(name.removeprefix(f"{gap}:"), False, None, gap)
        rest = name.removeprefix("seasonal:")
        seasonal, season = rest != name, 0
        rows, _, after = rest.partition(":")
        if seasonal and re.fullmatch(r"[1-9]\d{,8}", rows):
            rest, season = after, int(rows)
        source = rest.removeprefix("difference:")
        return cls(source, source != rest, season if seasonal else None)

    def lag(self, season: int, horizon: int) -> int:
        """Rows back to the value: 0, or one season before the last step forecast.

        The step is `horizon` rows ahead; whole seasons are taken off it until the value is known.
        """
        if self.season is None:
            return 0
        rows = self.season or season
        return -(-horizon // rows) * rows - horizon


def is_term(name: str) -> bool:
    """Whether an input of this name is a calendar term, a difference or a seasonal value."""
    return name in CALENDAR or name in _TERMS or Feature.of(name).source != name


def expand(inputs: Sequence[str], card: Card, key: str = "window.inputs") -> list[str]:
    """The features that `inputs` name, one for each channel of a window.

    An input is a column of the card (a category becomes one feature a level), a calendar term
    (`hour`, `weekday`, `day_of_year`: a sine and a cosine), `difference:COLUMN` (change since the
    row before), `seasonal:COLUMN` (the value one season before the last step forecast),
    `seasonal:ROWS:COLUMN` (with a season of that many rows), the difference there,
    `seasonal:ROWS:difference:COLUMN`, `missing:COLUMN` (1 where the value is imputed, else 0) or
    `since:COLUMN` (rows since the last value, from 0 to 1 beyond the imputation's limit).

    Raises:
        PipelineError: under `key`, names an input that is none of these, or stands twice.
    """
    features: list[str] = []
    for name in inputs:
        column = name if name in card.columns else Feature.of(name).source
        if column in card.columns:
            form = name.removesuffix(column)
            channels = card.channels[column]
            # The levels of a category are missing together.
            told = channels[:1] if Feature.of(name).gap and name != column else channels
            features += [form + channel for channel in told]
        elif name in CALENDAR:
            features += [f"{name}_sin", f"{name}_cos"]
        else:
            what = "excluded by the card" if column in card.excluded else "not known"
            raise PipelineError(
                f"{key}: {name} is {what}; expected columns ({', '.join(card.columns)}), "
                f"calendar terms ({', '.join(CALENDAR)}), {_FORMS}"
            )
    for name in features:
        if name in card.columns and (name in _TERMS or Feature.of(name).source != name):
            raise PipelineError(
                f"{key}: {name} is a column that has the name of a calendar term, difference, "
                "seasonal value or gap, expected another name; the card's rename gives it one"
            )
    if len(set(features)) < len(features):
        ((twice, _),) = Counter(features).most_common(1)
        raise PipelineError(f"{key}: {twice} stands twice, expected each input once")
    return features


def columns(inputs: Sequence[str], card: Card) -> list[str]:
    """The card's columns that the inputs are made from."""
    return [
        column
        for column in card.columns
        if any(name == column or Feature.of(name).source == column for name in inputs)
    ]


def sources(features: Sequence[str]) -> list[str]:
    """The channels that the features are made from, each once; calendar terms need none."""
    return list(dict.fromkeys(Feature.of(name).source for name in features if name not in _TERMS))


def context(features: Sequence[str], season: int, horizon: int) -> int:
    """Rows before a window that its first row's features are made from."""
    parts = [Feature.of(name) for name in features]
    return max(part.lag(season, horizon) + part.difference for part in parts)


def made_of(
    marked: npt.NDArray[np.bool_],
    channels: Sequence[str],
    features: Sequence[str],
    season: int,
    horizon: int,
) -> npt.NDArray[np.bool_]:
    """Rows with a feature that `build` makes of a marked value: [rows, channels] -> [rows].

    Args:
        marked: which values of the channels are meant.
        channels: the names of its columns, the features' `sources` at least.
        features, season, horizon: as for `build`.
    """
    position = {name: i for i, name in enumerate(channels)}
    rows = np.zeros(len(marked), np.bool_)
    for name in features:
        if name in _TERMS:
            continue
        feature = Feature.of(name)
        if feature.gap:
            continue
        column = marked[:, position[feature.source]]
        if feature.difference:
            column = np.append(column[:1], column[1:] | column[:-1])
        lag = feature.lag(season, horizon)
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
) -> npt.NDArray[np.float32]:
    """The features of every row, from that row and rows before it alone.

    Args:
        values: [rows, channels] scaled, nothing missing.
        channels: the names of the columns of `values`.
        features: the names to build, as `expand` gives them.
        times: [rows] time stamps.
        card: gives the season and the time zone.
        horizon: steps ahead.
        changes: of each channel, what its differences are divided by (`Scale.change`).
        gaps: what was imputed of `values`.

    Returns:
        [rows, features]; where the past does not reach far enough (`context`), 0. If the features
        are the channels as they stand, `values` itself: no copy is made of a memory-mapped array.
    """
    if list(features) == list(channels):
        return values
    position = {name: i for i, name in enumerate(channels)}
    local = times if times.tz is None else times.tz_convert(card.time.timezone)
    built = aligned_zeros(len(values), len(features))
    for j, name in enumerate(features):
        if name in _TERMS:
            term, function = name.rsplit("_", 1)
            period, of = CALENDAR[term]
            angle = 2 * np.pi * np.asarray(of(local), np.float64) / period
            built[:, j] = np.sin(angle) if function == "sin" else np.cos(angle)
            continue
        feature = Feature.of(name)
        if feature.gap:
            gone = gaps.state[:, position[feature.source]] > 0
            built[:, j] = gone if feature.gap == "missing" else _since(gone, gaps.limit)
            continue
        column = values[:, position[feature.source]]
        if feature.difference:
            column = np.diff(column, prepend=column[:1]) / np.float32(changes[feature.source])
        lag = feature.lag(card.season, horizon)
        built[lag:, j] = column[: max(len(column) - lag, 0)]
    return built


def _since(missing: npt.NDArray[np.bool_], limit: int) -> npt.NDArray[np.float64]:
    """Rows since the last value, in parts of those at which a gap goes beyond the limit: [rows].

    At most 1, so that no more rows decide it than decide what a gap is filled with.
    """
    rows = np.arange(len(missing))
    last = np.maximum.accumulate(np.where(missing, -1, rows))  # before the first row, if none yet
    since: npt.NDArray[np.float64] = np.minimum(rows - last, limit + 1) / (limit + 1)
    return since

"""The names of a network's inputs, and the features that they stand for."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from pipeline.config.cards import Card
from pipeline.errors import PipelineError

CALENDAR = ("hour", "weekday", "day_of_year", "month")
TERMS = [f"{term}_{function}" for term in CALENDAR for function in ("sin", "cos")]
HOLIDAYS = "holiday:COUNTRY, holiday:COUNTRY-SUBDIVISION"
FORMS = (
    f"{HOLIDAYS}, "
    "difference:COLUMN, seasonal:COLUMN, seasonal:ROWS:COLUMN, seasonal:ROWS:difference:COLUMN, "
    "missing:COLUMN or since:COLUMN, ROWS of up to nine digits"
)
_HOLIDAY = re.compile(r"holiday:([A-Z]{2,3}(-[\w ]+)?)")


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

    def back(self, season: int, horizon: int) -> int:
        """Rows from a step ahead back to its value: 0, or whole seasons, as few as are known.

        They are at least `horizon`, so that one number does for every step.
        """
        if self.season is None:
            return 0
        rows = self.season or season
        return -(-horizon // rows) * rows

    def lag(self, season: int, horizon: int) -> int:
        """Rows from an origin back to the value: 0, or what is `back` from the last step."""
        return max(self.back(season, horizon) - horizon, 0)


def region(name: str) -> str | None:
    """Of `holiday:DE` or `holiday:DE-BY` the country or subdivision; None of another name."""
    found = _HOLIDAY.fullmatch(name)
    return found[1] if found else None


def of_time(name: str) -> bool:
    """Whether a feature is made of a row's time alone: a calendar term or a holiday."""
    return name in TERMS or region(name) is not None


def is_made(name: str) -> bool:
    """Whether an input of this name is made of the time or a column, and can be no column's own."""
    return of_time(name) or Feature.of(name).source != name


def is_term(name: str) -> bool:
    """Whether an input of this name is a calendar term, a difference or a seasonal value."""
    return name in CALENDAR or is_made(name)


def expand(inputs: Sequence[str], card: Card, key: str = "window.inputs") -> list[str]:
    """The features that `inputs` name, one for each channel of a window.

    An input is a column of the card (a category becomes one feature a level), a calendar term
    (`hour`, `weekday`, `day_of_year`, `month`: a sine and a cosine), `holiday:DE` or, of a
    subdivision, `holiday:DE-BY` (1 on a holiday, else 0), `difference:COLUMN` (change since the row
    before), `seasonal:COLUMN` (the value one season before the last step forecast),
    `seasonal:ROWS:COLUMN` (with a season of that many rows), the difference there,
    `seasonal:ROWS:difference:COLUMN`, `missing:COLUMN` (1 where the value is imputed, else 0) or
    `since:COLUMN` (rows since the last value, from 0 to 1 beyond the imputation's limit).
    PipelineError names, under `key`, an input that is none of these, or appears twice.
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
        elif region(name):
            features.append(name)
        else:
            what = "excluded by the card" if column in card.excluded else "not known"
            raise PipelineError(
                f"{key}: {name} is {what}; expected columns ({', '.join(card.columns)}), "
                f"calendar terms ({', '.join(CALENDAR)}), {FORMS}"
            )
    for name in features:
        if name in card.columns and is_made(name):
            raise PipelineError(
                f"{key}: {name} is a column named like a calendar term, difference, seasonal value "
                "or gap, expected another name; give it one with the card's rename"
            )
    if len(set(features)) < len(features):
        ((twice, _),) = Counter(features).most_common(1)
        raise PipelineError(f"{key}: {twice} appears twice, expected each input once")
    return features


def told(known_ahead: Sequence[str], card: Card) -> list[str]:
    """The columns of what is known ahead whose values at the steps themselves must be given."""
    return [column for column in card.columns if column in known_ahead]


def columns(inputs: Sequence[str], card: Card) -> list[str]:
    """The card's columns that the inputs are made from."""
    named = {*inputs, *(Feature.of(name).source for name in inputs)}
    return [column for column in card.columns if column in named]


def sources(features: Sequence[str]) -> list[str]:
    """The channels that the features are made from, each once; the time's own need none."""
    return list(dict.fromkeys(Feature.of(name).source for name in features if not of_time(name)))


def context(
    features: Sequence[str], known: Sequence[str], season: int, look_back: int, horizon: int
) -> int:
    """Rows before a window that its features and those known of its steps are made from."""
    parts = [Feature.of(name) for name in features]
    rows = [part.lag(season, horizon) + part.difference for part in parts]
    steps = [Feature.of(name) for name in known]
    rows += [part.back(season, horizon) + part.difference - look_back for part in steps]
    return max(rows)

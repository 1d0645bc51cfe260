"""From which rows forecasts start, and whether what is known ahead reaches their last steps."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.config import input_names
from pipeline.config.cards import Card
from pipeline.config.input_names import Feature
from pipeline.config.steps import Fixed
from pipeline.data import timestamps
from pipeline.data.windows import Rows
from pipeline.errors import PipelineError
from pipeline.models.spec import Spec

LOG = logging.getLogger(__name__)


def named(origins: Sequence[str], times: pd.DatetimeIndex, card: Card, where: str = "") -> Rows:
    """The rows of time stamps; PipelineError of one that is none, or not among the rows."""
    try:
        stamps = timestamps.moments(origins, card)
    except (ValueError, TypeError):
        raise PipelineError(
            "origins: expected time stamps (where clocks change, with the offset, as in "
            f"2020-10-25T02:00+01:00), found {str(origins)[:60]}"
        ) from None
    rows: Rows = times.get_indexer(stamps)
    if (rows < 0).any():
        raise PipelineError(
            f"{where}origins: expected times of the rows given ({times[0]} to {times[-1]}"
            f"{card.step.every}), found {stamps[int((rows < 0).argmax())]}"
        )
    return rows


def newest(regular: pd.DataFrame, spec: Spec, card: Card, where: str) -> Rows:
    """The last row that has a value; a line in the log if rows without one follow it.

    Where a column is known ahead, the last that has a target's, or, if no target is among the
    inputs, another column's that is not known ahead: rows may follow it, and a line tells what else
    they have.
    """
    known = input_names.told(spec.known_ahead, card)  # none of a calendar, which needs no rows
    columns = unknown = [name for name in regular if name not in (*known, *card.static)]
    if known:
        columns = [name for name in spec.targets if name in unknown] or unknown or list(regular)
    there = np.flatnonzero(np.any([regular[name].notna() for name in columns], axis=0))
    last = int(there[-1]) if len(there) else len(regular) - 1
    later = regular.iloc[last + 1 :]
    if not len(later):
        return np.array([last])
    if not known:
        LOG.warning(
            "%s: no row after %s has a value (found %d): the forecast starts from there",
            where, regular.index[last], len(later),
        )  # fmt: skip
    elif names := [str(name) for name in unknown if later[name].notna().any()]:
        LOG.warning(
            "%s: no row after %s has a value of %s: the forecast starts from there, and later "
            "values of %s are not used",
            where, regular.index[last], " or ".join(map(str, columns)), ", ".join(names),
        )  # fmt: skip
    return np.array([last])


def check_reach(
    rows: Rows, times: pd.DatetimeIndex, needed: int, spec: Spec, card: Card, where: str
) -> None:
    """PipelineError if fewer rows than are needed lead up to an origin."""
    if (first := int(rows.min())) + 1 < needed:
        short = "; predict --series NAME ... forecasts the others" if card.series else ""
        each = f", one{card.step.every}," if card.step.tells else ""
        raise PipelineError(
            f"{where}: expected at least {needed} rows{each} up to and including the origin "
            f"{times[first]} ({spec.look_back} for the look-back, the rest for lagged inputs and "
            f"gap filling); found {first + 1}{short}"
        )


def reaching(
    regular: pd.DataFrame, spec: Spec, card: Card, origins: Rows, where: str
) -> pd.DataFrame:
    """The series up to the last step of each origin; a gap of what is known ahead is told.

    PipelineError names each column that ends before the last step, and the times it lacks.
    """
    if not spec.known_features:
        return regular
    times = pd.DatetimeIndex(regular.index)
    origin = int(origins.max())
    end = origin + spec.horizon
    if (more := end + 1 - len(times)) > 0:
        # What seasonal values are made of lies before the origin, whatever the time ahead.
        names = [name for name in spec.known_ahead if Feature.of(name).season is None]
        if names and not card.step.tells:
            raise PipelineError(
                f"{where}: expected {spec.horizon:,} rows after the origin {times[origin]}, with "
                f"what is known ahead ({', '.join(names)}), found {len(times) - 1 - origin:,}; "
                "with frequency: rows, no row tells the next one's time"
            )
        step = card.step if card.step.tells else Fixed(pd.Timedelta("1s"))
        later = step.shift(times[-1:].repeat(more), np.arange(1, more + 1))
        times = pd.DatetimeIndex(times.append(later.rename(times.name)))
    lacking = []
    for name in input_names.told(spec.known_ahead, card):
        given = np.flatnonzero(regular[name].notna())
        first = max(int(given[-1]) if len(given) else -1, origin) + 1
        steps = regular[name].iloc[origin + 1 : end + 1]
        if first <= end:
            lacking.append(f"{name} from {times[first]} to {times[end]}")
        elif len(gone := steps.index[steps.isna()]):
            others = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
            LOG.warning(
                "%s: %s, known ahead, has no value at %s%s: imputed",
                where, name, ", ".join(map(str, gone[:5])), others,
            )  # fmt: skip
    if lacking:
        raise PipelineError(
            f"{where}: expected what is known ahead in the {spec.horizon:,} rows after the origin "
            f"{times[origin]}; lacking are {', '.join(lacking)}"
        )
    return regular.reindex(times)

"""The step between rows, from their times: of one length, weeks, months, business days."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.config.automatic import SHORT, of_season
from pipeline.config.calendar_steps import MONTHS, WEEKDAYS, BusinessDays, Calendar, Days
from pipeline.config.steps import Fixed, Step

DAY = pd.Timedelta("1D")
LATER = pd.Timedelta("23h")  # a longer step is of days, though stamps lie beside them
WEEK = pd.Timedelta("7D")
MONTH = pd.Timedelta("28D")  # the shortest
FORTNIGHT = 10  # business days that must be there
SHARES = {"train": 0.7, "validation": 0.85, "test": 1.0}
WINDOWS = 8  # more than one: what intervals of 80% need
LATE = 21  # a day of the month from which on it stands for the month's end


_JITTER = ("1s", "10s", "1min", "5min", "10min", "15min", "30min", "1h")  # units of rounding


class Guess(NamedTuple):
    """How a card writes the step, and what stamps are rounded to where they lie beside it."""

    frequency: str
    round: str | None = None


def usual(ordered: pd.Series) -> pd.Timedelta:
    """The most common step forward of sorted times."""
    steps = ordered.diff().iloc[1:]
    return steps[steps > pd.Timedelta(0)].mode().iloc[0]


def jitter(ordered: pd.Series, length: pd.Timedelta) -> str | None:
    """What sorted times, whose usual step is that long, are to be rounded to for one grid."""
    if length >= MONTH or not _off_grid(ordered, length):
        return None
    return next((each for each in _JITTER if _jitters(ordered, pd.Timedelta(each))), None)


def _off_grid(ordered: pd.Series, step: pd.Timedelta) -> bool:
    return bool(((ordered - ordered.iloc[0]) % step != pd.Timedelta(0)).any())


def _jitters(ordered: pd.Series, unit: pd.Timedelta) -> bool:
    """Whether the times lie on one grid, were they not up to a quarter of a unit beside it."""
    near = ordered.dt.round(unit)
    if (near - ordered).abs().max() > unit / 4 or near.nunique() < ordered.nunique():
        return False
    step = usual(near)
    return not _off_grid(near, step) and bool((near.diff().iloc[1:] == step).mean() > 0.5)


def guess(times: pd.DatetimeIndex, length: pd.Timedelta) -> Guess:
    """The frequency of rising times, whose most common step is that long."""
    steps = np.diff(times.asi8)
    if length >= MONTH and not (len(steps) > 2 and (steps == steps[0]).all()):
        return _months(times)
    weekdays = times.day_of_week < 5
    clock = times.normalize() == times
    if length == DAY and weekdays.all() and clock.all() and len(times) >= FORTNIGHT:
        return Guess("B")
    if length % WEEK == pd.Timedelta(0) and not ((times - times[0]) % WEEK).any():
        count = length // WEEK  # by the clock, so that a zone may have clocks change in between
        return Guess(f"{count if count > 1 else ''}W-{WEEKDAYS[times[0].day_of_week]}")
    return Guess(text(length))


def of_index(index: pd.DatetimeIndex) -> Guess:
    """The frequency of a frame's rows, as of a file's: their most common step, but for jitter.

    Days and longer steps go by the clock of the index's zone.
    """
    shown = index if index.tz is None else index.tz_localize(None)
    daily = usual(shown.to_series()) > LATER
    times = (shown if daily or index.tz is None else index.tz_convert("UTC")).to_series()
    length = usual(times)
    if unit := jitter(times, length):
        times = times.dt.round(unit)
        length = usual(times)
    found = guess(pd.DatetimeIndex(times), length)
    if index.tz is not None and found.frequency == "1D":
        changed = (shown - index.tz_convert(None)).nunique() > 1
        found = found._replace(frequency="D" if changed else "1D")
    return found._replace(round=unit or found.round)


def text(length: pd.Timedelta) -> str:
    """A length as the card writes it: 15min, 1h, 7D."""
    for unit in ("D", "h", "min", "s", "ms"):
        if length % pd.Timedelta(f"1{unit}") == pd.Timedelta(0):
            return f"{length // pd.Timedelta(f'1{unit}')}{unit}"
    return str(length)


def season(step: Step, times: pd.DatetimeIndex, rows: int) -> tuple[int, str]:
    """Rows in one cycle, and its name: the longest natural one that fits often enough."""
    for count, name in _cycles(step, times):
        if 1 < count <= rows / 3:
            return count, f"one {name}"
    return 1, "no cycle"


def _cycles(step: Step, times: pd.DatetimeIndex) -> list[tuple[int, str]]:
    if isinstance(step, Calendar):
        name = "week" if isinstance(step, Days | BusinessDays) else "year"
        return [(rows, name) for rows in step.cycles]
    if not isinstance(step, Fixed):  # rows of most days are as many
        of_day = pd.Series(times.normalize()).value_counts()
        usual = int(of_day.mode().iloc[0])
        return [(usual, "day")] if (of_day == usual).mean() > 0.5 else []
    if step.daily:
        cycles = {"week": "7D"} if step.length < WEEK else {"year": "364D"}
    else:
        cycles = {"day": "1D", "hour": "1h", "minute": "1min"}
    return [(round(pd.Timedelta(length) / step.length), name) for name, length in cycles.items()]


def counts(rows: int, season: int) -> dict[str, int]:
    """The row after each span: 70, 15 and 15 % of the rows; of a short series more to score.

    Validation and test have then a season and the windows that intervals need, up to a quarter.
    """
    found = {name: round(share * rows) for name, share in SHARES.items()}
    scored = min(of_season(season)["horizon"], SHORT) + WINDOWS
    if rows - found["validation"] < (each := min(scored, rows // 4)):
        found |= {"train": rows - 2 * each, "validation": rows - each}
    return found


def split(times: pd.DatetimeIndex, step: Step, ends_after: dict[str, int]) -> dict[str, str]:
    """The last time of each span, at a day's end in a long series, from what `counts` gives."""
    last = [after - 1 for after in ends_after.values()]
    rows = [*ends_after.values()][-1]
    first = times[:1].repeat(len(last))
    at = step.shift(first, np.array(last)) if step.tells else times[last]
    ends = dict(zip(ends_after, at, strict=True))
    if isinstance(step, Fixed) and not step.daily and rows * step.length >= pd.Timedelta("20D"):
        early = [*ends][:-1]
        ends |= {name: ends[name].floor("D") - step.length for name in early}
    # With the offset that stamps are written with: naming a zone later must not move the ends.
    return {name: str(end) for name, end in ends.items()}


def _months(times: pd.DatetimeIndex) -> Guess:
    months = times.year * 12 + times.month - 1
    steps = np.diff(months)
    count = max(1, int(pd.Series(steps[steps > 0]).mode().iloc[0]) if (steps > 0).any() else 1)
    each = next(each for each in (12, 3, 1) if count % each == 0)
    times = pd.DatetimeIndex(pd.Series(times))  # with a freq, a last business day would be an end
    starts, ends = times.is_month_start, times.is_month_end
    end = not starts.all() and (ends.all() or bool((times.day >= LATE).mean() > 0.5))
    kind = f"{'MQY'[(1, 3, 12).index(each)]}{'E' if end else 'S'}"
    month = int(pd.Series(months % each).mode().iloc[0])
    default = each - 1 if end else 0
    anchor = "" if month == default else f"-{MONTHS[month]}"
    frequency = f"{kind}{anchor}"
    beside = not (ends if end else starts).all()
    return Guess(
        f"{count // each if count > each else ''}{frequency}", frequency if beside else None
    )


def snapped(times: pd.Series, step: Step) -> pd.Series:
    """Times as the days that stand for them on the grid of a calendar."""
    if not isinstance(step, Calendar):
        return times
    return pd.Series(step.snap(pd.DatetimeIndex(times)), times.index)

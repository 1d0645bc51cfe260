"""Local times become UTC; of an hour that clocks repeat, each coming is told apart."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.cards import Card
from pipeline.config.steps import Fixed
from pipeline.errors import PipelineError

Flags = npt.NDArray[np.bool_]


def in_utc(
    times: pd.DatetimeIndex, card: Card, where: str, numbers: pd.Index, strict: bool = True
) -> pd.DatetimeIndex:
    """Local stamps as UTC where the card names a time zone, so that every step is as long.

    PipelineError names the first row, by its number, that is no time of the zone, or one of two;
    NaT stands for the former unless `strict`.
    """
    zone = card.time.timezone
    if times.tz is not None:
        return times.tz_convert("UTC")
    if zone is None:
        return times
    try:
        return _by_clock(times, card, card.time.stamps == "end")
    except ValueError:
        if not strict and (absent := _skipped(times, card)).any() and not absent.all():
            there = in_utc(times[~absent], card, where, numbers[~absent])
            result = pd.Series(pd.NaT, numbers, there.dtype)
            result[~absent] = there
            return pd.DatetimeIndex(result)
        row, problem = _daylight_fault(times, card)
        raise PipelineError(
            f"{where}: column {', '.join(card.time.names)}, row {numbers[row]}: expected local "
            f"times of {zone}, found {times[row]}, {problem}{without_zone(times, card)}"
            f"{_at_ends(times, card)}"
        ) from None


def _by_clock(times: pd.DatetimeIndex, card: Card, at_end: bool) -> pd.DatetimeIndex:
    """Stamps of a zone as UTC; ValueError if one is no time of it, or it is not clear which."""
    shift = card.step.length if at_end else pd.Timedelta(0)
    read = _sorted if card.time.sort else _in_order
    return read(times - shift, card).tz_convert("UTC") + shift


def _sorted(times: pd.DatetimeIndex, card: Card) -> pd.DatetimeIndex:
    """Times of rows in any order: of two that are the same, the first row is the earlier one.

    In a table that mostly goes back in time, the second one.
    """
    way = slice(None, None, int(np.sign(np.sign(np.diff(times.asi8)).sum())) or 1)
    local = times[way]
    earlier, later = _both(local, card)
    again = pd.Series(local).duplicated().to_numpy()
    order = np.argsort(earlier.where(~again, later).asi8, kind="stable")
    back = np.argsort(order, kind="stable")
    return _in_order(local[order], card)[back][way]


def _both(times: pd.DatetimeIndex, card: Card) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """What each time is if it stands for an hour's first or second coming."""
    one = np.ones(len(times), bool)
    zone = card.time.timezone
    return times.tz_localize(zone, ambiguous=one), times.tz_localize(zone, ambiguous=~one)


def _in_order(times: pd.DatetimeIndex, card: Card) -> pd.DatetimeIndex:
    earlier, later = _both(times, card)
    fixed = isinstance(card.step, Fixed)
    if fixed and (read := _by_step(earlier, later, card.step.length)) is not None:
        return read
    clear = earlier == later
    if card.time.ambiguous and (once := _once(times, ~clear)).any():
        chosen = earlier if card.time.ambiguous == "first" else later
        rest = pd.Series(chosen, dtype=chosen.dtype)
        if not once.all():
            rest[~once] = _in_order(times[~once], card)
        return pd.DatetimeIndex(rest)
    begin, end = _decided(times, clear)
    known = times[begin:end].tz_localize(card.time.timezone, ambiguous="infer")
    return pd.DatetimeIndex(later[:begin].append([known, earlier[end:]]))


def _once(times: pd.DatetimeIndex, unclear: Flags) -> Flags:
    """Which rows are of an hour that comes twice by the clock, and once in the table."""
    rows, once = np.flatnonzero(unclear), np.zeros(len(times), bool)
    days = times[rows].normalize()
    for day in days.unique():
        of_day = rows[days == day]
        once[of_day] = ascends(times[of_day])
    return once


def _by_step(
    first: pd.DatetimeIndex, second: pd.DatetimeIndex, step: pd.Timedelta
) -> pd.DatetimeIndex | None:
    """Which of two readings the steps from a clear time lead to; None if they lead to both.

    `first` and `second` are what each time is if it stands for an hour's first or second coming.
    """
    clear = first == second
    if clear.all() or (second - first)[~clear][0] % step == pd.Timedelta(0):
        return None
    on_grid = (first - first[int(clear.argmax())]) % step == pd.Timedelta(0)
    return first.where(clear | on_grid, second)


def without_zone(local: pd.DatetimeIndex, card: Card) -> str:
    """The remedy for times of a zone that as they are written are regular, as on a wall clock."""
    if not (card.step.tells and ascends(local) and card.step.on_grid(local).all()):
        return ""
    if card.time.offsets:  # which differ, and need the zone
        days = "B, days from Monday to Friday" if (local.day_of_week < 5).all() else "D, days"
        return (
            f"; the times are regular by the clock: set frequency to a step of it, such as {days}"
        )
    return "; the times are regular as written: leave out time.timezone"


def _decided(times: pd.DatetimeIndex, clear: Flags) -> tuple[int, int]:
    """The rows between those, at either end, in an hour that comes twice but once in the table."""
    rows = np.flatnonzero(clear)
    begin, end = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
    begin = begin if ascends(times[:begin]) else 0
    return begin, end if ascends(times[end:]) else len(times)


def ascends(times: pd.DatetimeIndex) -> bool:
    """Whether each time is later than the one before."""
    return bool(times.is_monotonic_increasing and not times.has_duplicates)


def _at_ends(times: pd.DatetimeIndex, card: Card) -> str:
    """The remedy for stamps that are times of the zone if they name the ends of their steps."""
    if card.time.stamps == "end" or not isinstance(card.step, Fixed):
        return ""
    try:
        _by_clock(times, card, at_end=True)
    except ValueError:
        return ""
    return "; as the ends of their steps, all are: set time.stamps to end"


def _skipped(times: pd.DatetimeIndex, card: Card) -> Flags:
    """Which rows are of an hour that clocks leave out."""
    if card.time.stamps == "end":
        times = times - card.step.length
    one = np.ones(len(times), bool)
    known = times.tz_localize(card.time.timezone, ambiguous=one, nonexistent="NaT")
    return np.asarray(known.isna())


def _daylight_fault(times: pd.DatetimeIndex, card: Card) -> tuple[int, str]:
    """The first row that is no local time, or one of two, and what is wrong with it."""
    zone = card.time.timezone
    if (absent := _skipped(times, card)).any():
        problem = "which daylight saving skips (only a row without values may stand there)"
        return int(absent.argmax()), problem
    if card.time.stamps == "end":
        times = times - card.step.length
    repeated = np.flatnonzero(times.tz_localize(zone, ambiguous="NaT").isna())
    days = times[repeated].normalize()
    for day in days.unique():
        rows = repeated[days == day]
        try:
            times[rows].tz_localize(zone, ambiguous="infer")
        except ValueError:
            once = ascends(times[rows])
            remedy = ", or time.ambiguous say which one is there" if once else ""
            return int(rows[0]), f"which daylight saving repeats: it must appear twice{remedy}"
    return int(repeated[0]), "which daylight saving repeats: rows must be sorted by time"

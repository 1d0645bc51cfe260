"""Time stamps: read as the card describes them, and checked against a regular grid."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.cards import Card
from pipeline.errors import PipelineError

SPARSE = 100  # fewer rows than one in this many are taken for a mistake
YEAR = 1000  # the first valid one: 14 is not 2014
BLOCK = 2**18
HOUR = pd.Timedelta("1h")


def stamps(table: pd.DataFrame, card: Card, where: str) -> pd.DatetimeIndex:
    """The time stamp of each raw row, in UTC where the card names a zone or stamps have offsets.

    PipelineError names the first row, by its number in the rows' index, whose time is not one, or
    not of the zone.
    """
    names, text = list(card.time.names), None
    if card.time.column:
        times = table[card.time.column]
        if not pd.api.types.is_datetime64_any_dtype(times):
            written: dict[str, Any] = {"format": card.time.format, "utc": card.time.offsets}
            text = times.astype("str").str.strip()
            times = by_blocks(lambda raw: pd.to_datetime(raw, errors="coerce", **written), text)
        expected = f"a time written as {card.time.format}"
    else:
        whole = table[names].apply(pd.to_numeric, errors="coerce")
        # pandas takes an hour of 99 or a year of 14 without a word; the hour 24 is a day's end.
        clock = whole.reindex(columns=["hour", "minute"], fill_value=0)
        possible = ((clock >= 0) & (clock <= [24, 59])).all(axis=1) & (whole["year"] >= YEAR)
        times = pd.to_datetime(whole.where(whole % 1 == 0), errors="coerce").where(possible)
        expected = f"a date from {', '.join(names)}"
    bad = times.isna().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        found = " ".join(str(table[name].iloc[row]).strip() for name in names)
        raise PipelineError(
            f"{where}: column {', '.join(names)}, row {table.index[row]}: expected {expected}, "
            f"found {found[:60]!r}"
        )
    if text is not None:
        _check_offsets(text, card, where)
    moments = pd.DatetimeIndex(times)
    _check_zone(moments, card, where, table.index)
    return _localise(moments, card, where, table.index)


def moment(written: str, card: Card) -> pd.Timestamp:
    """A time that a caller names: as the card's table has it or by ISO 8601; local without a zone.

    ValueError if it is neither; PipelineError if it has a zone, and the card's table none.
    """
    time = pd.to_datetime(written, format=card.time.format or "ISO8601", errors="coerce")
    if pd.isna(time):
        time = pd.to_datetime(written, format="ISO8601")
        if pd.isna(time):
            raise ValueError(f"expected a time, found {written!r}")
    if not card.time.timezone and not card.time.offsets:
        if time.tz is not None:
            raise PipelineError(
                f"origins: expected times without a zone, as in the table of the card, found "
                f"{written}; set time.timezone in the card if its times have a zone"
            )
        return time
    if time.tz is None:
        time = time.tz_localize(card.time.timezone or "UTC")
    return time.tz_convert("UTC")


def as_text(times: pd.Series) -> pd.Series:
    """Time stamps as text, each with its hour: pandas leaves it out where all are at midnight."""
    return times.map({time: str(time) for time in times.unique()})


def by_blocks(parse: Callable[[pd.Series], pd.Series], written: pd.Series) -> pd.Series:
    """What was written, parsed some rows at a time: pandas makes an object of each meanwhile."""
    starts = range(0, len(written), BLOCK)
    return pd.concat([parse(written.iloc[start : start + BLOCK]) for start in starts])


def _check_offsets(stamps: pd.Series, card: Card, where: str) -> None:
    if not card.time.offsets or card.time.timezone:
        return
    offsets = stamps.str.extract(r"(Z|[+-]\d{2}:?\d{2})$")[0]
    changed = (offsets != offsets.iloc[0]).to_numpy() & offsets.notna().to_numpy()
    if changed.any():
        row = int(changed.argmax())
        raise PipelineError(
            f"{where}: column {card.time.column}, row {stamps.index[row]}: expected the time zone "
            f"of the first row ({offsets.iloc[0]}), found {offsets.iloc[row]}; set time.timezone "
            "in the card if the zones are mixed on purpose"
        )


def _check_zone(times: pd.DatetimeIndex, card: Card, where: str, numbers: pd.Index) -> None:
    """PipelineError if times have a zone where the card's have none, or none where they have."""
    if card.time.timezone or card.time.offsets == (times.tz is not None):
        return
    expected, remedy = (
        ("with", "with its offset")
        if card.time.offsets
        else ("without", "without it, or set time.timezone in the card")
    )
    raise PipelineError(
        f"{where}: column {', '.join(card.time.names)}, row {numbers[0]}: expected a time "
        f"{expected} a zone, as in the card, found {times[0]}; write it {remedy}"
    )


def _localise(
    times: pd.DatetimeIndex, card: Card, where: str, numbers: pd.Index
) -> pd.DatetimeIndex:
    """Local stamps as UTC where the card names a time zone, so that every step is as long."""
    zone = card.time.timezone
    if times.tz is not None:
        return times.tz_convert("UTC")
    if zone is None:
        return times
    try:
        earlier = times.tz_localize(zone, ambiguous=np.ones(len(times), bool))
        later = times.tz_localize(zone, ambiguous=np.zeros(len(times), bool))
        if (read := _by_step(earlier, later, card.step)) is not None:
            return read.tz_convert("UTC")
        begin, end = _decided(times, earlier == later)
        known = times[begin:end].tz_localize(zone, ambiguous="infer")
        return pd.DatetimeIndex(later[:begin].append([known, earlier[end:]])).tz_convert("UTC")
    except ValueError:
        row, problem = _daylight_fault(times, zone)
        raise PipelineError(
            f"{where}: column {', '.join(card.time.names)}, row {numbers[row]}: expected local "
            f"times of {zone}, found {times[row]}, {problem}{_without_zone(times, card)}"
        ) from None


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


def _without_zone(local: pd.DatetimeIndex, card: Card) -> str:
    """The remedy for times of a zone that as they are written are regular, as on a wall clock."""
    regular = _ascends(local) and ((local - local[0]) % card.step == pd.Timedelta(0)).all()
    return "; the times are regular as written: leave out time.timezone" if regular else ""


def _decided(times: pd.DatetimeIndex, clear: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The rows between those, at either end, in an hour that comes twice but once in the table."""
    rows = np.flatnonzero(clear)
    begin, end = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
    begin = begin if _ascends(times[:begin]) else 0
    return begin, end if _ascends(times[end:]) else len(times)


def _ascends(times: pd.DatetimeIndex) -> bool:
    return bool(times.is_monotonic_increasing and not times.has_duplicates)


def _daylight_fault(times: pd.DatetimeIndex, zone: str) -> tuple[int, str]:
    """The first row that is no local time, or one of two, and what is wrong with it."""
    absent = times.tz_localize(zone, ambiguous=np.ones(len(times), bool), nonexistent="NaT").isna()
    if absent.any():
        return int(absent.argmax()), "which daylight saving skips"
    repeated = np.flatnonzero(times.tz_localize(zone, ambiguous="NaT").isna())
    days = times[repeated].normalize()
    for day in days.unique():
        rows = repeated[days == day]
        try:
            times[rows].tz_localize(zone, ambiguous="infer")
        except ValueError:
            return int(rows[0]), "which daylight saving repeats: it must appear twice"
    return int(repeated[0]), "which daylight saving repeats: rows must be sorted by time"


def regular(
    series: pd.DataFrame, card: Card, where: str, numbers: pd.Index, step: int | None = None
) -> pd.DataFrame:
    """The series over every step of the frequency; `numbers` are those of the table's rows.

    PipelineError if times repeat, are not sorted, off the grid, or all over `step` rows apart.
    """
    times = pd.DatetimeIndex(series.index)
    column = ", ".join(card.time.names)
    steps = np.diff(times.asi8)
    if (steps <= 0).any():
        raise PipelineError(
            f"{where}: column {column}, row {_disorder(times, steps, card, numbers)}"
        )
    origin = times[0]
    off = np.asarray((times - origin) % card.step != pd.Timedelta(0))
    if off.any():
        row = int(off.argmax())
        hint = ""
        if card.time.timezone:
            hint = _without_zone(times.tz_convert(card.time.timezone).tz_localize(None), card)
        elif (times[row] - origin) % card.step in (HOUR, card.step - HOUR) and card.step > HOUR:
            hint = "; did clocks change in between? see time.timezone"
        raise PipelineError(
            f"{where}: column {column}, row {numbers[row // card.rows_each]}: expected a time a "
            f"whole number of {card.frequency} after {origin}, found {times[row]}{hint}"
        )
    if (times[-1] - origin) // card.step >= SPARSE * len(times):
        row = int(steps.argmax()) + 1
        raise PipelineError(
            f"{where}: column {column}, row {numbers[row // card.rows_each]}: expected rows every "
            f"{card.frequency}, found {times[row]} after {times[row - 1]}, which leaves fewer than "
            f"one row in {SPARSE}; is a year mistyped, or the frequency wrong?"
        )
    shortest = (times[1:] - times[:-1]).min()
    if step and shortest > step * card.step:
        raise PipelineError(
            f"{where}: column {column}: expected rows at most {step} x {card.frequency} apart, as "
            f"in training, found all {shortest // card.step} x {card.frequency} or more apart; "
            "is the frequency different?"
        )
    return series.reindex(pd.date_range(origin, times[-1], freq=card.step, name="time"))


def _disorder(
    times: pd.DatetimeIndex, steps: npt.NDArray[np.int64], card: Card, numbers: pd.Index
) -> str:
    """The first row whose time does not follow the one before, how many there are, and the remedy.

    When daylight saving ends, an hour appears twice, on one day of a year only.
    """
    row, repeated = int((steps <= 0).argmax()) + 1, np.asarray(times.duplicated())
    problem, remedy = (
        ("appears twice", "one row for each time")
        if steps[row - 1] == 0
        else ("is earlier than the row before", "rows sorted by time")
    )
    count = int(repeated.sum())
    if count > 1:
        problem += f" ({count:,} of {len(times):,} rows repeat an earlier time)"
    days = times[repeated].normalize().unique()
    an_hour = times[row - 1] + card.step - times[row] == HOUR
    if an_hour and len(days) == days.year.nunique() and not card.time.timezone:
        remedy += " (the hour daylight saving repeats? see time.timezone)"
    elif steps[row - 1] == 0:
        remedy += "; keep one row for each time, as drop_duplicates of pandas does"
    return f"{numbers[row // card.rows_each]}: {times[row]} {problem}, expected {remedy}"

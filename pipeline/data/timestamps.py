"""Time stamps: read as the card describes them, and checked against a regular grid."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config import frequencies
from pipeline.config.calendar_steps import Calendar
from pipeline.config.cards import Card
from pipeline.data import local_times, row_order, stamp_text
from pipeline.data.local_times import without_zone
from pipeline.errors import PipelineError
from pipeline.files import on_disk

SPARSE = 100  # fewer rows than one in this many are taken for a mistake
# The first and the last of each part of a time: a year of 14 is not 2014.
PARTS = {"year": (1000, 9999), "month": (1, 12), "day": (1, 31), "hour": (0, 24), "minute": (0, 59)}
HOUR = pd.Timedelta("1h")


def stamps(table: pd.DataFrame, card: Card, where: str, strict: bool = True) -> pd.DatetimeIndex:
    """The time stamp of each raw row, in UTC where the card names a zone or stamps have offsets.

    PipelineError names the first row, by its number in the rows' index, whose time is not one, or
    not of the zone; NaT stands for an hour that its clocks skip unless `strict`.
    """
    moments = pd.DatetimeIndex(as_written(table, card, where))
    _check_zone(moments, card, where, table.index)
    return local_times.in_utc(moments, card, where, table.index, strict)


def as_written(table: pd.DataFrame, card: Card, where: str) -> pd.Series:
    """The time of each raw row as it is written: in UTC where stamps have offsets, else local.

    PipelineError names the first row whose time is not one, or has another offset where the card
    names no zone.
    """
    names, text = list(card.time.names), None
    if card.time.format:
        times = table[names[0]]
        expected = f"a time written as {card.time.format}"
        others = (table[name] for name in names[1:])
        if pd.api.types.is_datetime64_any_dtype(times) and all(o.isna().all() for o in others):
            pass
        elif card.time.period:
            times = _of_periods(table, card, card.time.period)
            expected = f"a day written as {card.time.format} and the number of a period of it"
        else:
            text = stamp_text.joined(table, names)
            times = stamp_text.read(text, card.time.format, card.time.offsets)
    else:
        times = _of_parts(table, names)
        expected = f"a date from {', '.join(names)}"
    bad = times.isna().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        found = " ".join(str(table[name].iloc[row]).strip() for name in names)
        below = bad[row:].all() and row
        remedy = "; if a total or a note ends the table, take it out of the file" if below else ""
        raise PipelineError(
            f"{where}: column {', '.join(names)}, row {table.index[row]}: expected {expected}, "
            f"found {found[:60]!r}{remedy}"
        )
    if text is not None:
        _check_offsets(text, card, where)
    return times


def _of_parts(table: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """When year, month, day, hour and minute are; NaT where they are none. An hour 24 ends a day.

    Without a day it is the first, without an hour midnight.
    """
    given = {
        name: pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        for name in names
    }
    parts, possible = [], np.ones(len(table), bool)
    for name, (first, last) in PARTS.items():
        part = given.get(name, np.full(len(table), float(first)))
        possible &= (part >= first) & (part <= last) & (np.floor(part) == part)
        parts.append(part)
    year, month, day, hour, minute = (np.where(possible, p, 1).astype(np.int64) for p in parts)
    months = (12 * (year - 1970) + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    possible &= days.astype("datetime64[M]") == months  # there is no 30 February
    minutes = days.astype("datetime64[m]") + (60 * hour + minute)
    return pd.Series(minutes.astype("datetime64[us]"), table.index).where(possible)


def _of_periods(table: pd.DataFrame, card: Card, length: str) -> pd.Series:
    """When each numbered period of a day begins, so long after its local midnight as they take."""
    *names, counts = card.time.names
    days = stamp_text.read(stamp_text.joined(table, names), str(card.time.format))
    number = pd.to_numeric(table[counts], errors="coerce")
    after = (number - 1) * frequencies.fixed(length)
    possible = (number >= 1) & (number % 1 == 0) & (after < pd.Timedelta("25h"))
    if card.time.timezone and not card.time.offsets:
        days = days.dt.tz_localize(
            card.time.timezone,
            ambiguous=np.ones(len(days), bool),
            nonexistent="shift_forward",
        ).dt.tz_convert("UTC")
    return (days + after).where(possible)


def moments(written: Sequence[str], card: Card) -> pd.DatetimeIndex:
    """Times that a caller names: as the card's table has them or by ISO 8601; local without a zone.

    ValueError if one is neither; PipelineError if one has a zone, and the card's table none.
    """
    if not card.time.round:  # which counts from each time's own midnight
        with suppress(ValueError):
            return _alike(written, card)
    first, *others = (_alike([one], card) for one in written)
    return pd.DatetimeIndex(first.append(others))


def _alike(written: Sequence[str], card: Card) -> pd.DatetimeIndex:
    """The same of times that are all written in one way; ValueError if they are not."""
    own, text = card.time.format, pd.Series([*map(str, written)], dtype="str")
    read = stamp_text.read(text, own) if own else None
    if read is None or read.isna().all():
        read = pd.to_datetime(text, format="ISO8601")
    times = pd.DatetimeIndex(read)
    if times.hasnans:
        raise ValueError(f"expected times, found {[*written]}")
    if not card.time.timezone and not card.time.offsets:
        if times.tz is not None:
            raise PipelineError(
                f"origins: expected times without a zone, as in the table of the card, found "
                f"{text.iloc[0]}; set time.timezone in the card if its times have a zone"
            )
        return row_order.rounded(times, card)
    if times.tz is None:
        shift = card.step.length if card.time.stamps == "end" else pd.Timedelta(0)
        times = (times - shift).tz_localize(card.time.timezone or "UTC") + shift
    return row_order.rounded(times.tz_convert("UTC"), card)


def as_text(times: pd.Series) -> list[str]:
    """Time stamps as text, each with its hour: pandas leaves it out where all are at midnight."""
    written = times.tolist()
    text = {time: str(time) for time in set(written)}
    return [text[time] for time in written]


def _check_offsets(stamps: pd.Series, card: Card, where: str) -> None:
    if "%z" not in str(card.time.format) or card.time.timezone:
        return
    offsets = stamps.str.extract(r"(Z|[+-]\d{2}:?\d{2})$")[0]
    changed = (offsets != offsets.iloc[0]).to_numpy() & offsets.notna().to_numpy()
    if changed.any():
        row = int(changed.argmax())
        raise PipelineError(
            f"{where}: column {card.time.column}, row {stamps.index[row]}: expected the time zone "
            f"of the first row ({offsets.iloc[0]}), found {offsets.iloc[row]}; where clocks "
            "change, name the zone under time in the card, such as timezone: Europe/Berlin"
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


def regular(
    series: pd.DataFrame, card: Card, where: str, numbers: pd.Index, step: int | None = None
) -> pd.DataFrame:
    """The series over every step of the frequency; `numbers` are those of the table's rows.

    Of `frequency: rows` it is the rows as they are. PipelineError if times repeat, are not sorted,
    off the grid, or all over `step` rows apart.
    """
    times = pd.DatetimeIndex(series.index)
    column = ", ".join(card.time.names)
    if not _rising(times):
        steps = np.diff(times.asi8)
        raise PipelineError(
            f"{where}: column {column}, row {_disorder(times, steps, card, numbers)}"
        )
    origin = times[0]
    if not card.step.tells:
        return series.rename_axis("time")
    row = _first_off(times, card)
    if row is not None:
        raise PipelineError(
            f"{where}: column {column}, row {numbers[row // card.rows_each]}: "
            f"{_off_grid(times, row, card)}"
        )
    (last,) = card.step.between(times[:1], times[-1:])
    if last >= SPARSE * len(times):
        row = int(np.diff(times.asi8).argmax()) + 1
        raise PipelineError(
            f"{where}: column {column}, row {numbers[row // card.rows_each]}: expected rows every "
            f"{card.frequency}, found {times[row]} after {times[row - 1]}, which leaves fewer than "
            f"one row in {SPARSE}; is a year mistyped, or the frequency wrong?"
        )
    if step and len(times) > 1 and (shortest := _shortest(times, card)) > step:
        raise PipelineError(
            f"{where}: column {column}: expected rows at most {step} x {card.frequency} apart, as "
            f"in training, found all {shortest} x {card.frequency} or more apart; "
            "is the frequency different?"
        )
    if last + 1 == len(times):  # none is absent
        return series.rename_axis("time")
    return series.reindex(card.step.grid(origin, int(last) + 1).rename("time"))


def _rising(times: pd.DatetimeIndex) -> bool:
    """Whether each time is later than the one before."""
    parts = (times[part.start : part.stop + 1].asi8 for part in on_disk.blocks(len(times)))
    return all((np.diff(part) > 0).all() for part in parts)


def _first_off(times: pd.DatetimeIndex, card: Card) -> int | None:
    """The first row that is not on the grid from the first row on."""
    for part in on_disk.blocks(len(times)):
        own = times[part]
        here = pd.DatetimeIndex(times[:1].append(own)) if part.start else own
        off = ~card.step.on_grid(here)[-len(own) :]
        if off.any():
            return part.start + int(off.argmax())
    return None


def _shortest(times: pd.DatetimeIndex, card: Card) -> int:
    """The fewest steps from a row to the next."""
    parts = (times[part.start : part.stop + 1] for part in on_disk.blocks(len(times)))
    steps = (np.diff(card.step.between(times[0], part)) for part in parts if len(part) > 1)
    return min(int(own.min()) for own in steps)


def _off_grid(times: pd.DatetimeIndex, row: int, card: Card) -> str:
    """What is expected of the time in a row, what it is, and what may mend it."""
    step, origin = card.step, times[0]
    if isinstance(step, Calendar):
        hint = "; time.round in the card lets another day stand for it"
        if card.time.offsets and not card.time.timezone:
            hint = " by the clock of UTC; time.timezone in the card names another"
        each = f"{step.days}, at the same time of day" + f", {step.name} apart" * (step.count > 1)
        return f"expected {each} (frequency {card.frequency}), found {times[row]}{hint}"
    length, hint = step.length, ""
    if card.time.timezone:
        hint = without_zone(times.tz_convert(card.time.timezone).tz_localize(None), card)
    elif (times[row] - origin) % length in (HOUR, length - HOUR) and length > HOUR:
        hint = "; did clocks change in between? see time.timezone"
    beside = (times - origin + length / 4) % length
    if not hint and (beside <= length / 2).all():
        hint = "; time.round in the card, such as 1min, rounds stamps that lie beside their time"
    expected = f"a time a whole number of {card.frequency} after {origin}"
    return f"expected {expected}, found {times[row]}{hint}"


def _disorder(
    times: pd.DatetimeIndex, steps: npt.NDArray[np.int64], card: Card, numbers: pd.Index
) -> str:
    """The first row whose time does not follow the one before, how many there are, and the remedy.

    When daylight saving ends, an hour appears twice, on one day of a year only.
    """
    row, repeated = int((steps <= 0).argmax()) + 1, np.asarray(times.duplicated())
    same = steps[row - 1] == 0
    problem = "appears twice" if same else "is earlier than the row before"
    remedy = "one row for each time" if same else "rows sorted by time"
    count = int(repeated.sum())
    if count > 1:
        problem += f" ({count:,} of {len(times):,} rows repeat an earlier time)"
    days = times[repeated].normalize().unique()
    an_hour = times[row - 1] + card.step.length - times[row] == HOUR
    if an_hour and len(days) == days.year.nunique() and not card.time.timezone:
        remedy += (
            " (the hour daylight saving repeats? then name the zone under time in the card, such "
            "as timezone: Europe/Berlin, and stamps: end if stamps name the ends of their steps)"
        )
    if same:
        remedy += "; time.repeated in the card, first, last or mean, makes one of them"
    elif not an_hour:
        remedy += ", or time.sort: true in the card"
    return f"{numbers[row // card.rows_each]}: {times[row]} {problem}, expected {remedy}"

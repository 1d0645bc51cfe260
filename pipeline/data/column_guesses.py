"""What a table of strings shows of itself: how it is written, what its columns hold."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config import input_names
from pipeline.config.times import PARTS
from pipeline.data import number_text
from pipeline.data.number_text import PLAIN, Written

MISSING = {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "n/e"}  # whatever a column holds
# Missing among numbers; among words each may be a level of its own: no holiday, no wind.
EITHER = {"none", "missing", "-", "--", "?", "."}
SENTINELS = {-99, -200, -999, -9999, -99999, 999, 9999, 99999}
COUNTS = "counts the rows"
LEVELS = 20  # more different words than this are no category

# Words of a column's name, likelier targets first, and those of what drives them or of noise.
_TARGETS = (
    *("target", "y", "value", "load", "demand", "consumption", "price", "sales", "pm2.5", "ot"),
    *("count", "counts", "cnt", "total", "passengers", "power", "energy", "appliances", "close"),
    *("traffic", "volume", "flow", "usage", "generation", "production", "births", "sunspots"),
)
_DRIVERS = re.compile(
    r"t\d*|rh\d*|rv\d*|pres|press.*|.*(temp|dew|hum|rain|snow|precip|wind|cloud|weather).*|visib.*|"
    r"sun|.*day|week|weekend|month|year|yr|hour|hr|minute|season|holiday|"
    r"id|no|index|row|random.*|noise.*|lat|lon|latitude|longitude|station|batt|battery|rssi"
)
# Other names of year, month, day and hour.
_PARTS = dict.fromkeys(("yr", "jahr"), "year") | dict.fromkeys(("mo", "mnth", "monat"), "month")
_PARTS |= dict.fromkeys(("dy", "tag"), "day") | dict.fromkeys(("hr", "stunde"), "hour")
_NUMBER_AND_MORE = r"[-+]?(\d{1,3}([.,' ]\d{3})+|\d+)([.,]\d+)?\s*\D{0,5}"
# A summer of temperatures does not prove that none is negative.
_SIGNED = re.compile(r"t\d*|.*(temp|dew|celsius|°).*", re.IGNORECASE)
NAMED = "by its name"


@dataclass(frozen=True)
class Finding:
    """What a column holds: numbers, a category's levels, or nothing a model can use."""

    note: str
    used: bool = True
    levels: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # how a missing value is written in it
    check: str = ""  # what a person should look at
    minimum: bool = False  # whether no value is negative, and none is a temperature
    follows: bool = False  # whether a value tells something of the next
    fault: str = ""  # why ingest will refuse it: words among numbers
    suspects: tuple[str, ...] = ()  # numbers that may mean missing
    unit: str = ""  # what stands beside the numbers, or in the column's name
    cells: bool = False  # whether it is the former


def finding(column: pd.Series, a_row: int = 1, written: Written = PLAIN) -> Finding:
    """What a column of strings holds, of which so many stand in one row of the table."""
    text = column.str.strip()
    counts = text.value_counts()
    lower = counts.index.str.lower()
    marks, either = counts[lower.isin(list(MISSING))], counts[lower.isin(list(EITHER))]
    known = counts.drop([*marks.index, *either.index])
    different = pd.Series(known.index, dtype=str)
    unit = number_text.unit(different)
    numbers = number_text.parse(different, written, unit).to_numpy(float)
    is_number = np.isfinite(numbers)
    words = known[~is_number]
    if words.sum() >= known.sum() / 2 and (len(words) or len(either) > 1):
        return _words(pd.concat([known, either]), marks, either)
    marks, known, numbers = pd.concat([marks, either]), known[is_number], numbers[is_number]
    if known.empty:
        return Finding("empty", used=False)
    if words.empty and (len(known) == 1 or np.ptp(numbers) == 0):
        return Finding(f"never changes: {known.index[0]}", used=False)
    if words.empty and list(text) in ([str(row + i) for row in range(len(text))] for i in (0, 1)):
        return Finding(COUNTS, used=False)
    suspects, check = _extremes(known, numbers)
    ranks = number_text.parse(text, written, unit).rank()
    return Finding(
        f"number, {numbers.min():g} to {numbers.max():g}, {_absent(marks)}",
        missing=tuple(marks.index),
        check=check,
        minimum=bool(numbers.min() >= 0) and not _SIGNED.fullmatch(str(column.name)),
        follows=bool(abs(ranks.corr(ranks.shift())) > 0.1),
        fault=_among_numbers(words, text, a_row, unit),
        suspects=suspects,
        unit=unit or number_text.unit_of_name(str(column.name)),
        cells=bool(unit),
    )


def _words(known: pd.Series, marks: pd.Series, either: pd.Series) -> Finding:
    if len(known) == 1:
        return Finding(f"never changes: {' '.join(known.index[0].split())}", used=False)
    if len(known) > min(LEVELS, known.sum() / 2):
        note = f"text with {len(known):,} different values"
        if known[known.index.str.fullmatch(_NUMBER_AND_MORE)].sum() > known.sum() / 2:
            note += "; numbers in several units? write them in one"
        return Finding(note, used=False)
    level = "a level: if it means missing, move it from categories to missing"
    mark = "missing: if it is a level, move it from missing to categories"
    checks = []
    for found, taken in ((either, level), (marks.drop("", errors="ignore"), mark)):
        if said := ", ".join(f'"{word}" in {_rows(count)}' for word, count in found.items()):
            checks.append(f"{said}, taken for {taken}")
    return Finding(
        f"category, {_absent(marks)}",
        levels=tuple(sorted(known.index)),
        missing=tuple(marks.index),
        check="; ".join(checks),
    )


def _absent(marks: pd.Series) -> str:
    return f"{marks.sum():,} missing" if marks.sum() else "none missing"


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count > 1 else ''}"


def _among_numbers(words: pd.Series, text: pd.Series, a_row: int, unit: str) -> str:
    """Which words stand among a column's numbers, how often and where, and what may be done."""
    if words.empty:
        return ""
    shown = []
    for word, count in words.head(3).items():
        rows = [str(row // a_row + 1) for row in np.flatnonzero(text == word)[:3]]
        where = f"row{'s' * (count > 1)} {', '.join(rows)}{', ...' * (count > 3)}"
        shown.append(f'"{str(word)[:30]}" {count:,} time{"s" * (count > 1)} ({where})')
    more = f" and {len(words) - 3:,} other words" if len(words) > 3 else ""
    remedies = []
    if not (spelt := words.index[~words.index.str.contains(r"\d")]).empty:
        marks = ", ".join(f'"{word}"' for word in spelt[:3])
        remedies.append(f"if it means missing, add {marks} to the card's missing")
    for word in words.index[words.index.str.contains(r"\d")][:1]:
        remedies.append(
            f'"{word}" looks like a measurement, so it is not offered as a mark: write a number'
            f"{' of ' * bool(unit)}{unit} in the table"
        )
    return f"expected numbers, found {', '.join(shown)}{more}; {'; '.join(remedies)}"


def _extremes(known: pd.Series, numbers: npt.NDArray[np.float64]) -> tuple[tuple[str, ...], str]:
    """Values that usually stand for a missing one, or lie far from all others, and a remark."""
    if len(numbers) == 1:
        return (), ""
    for sign in (-1, 1):
        order = np.argsort(sign * numbers)
        values, rows = sign * numbers[order], known.to_numpy()[order]
        gaps, spread = np.diff(values), values[:-1] - values[0]
        # Of few different values, or often, it may well be a state: a pump at 0 or 100.
        beyond = rows.sum() - rows.cumsum()[:-1]
        rare = (np.arange(1, len(values)) >= LEVELS / 2) & (beyond <= 0.01 * rows.sum())
        far = np.flatnonzero(rare & (gaps > 2 * spread))
        below_zero = values[-1] > 0 >= values[-2] and sign < 0
        mark = sign * values[-1] in SENTINELS and (gaps[-1] > spread[-1] or below_zero)
        if mark or len(far):
            first = len(values) - 1 if mark else far[0] + 1
            found = tuple(known.index[order[first:][:-4:-1]])
            words = ", ".join(f'"{word}"' for word in found)
            low, high = sorted((sign * values[0], sign * values[first - 1]))
            return found, (
                f"{words} in {_rows(int(rows[first:].sum()))}, the others lie from {low:g} to "
                f"{high:g}; missing or wrong? then add {words} to missing"
            )
    return (), ""


def elsewhere(words: Sequence[str], others: pd.DataFrame) -> str:
    """What those marks would take from other columns of strings: they count in every column."""
    counts = others.isin(list(words)).sum()
    taken = [f"{_rows(count)} of {name}" for name, count in counts.items() if count]
    return f"; it would also take {', '.join(taken)}" if taken else ""


def _part(name: str) -> str:
    """What part of a time a column called HR or Monat holds; nothing of another name."""
    low = name.strip().lower()
    return low if low in PARTS else _PARTS.get(low, "")


def renamed(names: Sequence[str], apart: bool = False) -> dict[str, str]:
    """Other names for columns whose own cannot stand in a card, or mean something else there.

    A name of two lines becomes one of one line, Year becomes year where the time is made of it, and
    a column gets another name than that of a calendar term, difference or seasonal value. Year and
    month alone are a time where it stands `apart`, in no column of dates.
    """
    parts = {name: _part(name) for name in names}
    of_time = set(PARTS[: 2 if apart else 3]) <= set(parts.values())
    result: dict[str, str] = {}
    for written in names:
        visible = "".join(letter if letter.isprintable() else " " for letter in written)
        name = " ".join(visible.split()) or "index"
        if of_time and parts[written]:
            name = parts[written]
        elif input_names.is_term(name):
            name = f"{name.replace(':', '_')}_column"
        while name != written and name in {*names, *result.values()}:
            name += "_2"
        if name != written:
            result[written] = name
    return result


def target(columns: Mapping[str, Finding]) -> tuple[str, str]:
    """The column of numbers that is likeliest to be forecast, and why it is taken for that."""
    apart = {name: re.findall(r"[^\W_]+", name.lower()) for name in columns}
    own = [name for name in columns if not any(map(_DRIVERS.fullmatch, apart[name]))]
    named = [name for wanted in _TARGETS for name in own if wanted == name.lower()]
    words = [word for word in _TARGETS if len(word) > 2]  # no y of acceleration_y
    for some in (own, list(columns)):
        named += [name for word in words for name in some if word in apart[name]]
    if named:
        return named[0], NAMED
    likely = [name for name in own if columns[name].follows] or own or list(columns)
    return likely[0], "a guess: no column is named like a target"

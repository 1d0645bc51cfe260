"""Text becomes times by a card's format: strptime's, and what people write beyond it.

24:00 is the midnight that ends a day, and a date alone among dates with times is midnight.
`epoch s` and `epoch ms` count from 1970. Of an interval, `%d.%m.%Y %H:%M - %d.%m.%Y %H:%M`, the
time is the first of the two. A week without a day, `%G-W%V`, is its Monday, and a quarter, `%YQ%q`,
its first day.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import reduce

import pandas as pd

from pipeline.config.times import EPOCHS, QUARTER, Interval, whole_week

BLOCK = 2**18
_DAYS_END = r"24(?=(?:[:.]?00)*(?: ?(?:Z|[+-]\d{2}:?\d{2}))?$)"
_ZONE = r" ?\([A-Z]{3,4}\)$"
CLOCK = re.compile(r"[ T]%[HI]\W?(%[MSp]|\.%f|\W)*$")  # of a format, what follows the date


def by_blocks(parse: Callable[[pd.Series], pd.Series], written: pd.Series) -> pd.Series:
    """What was written, parsed some rows at a time: pandas makes an object of each meanwhile."""
    if len(written) <= BLOCK:
        return parse(written)
    starts = range(0, len(written), BLOCK)
    return pd.concat([parse(written.iloc[start : start + BLOCK]) for start in starts])


def joined(table: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """The text of columns, joined by a blank; missing where one of several is: [rows]."""
    parts = [_digits(table[name]).astype("str").str.strip() for name in names]
    if len(parts) == 1:
        return parts[0]
    return reduce(lambda one, other: one.str.cat(other, " "), [p.mask(p == "") for p in parts])


def _digits(column: pd.Series) -> pd.Series:
    """Hours 1 and 2 become 1.0 and 2.0 beside a missing one: as whole numbers where they are."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        return column.astype("Int64")
    return column


def read(text: pd.Series, form: str, utc: bool | None = None) -> pd.Series:
    """The time of each text, NaT where it is none of this format: [rows].

    `utc`: whether times have a zone and become UTC; where the format has offsets by default.
    """
    zoned = "%z" in form if utc is None else utc
    if form in EPOCHS:
        numbers = pd.to_numeric(text, errors="coerce")
        return pd.to_datetime(numbers, unit=EPOCHS[form], utc=True, errors="coerce")
    first, last = Interval.of(form)
    if last is not None:
        halves = text.str.split(" - ", n=1, expand=True).reindex(columns=[0, 1]).astype("str")
        ends = read(halves[1].str.strip(), last, zoned)
        return read(halves[0].str.strip(), first, zoned).where(ends.notna())
    if whole_week(form):
        return _parsed(text + " 1", f"{form} %u", zoned)
    if QUARTER in form:
        return _quarters(text, form, zoned)
    times = _parsed(text, form, zoned)
    for tried in (_ends_of_days, _midnights, _named_zones):
        if times.hasnans and (lacking := times.isna() & text.notna()).any():
            times = times.fillna(tried(text[lacking], form, zoned))
    return times


def beyond(text: pd.Series, form: str) -> Iterator[str]:
    """What is read of a column that strptime would not, or may be meant otherwise, a line each."""
    if "%y" in form:
        first = read(text, form).iloc[0]
        yield (
            f"years have two digits: {text.iloc[0]} is taken for one in {first.year}; write all "
            "four in the table if that is wrong"
        )
    if form in EPOCHS or Interval.of(form).last is not None or whole_week(form):
        return
    if QUARTER in form:
        return
    other = text[_parsed(text, form, "%z" in form).isna() & text.notna()]
    for read_as, what in (
        (_ends_of_days, "times that end with 24:00, taken for the midnight that ends the day"),
        (_midnights, "times without a time of day, taken for midnight"),
        (
            _named_zones,
            "times with a zone's name in brackets, which time.timezone has to name for all rows",
        ),
    ):
        if count := int(read_as(other, form, "%z" in form).notna().sum()):
            yield f"{what}: {count:,}"


def _parsed(text: pd.Series, form: str, utc: bool) -> pd.Series:
    return by_blocks(lambda rows: pd.to_datetime(rows, format=form, errors="coerce", utc=utc), text)


def _quarters(text: pd.Series, form: str, utc: bool) -> pd.Series:
    """The first day of each quarter."""
    codes = {"%Y": r"(?P<year>\d{4})", QUARTER: "(?P<quarter>[1-4])"}
    parts = re.split("(%.)", form)
    pattern = "".join(codes[part] if part in codes else re.escape(part) for part in parts)
    found = text.str.extract(f"^{pattern}$")
    month = (3 * pd.to_numeric(found["quarter"]) - 2).astype("Int64").astype("str")
    return _parsed(found["year"].str.cat(month, "-"), "%Y-%m", utc)


def _ends_of_days(text: pd.Series, form: str, utc: bool) -> pd.Series:
    """24:00 as the next day's midnight."""
    ends = text[text.str.contains(_DAYS_END) & ("%H" in form)]
    starts = ends.str.replace(_DAYS_END, "00", regex=True)
    return _parsed(starts, form, utc) + pd.Timedelta("1D") if len(ends) else _none(utc)


def _midnights(text: pd.Series, form: str, utc: bool) -> pd.Series:
    """Dates alone as midnights, as many programs leave the hour out there."""
    date = CLOCK.sub("", form)
    return _parsed(text, date, utc) if date != form else _none(utc)


def _named_zones(text: pd.Series, form: str, utc: bool) -> pd.Series:
    """02:00:00 (CEST) as what stands before it: where clocks change, rows are in order."""
    named = text[text.str.contains(_ZONE)]
    if not len(named):
        return _none(utc)
    return _parsed(named.str.replace(_ZONE, "", regex=True), form, utc)


def _none(utc: bool) -> pd.Series:
    return pd.Series(pd.DatetimeIndex([], tz="UTC" if utc else None))

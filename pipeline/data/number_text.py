"""Text becomes numbers as people write them: with a decimal comma, thousands apart, a unit."""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import pandas as pd

BLANKS = " \u00a0\u202f\u2009"  # what may stand between thousands where the card has a blank
_SEPARATED = f"[,'’{BLANKS}]"
_NUMBER = rf"[-+]?\d[\d.,'’{BLANKS}]*"
_WITH_UNIT = re.compile(rf"([$€£¥]?)\s*{_NUMBER}\s*([^\d\s:.,'/-][^\d:]{{0,11}}|)")
# What may stand in brackets after a name: MW, µg/m³, EUR/MWh, no GT of CO(GT).
_UNIT = (
    r"%|°|°\s?[CFK]|deg[CFK]?|[kMGT]?(?:W|Wh|VA|VAh|VAr|var|varh|J|Hz)(?:el|th)?"
    r"|[kMm]?[VA]|[nuµμm]?[gls]|[cdkmn]?m|[cdkm]?m[²³23]|kg|t|h|hr?s?|min|sec"
    r"|[hkM]?Pa|m?bar|pp[mbt]|mph|kn|knots|mol|[CFK]|[$€£¥]|ct"
    r"|(?:thousand |mn |bn |k)?(?:EUR|USD|GBP|CHF|JPY|SEK|NOK|DKK|PLN|CAD|AUD|INR|CNY|cents?)"
)
_PER = rf"[/·* ](?:{_UNIT}|day|d|a|year|month|week)"
_IN_NAME = re.compile(rf"\(((?:{_UNIT})(?:{_PER})?)\)\s*$")
NEARLY = 0.95  # of the cells with a unit: the others are mistakes
CELLS = 5000  # different ones of a column that a guess looks at


class Written(NamedTuple):
    """How numbers are written, as a card's keys of these names have it."""

    decimal: str = "."
    thousands: str | None = None

    @property
    def grouped(self) -> str:
        """A pattern of what stands between thousands, or of nothing."""
        mark = "'’" if self.thousands == "'" else self.thousands or ""
        return f"[{BLANKS if mark == ' ' else re.escape(mark)}]" if mark else "(?!)"

    @property
    def pattern(self) -> str:
        """A pattern of the numbers."""
        whole = rf"(?:\d{{1,3}}(?:{self.grouped}\d{{3}})+|\d+)"
        point = re.escape(self.decimal)
        return rf"[-+]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][-+]?\d+)?"


PLAIN = Written()
STYLES = (
    *(PLAIN, Written(","), Written(".", ","), Written(",", "."), Written(",", " ")),
    *(Written(".", " "), Written(".", "'"), Written(",", "'")),
)


def parse(text: pd.Series, written: Written = PLAIN, unit: str = "") -> pd.Series:
    """Numbers as float64, NaN where the text is none; a unit may stand beside each."""
    plain = text
    if written != PLAIN:
        plain = text.where(text.str.fullmatch(written.pattern).fillna(False).astype(bool))
        plain = plain.str.replace(written.grouped, "", regex=True)
        plain = plain.str.replace(written.decimal, ".", regex=False)
    numbers = pd.to_numeric(plain, errors="coerce").astype("float64")
    beside = numbers.isna() & text.notna()
    if unit and not unit[0].isdigit() and beside.any():
        alone = text[beside].str.removeprefix(unit).str.removesuffix(unit).str.strip()
        numbers = numbers.where(~beside, parse(alone, written))
    return numbers


def unit(column: pd.Series) -> str:
    """What stands beside most numbers of a column, the same beside nearly all; or nothing."""
    cells = column[column.str.contains(r"\d")].drop_duplicates().head(CELLS)
    found = [match for cell in cells if (match := _WITH_UNIT.fullmatch(cell))]
    units = [word for match in found if (word := match[1] or match[2].strip())]
    word, count = Counter(units).most_common(1)[0] if units else ("", 0)
    return word if 2 * len(units) > len(found) and count >= NEARLY * len(units) else ""


def unit_of_name(name: str) -> str:
    """The unit in a column's name, as in Load [MW] and Temp (°C); or nothing."""
    if square := re.search(r"\[\s*([^\[\]\d][^\[\]]{0,15}?)\s*\]", name):
        return square[1]
    found = _IN_NAME.search(name)
    return found[1] if found else ""


def style(columns: Iterable[pd.Series]) -> tuple[Written, str]:
    """How the numbers of a table are written, and a number that might be meant otherwise, or ""."""
    cells = list(chain.from_iterable(_separated(column) for column in columns))
    if not any(re.search(_SEPARATED, cell) for cell in cells):
        return PLAIN, ""
    numbers = pd.Series(cells, dtype="str")

    def read(one: Written) -> int:
        return int(numbers.str.fullmatch(one.pattern).sum())

    best = max(STYLES, key=read)
    if best != Written(","):
        return best, ""
    # 1,234 is a thousand where no number tells otherwise.
    thousands = r"[-+]?([1-9]\d{0,2}(,\d{3})+|\d{1,3})"
    unclear = numbers.str.fullmatch(thousands).all()
    return (Written(".", ","), cells[0]) if unclear else (best, "")


def _separated(column: pd.Series) -> list[str]:
    """The different numbers of a column, where some have more than a point in them."""
    marked = column.str.contains(_SEPARATED)
    cells = column[marked].drop_duplicates().head(CELLS)
    numbers = [re.search(_NUMBER, cell) for cell in cells if _WITH_UNIT.fullmatch(cell)]
    if len(numbers) <= len(cells) / 2:
        return []
    others = column[~marked].drop_duplicates().head(CELLS)
    plain = [cell for cell in others if re.fullmatch(_NUMBER, cell)]
    return [*(found[0].strip() for found in numbers if found), *plain]

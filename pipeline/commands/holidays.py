"""Write a country's public holidays to data/holidays, for inputs such as holiday:DE-BY."""

import argparse
from datetime import date
from functools import partial

from pipeline.config.holidays import Holidays, check_known
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.runtime import extras

FIRST, AHEAD = 2000, 5  # by default from this year to so many after the present one


def main() -> None:
    """Write the file and say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: %(prog)s DE-BY")
    parser.add_argument("code", help="a country such as DE, or a subdivision such as DE-BY")
    for flag, name, default in (
        ("--from", "first", FIRST),
        ("--to", "last", f"{AHEAD} years ahead"),
    ):
        said = f"the {name} year; by default {default}"
        parser.add_argument(flag, dest=name, type=int, metavar="YEAR", help=said)
    given = parser.parse_args()
    made = installed(given.code, given.first, given.last)
    path = HERE.holidays / f"{given.code}.json"
    artifacts.write_json(path, made.model_dump(mode="json"))
    print(
        f"{path}: {len(made.dates):,} days from {made.first} to {made.last}, by holidays "
        f"{extras.holidays().__version__}; commit it, and name holiday:{given.code} in known_ahead "
        "or inputs"
    )


def installed(code: str, first: int | None, last: int | None) -> Holidays:
    """Those of a country or subdivision that the installed library has, year by year."""
    check_known(code)
    country, _, subdivision = code.partition("-")
    of = partial(extras.holidays().country_holidays, country, subdivision or None)
    known = of()
    begin, end = known.start_year, known.end_year
    first = max(FIRST, begin) if first is None else first
    last = min(date.today().year + AHEAD, end) if last is None else last
    if not begin <= first <= last <= end:
        raise PipelineError(
            f"holiday:{code}: expected years from {begin} to {end}, found {first} to {last}"
        )
    # In the country's own language, where the library has it; else the shell's would decide.
    found = of(years=range(first, last + 1), language=known.default_language)
    dates = {day: found[day] for day in sorted(found) if first <= day.year <= last}
    return Holidays(first=first, last=last, dates=dates)

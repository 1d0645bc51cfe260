"""Public holidays by country or subdivision: data/holidays has those that a command wrote."""

import shlex
from datetime import date
from difflib import get_close_matches
from importlib.util import find_spec

from pipeline.config.experiment import Experiment
from pipeline.config.input_names import region
from pipeline.errors import PipelineError
from pipeline.files.layout import Layout, require
from pipeline.files.records import Record
from pipeline.files.yaml import read_record
from pipeline.runtime import extras


class Holidays(Record):
    """data/holidays/DE-BY.json: all holidays of some years."""

    first: int  # year
    last: int
    dates: dict[date, str]  # and what they are called


class Named(Record):
    """data/windows/holidays.json: those that an experiment names, so that others change nothing."""

    by_feature: dict[str, Holidays]  # such as holiday:DE-BY


def read(experiment: Experiment, layout: Layout) -> dict[str, Holidays]:
    """The holidays that an experiment names, by feature, such as holiday:DE-BY.

    PipelineError if a file is lacking, with the command that writes it, or is wrong.
    """
    named = {*experiment.features, *experiment.known_features}
    return {name: _read(name, code, layout) for name in sorted(named) if (code := region(name))}


def _read(name: str, code: str, layout: Layout) -> Holidays:
    path = layout.holidays / f"{code}.json"
    if not path.exists() and find_spec("holidays"):
        check_known(code)
    return read_record(require(path, f"{name} needs it: {command(name)} writes it"), Holidays)


def command(name: str, *years: int) -> str:
    """What writes the holidays of a feature such as holiday:DE-BY, from year to year."""
    given = " --from {} --to {}".format(*years) if years else ""
    return f"python -m pipeline holidays {shlex.quote(str(region(name)))}{given}"


def check_known(code: str) -> None:
    """PipelineError of a country or subdivision that the library does not know; it names others."""
    known = extras.holidays().list_supported_countries()
    country, _, subdivision = code.partition("-")
    if country not in known:
        near = get_close_matches(country.upper(), known, n=5, cutoff=0)
        raise PipelineError(
            f"holiday:{code}: expected a country by its code, such as {', '.join(near)}, "
            f"found {country}"
        )
    if code != country and subdivision not in known[country]:
        others = ", ".join(f"{country}-{each}" for each in known[country]) or "none"
        raise PipelineError(
            f"holiday:{code}: expected {country} or a subdivision of it ({others}), found {code}"
        )

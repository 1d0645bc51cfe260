"""A starter card for a data set of one's own, written from its file, each guess marked."""

import argparse
import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import artifacts, guesses, paths, quality, series, windows
from pipeline.cards import Card, Time, read_card_file
from pipeline.config import read_params
from pipeline.errors import PipelineError, run
from pipeline.guesses import Finding, Stamps
from pipeline.params import Params

HELP = """\
Write data/datasets/NAME.yaml, a starter card for the table data/raw/NAME.csv: how it is written,
its time column and step, what each column holds, and a guess at target and split. Every guess is
marked `check:`. The card is then tried on the table, as the first stage of the pipeline will do,
and the commands that come next are printed.
"""
EXAMPLE = "example: python -m pipeline.new_dataset data/raw/mine.csv; see docs/own-data.md"


def main() -> None:
    """Write the card, try it, and say what comes next."""
    parser = argparse.ArgumentParser("pipeline.new_dataset", description=HELP, epilog=EXAMPLE)
    parser.add_argument("table", type=Path, help="the CSV file, data/raw/NAME.csv")
    parser.add_argument("--force", action="store_true", help="overwrite a card that is there")
    arguments = parser.parse_args()
    raw = _in_place(arguments.table)
    path = paths.card(raw.stem)
    if path.exists() and not arguments.force:
        raise PipelineError(f"{path}: is there already, expected a new card; --force overwrites it")
    params = read_params()
    seen = look(raw)
    card = write(path, draft(raw, seen))
    print(f"{path}: a starter card for {raw}, forecasts {card.targets[0]}")
    for name, found in seen.columns.items():
        if not found.used:
            print(f"  not used: {name} ({found.note})")
    if hours := guesses.hours_from_one(list(seen.columns)):
        print(
            f"  {hours[0]} to {hours[-1]}: hours of a day? rename them 00:00 to 23:00 and run this "
            "again with --force: then they are one hourly series"
        )
    for line in accept(raw, card, path):
        print(f"  {line}")
    print("ingest will accept the table. Look at the card's lines marked check:, then run\n")
    print("\n".join(f"  {line}" for line in commands(raw, card, params)))


def _in_place(table: Path) -> Path:
    """The table as data/raw/NAME.csv; PipelineError if it is something else."""
    paths.require(table, "expected the data set's table here")
    place = paths.raw_table(re.sub(r"[^\w-]+", "_", table.stem).strip("_").lower() or "mine")
    if table.suffix != ".csv":
        raise PipelineError(f"{table}: expected text, {place}, found {table.suffix or 'no'} suffix")
    if table.resolve().parent != paths.RAW.resolve() or not re.fullmatch(r"[\w-]+", table.stem):
        raise PipelineError(
            f"{table}: expected the table as data/raw/NAME.csv, the name of letters, digits, _ and "
            f"-; copy it there: cp {shlex.quote(str(table))} {place}"
        )
    return paths.raw_table(table.stem)


def write(path: Path, text: str) -> Card:
    """Write a card; what could not be read back as one is not kept."""
    with artifacts.replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
        return read_card_file(beside)


def accept(raw: Path, card: Card, path: Path) -> list[str]:
    """What ingest would remark on; PipelineError with its reason if it would refuse the table."""
    try:
        table = series.read_table(raw, card)
        frame = series.to_series(table, card, str(raw))
        found = quality.measure(frame, table, card)
        quality.check_usable(found, str(raw))
        windows.spans(
            card.split, pd.Timestamp(frame.index[0]), card.step, len(frame), card.time.timezone
        )
    except PipelineError as error:
        raise PipelineError(f"{path} is written, but ingest will refuse {error}") from None
    return [
        f"{found['rows']:,} rows, every {card.frequency} from {found['first']} to {found['last']}",
        *quality.remarks(found),
    ]


def commands(raw: Path, card: Card, params: Params) -> list[str]:
    """What to run next, with the settings of params.yaml that are another data set's undone."""
    window = params.window
    flags = [f"ingest.dataset={raw.stem}"]
    flags += [
        f"window.{key}=null" for key in ("inputs", "targets", "split") if getattr(window, key)
    ]
    if params.impute_scale.transforms is not None:
        flags.append("impute_scale.transforms=null")
    if 1 < card.season < min(window.horizon, 24):
        flags += [f"window.look_back={3 * card.season}", f"window.horizon={card.season}"]
    settings = " ".join(f"-S {shlex.quote(flag)}" for flag in flags)
    return [
        f"dvc add {raw}",
        f"git add {raw}.dvc {paths.card(raw.stem)}",
        f'git commit -m "Add the data set {raw.stem}"',
        f"dvc exp run {settings}",
        "dvc exp show --only-changed --drop '.*/|Created'",
    ]


@dataclass(frozen=True)
class Look:
    """What a table shows of itself."""

    encoding: str
    delimiter: str
    stamps: Stamps
    times_of_day: str | None  # in a wide table, how its columns' names write them
    step: pd.Timedelta
    rows: int  # of the long series
    columns: dict[str, Finding]

    @property
    def used(self) -> dict[str, Finding]:
        """The columns that a model can use."""
        return {name: found for name, found in self.columns.items() if found.used}

    @property
    def numeric(self) -> list[str]:
        """Those of them that are numbers."""
        return [name for name, found in self.used.items() if not found.levels]


def look(raw: Path) -> Look:
    """Read a table and say what it shows; PipelineError if no card could describe it."""
    if raw.stat().st_size == 0:
        raise PipelineError(f"{raw}: empty, expected a header line and rows")
    encoding = guesses.encoding(raw)
    delimiter = guesses.delimiter(raw, encoding)
    # A card that knows no more than how the file is written is enough to read its strings.
    known: dict[str, Any] = {"encoding": encoding, "delimiter": delimiter, "columns": {}}
    card = Card.model_construct(time=Time.model_construct(), **known)
    table = series.read_table(raw, card)
    if "" in (names := [str(name).strip() for name in table.columns]):
        raise PipelineError(
            f"{raw}: expected a name for every column in the first line, found none for column "
            f"{names.index('') + 1}; write one there, such as time or row"
        )
    stamps = guesses.stamps(table, str(raw))
    values = table.drop(columns=stamps.names)
    columns = {str(name): guesses.finding(values[name]) for name in values}
    step, rows, times = stamps.step, stamps.rows, None
    if step >= pd.Timedelta("1D") and (wide := guesses.times_of_day(list(columns))):
        times, slots = wide
        others = {name: found for name, found in columns.items() if name not in slots}
        columns = {name: replace(found, used=False) for name, found in others.items()}
        columns["value"] = guesses.finding(pd.Series(table[slots].to_numpy().ravel(), dtype=str))
        step, rows = pd.Timedelta("1D") / len(slots), rows * len(slots)
        rows -= _to_come(table[slots].iloc[-1], times)
    seen = Look(encoding, delimiter, stamps, times, step, rows, columns)
    if not seen.numeric:
        found = "; ".join(f"{name}: {found.note}" for name, found in columns.items()) or "no other"
        raise PipelineError(f"{raw}: expected a column of numbers that change, found {found}")
    return seen


def _to_come(day: pd.Series, times: str) -> int:
    """How many times of a wide table's last day have no value yet."""
    order = pd.to_datetime(pd.Series(day.index), format=times).argsort()
    written = [str(day.iloc[i]).strip().lower() not in guesses.MISSING for i in order]
    return written[::-1].index(True) if any(written) else 0


def draft(raw: Path, seen: Look) -> str:
    """The text of a starter card."""
    season, cycle = guesses.season(seen.step, seen.rows)
    ends = guesses.split(seen.stamps.times.iloc[0], seen.rows, seen.step)
    return "\n".join(
        [
            f"# A starter card, written from {raw}. Look at each line marked check:, change what",
            "# is wrong and delete the mark. docs/own-data.md says what every key means.",
            f"title: {_word(raw.stem)} # check: what the data are",
            "source: not stated # check: where they come from",
            "licence: not stated # check: who may use them",
            f"sha256: {series.sha256(raw)} # of the file as it is; ingest refuses another",
            "",
            *_writing(seen),
            *_time(seen.stamps),
            f"frequency: {guesses.frequency(seen.step)} # check: the most common step "
            f"(rows that follow by another: {seen.stamps.others:,})",
            f"season: {season} # check: rows in one cycle, here {cycle}",
            "",
            "columns: # check: units, and minimum: 0 beside the unit where nature sets that bound",
            *(_column(name, found) for name, found in seen.used.items()),
            *_excluded({name: found for name, found in seen.columns.items() if not found.used}),
            "",
            f"targets: [{_word(guesses.target(seen.numeric))}] # check: what is forecast",
            f"inputs: {_words(seen.used)} # check: what a forecast is made from",
            "split: # check: the last time of each span, here 70, 15 and 15 % of the rows",
            *(f"  {name}: {end}" for name, end in ends.items()),
            "",
        ]
    )


def _writing(seen: Look) -> list[str]:
    lines = []
    if seen.delimiter != ",":
        lines.append(f"delimiter: {json.dumps(seen.delimiter)}")
    if seen.encoding != "utf-8":
        lines.append(f"encoding: {seen.encoding} # check: are letters such as é and µ right?")
    marks = dict.fromkeys(mark for found in seen.used.values() for mark in found.missing)
    if marks:
        lines.append(f"missing: {_words(marks)} # check: how a missing value is written")
    if seen.times_of_day:
        times = _word(seen.times_of_day)
        lines.append("layout: wide # one row a day, one column for each time of day")
        lines.append(f"wide: {{column: value, times: {times}}} # value: rename it, here and below")
    return lines


def _time(stamps: Stamps) -> list[str]:
    if stamps.format is None:
        return ["time:", f"  columns: {_words(stamps.names)}"]
    return [
        "time:",
        f"  column: {_word(stamps.names[0])}",
        f"  format: {json.dumps(stamps.format)} # check: day and month in this order?",
    ]


def _column(name: str, found: Finding) -> str:
    known = f"categories: {_words(found.levels)}" if found.levels else 'unit: ""'
    return f"  {_word(name)}: {{{known}}} # {found.note}"


def _excluded(columns: dict[str, Finding]) -> list[str]:
    if not columns:
        return []
    lines = [f"  - {_word(name)} # {found.note}" for name, found in columns.items()]
    return ["excluded: # check: columns that are not used", *lines]


def _words(words: Iterable[Any]) -> str:
    return f"[{', '.join(_word(str(word)) for word in words)}]"


def _word(text: str) -> str:
    """A string as YAML: plain where that cannot be mistaken for anything else, else quoted."""
    plain = re.fullmatch(r"[^\W\d_][\w.%-]*", text) and text.lower() not in {
        "null",
        "true",
        "false",
    }
    return text if plain else json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    run(main)

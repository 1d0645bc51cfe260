"""A starter card: its text, in which every guess is marked, and what is said on the screen."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data import frequency_guesses
from pipeline.data.card_text import line, word, words
from pipeline.data.column_guesses import Finding
from pipeline.data.date_formats import Question, Stamps
from pipeline.data.starter_card import Look
from pipeline.files import artifacts
from pipeline.files.layout import matching


def told(raw: Path, seen: Look) -> Iterator[str]:
    """What was guessed and deserves a word on the screen, one line each."""
    if len(files := matching(raw)) > 1:
        yield f"{len(files):,} files, each below the one before: {_in_short(files)}"
    for key, names in seen.beside.items():
        yield f"check: {key}: {seen.writing[key]}, the largest of {', '.join(names)}"
    for old, new in seen.renamed.items():
        yield f"renamed in the card: {json.dumps(old, ensure_ascii=False)} is {new}"
    for key, mark, check in seen.numbers:
        yield f"numbers are read with {key}: {json.dumps(mark)}{check.replace(' #', ';')}"
    if seen.series:
        but = f", but for {seen.unlike:,} row{'s' * (seen.unlike > 1)}," if seen.unlike else ""
        yield (
            f"check: series: {seen.series}, since times repeat, and{but} once for each of its "
            f"{seen.names:,} names; frequency and season are those of {seen.longest}"
        )
        if seen.rival:
            yield f"check: series: {seen.rival}"
    for name, found in seen.columns.items():
        if found.used and found.unit:
            where = "cells say" if found.cells else "name says"
            yield f"unit: {name} is in {found.unit}, as its {where}"
        if not found.used:
            yield f"not used: {name} ({found.note})"
        elif found.check:
            yield f"check: {name}: {found.check}"
    if isinstance(seen.stamps, Stamps):
        yield from (f"check: {rival} fits every time too" for rival in seen.stamps.rivals)
    if seen.zone:
        yield f"check: time.timezone: {seen.zone}, as the file says"
    yield from (f"check: time.{key}: {value}: {why}" for key, (value, why) in seen.order.items())
    yield from (f"check: {remark}" for remark in seen.beyond)
    if isinstance(seen.stamps, Stamps) and len(seen.stamps.names) > 1 and seen.stamps.format:
        joined = ", ".join(seen.stamps.names)
        how = f"joined by a blank: {seen.stamps.format}"
        if seen.stamps.period:
            how = f"the last of which counts periods of {seen.stamps.period} in a day"
        yield f"time is made of the columns {joined}, {how}"
    if seen.times_of_day:
        yield "check: layout: wide, since the other columns are the times of one day"
    if seen.hours:
        yield f"check: {seen.hours}"


def _in_short(files: Sequence[Path]) -> str:
    names = [file.name for file in files]
    return ", ".join(names if len(names) < 4 else [names[0], names[1], "...", names[-1]])


def draft(raw: Path, seen: Look) -> str:
    """The text of a starter card."""
    target, why = seen.target
    unused = [
        f"  - {word(name)} # {line(found.note)}"
        for name, found in seen.columns.items()
        if not found.used
    ]
    return "\n".join(
        [
            f"# A starter card, written from {raw}. Look at each line marked check:, change what",
            "# is wrong and delete the mark. docs/own-data.md says what every key means.",
            f"title: {word(raw.parent.name)} # check: what the data are",
            "source: not stated # check: where they come from",
            "licence: not stated # check: who may use them",
            f"file: {word(raw.name)}",
            f"sha256: {artifacts.table_sha256(raw)} # of the file as it is; ingest refuses another",
            "",
            *_writing(seen),
            *_time(seen),
            "columns: # check: units; minimum: 0 (no forecast falls below 0) is set where no value",
            "  # is negative: delete it where one may be",
            *(_column(name, found) for name, found in seen.used.items()),
            *(["excluded: # check: columns that are not used", *unused] if unused else []),
            *_many(seen),
            "",
            f"targets: [{word(target)}] # check: what to forecast; {why}",
            f"inputs: {words(seen.used)} # check: what to forecast from",
            "known_ahead: [] # check: what is known of the steps ahead when a forecast is made:",
            "  # plans, published forecasts, hour or weekday; no measured column, as its values to",
            "  # come are in the table, but not yet there when a forecast is made",
            *_split(seen),
            "",
        ]
    )


def _many(seen: Look) -> list[str]:
    if not seen.series:
        return []
    also = f"; {line(seen.rival)}" if seen.rival else ""
    lines = [f"series: {word(seen.series)} # check: it tells {seen.names:,} series apart{also}"]
    if seen.static:
        lines.append(f"static: {words(seen.static)} # check: one value in each series")
    return lines


def _writing(seen: Look) -> Iterator[str]:
    if query := seen.writing.get("query"):
        yield f"query: {word(query)} # snapshot asks the database this"
    for key, names in seen.beside.items():
        yield f"{key}: {word(seen.writing[key])} # check: which one of {line(', '.join(names))}?"
    if (delimiter := seen.writing.get("delimiter", ",")) != ",":
        yield f"delimiter: {json.dumps(delimiter)}"
    if (encoding := seen.writing.get("encoding", "utf-8")) != "utf-8":
        yield f"encoding: {encoding} # check: are letters such as é and µ right?"
    yield from (f"{key}: {json.dumps(mark)}{check}" for key, mark, check in seen.numbers)
    marks = dict.fromkeys(mark for found in seen.used.values() for mark in found.missing)
    if marks:
        yield f"missing: {words(marks)} # check: how a missing value is written"
    if seen.renamed:
        yield "rename: # the names of columns in the table, and in this card"
        yield from (f"  {word(old)}: {word(new)}" for old, new in seen.renamed.items())
    if seen.times_of_day:
        times = word(seen.times_of_day)
        yield "layout: wide # check: one row for each day, one column for each time of day"
        yield f"wide: {{column: value, times: {times}}} # value: rename it, here and below"
    elif seen.hours:
        yield f"layout: long # check: {line(seen.hours)}"


def _time(seen: Look) -> list[str]:
    stamps, step = seen.stamps, seen.step
    moments = pd.DatetimeIndex([])
    if isinstance(stamps, Question):
        time = [f"  column: {word(stamps.name)}", f"  format: null # check: {stamps}"]
        steps = "from the columns' names"
    else:
        moments = pd.DatetimeIndex(stamps.times)
        also = "".join(f"; {rival} fits every row too" for rival in stamps.rivals)
        asked = (
            "day and month in this order?" if "%m" in str(stamps.format) else "written like this?"
        )
        written = f"{json.dumps(stamps.format)} # check: {asked}{also}"
        apart = len(stamps.names) > 1
        one = f"  column: {word(stamps.names[0])}"
        time = [f"  columns: {words(stamps.names)}" if apart else one]
        if stamps.format:
            time.append(f"  format: {written}")
        if stamps.period:
            time.append(f"  period: {stamps.period} # check: {stamps.names[-1]} counts them")
        if seen.zone:
            time.append(f"  timezone: {seen.zone} # check: as the file says")
        time += [f"  {key}: {value} # check: {why}" for key, (value, why) in seen.order.items()]
        steps = (
            f"the most common step (rows with another step: {stamps.others:,}; absent times: "
            f"{stamps.absent:,} of {stamps.rows:,})"
        )
    if step is None:
        every = "null # check: the step between two rows, such as 1h, 15min or 1D"
        cycle = "1 # check: rows in one cycle, such as 24 for hours of a day"
    else:
        every = f"{seen.frequency} # check: {steps}"
        rows, name = frequency_guesses.season(step, moments, seen.rows)
        cycle = f"{rows} # check: rows in one cycle, here {name}"
    return ["time:", *time, f"frequency: {every}", f"season: {cycle}", ""]


def _column(name: str, found: Finding) -> str:
    known = f"unit: {word(found.unit)}" + ", minimum: 0" * found.minimum
    if found.levels:
        known = f"categories: {words(found.levels)}"
    remark = f"; check: {line(found.check)}" if found.check else ""
    return f"  {word(name)}: {{{known}}} # {line(found.note)}{remark}"


def _split(seen: Look) -> list[str]:
    why = "split: # check: the last time of each span"
    ends: Mapping[str, object] = frequency_guesses.SHARES
    if seen.series:
        why = "split: # check: shares of each series, or the last time of each span for all"
    elif isinstance(seen.stamps, Stamps) and seen.step:
        moments = pd.DatetimeIndex(seen.stamps.times.unique())
        season = frequency_guesses.season(seen.step, moments, seen.rows)[0]
        counts = frequency_guesses.counts(seen.rows, season)
        sizes = np.diff([0, *counts.values()])
        train, validation, test = (round(100 * size / seen.rows) for size in sizes)
        why += f", here {train}, {validation} and {test} % of the rows"
        ends = frequency_guesses.split(moments, seen.step, counts)
    return [why, *(f"  {name}: {end}" for name, end in ends.items())]

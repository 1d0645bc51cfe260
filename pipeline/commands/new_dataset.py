"""Write a starter card for a table of your own, and try it on the table.

The card data/datasets/NAME.yaml says how the table data/raw/NAME/FILE is written, its time
column and step, what each column holds, and a guess at target and split. Every guess is marked
`check:`. The card is then tried on the table, as the first stage of the pipeline will do, and the
next commands are printed. An existing card is kept and tried again.
"""

import argparse
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.config import frequencies, input_names
from pipeline.config.automatic import LONG
from pipeline.config.cards import Card, read_card_file
from pipeline.config.experiment import Experiment
from pipeline.config.params import Params
from pipeline.config.reading import read_params
from pipeline.data import column_guesses, constants, quality, raw_panel, splits, windows
from pipeline.data.card_draft import draft, told
from pipeline.data.date_formats import Question
from pipeline.data.panel import Panel
from pipeline.data.sources import reading
from pipeline.data.sources.placement import in_place
from pipeline.data.starter_card import Look, look
from pipeline.errors import PipelineError
from pipeline.experiments.suited import suited
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.preparation import imputation
from pipeline.preparation.training_windows import TOO_MANY, Count, remarks, training_windows
from pipeline.repository import changed_params
from pipeline.runtime import process

AGAIN = (
    "then run this again, with --force if you changed the table (--force writes a new card: "
    "confirm the words in it again)"
)
TABLE = (
    "the file data/raw/NAME/FILE: text such as CSV, Parquet, a workbook, packed by gzip or zip or "
    "not; of several files of one form their directory, or a pattern in quotes"
)
EXAMPLE = "example: %(prog)s data/raw/mine/mine.csv; see docs/own-data.md"


class Tried(NamedTuple):
    """What ingest makes of a table: the series, its quality, the rows of each span; what suits."""

    series: Panel
    quality: dict[str, Any]
    spans: splits.Spans
    suited: Experiment  # by params.yaml, with a window and a limit that suit the table


def main() -> None:
    """Write the card or keep the one there, try it, and say what comes next."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    parser.add_argument("table", type=process.path, help=TABLE)
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace an existing card; your changes to it, such as missing marks, are lost",
    )
    parser.add_argument(
        "--format",
        help="the format of times in the table, if it cannot be guessed, in strptime's codes, "
        "such as '%%d.%%m.%%Y %%H:%%M'",
    )
    parser.add_argument(
        "--frequency",
        help="the step between two rows, if it cannot be guessed: 15min, 1h or 1D, of the calendar "
        "B, W-MON, MS, ME, QS, QE, YS or YE, or rows: each row is one step, whatever the time "
        "between",
    )
    arguments = parser.parse_args()
    raw = in_place(arguments.table)
    path = HERE.card(raw.parent.name)
    params = read_params()
    if path.exists() and not arguments.force:
        for option in (name for name in ("format", "frequency") if getattr(arguments, name)):
            raise PipelineError(f"{path}: exists; --force --{option} writes a new one")
        card = read_card_file(path)
        if HERE.raw_table(raw.parent.name, card.file) != raw:
            raise PipelineError(f"{path}: file: expected {raw.name}, found {card.file}")
        print(f"{path}: exists and is kept; --force writes a new one")
    else:
        card = begin(raw, path, arguments.format, params, arguments.frequency)
    tried = attempt(raw, card, params, f"{path} is there")
    for line in remarked(tried, card, params):
        print(f"  {line}")
    print("ingest will accept the table. Look at the card's lines marked check:, then run\n")
    print("\n".join(f"  {line}" for line in commands(raw, params, tried.suited.asked)))


def begin(
    raw: Path, path: Path, form: str | None, params: Params, every: str | None = None
) -> Card:
    """Write a starter card and say what was guessed; PipelineError if a person has to decide."""
    if every:
        frequencies.check(every, "--frequency")
    seen = look(raw, form, every)
    if isinstance(seen.stamps, Question):
        artifacts.write_text(path, draft(raw, seen))
        readings = [str(reading.format) for reading in seen.stamps.readings]
        example = (readings or ["%d.%m.%Y %H:%M"])[0]
        named = f"{shlex.quote(str(raw))} --force --format {shlex.quote(example)}"
        raise PipelineError(
            f"{path} is written without time.format: {raw}: column {seen.stamps.name}: "
            f"{seen.stamps}; say which it is, %d day, %m month, %Y year, %H hour, %M minute, as "
            f"in: python -m pipeline new-dataset {named}"
        )
    card = write(path, draft(raw, seen))
    refused = _fault(raw, seen, path)
    try:
        with_series = f" with series: {seen.series}" if seen.unlike else ""
        state = f"{path} is written{with_series}"
        tried = None if refused else attempt(raw, card, params, state)
    except PipelineError as error:
        tried, refused = None, error
    while tried and (costly := _costly(tried, seen, card)):
        seen = seen.without(costly)
    card = write(path, draft(raw, seen))
    target, why = seen.target
    print(f"{path}: a starter card for {raw}, forecasts {target} ({why})")
    for line in told(raw, seen):
        print(f"  {line}")
    if refused:
        raise refused
    return card


def _fault(raw: Path, seen: Look, path: Path) -> PipelineError | None:
    """What ingest will refuse, as far as the columns show it."""
    faults = [f"column {name}: {found.fault}" for name, found in seen.used.items() if found.fault]
    if not faults:
        return None
    more = f" (and {len(faults) - 1} more columns)" if len(faults) > 1 else ""
    return PipelineError(
        f"{path} is written, but ingest will refuse {raw}: {faults[0]}{more}; or take the "
        f"column out of columns, targets and inputs and put it under excluded; {AGAIN}"
    )


def _costly(tried: Tried, seen: Look, card: Card) -> dict[str, str]:
    """What would cost too many training windows as an input, and how many.

    That is the target, where it is a guess and another column would do; else the inputs that cost
    them beside the target.
    """
    target, why = seen.target
    _, count = _windows(tried, card, list(seen.used), [target])
    too_many = TOO_MANY * count.possible
    sound = [name for name in seen.numeric if count.lost.get(name, 0) <= too_many]
    if target not in sound and sound and why != column_guesses.NAMED:
        costs = {target: count.lost[target]}
    else:
        alone = _windows(tried, card, [target], [target])[1].kept
        costs = {
            name: alone - _windows(tried, card, [name, target], [target])[1].kept
            for name in count.lost
            if name != target
        }
    return {
        name: f"as an input it would cost {lost:,} of {count.possible:,} training windows, by gaps "
        f"longer than {tried.suited.params.impute_scale.imputation.limit} rows"
        for name, lost in costs.items()
        if lost > too_many
    }


def write(path: Path, text: str) -> Card:
    """Write a card; what could not be read back as one is not kept."""
    with artifacts.replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
        return read_card_file(beside)


def remarked(tried: Tried, card: Card, params: Params) -> Iterator[str]:
    """What the first stages would remark on, one line each."""
    found, window = tried.quality, tried.suited.params.window
    train, count = _windows(tried, card, card.inputs, card.targets)
    span = f"from {found['first']} to {found['last']}"
    every = f",{card.step.every} {span}" if card.step.tells else f" {span}, {card.step.rows}"
    yield f"{found['rows']:,} rows{every}"
    yield from quality.remarks(found, card.targets)
    if (absent := found["absent_rows"] / found["rows"]) > 0.5:
        yield (
            f"warning: {absent:.0%} of the times are absent: is {card.frequency} the step between "
            "rows? if not, correct frequency, or day and month in time.format; if nothing is "
            "measured in closed hours, run this again with --force --frequency rows: each row is "
            "then one step"
        )
    parts = (part for _, part in tried.series.parts())
    yield from imputation.remarks(parts, params.impute_scale.imputation.limit)
    learned_from = tried.series, tried.spans["train"]
    yield from constants.remarks(*learned_from, card, params.impute_scale.by_series)
    borders = tried.series.borders
    used = tried.spans["test"][:, 1] - borders.firsts
    if unused := splits.unused(used, tried.series.timeline(card)):
        yield unused
    sentence, *others = remarks(count, card.targets)
    of = "params.yaml" if tried.suited.asked == params else "the command below"
    if any(key.startswith("window.") for key in tried.suited.chosen):
        most = f" (at most {LONG})" if card.season > LONG else ""
        of += f", by the season of {card.season:,} rows{most}"
    yield f"with look-back {window.look_back:,} and horizon {window.horizon:,} of {of}: {sentence}"
    yield from others
    if (levels := tried.suited.params.evaluate.levels) != params.evaluate.levels:
        told = ", ".join(f"{level:g}" for level in levels)
        yield f"the validation span is too short for intervals but those of {told}%"
    size = window.look_back, window.horizon
    names = [input_names.expand(part, card) for part in (card.inputs, card.known_ahead)]
    context = input_names.context(names[0], names[1], card.season, *size)
    observed = tried.series.frame[[*card.targets]].notna().to_numpy()
    for name, origins in splits.origins(train, tried.spans, window.horizon).items():
        known = *size, context, borders.firsts
        if fault := windows.fault(name, origins, tried.spans[name], *known):
            yield f"check: {fault}"
        for k, target in enumerate(card.targets):
            if few := windows.few_observed(name, target, observed[:, k], tried.spans[name]):
                yield f"check: {few}"
    for line in constants.unscored(tried.series, card.targets, tried.spans):
        yield f"check: {line}"


def attempt(raw: Path, card: Card, params: Params, state: str) -> Tried:
    """The table as ingest reads it; PipelineError if that would refuse it."""
    try:
        reading.verify(raw, card)
        table = reading.read_table(raw, card)
        series, given = raw_panel.to_panel(table, card, str(raw))
        found = quality.of_panel(series, given, card)
        quality.check_usable(found, card, str(raw))
        own = Experiment(params, card)
        spans = splits.of(own, series.timeline(card))
    except PipelineError as error:
        after = f"; mend the table or the card, {AGAIN}"
        raise error.within(f"{state}, but ingest will refuse ", after) from None
    return Tried(series, found, spans, suited(series, spans, card, params))


def _windows(
    tried: Tried, card: Card, inputs: Sequence[str], targets: Sequence[str]
) -> tuple[windows.Runs, Count]:
    """The training windows that there would be of these inputs and targets, and their count."""
    needed = input_names.columns([*inputs, *targets], card)
    channels = imputation.one_hot(tried.series.frame[needed], card.categories)
    suited = tried.suited.params
    limit = suited.impute_scale.imputation.limit
    parts = [channels.iloc[rows] for _, rows in tried.series.borders.parts()]
    state = np.concatenate([imputation.gap_state(part, limit) for part in parts])
    named = {"inputs": tuple(inputs), "targets": tuple(targets)}
    window = suited.window.model_copy(update=named)
    experiment = Experiment(suited.model_copy(update={"window": window}), card)
    return training_windows(state, list(channels.columns), experiment, tried.spans["train"])


def commands(raw: Path, params: Params, wanted: Params) -> list[str]:
    """What to run next, with the settings of params.yaml that are another data set's undone."""
    name = raw.parent.name
    flags = [f"ingest.dataset={changed_params.setting(name)}"]
    own = params.window
    flags += [f"window.{key}=null" for key in ("inputs", "targets", "split") if getattr(own, key)]
    if params.impute_scale.transforms is not None:
        flags.append("impute_scale.transforms=null")
    before, setting = params.flat(), changed_params.setting
    flags += [f"{key}={setting(to)}" for key, to in wanted.flat().items() if to != before[key]]
    settings = " ".join(f"-S {shlex.quote(flag)}" for flag in flags)
    return [
        f"dvc add {raw.parent}",
        f"git add {raw.parent}.dvc {HERE.card(name)}",
        f'git commit -m "Add the data set {name}"',
        f"dvc exp run {settings}",
        "dvc exp show --only-changed --drop '.*/|Created|.*(mape|_80|_95)|skill|validation'",
    ]

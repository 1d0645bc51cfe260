"""Test an experiment on several folds in time, each fitted on its own past.

The last fold ends where the test span of the card's or params.yaml's split ends; each lies `step`
rows before the next. A fit has the spans before its folds: validation and calibration as long as in
the split, training all that is before. What has been fitted is kept, so the same command goes on
where it was stopped.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.experiments.backtest.places import Kept
from pipeline.experiments.backtest.plan import Settings
from pipeline.experiments.backtest.study import FORECASTS, Backtest
from pipeline.experiments.workers import add_arguments, workers_of
from pipeline.files.layout import HERE
from pipeline.files.records import parse
from pipeline.reports import backtest_text, terminal
from pipeline.runtime.progress import say
from pipeline.tracking import backtest_runs


def show(tested: Backtest, found: dict[str, Any]) -> None:
    """The scores by fold, their means, intervals, and what to know of them."""
    title = f"{tested.directory.name}: {tested.base.card.title}"
    terminal.show(title, backtest_text.plan(tested, found), width=160)
    scale = backtest_text.scale(tested)
    for of, (header, lines) in {
        f"{scale} by fold": backtest_text.by_fold_table(tested, found),
        "mean ± spread over the folds": backtest_text.models(tested, found),
        "intervals of the model by fold": backtest_text.intervals(found),
        "by series": backtest_text.series(tested, found),
    }.items():
        if lines:
            shown = terminal.table(of)
            for heading in header:
                shown.add_column(heading)
            for line in lines:
                shown.add_row(*line)
            terminal.show(shown, width=160)
    terminal.show(*backtest_text.notes(tested, found), width=160)


def listed() -> None:
    """Every backtest with how far it has come."""
    shown = terminal.table()
    for heading in ("backtest", "folds", "fits done", "size", "last run"):
        shown.add_column(heading)
    found = Kept.known(Path())
    for directory in found:
        kept = Kept.read(directory)
        done = len([*directory.glob("fits/*/*/result.json")])
        size = sum(f.stat().st_size for f in directory.rglob("*") if not f.is_symlink())
        last = time.localtime((directory / Kept.file()).stat().st_mtime)
        shown.add_row(
            directory.name,
            f"{kept.settings['folds']} of {kept.settings['step']:,} rows",
            str(done),
            f"{size / 2**20:.1f} MiB",
            time.strftime("%Y-%m-%d %H:%M", last),
        )
    terminal.show(shown if found else f"{Kept.place}: no backtests yet")


def _number(name: str, text: str, none: str) -> int | None:
    """An argument that is a number or the word that means none."""
    if text != none and not text.removeprefix("-").isdecimal():
        raise PipelineError(f"--{name}: expected a number or {none}, found {text}")
    return None if text == none else int(text)


def main() -> None:
    """Run a backtest of params.yaml, or show, list or delete backtests."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--folds", type=int, metavar="N", help="how many")
    add("--step", type=int, metavar="ROWS", help="rows that a fold tests")
    add("--refit", default="1", metavar="K", help="folds that a fit serves, or never: "
        "one fit for all; default 1")  # fmt: skip
    add("--window", default="expanding", metavar="ROWS", help="the newest rows that a fit "
        "learns from, or expanding: all before its folds; default expanding")  # fmt: skip
    add("--gap", type=int, default=0, metavar="ROWS", help="rows between a fit's spans and its "
        "folds; default 0")  # fmt: skip
    add("--origins", nargs="+", default=[], metavar="HH:MM", help="times of day from which "
        "forecasts are scored; default those of the card")  # fmt: skip
    add("--local", action="store_true", help="beside one model of all series, one of each")
    add_arguments(parser)
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--list", action="store_true", help="list the backtests there are")
    doing.add_argument("--show", metavar="BACKTEST", help="show what a backtest has found")
    doing.add_argument("--delete", metavar="BACKTEST", help="delete a backtest with its fits")
    options = parser.parse_args()
    if options.list:
        listed()
    elif options.delete:
        Kept.delete(Kept.find(options.delete, Path()))
        print(f"{options.delete}: deleted")
    elif options.show:
        directory = Kept.find(options.show, Path())
        tested = Kept.read(directory).backtest(Path(), directory)
        show(tested, tested.collect())
    else:
        _run(options)


def _run(options: argparse.Namespace) -> None:
    workers = workers_of(options)
    for name in ("folds", "step"):
        if getattr(options, name) is None:
            raise PipelineError(f"--{name}: expected a number, found none; see docs/backtest.md")
    asked = {name: getattr(options, name) for name in Settings.model_fields}
    asked["refit"] = _number("refit", options.refit, "never")
    asked["window"] = _number("window", options.window, "expanding")
    settings, base = parse(asked, Settings, "backtest"), read_experiment()
    settings.check(base)
    kept = Kept.of(settings, base, HERE)
    directory, new = kept.begin(base.dataset, Path())
    for line in new:
        say(f"{directory.name}: a new backtest; {line} changed")
    tested = kept.backtest(Path(), directory)
    show(tested, backtest_runs.carry_out(tested, workers))
    place = directory.relative_to(Path())
    print(f"{place / backtest_runs.PAGE}: the page; {place / FORECASTS}: every forecast")

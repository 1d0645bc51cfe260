"""Search settings on the validation span: search.yaml says which.

What a search has found is kept, so the same command goes on where it was stopped, and once it is
done only shows what it found. It runs the trials that search.yaml and params.yaml, card, table and
code decide; with any of them changed it is another search.
"""

import argparse
import time
from contextlib import suppress
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from pipeline.config.changes import NAME
from pipeline.config.params import Params
from pipeline.config.reading import read_experiment, read_params
from pipeline.errors import PipelineError
from pipeline.experiments.search import best, places
from pipeline.experiments.search.settings import Settings
from pipeline.experiments.search.study import Search
from pipeline.experiments.workers import Workers, add_arguments, executor, workers_of
from pipeline.files import artifacts
from pipeline.files.layout import HERE, require
from pipeline.files.records import Record
from pipeline.files.yaml import read_record
from pipeline.reports import search_page, search_text, terminal
from pipeline.reports.search_progress import watched
from pipeline.runtime import process
from pipeline.runtime.progress import say
from pipeline.tracking import search_runs


def run(search: Search, workers: Workers, members: int | None = None) -> Params:
    """Run what is to run, then show what was found; the winner's parameters.

    Of so many members they are those of an ensemble of the best.
    """
    if members is not None:
        best.check(search, members)
    with (
        places.held(search.directory),
        executor(workers) as at,
        search_runs.logged(search, at) as runs,
        watched(search) as watch,
    ):
        search.run(at, watch, runs.trials_of)
        metrics = search.score(at)
        page = search_page.html(search, metrics)
        runs.finish(page)
    show(search)
    wanted, said, made = search_text.winner(search), list[str](), "the winner"
    if members is not None:
        wanted, said = best.ensemble(search, members)
        made = f"an ensemble of the best {members}"
    terminal.show(search_text.on_test(search, metrics), *said, "", f"To make {made}:")
    print(f"  {search_text.command(search, wanted)}")
    path = search.directory / "search.html"
    artifacts.write_text(path, page)
    print(f"{path.relative_to(search.project)}: the page with pictures and every trial")
    return wanted


def show(search: Search) -> None:
    """The trials that are finished, the best first, and what to know of them."""
    shown = terminal.table(f"{search.directory.name}: {search.base.card.title}")
    header, lines = search_text.table(search, search_text.MOST)
    for heading in header:
        shown.add_column(heading)
    for line in lines:
        shown.add_row(*line)
    told = [search_text.against_the_start(search), *search_text.notes(search)]
    terminal.show(shown, *told)


def listed() -> None:
    """Every search with how far it has come."""
    shown = terminal.table()
    for heading in ("search", "data set", "trials", "size", "last run"):
        shown.add_column(heading)
    found = places.known(Path())
    for directory in found:
        kept = places.read(directory)
        ended = {outcome.number for outcome in places.outcomes(directory)}
        count = kept.settings["trials"]
        with suppress(PipelineError):  # it may be of code that knew other parameters
            search = kept.search(Path(), directory)
            count = search.count
            search.run(None)
            ended |= {one.number for one in search.finished}  # also those that repeat others
        size = sum(f.stat().st_size for f in directory.rglob("*") if not f.is_symlink())
        last = time.localtime((directory / places.KEPT).stat().st_mtime)
        shown.add_row(
            directory.name,
            kept.params["ingest"]["dataset"],
            f"{len(ended)} of {count}",
            f"{size / 2**20:.1f} MiB",
            time.strftime("%Y-%m-%d %H:%M", last),
        )
    terminal.show(shown if found else f"{places.PLACE}: no searches yet")


def apply(asked: Params, wanted: Params) -> None:
    """Write parameters to params.yaml in the place of those asked for; its comments stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10**6
    null = "tag:yaml.org,2002:null", "null"
    yaml.representer.add_representer(type(None), lambda own, _: own.represent_scalar(*null))
    tree = yaml.load(HERE.params.read_text(encoding="utf-8"))
    before, now = asked.flat(), wanted.flat()
    another = before[NAME] != now[NAME]
    if another:
        _another_model(tree["train"]["model"], wanted.train.model)
    for key, value in now.items():
        if before.get(key) != value and not (key.startswith("train.model.") and another):
            *sections, last = key.split(".")
            branch = tree
            for section in sections:
                branch = branch[section]
            branch[last] = value
    with artifacts.replacing(HERE.params) as beside, beside.open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)
    if read_params() != wanted:
        raise PipelineError(f"{HERE.params}: expected what the search found, found others")
    print(f"{HERE.params}: now has these parameters; dvc repro makes their model")


def _another_model(branch: CommentedMap, wanted: Record) -> None:
    """Change the keys of a model to those of another, and keep the comments of those that stay.

    What is written below the last key of all belongs to what follows.
    """
    below = branch.ca.items.pop([*branch][-1], None)
    every = wanted.model_dump(mode="json")
    for key in [key for key in branch if key not in every]:
        del branch[key]
    asked = wanted.model_dump(mode="json", exclude_defaults=True)
    for key, value in every.items():
        if branch.get(key, value) != value or (key not in branch and key in asked):
            branch[key] = value
    if below:
        branch.ca.items[[*branch][-1]] = below


def opened(name: str) -> Search:
    """A search by its name, with what it has found."""
    directory = places.find(name, Path())
    search = places.read(directory).search(Path(), directory)
    search.run(None)
    if not search.ranked:
        raise PipelineError(f"{directory}: expected a finished generation of trials, found none")
    return search


def main() -> None:
    """Run a search, or show, list or delete searches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "file",
        nargs="?",
        type=process.path,
        default=Path("search.yaml"),
        help="default %(default)s",
    )
    add_arguments(parser)
    parser.add_argument("--apply", action="store_true", help="write what was found to params.yaml")
    parser.add_argument(
        "--ensemble",
        type=int,
        metavar="K",
        help="in the end, of the best K trials instead of the winner alone; see docs/ensembles.md",
    )
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--list", action="store_true", help="list the searches there are")
    doing.add_argument("--show", metavar="SEARCH", help="show what a search has found")
    doing.add_argument("--delete", metavar="SEARCH", help="delete a search with its trials")
    options = parser.parse_args()
    if options.list:
        listed()
    elif options.show:
        show(opened(options.show))
    elif options.delete:
        places.delete(places.find(options.delete, Path()))
        print(f"{options.delete}: deleted")
    else:
        workers = workers_of(options)
        file = require(options.file, "expected the settings of a search; see docs/search.md")
        settings, base = read_record(file, Settings), read_experiment()
        settings.check(base.params, str(file))
        kept = places.Kept.of(settings, base, HERE)
        directory, new = places.begin(file.stem, kept, Path())
        for line in new:
            say(f"{directory.name}: a new search; {line} changed")
        search = kept.search(Path(), directory)
        wanted = run(search, workers, options.ensemble)
        if options.apply:
            apply(base.asked, wanted)

"""Pin a table that has grown, or a database's answer, if its old rows are as they were.

The rows that data/raw/NAME.dvc pins are compared with those of the table now, or, where the card
has a query, with the answer that the database gives. Rows that are not as they were are named. If
there are none, `dvc add` pins the new state, and the card's sha256 follows.
"""

import argparse
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.cards import Card, read_card
from pipeline.data import growth, raw_panel, splits
from pipeline.data.panel import Panel, first_faults
from pipeline.data.sources import parquet, reading, sql
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE, matching, require
from pipeline.repository import dvc, git

EXAMPLE = f"example: %(prog)s mine; {sql.ADDRESS}=sqlite:///meter.db %(prog)s mine"


def main() -> None:
    """Compare, pin, and say what is new."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    parser.add_argument("dataset", metavar="NAME", help="the data set, as in ingest.dataset")
    parser.add_argument("--force", action="store_true", help="pin it whatever rows have changed")
    parser.add_argument(
        "--query", help="of a data set that has no card yet: what to ask the database"
    )
    given = parser.parse_args()
    if given.query:
        begin(given.dataset, given.query)
        return
    pin, card = pin_table(given.dataset, given.force)
    commit = f'git commit -m "New rows of {given.dataset}"'
    print(f"{pin}: pins it; next: git add {pin} {card} && {commit}")


def pin_table(dataset: str, force: bool = False) -> list[Path]:
    """Pin the table as it is now and say what is new; the files to commit: the pin and the card.

    PipelineError if rows that were pinned are not as they were, unless `force`.
    """
    card = read_card(dataset)
    path = HERE.raw_table(dataset, card.file)
    pin = path.parent.with_suffix(".dvc")
    forced = f"python -m pipeline snapshot {dataset} --force"
    if git.ask("ls-files", "--", str(path.parent)).stdout:
        raise PipelineError(
            f"{path.parent}: expected a table that DVC pins, found it in Git: git diff shows what "
            "changed, and git commit keeps it"
        )
    with TemporaryDirectory() as directory:
        made = path
        if card.query:
            made = Path(directory) / path.name
            write(made, card.query, card)
        require(made, "expected the data set's table here")
        now = _panel(made, card, str(path))
        try:
            before = _pinned(pin, path, card, Path(directory)) if pin.exists() else None
        except PipelineError as error:
            if not force:
                after = f"; {forced} pins the table without a look"
                raise error.within(after=after) from None
            before = None
        found = growth.compare(before, now) if before else growth.Growth(0, [], None)
        if found.changed and not force:
            raise PipelineError(
                f"{path}: expected the rows that {pin} pins, found {len(found.changed):,} changed; "
                f"if that is right, pin them with: {forced}",
                *first_faults(found.changed),
            )
        if made != path:
            with artifacts.replacing(path) as beside:
                shutil.copyfile(made, beside)
    card_file = HERE.card(dataset)
    _follow(card_file, artifacts.table_sha256(path))
    dvc.run(Path(), "add", str(path.parent))
    for line in _told(found, now, card):
        print(f"{path}: {line}")
    return [pin, card_file]


def begin(dataset: str, query: str) -> None:
    """Ask for a data set that has no card yet, and say what writes one."""
    if HERE.card(dataset).exists():
        raise PipelineError(f"{HERE.card(dataset)}: exists; write the query there")
    path = HERE.raw_table(dataset, f"{dataset}.parquet")
    write(path, query)
    print(f"{path}: written; next: python -m pipeline new-dataset {path}")


def write(path: Path, query: str, card: Card | None = None) -> None:
    """The answer as Parquet, in order of series and time, with the query in its metadata."""
    address = os.environ.get(sql.ADDRESS)
    if not address:
        raise PipelineError(
            f"{sql.ADDRESS}: expected the database's address in this variable of the shell, such "
            "as postgresql+psycopg2://user:password@host/database, found none"
        )
    table = sql.ask(address, query)
    parquet.to_frame(table, "query")  # can be read again
    if order := [(name, "ascending") for name in _order(table, card)]:
        table = table.sort_by(order)  # those of the same time stay as they came
    with artifacts.replacing(path) as beside:
        pq.write_table(table.replace_schema_metadata({parquet.QUERY: query}), beside)


def _order(table: pa.Table, card: Card | None) -> list[str]:
    """The columns to sort by; without a card all, the first of times before the others."""
    if card is None:
        times = [field.name for field in table.schema if pa.types.is_temporal(field.type)]
        return [*dict.fromkeys([*times[:1], *table.column_names])]
    written = {name: old for old, name in card.rename.items()}
    wanted = [written.get(name, name) for name in (card.series, *card.time.names) if name]
    return [name for name in wanted if name in table.column_names]


def _panel(path: Path, card: Card, where: str) -> Panel:
    return raw_panel.to_panel(reading.read_table(path, card), card, where)[0]


def _pinned(pin: Path, path: Path, card: Card, directory: Path) -> Panel:
    """The table in the state that a pin has; PipelineError if it cannot be had."""
    old = dvc.pinned(pin, directory) / path.name
    if not matching(old):
        raise PipelineError(f"{pin}: expected {path.name} in what it pins, found none")
    return _panel(old, card, f"{path} as {pin} pins it")


def _told(found: growth.Growth, now: Panel, card: Card) -> Iterator[str]:
    """What is new, one line each."""
    if found.new is None:
        yield f"{len(now.frame):,} rows, the first state"
    else:
        span = f" from {found.new.min()} to {found.new.max()}" if len(found.new) else ""
        yield f"{found.kept:,} rows as they were, {len(found.new):,} new{span}"
    if found.changed:
        yield f"{len(found.changed):,} changed"
        yield from first_faults(found.changed)
    spans = splits.in_series(card.split, now.timeline(card), card.time.timezone)
    if unused := splits.unused(spans["test"][:, 1], now.timeline(card)):
        yield unused


def _follow(path: Path, sha256: str) -> None:
    """Write the table's new sha256 into a card that has one; nothing else in it changes."""
    text = path.read_text(encoding="utf-8")
    changed = re.sub(r"(?m)^(sha256:\s*[\"']?)[0-9a-f]{64}", rf"\g<1>{sha256}", text)
    if changed != text:
        artifacts.write_text(path, changed)

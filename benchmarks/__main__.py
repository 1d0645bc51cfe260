"""`python -m benchmarks` measures all parts, prints them, and writes them with a plot."""

import argparse
import csv
import importlib
import sys
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import growth, report, serving
from benchmarks.measure import Row
from pipeline.runtime import determinism, process

PARTS = {  # and about how many minutes each takes
    "windows": 4,
    "inputs": 2,
    "training": 3,
    "score": 8,
    "overhead": 3,
    "growth": 5,
    "prediction": 1,
    "baselines": 2,
    "search": 5,
    "ensembles": 1,
    "shards": 2,
    "serving": 30,
    "installation": 6,
}
HERE = Path(__file__).parent


def main() -> None:
    """Measure, show, and keep what was measured in one whole run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure")
    parser.add_argument(
        "--keep", action="store_true", help="of --only: put their figures in place of the kept ones"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it work at all?")
    parser.add_argument(
        "--seconds",
        type=float,
        default=serving.SECONDS,
        help="of the part serving: how long each load lasts; default %(default)g",
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=growth.ROWS,
        help="of the part growth: those of the largest table; 100_000_000 takes some "
        "20 GB of disk; default %(default)s",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="keep results here; of all parts, and with --keep, the default is benchmarks/",
    )
    wanted = parser.parse_args()
    serving.SECONDS, growth.ROWS = wanted.seconds, wanted.rows
    folder = wanted.output
    if folder is None and (wanted.keep or not wanted.only) and not wanted.quick:
        folder = HERE
    if folder:
        try:
            folder.mkdir(parents=True, exist_ok=True)  # rather now than after all is measured
        except OSError as error:
            parser.error(f"--output: {error}")
    console = Console(width=130)
    process.settle()
    determinism.settle(1)  # which loads TensorFlow without its chatter
    rows: list[Row] = []
    began = time.monotonic()
    for part in wanted.only or PARTS:
        console.rule(f"{part} (about {PARTS[part]:g} min)")
        with console.status(f"measuring {part}"):
            for row in importlib.import_module(f"benchmarks.{part}").rows(wanted.quick):
                rows.append(row)
                console.print(_line(row), highlight=False)
    console.rule(f"{(time.monotonic() - began) / 60:.1f} min")
    console.print(_summary(rows))
    if folder:
        made = f"`{' '.join(['python -m benchmarks', *sys.argv[1:]])}` on {report.where()}"
        keep([replace(row, made=made) for row in rows], folder, wanted.keep)


def _line(row: Row) -> str:
    value = row.unit if row.value is None else f"{row.value:.4g} {row.unit}"
    verdict = {True: "met", False: "[red]not met[/red]", None: ""}[row.met]
    return f"{row.case}: {row.program}: {value} {row.aim and f'(aim {row.aim})'} {verdict}"


def _summary(rows: list[Row]) -> Table:
    table = Table("part", "aims met", "aims not met", "absent or not tried", box=None)
    for part in dict.fromkeys(row.part for row in rows):
        own = [row for row in rows if row.part == part]
        met, missed = ([row for row in own if row.met is verdict] for verdict in (True, False))
        absent = sum(row.value is None for row in own)
        table.add_row(part, str(len(met)), str(len(missed)), str(absent))
    return table


def keep(rows: list[Row], folder: Path, others: bool = False) -> None:
    """results.csv, its pictures and, where there is one, the table in README.md.

    With `others`, what was measured replaces its parts alone.
    """
    kept = folder / "results.csv"
    if others and kept.exists():
        new = {row.part for row in rows}
        rows = [*rows, *(row for row in read(kept) if row.part not in new)]
        rows.sort(key=lambda row: [*PARTS].index(row.part))
    with kept.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    report.plot(rows).savefig(folder / "results.png", dpi=120, metadata={"Software": None})
    if report.grows(rows):
        picture = report.growth(rows)
        picture.savefig(folder / "growth.png", dpi=120, metadata={"Software": None})
    page = folder / "README.md"
    if page.exists():
        page.write_text(report.inserted(page.read_text("utf-8"), rows), "utf-8")


def read(path: Path) -> list[Row]:
    """The rows that `keep` wrote."""
    met = {"True": True, "False": False, "": None}
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                line["part"],
                line["case"],
                line["program"],
                float(line["value"]) if line["value"] else None,
                line["unit"],
                line["aim"],
                met[line["met"]],
                line["made"],
            )
            for line in csv.DictReader(file)
        ]


if __name__ == "__main__":
    main()

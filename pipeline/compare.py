"""Compare runs: what differs, how each scores, and which differences are more than chance."""

import argparse
import json
import statistics
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pipeline import artifacts, compare_plots, metrics, page, paths, report, runs, series, tracking
from pipeline.cards import Card
from pipeline.config import read_experiment, split
from pipeline.errors import PipelineError, run
from pipeline.params import Params
from pipeline.runs import Trial
from pipeline.text import number, percent

SEED = "train.seed"
COLUMNS = 2  # parameters that have a column of their own; more of them share one
LONGEST = 30  # characters of a parameter's value


@dataclass(frozen=True)
class Row:
    """Runs that differ only in their seed."""

    trials: tuple[Trial, ...]

    @property
    def params(self) -> dict[str, str]:
        """Every parameter but the seed."""
        return {key: value for key, value in self.trials[0].params.items() if key != SEED}

    def values(self, who: str) -> list[float]:
        """Each run's RMSE on a span."""
        return [trial.error(who) for trial in self.trials]

    def error(self, who: str) -> float:
        """The mean RMSE on a span."""
        return statistics.fmean(self.values(who))

    def spread(self, who: str) -> float:
        """The standard deviation over the seeds; 0 for a single run."""
        return statistics.stdev(self.values(who)) if len(self.trials) > 1 else 0.0


def rows(trials: Sequence[Trial]) -> tuple[list[Row], list[Trial]]:
    """Runs that differ only in seed as one row, the best on validation first.

    Returns:
        The rows, and the runs left out: those that repeat another run's parameters and seed.
    """
    groups: dict[tuple[tuple[str, str], ...], dict[str, Trial]] = {}
    repeats = []
    for trial in trials:
        key = tuple(sorted((k, v) for k, v in trial.params.items() if k != SEED))
        seeds = groups.setdefault(key, {})
        if trial.params[SEED] in seeds:
            repeats.append(trial)
        else:
            seeds[trial.params[SEED]] = trial
    found = [Row(tuple(seeds.values())) for seeds in groups.values()]
    return sorted(found, key=lambda row: row.error("validation")), repeats


def places(found: Sequence[Row]) -> list[str]:
    """Each row's place on validation; rows closer than the spread of their seeds share one.

    The distance is to the first row of a place, the spread the larger one of the two rows.
    """
    firsts: list[int] = []
    for i, row in enumerate(found):
        first = firsts[-1] if firsts else i
        gap = row.error("validation") - found[first].error("validation")
        spread = max(row.spread("validation"), found[first].spread("validation"))
        firsts.append(first if gap <= spread else i)
    return [f"{first + 1}{' tie' if firsts.count(first) > 1 else ''}" for first in firsts]


def differing(found: Sequence[Row]) -> list[str]:
    """The parameters that are not the same in every row that has them; a model has its own."""
    values: dict[str, set[str]] = {}
    for row in found:
        for name, value in row.params.items():
            values.setdefault(name, set()).add(value)
    return [name for name, different in values.items() if len(different) > 1]


def table(found: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and lines: place, what differs, seeds, scores, skill, training time, run ids."""
    names = differing(found)
    shown = [name.split(".", 1)[-1] for name in names]
    values = [_values(found, name) for name in names]
    if len(names) > COLUMNS:
        together = (
            "; ".join(f"{name} {column[i]}" for name, column in zip(shown, values, strict=True))
            for i in range(len(found))
        )
        shown, values = ["parameters"], [list(together)]
    header = ["place", *shown, "seeds", "validation rmse", "test rmse", "skill", "against ridge"]
    header += ["fit s", "runs"]
    lines = []
    for i, (place, row) in enumerate(zip(places(found), found, strict=True)):
        naive, ridge = (row.trials[0].error(who) for who in (row.trials[0].best_rule, "ridge"))
        seconds = [s for t in row.trials if (s := t.scores.get("time/fit_seconds")) is not None]
        lines.append(
            [
                place,
                *(column[i] for column in values),
                " ".join(sorted((t.params[SEED] for t in row.trials), key=int)),
                *(_with_spread(row, span) for span in ("validation", "test")),
                percent(metrics.skill(row.error("test"), naive)),
                percent(metrics.skill(row.error("test"), ridge)),
                f"{statistics.fmean(seconds):.0f}" if seconds else "",
                " ".join(trial.id[:8] for trial in row.trials),
            ]
        )
    return header, lines


def _values(found: Sequence[Row], name: str) -> list[str]:
    """A parameter of each row; of long lists, inputs say, what is not in all of them."""
    values = [row.params.get(name, "") for row in found]
    if max(map(len, values)) > LONGEST:
        lists = [value.split(", ") for value in values]
        shared = set.intersection(*map(set, lists))
        own = [", ".join(item for item in items if item not in shared) for items in lists]
        values = [f"... {_short(items)}" if items else "..." for items in own]
    return values


def _short(text: str, longest: int = LONGEST) -> str:
    return textwrap.shorten(text, longest, placeholder=" ...")


def _with_spread(row: Row, span: str) -> str:
    mean = number(row.error(span))
    return f"{mean} ± {row.spread(span):.2g}" if len(row.trials) > 1 else mean


def basis(trial: Trial) -> str:
    """What the runs of a table share: data, targets, horizon, spans and how much was scored."""
    shared = trial.basis
    ends = json.loads(shared["window.split"] or "{}")
    spans = [
        f"{span} to {end}" + (f" (n {int(shared[f'{span} n']):,})" if f"{span} n" in shared else "")
        for span, end in ends.items()
    ]
    return (
        f"Data {shared['ingest.dataset']} ({shared['data']}), target {shared['window.targets']}, "
        f"horizon {shared['window.horizon']}; {', '.join(spans)}."
    )


def legend(found: Sequence[Row]) -> str:
    """What the table's columns mean."""
    first = found[0].trials[0]
    rule = first.best_rule
    scaled = "" if "test/rmse" in first.scores else "RMSE is pooled over standardised targets. "
    return (
        f"Best first by RMSE on validation. {scaled}Mean ± standard deviation over the seeds; rows "
        "closer than that deviation are ties. Skill: 1 - test RMSE / that of the best naive rule "
        f"({rule.replace('_', ' ')}, {number(first.error(rule))}). fit s: seconds of "
        "training."
    )


def by_basis(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Runs that may stand side by side: same data, targets, horizon, split and counts."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(str(trial.basis), []).append(trial)
    return list(groups.values())


def present(trials: Sequence[Trial], params: Params, card: Card) -> list[Trial]:
    """The runs on the raw table and split that the repository has now."""
    digest = series.sha256(paths.raw_table(params.ingest.dataset))
    ends = split(params, card).model_dump(mode="json")
    return [
        trial
        for trial in trials
        if trial.data == digest and json.loads(trial.params["window.split"]) == ends
    ]


def pictures(found: Sequence[Row]) -> dict[str, Figure]:
    """Loss curves and errors by horizon, of every run."""
    columns = [(name, _values(found, name)) for name in differing(found)]
    labels = [
        _short(
            f"{i + 1}: "
            + (
                ", ".join(f"{n.rsplit('.', 1)[-1]} {v[i]}" for n, v in columns)
                or row.trials[0].name.partition(", seed")[0]
            ),
            60,
        )
        for i, row in enumerate(found)
    ]
    curves = [
        [(runs.curve(t, "train/loss"), runs.curve(t, "validation/loss")) for t in row.trials]
        for row in found
    ]
    first = found[0].trials[0]
    errors = [
        [[t.error("test", step) for step in first.steps] for t in row.trials] for row in found
    ]
    return {
        "loss": compare_plots.losses(dict(zip(labels, curves, strict=True))),
        "horizon": compare_plots.horizons(
            dict(zip(labels, errors, strict=True)),
            first.best_rule.replace("_", " "),
            runs.rule_by_horizon(first, first.best_rule),
        ),
    }


def compare(wanted: Sequence[str], output: Path) -> None:
    """Print a table of the runs for each basis that they share, and write and log the page."""
    others = 0
    if wanted:
        trials = [runs.find(name) for name in dict.fromkeys(wanted)]
    else:
        params, card = read_experiment()
        known = runs.newest(params.ingest.dataset)
        trials = present(known, params, card)
        others = len(known) - len(trials)
        if not trials:
            raise PipelineError(
                f"{tracking.store()}: expected runs of {params.ingest.dataset} on the present "
                f"table and split, found none ({others} on others); dvc exp run makes one"
            )
    groups = by_basis(trials)
    text = ["# Comparison of runs"]
    images: dict[str, bytes] = {}
    for i, group in enumerate(groups):
        found, repeats = rows(group)
        header, lines = table(found)
        note = basis(group[0])
        if len(groups) > 1:
            note += " Its scores have no common measure with those of the other tables."
        if repeats:
            ids = ", ".join(trial.id[:8] for trial in repeats)
            note += f" Left out, since another run has the same parameters and seed: {ids}."
        _show(header, lines, note, legend(found))
        text += [
            f"## {group[0].params['ingest.dataset']}",
            _unbroken(report.table(header, lines)),
            note,
        ]
        text.append(legend(found))
        for name, figure in pictures(found).items():
            text.append(f"![{name}]({name}{i}.png)")
            images[f"{name}{i}.png"] = artifacts.png(figure)
    if others:
        text.append(f"Not shown: {others} of the newest runs, on another table or split.")
        print(f"{text[-1]} Name a run to see it.")
    html = page.html("Comparison of runs", "\n\n".join(text), images)
    artifacts.write_text(output, html)
    print(f"{output}: the page; in MLflow as run {runs.log_page(trials, html)}")
    print(f"In MLflow's UI: {runs.address(trials[0])}")


def _unbroken(text: str) -> str:
    """A page's narrow columns must not part a mean from its spread."""
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def _show(header: Sequence[str], lines: Sequence[Sequence[str]], *notes: str) -> None:
    screen = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in header:
        screen.add_column(heading)
    for line in lines:
        screen.add_row(*(cell.replace("; ", "\n") for cell in line))
    # A file or a pipe is as wide as it need be.
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(screen)
    for note in notes:
        console.print(note, markup=False)
    console.print()


def main() -> None:
    """Put runs side by side, as a table and as a page, which is logged to MLflow too."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.compare", description=main.__doc__)
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="a run's id, how it starts, or a DVC experiment's name; without any, the newest "
        "runs on the present data set and split",
    )
    parser.add_argument("--output", type=Path, default=Path("comparison.html"), help="the page")
    options = parser.parse_args()
    with runs.answering():
        compare(options.runs, options.output)


if __name__ == "__main__":
    run(main)

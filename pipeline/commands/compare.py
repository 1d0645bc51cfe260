"""Compare runs: what differs, how each scores, and which differences are more than chance."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.config.experiment import Experiment
from pipeline.config.reading import raw_table, read_experiment
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.reports import comparison_pictures, page, terminal
from pipeline.reports.formatting import escape_markdown, table
from pipeline.runtime import process
from pipeline.tracking import backtest_scores, comparison, labels, logged_runs, store


def present(trials: Sequence[logged_runs.Trial], experiment: Experiment) -> list[logged_runs.Trial]:
    """The runs on the raw table and split that the repository has now."""
    digest = artifacts.table_sha256(raw_table(experiment, HERE))
    ends = experiment.split.ends
    return [t for t in trials if t.data == digest and json.loads(t.params["window.split"]) == ends]


def pictures(found: Sequence[comparison.Row], unit: str) -> dict[str, Figure]:
    """Loss curves and errors by horizon, of every run; `unit` is the target's, if it is known."""
    named = dict(zip(comparison.labels(found), found, strict=True))
    first = found[0].trials[0]
    scale = first.metric.title + f" ({unit})" * bool(unit)
    curves = {
        label: [own for trial in row.trials for own in logged_runs.losses(trial)]
        for label, row in named.items()
    }
    errors = {
        label: [[t.error("test", step=step) for step in first.steps] for t in row.trials]
        for label, row in named.items()
    }
    baselines = logged_runs.baselines_by_horizon(first)
    return {
        "loss": comparison_pictures.losses(curves),
        "horizon": comparison_pictures.horizons(errors, baselines, scale),
    }


def chosen(wanted: Sequence[str]) -> tuple[list[logged_runs.Trial], int]:
    """The runs that are named, or the newest on the present table and split; how many are not."""
    if wanted:
        return [logged_runs.find(name) for name in dict.fromkeys(wanted)], 0
    experiment = read_experiment()
    known = logged_runs.newest(experiment.dataset)
    trials = present(known, experiment)
    others = len(known) - len(trials)
    if not trials:
        raise PipelineError(
            f"{store.shown()}: expected runs of {experiment.dataset} on the present "
            f"table and split, found none ({others} on others); dvc exp run makes one, and "
            "to compare runs of other data, give their ids"
        )
    return trials, others


def compare(wanted: Sequence[str], output: Path, log: bool) -> None:
    """Print a table of the runs for each basis that they share, and write the page to `output`.

    If none is named, the newest on the present table and split; `log` makes the page a run too.
    """
    trials, others = chosen(wanted)
    groups = comparison.by_basis(trials)
    text = ["# Comparison of runs"]
    images: dict[str, bytes] = {}
    for i, group in enumerate(groups):
        cards = {trial.params[labels.CARD]: trial for trial in group}
        logged = {digest: tree for digest, of in cards.items() if (tree := logged_runs.card(of))}
        title, unit = comparison.titled(group[0], logged.get(group[0].params[labels.CARD], {}))
        found, repeats = comparison.rows(group)
        notes = [
            comparison.basis(group[0]),
            *["Its scores cannot be compared with those of the other tables."] * (len(groups) > 1),
            *comparison.left_out(repeats),
            *comparison.by_card(found, {k: labels.decisive(v) for k, v in logged.items()}),
        ]
        told = " ".join(notes), comparison.legend(found, unit)
        text.append(f"## {escape_markdown(title)}")
        for of, (header, lines) in {
            title: comparison.table(found),
            f"{title}: intervals": comparison.intervals(found),
        }.items():
            shown = terminal.table(of)
            for heading in header:
                shown.add_column(heading)
            for line in lines:
                shown.add_row(*(cell.replace("; ", "\n") for cell in line))
            if lines:
                terminal.show(shown, width=160)
                # A mean and its spread stay together in the narrow columns of a page.
                text.append(table(header, lines).replace(" ± ", "\u00a0±\u00a0"))
        terminal.show(*told, "", width=160)
        text += map(escape_markdown, told)
        for name, figure in pictures(found, unit).items():
            text.append(f"![{name}]({name}{i}.png)")
            images[f"{name}{i}.png"] = artifacts.png(figure)
    if others:
        text.append(f"Not shown: {others} of the newest runs, on another table or split.")
        print(f"{text[-1]} Name a run to see it.")
    _write(page.html("Comparison of runs", "\n\n".join(text), images), output, trials, log)


def by_backtest(wanted: Sequence[str], output: Path, log: bool) -> None:
    """The same by the backtests of the runs, a table for each set of folds."""
    trials, others = chosen(wanted)
    tested = backtest_scores.of(trials)
    lacking = backtest_scores.lacking(trials, tested)
    if not tested:
        raise PipelineError(
            f"{store.shown()}: expected a backtest of these runs ({len(trials):,}), found none; "
            f"for each, {backtest_scores.HOW}"
        )
    text, images = ["# Comparison of runs by backtest"], {}
    for i, group in enumerate(backtest_scores.groups(tested)):
        about = f"{group[0].trial.params['ingest.dataset']}: {group[0].described}"
        header, lines = backtest_scores.table(group)
        shown = terminal.table(about)
        for heading in header:
            shown.add_column(heading)
        for line in lines:
            shown.add_row(*(cell.replace("; ", "\n") for cell in line))
        terminal.show(shown, width=160)
        text += [
            f"## {escape_markdown(about)}",
            table(header, lines).replace(" ± ", "\u00a0±\u00a0"),
        ]
        errors = {f"{n}: {one.trial.short}": one.errors() for n, one in enumerate(group, start=1)}
        figure = comparison_pictures.folds(errors, group[0].metric.title)
        text.append(f"![folds](folds{i}.png)")
        images[f"folds{i}.png"] = artifacts.png(figure)
    told = [line for line in (backtest_scores.LEGEND, lacking) if line]
    told += [f"Not shown: {others} of the newest runs, on another table or split."] * bool(others)
    terminal.show(*told, "", width=160)
    text += map(escape_markdown, told)
    _write(page.html("Comparison by backtest", "\n\n".join(text), images), output, trials, log)


def _write(html: str, output: Path, trials: Sequence[logged_runs.Trial], log: bool) -> None:
    """Write the page, log it if asked to, and say where it and the runs are."""
    artifacts.write_text(output, html)
    logged_as = f"; in MLflow as run {logged_runs.log_page(trials, html)}" if log else ""
    print(f"{output}: the page{logged_as}")
    for of in dict.fromkeys(trial.experiment for trial in trials):
        print(f"In MLflow's UI: {logged_runs.address(of)}")


def main() -> None:
    """Put runs side by side, as a table and as a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="a run's id, its first characters, or the name of a DVC experiment, of any data set; "
        "default: the newest runs on the present data set and split",
    )
    parser.add_argument(
        "--output", type=process.path, default="comparison.html", help="default %(default)s"
    )
    parser.add_argument("--log", action="store_true", help="also save the page in MLflow, as a run")
    parser.add_argument(
        "--by",
        choices=("validation", "backtest"),
        default="validation",
        help="the scores that put runs in order: those of validation, or of their backtests over "
        "the same folds; default %(default)s",
    )
    options = parser.parse_args()
    with logged_runs.answering():
        if options.by == "backtest":
            by_backtest(options.runs, options.output, options.log)
            return
        compare(options.runs, options.output, options.log)

"""The report: what was forecast, how well, beside which baselines, and how to reproduce it."""

import re
import shlex
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from pipeline.config.checks import unfitted
from pipeline.config.experiment import Experiment
from pipeline.config.members import title
from pipeline.config.params import Linear, Params
from pipeline.data import row_order
from pipeline.data.splits import calibrates
from pipeline.evaluation.forecasts import MODEL
from pipeline.evaluation.metrics import BRIEF, TARGETS, Metric, deciding, error, listed
from pipeline.files.layout import HERE
from pipeline.preparation.training_windows import Count, sentence
from pipeline.reports import of_members, of_series, terminal
from pipeline.reports.formatting import escape_markdown, number, percent, table

SURE, MANY = ("intervals", "coverage"), ("skill_by_series", "worst_series")  # pictures
# What a reader should see in each picture; a picture not named here has only its title.
CAPTIONS = {
    "memory": "How much of a change in the state is left k steps later. If the line is still high "
    "at the right, try a longer look-back; if it falls early, a shorter one.",
    "gates": "One window, a row for each unit. A forget gate near 1 keeps what the unit holds. If "
    "many rows never change, fewer units may do.",
    "error_by_horizon": "The error at each step ahead. The model should be below every other line.",
    "intervals": "Forecasts of the last step with their intervals. Where the line often leaves "
    "them, do not trust them; where they are very wide, the model cannot tell.",
    "coverage": "Left: how many test values lie in the intervals, by step. It should be what the "
    "dashed lines promise; the shade is two standard errors, with whole days drawn anew. Dotted: "
    "intervals that follow the errors of the test span as they become known. Middle: at the same "
    "coverage, the narrower the better. Right: on the line, quantiles hold their share.",
    "skill_by_series": "How much smaller the error of each series is than that of the best of its "
    "own baselines. Below the line, a baseline would do better for that series.",
    "worst_series": "The series with the largest MASE, and how their forecasts miss.",
    "error_by_hour": "The error by hour of day of the forecast time, pooled over all steps.",
    "windows": "Among the windows with the fewest gaps, up to three with the smallest error (top) "
    "and three with the largest (bottom), with the values before them. None overlap in a row.",
    "missing": "The share of missing values over time. Dashed lines separate the training, "
    "validation and test spans.",
    "residuals": "Left: the distribution of errors at the first and the last step. Right: forecast "
    "against observed; on the line, they agree.",
    "loss": "The loss of each epoch. The epoch with the smallest validation loss is kept.",
}


def rows(metrics: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The score table: a header and a row for the model and each baseline, best first."""
    by = {MODEL: metrics["test"], **metrics["baselines"]}
    by_step = {MODEL: metrics["test_by_horizon"], **metrics["baselines_by_horizon"]}
    first, *others = (metric for metric in listed(metrics["test"], BRIEF) if not metric.percent)
    names = [first.name, *(metric.name for metric in others)]
    steps = list(metrics["test_by_horizon"])
    ends = [] if len(steps) == 1 else [steps[0], steps[-1]]
    header = ["", *names, *(f"{first.name} {end}" for end in ends), "skill"]
    body = [
        [
            name.replace("_", " "),
            *(number(by[name].get(score)) for score in names),
            *(number(by_step[name][end][first.name]) for end in ends),
            percent(metrics["skill"].get(name)),
        ]
        for name in sorted(by, key=lambda name: first.error(by[name]))
    ]
    return header, body


def show(metrics: dict[str, Any], title: str, more: str | None = None) -> None:
    """The score table on the terminal, who wins at which step below it, and what else is to say."""
    header, body = rows(metrics)
    scores = terminal.table(f"{title}: test scores")
    for column, heading in enumerate(header):
        scores.add_column(heading, justify="right" if column else "left", no_wrap=True)
    for row in body:
        scores.add_row(*row, style="bold" if row[0] == MODEL else "")
    many = of_series.sentence(metrics) if "series" in metrics else None
    terminal.show(scores, *filter(None, (_by_step(metrics).strip(), many, held(metrics), more)))


def heading(experiment: Experiment) -> str:
    """One line: what is forecast, from what, how far ahead."""
    params = experiment.params
    steps = experiment.card.step.far(params.window.horizon)
    return f"{', '.join(experiment.targets)}, {steps} ahead, by {title(params.train)}"


def markdown(
    experiment: Experiment,
    metrics: dict[str, Any],
    history: pd.DataFrame,
    quality: dict[str, Any],
    pictures: Sequence[str],
    memory: tuple[str, list[str]] | None,
    versions: dict[str, Any],
    by_series: pd.DataFrame | None = None,
) -> str:
    """report.md: scores, pictures, what is remembered, the data, and how to make it again."""
    params, card = experiment.params, experiment.card
    header, scores = rows(metrics)
    missing = [f"{name} {count:,}" for name, count in quality["missing"].items() if count]
    names = experiment.targets
    by = deciding(metrics["test"]).title
    units = ", ".join(f"{name} in {card.columns[name].unit or 'its own units'}" for name in names)
    ahead = ", ".join(experiment.known_ahead)
    known = f"Known ahead, to all but the naive baselines: {ahead}. " if ahead else ""
    if columns := ", ".join(name for name in experiment.known_ahead if name in card.columns):
        known += f"Scores hold only if {columns} was known when each forecast was made, as plans "
        known += "and published forecasts are; a measurement is not. "
    data = (
        f"Inputs: {', '.join(experiment.inputs)}. {known}Fitted on "
        f"{sentence(Count(**metrics['training_windows']))}. Source: {card.source} ({card.licence})."
    )
    data += "".join(f" {line.capitalize()}." for line in row_order.remarks(quality))
    fetch = [card.fetch] if card.fetch else []
    parts = [
        f"# {escape_markdown(card.title)}",
        f"Forecast: {escape_markdown(heading(experiment))}. Scores are those of the test span "
        f"({metrics['test']['n']:,} forecasts of observed values), {escape_markdown(units)}.",
        "## Scores beside the baselines",
        table(header, scores),
        *(f"Left out: {reason}." for reason in unfitted(experiment).values()),
        *([f"{more}."] if (more := sees_more(experiment)) else []),
        *(_by_target(metrics["test_by_target"]) if "test_by_target" in metrics else []),
        f"Skill is 1 - {by} of the model / {by} of the baseline: above 0, the model is better. "
        f"{_against_the_best(metrics)}{_by_step(metrics)}"
        f"The model was chosen on the validation span (kept: {of_members.kept(history)}); "
        "the test span was only scored."
        f"{_of_gaps(metrics['test_origins'], params)}",
        *(_picture(name) for name in pictures if name not in (*SURE, *MANY, "missing")),
        *(of_series.section(metrics, by_series, card) if by_series is not None else []),
        *(_picture(name) for name in pictures if by_series is not None and name in MANY),
        *(of_members.section(metrics, params.train) if "members" in metrics else []),
        "## How sure it is",
        _sure(experiment, metrics),
        table(*_intervals(metrics)),
        *(_picture(name) for name in pictures if name in SURE),
        *(
            ["## Memory", of_members.first(params.train) + memory[0], *map(_picture, memory[1])]
            if memory
            else []
        ),
        "## Data",
        f"{quality['rows']:,} rows from {quality['first']} to {quality['last']}, {card.step.rows}; "
        f"{quality['absent_rows']:,} time stamps absent. Missing values: "
        f"{escape_markdown(', '.join(missing)) or 'none'}. Missing targets are never "
        f"scored. {escape_markdown(data)}",
        *(_picture(name) for name in pictures if name == "missing"),
        "## How to reproduce this",
        f"In a clone of the repository that has `{HERE.raw / experiment.dataset}`, with "
        "the parameters below in `params.yaml`:",
        _code(["make setup", *fetch, "make"]),
        "Made with " + ", ".join(f"{name} {number}" for name, number in versions.items()) + ".",
        table(
            ["parameter", "value"],
            [[k, f"{v}{' (auto)' * (k in experiment.chosen)}"] for k, v in params.flat().items()],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _against_the_best(metrics: dict[str, Any]) -> str:
    """The model's skill against the best baseline, and a baseline that is ahead by MAE."""
    best, by = metrics["best_baseline"], metrics["baselines"]
    skill, text = percent(metrics["skill"].get(best)), ""
    if skill:
        text = f"Against the best baseline, {best.replace('_', ' ')}, it is {skill}. "
    mae = listed(metrics["test"], BRIEF)[1]
    closest = min(by, key=lambda name: mae.error(by[name]))
    found, least = metrics["test"], by[closest]
    if mae.error(least) < mae.error(found):
        text += f"By {mae.title}, {closest.replace('_', ' ')} is better than the model "
        text += f"({number(mae.value(least))} against {number(mae.value(found))}). "
    return text


def sees_more(experiment: Experiment) -> str | None:
    """Which baseline sees further back than the model, if any does."""
    own = experiment.params.window.look_back
    for one in experiment.params.evaluate.baselines:
        rows = (
            [member.look_back or own for member in one.members] if isinstance(one, Linear) else []
        )
        if max(rows, default=0) > own:
            return f"linear sees {max(rows):,} rows, the model {own:,}"
    return None


def _by_step(metrics: dict[str, Any]) -> str:
    """Who has the smallest error at which steps ahead."""
    by = {MODEL: metrics["test_by_horizon"], **metrics["baselines_by_horizon"]}
    steps = list(by[MODEL])
    if len(steps) == 1:
        return ""
    first = [min(by, key=lambda name: error(by[name][step])) for step in steps]
    parts = []
    for name in sorted(set(first), key=lambda name: (-first.count(name), name)):
        at = [int(step[1:]) for step, one in zip(steps, first, strict=True) if one == name]
        runs = [list(run) for _, run in groupby(enumerate(at), lambda pair: pair[1] - pair[0])]
        spans = [f"{run[0][1]} to {run[-1][1]}" if run[1:] else str(run[0][1]) for run in runs]
        where = ", ".join(spans) if len(spans) < 4 else f"{len(at)} of {len(steps)}"
        parts.append(f"{name.replace('_', ' ')} at {where}")
    return f"The smallest error at each step: {'; '.join(parts)}. "


def _intervals(metrics: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The table of intervals: the model's, as they are and rolling, and each baseline's."""
    by = {MODEL: metrics["test"], "model, rolling": metrics["rolling"]["test"]}
    by |= metrics["baselines"]
    rows = [row for row in listed(metrics["test"], BRIEF) if row.percent]
    rows.sort(key=lambda row: row.percent or 0)
    body = [
        [name.replace("_", " "), *(_of_level(row, scores) for row in rows)]
        for name, scores in by.items()
    ]
    return ["", *(row.name.replace("_", " ") for row in rows)], body


def _of_level(row: Metric, scores: dict[str, float]) -> str:
    return f"{scores[row.name]:.1%}" if row.unit == "fraction" else number(scores[row.name])


def holds(level: str, share: float, error: float, steps: Sequence[float]) -> str:
    """What intervals of a level hold, pooled and at the steps with the least and the most."""
    ends = f", by step {min(steps):.1%} to {max(steps):.1%}" if steps[1:] else ""
    return f"{level}% hold {share:.1%} ± {error:.1%}{ends}"


def held(metrics: dict[str, Any]) -> str:
    """How many test values lie in the model's intervals, and the steps with the fewest and most."""
    test, steps = metrics["test"], metrics["test_by_horizon"].values()
    parts = []
    for row in listed(test, BRIEF):
        if row.name.startswith("coverage"):
            error, by_step = test[f"coverage_error_{row.percent:g}"], [s[row.name] for s in steps]
            parts.append(holds(f"{row.percent:g}", test[row.name], error, by_step))
    return f"Intervals of {'; of '.join(parts)}."


def _sure(experiment: Experiment, metrics: dict[str, Any]) -> str:
    """What the intervals hold, and how they were made."""
    settings, span = experiment.params.evaluate.calibration, calibrates(experiment.split.ends)
    of = escape_markdown(", ".join(experiment.scaled))
    size = f" (of {of}, relative to the forecast's size)" if of else ""
    why = "" if span == "calibration" else ", since no calibration span is named"
    made = "is made of the model's"
    if experiment.params.train.forecasts:
        made = "lies between the model's quantiles, each moved by its own"
    own = ""
    if settings.by_series and experiment.card.series:
        own = " Of a series with errors enough it is made of its own, without bins."
    return (
        f"{held(metrics)} After ± stands one standard error, with days or whole horizons drawn "
        f"anew. Each interval {made} errors on the {span} span{size}{why}, by step and "
        f"in up to {settings.bins} bins of the forecast.{own} Scores of intervals on "
        "validation are those of each half by the errors of the other. Rolling intervals follow "
        "the errors of the test span, each known as many rows later as its step. Of intervals with "
        "the coverage that they promise, the narrower are better; Winkler's score weighs both. WQL "
        "is the mean error of the nine deciles, relative to the values."
    )


def _of_gaps(origins: dict[str, int], params: Params) -> str:
    """What the model knows less than the naive baselines, where a forecast starts in a gap."""
    if not origins["in_gap"]:
        return ""
    imputation = params.impute_scale.imputation
    text = (
        f" Of the {origins['count']:,} test origins, {origins['in_gap']:,} are in a gap of a "
        "target. There, the baselines other than ridge and boosting start from the last observed "
        f"value; the model and these two see the imputed value ({imputation.method})"
    )
    if origins["beyond_limit"]:
        text += (
            f", and at {origins['beyond_limit']:,} of them, after more than "
            f"`impute_scale.imputation.limit` = {imputation.limit:,} rows, the training mean"
        )
    return f"{text}."


def _by_target(scores: dict[str, dict[str, float]]) -> list[str]:
    """What the table of several targets is in, and the model's scores of each in its own units."""
    shown = listed(set().union(*scores.values()), TARGETS)
    names = [metric.name for metric in shown if not metric.percent]
    return [
        "With several targets, these are errors on standardised values, pooled over all targets; "
        "skill uses the root of mse_scaled. The model's scores for each target, in its own unit:",
        table(
            ["", *names],
            [[name, *(number(by.get(score)) for score in names)] for name, by in scores.items()],
        ),
        "The pictures of single windows and of residuals show "
        f"{escape_markdown(next(iter(scores)))}.",
    ]


def provenance(facts: dict[str, str], commit: str | None, changes: Sequence[str]) -> str:
    """What is known of one run and may be in no stage output, as the report's last section.

    `changes`, each `key=value`, is what `dvc exp run -S` sets to get from the commit to this run.
    """
    flags = "".join(f" -S {shlex.quote(change)}" for change in changes)
    checkout = [f"git checkout {commit}"] if commit else []
    return "\n\n".join(
        [
            "## This run",
            table(["", ""], [[name, value] for name, value in facts.items()]),
            _code([*checkout, "make setup", f".venv/bin/dvc exp run{flags}"]),
        ]
    )


def _picture(name: str) -> str:
    image = f"![{name.replace('_', ' ')}]({HERE.plots.name}/{name}.png)"
    return f"{image}\n\n{CAPTIONS[name]}" if name in CAPTIONS else image


def _code(lines: Sequence[str]) -> str:
    """A block of commands, its fence longer than any in it."""
    text = "\n".join(lines)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}bash\n{text}\n{fence}"

"""The report: what was forecast, how well, beside which rules, and how to make it again."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pipeline.cards import Card
from pipeline.config import Params, inputs, targets
from pipeline.evaluation import MODEL
from pipeline.memory import Memory


def rows(metrics: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The score table: a header and a row for the model and each rule, best first."""
    by = {MODEL: metrics["test"], **metrics["baselines"]}
    single = "rmse" in metrics["test"]
    names = ["rmse", "mae", "mape", "r2"] if single else ["mse_scaled", "mae_scaled"]
    steps = list(metrics["test_by_horizon"])
    ends = [] if len(steps) == 1 else [steps[0], steps[-1]]
    header = ["", *names, *(f"{names[0]} {end}" for end in ends), "skill"]
    table = []
    for name in sorted(by, key=lambda name: by[name][names[0]]):
        horizon = (
            metrics["test_by_horizon"] if name == MODEL else metrics["baselines_by_horizon"][name]
        )
        skill = "" if name == MODEL else f"{metrics['skill'][name]:+.1%}"
        table.append(
            [
                name.replace("_", " "),
                *(_number(by[name][score]) for score in names),
                *(_number(horizon[end][names[0]]) for end in ends),
                skill,
            ]
        )
    return header, table


def show(metrics: dict[str, Any], title: str) -> None:
    """The score table on the terminal."""
    header, table = rows(metrics)
    screen = Table(
        title=f"{title}: test scores", box=SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0)
    )
    for column, heading in enumerate(header):
        screen.add_column(heading, justify="right" if column else "left", no_wrap=True)
    for row in table:
        screen.add_row(*row, style="bold" if row[0] == MODEL else "")
    Console().print(screen)


def heading(params: Params, card: Card) -> str:
    """One line: what is forecast, from what, how far ahead."""
    return (
        f"{', '.join(targets(params, card))}, {params.window.horizon} steps of {card.frequency} "
        f"ahead, by {params.train.model.name}"
    )


def markdown(
    params: Params,
    card: Card,
    metrics: dict[str, Any],
    history: pd.DataFrame,
    quality: dict[str, Any],
    pictures: Sequence[str],
    memory: Memory | None,
) -> str:
    """report.md: the scores, the pictures, what is remembered, the data, the parameters."""
    header, table = rows(metrics)
    best = int(history["validation/loss"].to_numpy().argmin()) + 1
    missing = [f"{name} {count:,}" for name, count in quality["missing"].items() if count]
    units = ", ".join(
        f"{name} in {card.columns[name].unit or 'its own units'}" for name in targets(params, card)
    )
    parts = [
        f"# {card.title}",
        f"Forecast: {heading(params, card)}. Scores are those of the test span "
        f"({metrics['test']['n']:,} observed targets), {units}.",
        "## Scores beside naive rules",
        _table(header, table),
        "Skill is the model's, 1 - RMSE / RMSE of the rule: above 0 it beats the rule. The model "
        f"was chosen on the validation span (kept: epoch {best} of {len(history)}); the test span "
        "was only scored.",
        *map(_picture, pictures),
        *(["## Memory", memory.sentence, *map(_picture, memory.pictures)] if memory else []),
        "## Data",
        f"{quality['rows']:,} rows from {quality['first']} to {quality['last']}, every "
        f"{card.frequency}; {quality['absent_rows']:,} time stamps absent. Missing values: "
        f"{', '.join(missing) or 'none'}. A target that is missing is never scored. "
        f"Inputs: {', '.join(inputs(params, card))}. Source: {card.source} ({card.licence}).",
        "## Parameters",
        _table(["parameter", "value"], [[k, str(v)] for k, v in params.flat().items()]),
    ]
    return "\n\n".join(parts) + "\n"


def _picture(name: str) -> str:
    return f"![{name.replace('_', ' ')}](plots/{name}.png)"


def _table(header: Sequence[str], table: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *table]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.2f}"

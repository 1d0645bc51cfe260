"""The report of an ensemble: what its members give, and what is mixed in."""

from typing import Any

import pandas as pd

from pipeline.config.members import fits
from pipeline.config.params import Train
from pipeline.evaluation.metrics import BRIEF, listed
from pipeline.experiments.members import MIXED
from pipeline.reports.formatting import escape_markdown, number, table
from pipeline.repository.changed_params import setting


def kept(history: pd.DataFrame) -> str:
    """Which epoch was kept; of an ensemble each member's own."""
    if "member" not in history:
        return f"epoch {int(history['kept'].to_numpy().argmax()) + 1} of {len(history)}"
    epochs = history.loc[history["kept"] == 1, "epoch"] + 1
    own = f"epochs {epochs.min()} to {epochs.max()}"
    return f"of {len(epochs)} members' up to {history['epoch'].max() + 1} epochs, {own}"


def first(train: Train) -> str:
    """What to say before what holds for the first member alone."""
    return "Of the ensemble's first member. " if len(fits(train)) > 1 else ""


def section(metrics: dict[str, Any], train: Train) -> list[str]:
    """What first members of an ensemble score on validation, and the shares of what is mixed in.

    On validation, since how many there are is to be chosen without the test span.
    """
    scores, shares = metrics["members"], metrics.get("mix", {})
    shown = [m for m in listed(next(iter(scores.values())), BRIEF) if not m.percent]
    text = "Scores on the validation span"
    if len(fits(train)) > 1:
        text = f"The forecast is the mean of networks that {_differ(train)}. {text}"
        text += " of the first so many of them"
    if shares:
        told = [f"{name} has a share of {_ends(by_step)}" for name, by_step in shares.items()]
        text += f"; the last line is the model, in which {' and '.join(told)}, by least squares on "
        text += "that span"
    alone = len(fits(train)) == 1
    rows = {
        ("the network" if alone and place != MIXED else place): scores[place] for place in scores
    }
    if mixed := rows.pop(MIXED, None):
        rows |= {name: metrics["validation_baselines"][name] for name in shares} | {MIXED: mixed}
    return [
        "## What each part gives" if shares else "## What each further member gives",
        f"{text}.",
        table(
            ["" if alone else "members", *(metric.name for metric in shown)],
            [[name, *(number(by[metric.name]) for metric in shown)] for name, by in rows.items()],
        ),
    ]


def _ends(shares: dict[str, float]) -> str:
    """A share at the first step and at the last one."""
    first, *_, last = (f"{share:.0%} at {step}" for step, share in [*shares.items()] * 2)
    return first if len(shares) == 1 else f"{first} and {last}"


def _differ(train: Train) -> str:
    """How the members do."""
    if not train.members:
        return "differ in their seed alone"
    each = [
        f"{place}: {', '.join(f'{key} {setting(value)}' for key, value in own.items()) or 'none'}"
        for place, own in enumerate(train.members, start=1)
    ]
    seeds = f", each with {train.ensemble} seeds" if train.ensemble > 1 else ""
    return f"differ in their settings{seeds} (changes of {escape_markdown('; '.join(each))})"

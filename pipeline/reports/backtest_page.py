"""A backtest as one page: the folds, their scores beside the baselines', its pictures."""

import time
from typing import Any

from pipeline.experiments.backtest.study import Backtest
from pipeline.files import artifacts
from pipeline.reports import backtest_pictures, backtest_text, page
from pipeline.reports.formatting import escape_markdown, table

CAPTIONS = {
    "scores": "A point is a fold; dotted lines, if any, are where another fit takes over.",
    "coverage": "An error some steps ahead is known so many rows later, and not before.",
    "steps": "The band is the standard deviation over the folds.",
}


def html(tested: Backtest, found: dict[str, Any]) -> str:
    """The page."""
    name, title = tested.directory.name, escape_markdown(tested.base.card.title)
    told = [backtest_text.plan(tested, found), *backtest_text.notes(tested, found)]
    text = [f"# Backtest {escape_markdown(name)}", title]
    text += [f"- {escape_markdown(line)}" for line in told]
    images = {}
    for of, figure in backtest_pictures.draw(tested, found).items():
        text.append(f"![{of}]({of}.png)\n\n{CAPTIONS[of]}")
        images[f"{of}.png"] = artifacts.png(figure)
    scale = escape_markdown(backtest_text.scale(tested))
    for heading, (header, lines) in {
        "Mean ± spread over the folds": backtest_text.models(tested, found),
        f"{scale} by fold": backtest_text.by_fold_table(tested, found),
        "Intervals of the model by fold": backtest_text.intervals(found),
        f"{scale} by step": backtest_text.steps(tested, found),
        "By series": backtest_text.series(tested, found),
    }.items():
        if lines:
            # A mean and its spread stay together in the narrow columns of a page.
            text += [f"## {heading}", table(header, lines).replace(" ± ", "\u00a0±\u00a0")]
    text.append(f"Written {time.strftime('%Y-%m-%d %H:%M %z')}.")
    return page.html(f"Backtest {name}", "\n\n".join(text), images)

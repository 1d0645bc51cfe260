"""What a search found, in words and tables."""

import math
import shlex
import statistics
from collections.abc import Iterator
from typing import Any

from pipeline.config.changes import NAME, changed
from pipeline.config.params import Params
from pipeline.data.panel import listed
from pipeline.evaluation.metrics import Metric
from pipeline.experiments.search.study import Finished, Search
from pipeline.reports.formatting import number
from pipeline.repository import changed_params
from pipeline.repository.changed_params import setting

MOST = 10  # trials of the table on the terminal
NEAR = 0.05  # of a range: what lies so near to an end may go on beyond it


def score(one: Finished, metric: Metric) -> str:
    """The mean of a trial's seeds and their standard deviation."""
    values = [metric.value(outcome.scores) for outcome in one.outcomes]
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{number(statistics.fmean(values))}{spread}"


def settings(one: Finished) -> str:
    """What of a trial differs from the parameters as they are."""
    changes = one.runs[0].changes
    if not changes:
        return "as in params.yaml"
    return "; ".join(f"{key.split('.', 1)[1]} {setting(value)}" for key, value in changes.items())


def table(search: Search, most: int | None = None) -> tuple[list[str], list[list[str]]]:
    """Header and lines: the trials, the best first, then the pruned; trial 0 is always there."""
    metric, tied = search.metric, search.tied
    header = ["place", "trial", f"validation {metric.title}", "seconds", "settings"]
    lines = []
    for place, one in enumerate(search.ranked, start=1):
        if most is None or place <= most or one.number == 0:
            shared = len(tied) > 1 and one in tied
            where = "1 tie" if shared else str(place)
            seconds = f"{one.seconds:,.0f}"
            lines.append([where, str(one.number), score(one, metric), seconds, settings(one)])
    for one in pruned(search)[: None if most is None else max(most - len(lines), 0)]:
        where, seconds = f"pruned, epoch {len(one.losses)}", f"{one.seconds:,.0f}"
        lines.append([where, str(one.number), "", seconds, settings(one)])
    return header, lines


def pruned(search: Search) -> list[Finished]:
    """The trials that were stopped, in the order of their numbers."""
    return [one for one in search.finished if one.pruned and not one.repeats]


def notes(search: Search) -> list[str]:
    """What to know of the table."""
    return [*_ties(search), *_left_out(search), *_ends(search)]


def _ties(search: Search) -> Iterator[str]:
    if search.settings.seeds == 1:
        yield (
            "Each trial has one seed, so how much of a difference is chance is not known: "
            "seeds: 3 in the search's settings would tell."
        )
    elif others := [str(one.number) for one in search.tied[1:]]:
        who = f"Trials {', '.join(others)} tie with the best: they are"
        if len(others) == 1:
            who = f"Trial {others[0]} ties with the best: it is"
        yield f"{who} no farther from it than seeds are from one another."


def _left_out(search: Search) -> Iterator[str]:
    failed: dict[str, list[str]] = {}  # the trials by their line
    for one in search.finished:
        if one.failed and not one.repeats:
            failed.setdefault(one.failed, []).append(str(one.number))
    for line, numbers in failed.items():
        yield f"Failed: trial{'s' * (len(numbers) > 1)} {', '.join(numbers)}: {line}."
    if stopped := pruned(search):
        yield (
            f"{len(stopped)} of {len(search.finished)} trials were stopped early: at that epoch "
            "their validation loss was above the median of the trials before."
        )
    if repeats := [one for one in search.finished if one.repeats]:
        which = [f"trial {one.number} that of trial {one.runs[0].number}" for one in repeats]
        yield (
            f"{len(repeats)} of {len(search.finished)} trials drew the settings of an earlier one "
            f"and share its result: {listed(which)}."
        )


def _ends(search: Search) -> Iterator[str]:
    """Where the best lies at a range's end."""
    drawn = search.known | search.best.drawn
    for key, own in search.settings.drawn(drawn[NAME]):
        if own.choice is not None or not isinstance(value := drawn.get(key), int | float):
            continue
        low, high = own.bounds
        place, first, last = (math.log(x) if own.log else x for x in (value, low, high))
        share = (place - first) / (last - first)
        for end, near in ((low, share <= NEAR), (high, share >= 1 - NEAR)):
            if near:
                yield (
                    f"The best {key}, {setting(value)}, lies at the end of its range "
                    f"({setting(low)} to {setting(high)}): something better may lie beyond "
                    f"{setting(end)}."
                )


def against_the_start(search: Search) -> str:
    """The best beside the parameters as they are, on validation."""
    metric, best = search.metric, search.best
    told = f"Best on validation: trial {best.number}, {metric.title} {score(best, metric)}"
    first = search.finished[0]
    if first.failed or best is first:
        return f"{told}, the parameters as they are." if best is first else f"{told}."
    gain = 1 - best.error(metric) / first.error(metric) if first.error(metric) else 0.0
    return (
        f"{told}; the parameters as they are (trial 0): {score(first, metric)}; "
        f"its error is {gain:.1%} smaller."
    )


def on_test(search: Search, metrics: dict[str, Any]) -> str:
    """The winner's test score beside the best baseline's."""
    metric, rules = search.metric, metrics["baselines"]
    test = metrics["test"]
    if metric.name not in test:  # the mean over series
        test = test | metrics.get("series", {})
    told = f"{metric.title} {number(metric.value(test))}"
    able = {name: scores for name, scores in rules.items() if metric.name in scores}
    if able:
        name = min(able, key=lambda one: metric.error(able[one]))
        told += f"; the best baseline, {name.replace('_', ' ')}: {number(metric.value(able[name]))}"
    seed = search.best.runs[0].seed
    return f"On test, which no trial has seen, the winner alone (seed {seed}): {told}."


def winner(search: Search) -> Params:
    """The best trial's parameters, as they would be written."""
    return changed(search.base.asked, search.best.runs[0].changes, "trial")


def command(search: Search, params: Params) -> str:
    """What makes something of the search from the committed parameters, which may be its own."""
    flags = changed_params.flags(params)
    if not flags and params == search.base.asked:
        return "dvc repro"
    return shlex.join(["dvc", "exp", "run", *(w for flag in flags for w in ("-S", flag))])

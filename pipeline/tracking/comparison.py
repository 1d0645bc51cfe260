"""Runs side by side: which differ in what, how each scores, and which differences are chance."""

import json
import statistics
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.config.cards import REST
from pipeline.evaluation import metrics
from pipeline.reports.formatting import number, percent
from pipeline.tracking.labels import CARD
from pipeline.tracking.logged_runs import Trial

SEED = "train.seed"
SPANS = ("validation", "test")
WQL, COVERAGE, WIDTH, WINKLER = map(metrics.row, ("wql", "coverage", "width", "winkler"))
OF_INTERVALS = {"validation": (WQL, WINKLER), "test": (WQL, COVERAGE, WIDTH)}
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

    def values(self, span: str) -> list[float]:
        """Each run's error on a span."""
        return [trial.error(span) for trial in self.trials]

    def error(self, span: str) -> float:
        """The mean error on a span."""
        return statistics.fmean(self.values(span))

    def spread(self, span: str) -> float:
        """The standard deviation over the seeds; 0 for a single run."""
        return statistics.stdev(self.values(span)) if len(self.trials) > 1 else 0.0


def rows(trials: Sequence[Trial]) -> tuple[list[Row], list[tuple[Trial, Trial]]]:
    """Runs that differ only in seed as one row, the best on validation first; and those left out.

    A run is left out beside the one whose parameters, card and seed it repeats.
    """
    groups: dict[tuple[tuple[str, str], ...], dict[str, Trial]] = {}
    repeats = []
    for trial in trials:
        key = tuple(sorted((k, v) for k, v in trial.params.items() if k != SEED))
        seeds = groups.setdefault(key, {})
        if trial.params[SEED] in seeds:
            repeats.append((trial, seeds[trial.params[SEED]]))
        else:
            seeds[trial.params[SEED]] = trial
    found = [Row(tuple(seeds.values())) for seeds in groups.values()]
    tied: dict[int, list[Row]] = {}
    for row, place in zip(found, _places(found), strict=True):
        tied.setdefault(place, []).append(row)
    return [row for place in sorted(tied) for row in _by_intervals(tied[place])], repeats


def _by_intervals(tied: Sequence[Row]) -> list[Row]:
    """Rows of one place in the order of their Winkler score at the lowest level that all have.

    It is the intervals' width and a price for what they miss, so of intervals that hold as much the
    narrower come first. Rows of which one has no score stay in the order of their errors.
    """
    own = [WINKLER.rows(trial.scores, "validation/") for row in tied for trial in row.trials]
    shared = set.intersection(*({level.name for level in levels} for levels in own))
    by = next((level for level in own[0] if level.name in shared), None)

    def key(row: Row) -> tuple[float, float]:
        scores = [by.value(trial.scores, "validation/") for trial in row.trials] if by else [0.0]
        return statistics.fmean(scores), row.error("validation")

    return sorted(tied, key=key)


def places(found: Sequence[Row]) -> list[str]:
    """Each row's place on validation; rows closer than the spread of their seeds share one."""
    numbers = _places(found)
    return [f"{place + 1}{' tie' if numbers.count(place) > 1 else ''}" for place in numbers]


def _places(found: Sequence[Row]) -> list[int]:
    """Each row's place from 0, in whatever order the rows stand.

    The distance is to the best row of a place, the spread the larger one of the two rows.
    """
    order = sorted(
        range(len(found)),
        key=lambda i: (found[i].error("validation"), -found[i].spread("validation")),
    )
    numbers, first = [0] * len(found), 0
    for place, i in enumerate(order):
        row, best = found[i], found[order[first]]
        gap = row.error("validation") - best.error("validation")
        if gap > max(row.spread("validation"), best.spread("validation")):
            first = place
        numbers[i] = first
    return numbers


def differing(found: Sequence[Row]) -> list[str]:
    """The parameters that are not the same in every row that has them; a model has its own."""
    params = pd.DataFrame([row.params for row in found])
    return list(params.columns[params.nunique() > 1])


def table(found: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and lines: place, what differs, seeds, scores, skill, training time, runs."""
    names = differing(found)
    shown = [name.split(".", 1)[-1] for name in names]
    values = [_values(found, name) for name in names]
    if len(names) > COLUMNS:
        together = (
            "; ".join(f"{name} {column[i]}" for name, column in zip(shown, values, strict=True))
            for i in range(len(found))
        )
        shown, values = ["parameters"], [list(together)]
    known = {name for row in found for name in row.trials[0].scores}
    by = metrics.listed(known, metrics.COMPARED, "test/")
    scores = [*(metric.title.lower() for metric in by), "skill"]
    of_spans = [f"{span} {score}" for span in SPANS for score in scores]
    header = ["place", *shown, "seeds", *of_spans, "fit s", "runs"]
    lines = []
    for i, (place, row) in enumerate(zip(places(found), found, strict=True)):
        seconds = [s for t in row.trials if (s := t.scores.get("time/fit_seconds")) is not None]
        lines.append(
            [
                place,
                *(column[i] for column in values),
                " ".join(sorted((t.params[SEED] for t in row.trials), key=int)),
                *(cell for span in SPANS for cell in (*_means(row, span, by), _skill(row, span))),
                f"{statistics.fmean(seconds):.0f}" if seconds else "",
                "; ".join(trial.short for trial in row.trials),
            ]
        )
    return header, lines


def intervals(found: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the intervals of the same rows, in their order; no line without any."""
    known = {name for row in found for name in row.trials[0].scores}
    columns = [
        (span, metric)
        for span, kinds in OF_INTERVALS.items()
        for kind in kinds
        for metric in kind.rows(known, f"{span}/")
    ]
    header = [f"{span} {metric.name.replace('_', ' ')}" for span, metric in columns]
    lines = [
        [
            place,
            *(cell for span, metric in columns for cell in _means(row, span, [metric])),
        ]
        for place, row in zip(places(found), found, strict=True)
    ]
    return ["place", *header], lines if columns else []


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


def _skill(row: Row, span: str) -> str:
    """Against the best baseline; nothing where the run has no scores of them."""
    best = min(row.trials[0].baselines(span).values(), default=0.0)
    return percent(metrics.skill(row.error(span), best))


def _means(row: Row, span: str, by: Sequence[metrics.Metric]) -> Iterator[str]:
    """The mean of each metric and its spread; nothing where the runs have no such score."""
    for metric in by:
        key = f"{span}/{metric.name}"
        values = [metric.value(t.scores, f"{span}/") for t in row.trials if key in t.scores]
        spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
        yield f"{number(statistics.fmean(values))}{spread}" if values else ""


def basis(trial: Trial) -> str:
    """What the runs of a table share: data, targets, horizon, spans and how much was scored."""
    shared = trial.basis
    ends = json.loads(shared["window.split"] or "{}")
    to = "" if ends.get("train") == REST else "to "
    spans = [
        f"{span} {to}{end}"
        + (f" (n {int(shared[f'{span} n']):,})" if f"{span} n" in shared else "")
        for span, end in ends.items()
    ]
    return (
        f"Data {shared['ingest.dataset']} ({shared['data']}), target {shared['window.targets']}, "
        f"horizon {shared['window.horizon']}; {', '.join(spans)}."
    )


def titled(trial: Trial, card: dict[str, Any]) -> tuple[str, str]:
    """A table's title and its target's unit, from the card that the run kept, if it kept one."""
    column = card.get("columns", {}).get(trial.params["window.targets"], {})
    return card.get("title", trial.params["ingest.dataset"]), column.get("unit", "")


def labels(found: Sequence[Row]) -> list[str]:
    """Each row's number and what it differs in, for a picture's legend."""
    columns = [(name.rsplit(".", 1)[-1], _values(found, name)) for name in differing(found)]
    named = []
    for i, row in enumerate(found):
        own = ", ".join(f"{name} {values[i]}" for name, values in columns)
        named.append(_short(f"{i + 1}: {own or row.params['train.model.name']}", 2 * LONGEST))
    return named


def legend(found: Sequence[Row], unit: str) -> str:
    """What the table's columns mean; `unit` is the target's, if it is known."""
    first = found[0].trials[0]
    own, name = first.metric.unit == metrics.OWN, first.metric.title
    scaled = f" ({unit})" * bool(unit) if own else ", pooled over standardised targets,"
    errors = first.baselines("test").items()
    beside = ", ".join(f"{name.replace('_', ' ')} {number(error)}" for name, error in errors)
    of_intervals = (
        "The rows of intervals are the same, in the same order. Ties stand by the Winkler score on "
        "validation of the lowest level that all of them have, the intervals' width and a price "
        "for what they miss: the narrower of those that hold as much come first. wql: the loss of "
        "the quantiles .1 to .9 over the targets' size. coverage 80: the share of targets that "
        "intervals of 80% hold. "
    ) * bool(intervals(found)[1])
    return (
        f"Best first by {name}{scaled} on validation. Mean ± standard deviation over the seeds; "
        f"rows closer than that deviation are ties. {of_intervals}Skill: 1 - {name} / {name} "
        f"of the run's best baseline; baselines of the first row on test: {beside}. fit s: seconds "
        "of training."
    )


def left_out(repeats: Sequence[tuple[Trial, Trial]]) -> list[str]:
    """A sentence on the runs that are in no row, if there are any."""
    unlike = (any(one.error(span) != kept.error(span) for span in SPANS) for one, kept in repeats)
    names = ", ".join(
        one.short + f" (other scores than {kept.short})" * differ
        for (one, kept), differ in zip(repeats, unlike, strict=True)
    )
    why = "Left out, because another run has the same parameters, card and seed"
    return [f"{why}: {names}."] if names else []


def by_card(found: Sequence[Row], cards: Mapping[str, dict[str, Any]]) -> list[str]:
    """A sentence on each set of rows that differ in their data set's card alone.

    `cards` holds what each card decides, by its digest, where that was logged.
    """
    alike: dict[str, list[int]] = {}
    for i, row in enumerate(found):
        own = {key: value for key, value in row.params.items() if key != CARD}
        alike.setdefault(str(sorted(own.items())), []).append(i)
    sentences = []
    for places in alike.values():
        known = [cards.get(found[i].params[CARD]) for i in places]
        keys = dict.fromkeys(key for card in known if card for key in card)
        told = [
            f"{key} {' / '.join(values)}"
            for key in keys
            if len(set(values := [_of_card(card, key) for card in known])) > 1
        ]
        if len(places) > 1:
            numbers = " and ".join(str(i + 1) for i in places)
            what = "; ".join(told) if all(known) else "older runs did not log theirs"
            sentences.append(f"Rows {numbers} differ only in the data set's card: {what}.")
    return sentences


def _of_card(card: dict[str, Any] | None, key: str) -> str:
    value = card and card.get(key)
    return "default" if value is None else json.dumps(value, ensure_ascii=False)


def by_basis(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Groups of comparable runs: same data, targets, horizon, split and counts."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(str(trial.basis), []).append(trial)
    return list(groups.values())

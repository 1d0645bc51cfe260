"""Training windows: which origins have one, how many could, and which input costs how many."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.config import input_names
from pipeline.config.experiment import Experiment
from pipeline.data.panel import Borders, listed
from pipeline.data.windows import Runs, Span, series_of, short, training_origins, true_runs
from pipeline.files.records import Record
from pipeline.preparation import features
from pipeline.preparation.imputation import BEYOND, OBSERVED

States = npt.NDArray[np.uint8]
TOO_MANY = 1 / 3  # of the possible windows: where more are lost, it is worth a warning


class Count(Record):
    """quality.json: training windows kept of those possible, and what the others are lost to.

    A window that several inputs make unusable counts for each of them.
    """

    possible: int
    kept: int
    unobserved: int  # no target of theirs was observed
    lost: dict[str, int]  # by input that costs any: windows with a gap of it beyond the limit
    without: dict[str, int]  # by the same: windows there would be if it were left out
    longest: dict[str, int]  # by the same: rows of its longest gap up to the span's end
    # of many series: those without a training window, and by name how many scored origins have too
    # few rows before them for one
    untrained: tuple[str, ...] = Field(default=(), exclude_if=lambda given: not given)
    short: dict[str, int] = Field(default={}, exclude_if=lambda given: not given)


def training_windows(
    state: States, channels: Sequence[str], experiment: Experiment, span: Span
) -> tuple[Runs, Count]:
    """The origins of an experiment's training windows, and their count.

    `state` [rows, channels] is what `imputation.gap_state` gives, `channels` names its columns. Of
    many series, `span` has the rows of each, [S, 2].
    """
    card, window = experiment.card, experiment.params.window
    inputs, known = experiment.inputs, experiment.known_ahead
    size = window.look_back, window.horizon, window.stride
    context = experiment.context
    targets = [channels.index(name) for name in experiment.targets]
    observed = (state[:, targets] == OBSERVED).any(axis=1)
    kinds = [(inputs, False), (known, True)][: 2 if known else 1]
    none = np.zeros((len(kinds), len(state)), np.bool_)

    def seen(name: str) -> States:
        sources = input_names.sources(input_names.expand([name], card))
        return state[:, [channels.index(source) for source in sources]]

    def unusable(name: str) -> npt.NDArray[np.bool_]:
        """Rows that no window may see and, where something is known ahead, those that may be none
        of its steps: [1 or 2, rows]."""
        made, shut = input_names.expand([name], card), np.zeros(none.shape, np.bool_)
        sources, beyond = input_names.sources(made), seen(name) == BEYOND
        for i, (names, ahead) in enumerate(kinds):
            if name in names:
                given = beyond, sources, made, card.season, window.horizon, ahead
                shut[i] = features.made_of(*given)
        return shut

    def longest(name: str) -> int:
        gone = seen(name) != OBSERVED
        parts = [part for rows in np.atleast_2d(span) for part in gone[slice(*rows)].T]
        return max(int((end - first).max(initial=0)) for first, end in map(true_runs, parts))

    def origins(shut: npt.NDArray[np.bool_], observed: npt.NDArray[np.bool_] | None = None) -> Runs:
        untold = shut[1] if known else None
        return training_origins(span, *size, context, shut[0], observed, untold)

    names = dict.fromkeys([*inputs, *known])
    possible, lost = len(origins(none)), {}
    costs = np.zeros(none.shape, np.min_scalar_type(len(names)))  # one byte of each row, mostly
    for name in names:
        shut = unusable(name)
        costs += shut
        if windows := possible - len(origins(shut)):
            lost[name] = windows
    kept = origins(costs > 0, observed)
    return kept, Count(
        possible=possible,
        kept=len(kept),
        unobserved=possible - len(origins(none, observed)),
        lost=lost,
        without={name: len(origins(costs - unusable(name) > 0, observed)) for name in lost},
        longest={name: longest(name) for name in lost},
    )


def by_series(count: Count, origins: Mapping[str, Runs], borders: Borders, needed: int) -> Count:
    """The count with which series have no training window, and which lack rows before an origin.

    `origins` are those of each span, `needed` the rows that a window and its features take.
    """
    trained = series_of(origins["train"], borders.firsts)
    parts = [
        short(rows, borders.firsts, needed) for name, rows in origins.items() if name != "train"
    ]
    lacking = zip(borders.names, np.sum(parts, axis=0).tolist(), strict=True)
    untrained = np.delete(np.arange(len(borders)), np.unique(trained))
    return count.model_copy(
        update={
            "untrained": tuple(borders.names[number] for number in untrained),
            "short": {name: origins for name, origins in lacking if origins},
        }
    )


def series_remarks(count: Count, needed: int) -> Iterator[str]:
    """What to say of a panel's series on the screen, one line each."""
    if names := count.untrained:
        have = "have" if names[1:] else "has"
        yield f"{len(names):,} series {have} no training window: {listed(names)}"
    if count.short:
        origins = sum(count.short.values())
        have, get, them = ("have", "get", "them") if origins > 1 else ("has", "gets", "it")
        yield (
            f"{origins:,} scored origin{'s' * (origins > 1)} of {len(count.short):,} series {have} "
            f"fewer than {needed:,} rows up to {them}, and {get} the last observed value as "
            f"forecast: {listed([*count.short])}"
        )


def remarks(count: Count, targets: Sequence[str]) -> list[str]:
    """What to say of the training windows on the screen, one line each."""
    lines = [sentence(count)]
    if count.possible - count.kept > TOO_MANY * count.possible:
        first = max(count.lost, key=lambda name: count.lost[name], default="")
        gaps = count.lost.get(first, 0) >= count.unobserved  # cost more than absent targets
        limit = f"impute_scale.imputation.limit={count.longest.get(first)}"
        remedy = f"fill longer gaps (-S {limit}, its longest)"
        if gaps and first not in targets:
            without = f"do without it ({count.without[first]:,} windows then)"
            remedy = f"{without}, or {remedy}"
        cause, remedy = (first, remedy) if gaps else ("targets never observed", "fill the table")
        lines.append(
            f"warning: more than a third of the training windows are lost, most to {cause}: "
            f"{remedy}, or correct the card's missing marks if values are read as missing"
        )
    return lines


def sentence(count: Count) -> str:
    """One line: how many windows there are, and what costs how many."""
    ranked = sorted(count.lost, key=lambda name: -count.lost[name])
    costs = [f"{name} {count.lost[name]:,}" for name in ranked]
    parts = [f"{count.kept:,} training windows of {count.possible:,} possible"]
    if costs:
        parts.append(f"gaps longer than impute_scale.imputation.limit cost {', '.join(costs)}")
    if count.unobserved:
        parts.append(f"{count.unobserved:,} have no observed target")
    return "; ".join(parts)

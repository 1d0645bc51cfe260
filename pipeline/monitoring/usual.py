"""usual.json: what a model's inputs and errors were before it went into service.

It lies beside the calibration and travels with the model: whoever watches needs no training table.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.config import input_names
from pipeline.config.cards import Card
from pipeline.config.experiment import Experiment
from pipeline.config.params import Naive, SeasonalNaive
from pipeline.data.panel import Borders, Panel, joined
from pipeline.data.windows import Rows as Indices
from pipeline.evaluation import predictions, scoring
from pipeline.evaluation.forecasts import MODEL, Windows
from pipeline.experiments.evaluate import Evaluation
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.files.records import Record
from pipeline.models.spec import Spec
from pipeline.monitoring import inputs, limits, reference, scores
from pipeline.monitoring.inputs import Column, Rows
from pipeline.preparation import moments
from pipeline.preparation.scaling import Scaler
from pipeline.runtime.progress import say

Limits = dict[str, dict[str, float]]  # by column or target, and statistic


class Usual(Record):
    """Of the training span its columns, of validation and test the errors, and the limits."""

    format: Literal[1] = 1
    chunk: int  # steps that are judged together
    chunks: int  # of the training span, which input_limits are learned from
    error_chunks: int  # of validation and test, which error_limits are learned from
    until: str  # the last time of the training span
    columns: dict[str, Column]
    input_limits: Limits
    error_limits: Limits
    baseline: Naive | SeasonalNaive  # the better one on test of those that need no fit
    test: dict[str, dict[str, dict[str, float]]]  # by target and step, as monitoring.scores has it

    @property
    def seasonal(self) -> bool:
        """Whether rows are compared with the same months of other years."""
        return not any(inputs.ALL in column.values for column in self.columns.values())


def watched(spec: Spec, card: Card) -> list[str]:
    """The columns that are compared: those that inputs are made of, and the targets."""
    names = input_names.columns([*spec.inputs, *spec.known_ahead], card)
    return [n for n in dict.fromkeys([*names, *spec.targets]) if n not in card.static]


def write(experiment: Experiment, layout: Layout, evaluation: Evaluation) -> None:
    """What an evaluation has of it, to data/calibration/usual.json."""
    spec = artifacts.read_json_record(layout.model_json, Spec)
    scaler = artifacts.read_json_record(layout.scaler, Scaler)
    made = of(
        spec, experiment.card, scaler, evaluation.series, evaluation.spans["train"],
        evaluation.forecasts,
    )  # fmt: skip
    card = experiment.card
    for count, what in (
        (made.chunks, "training has"), (made.error_chunks, "validation and test have"),
    ):  # fmt: skip
        if card.step.tells and count < limits.FEWEST:
            say(
                f"{layout.usual}: {what} {count} chunks of {made.chunk} rows, expected "
                f"{limits.FEWEST} for limits to be learned: monitor will raise no alarm there"
            )
    content = scoring.rounded(made.model_dump(mode="json", exclude_none=True))
    artifacts.write_json(layout.usual, content)


def of(
    spec: Spec,
    card: Card,
    scaler: Scaler,
    series: Panel,
    train: Indices,
    forecasts: Mapping[str, Windows],
) -> Usual:
    """What is usual of a model.

    Args:
        series: regular series in their units.
        train: the training rows of each series, [S, 2] rows of the table.
        forecasts: of validation and test.

    Nothing where no row tells the time of the next: what was forecast has no time to be joined by.
    """
    if not card.step.tells:
        return Usual(
            chunk=0, chunks=0, error_chunks=0, until="", columns={}, input_limits={},
            error_limits={}, baseline=Naive(name="persistence"), test={},
        )  # fmt: skip
    frames = [series.frame.iloc[first:end] for first, end in train]
    lengths = dict(zip(series.borders.names, map(len, frames), strict=True))
    trained = joined(frames)
    rows = Rows.of(Panel(trained, Borders.of(lengths)), card, watched(spec, card), scaler.own)
    until = rows.times.max()
    chunk = inputs.chunk_rows(int(rows.at.max()) + 1, card)
    chunks = reference.in_training(rows, chunk)
    baseline = _baseline(spec, card, series, forecasts["test"])
    tallies = {
        span: _tally(spec, card, series, baseline, forecasts[span], chunk)
        for span in ("validation", "test")
    }
    chunked = [inputs.frame(scores.by_chunk(own)) for own in tallies.values()]
    errors = pd.concat(chunked, ignore_index=True)
    columns = inputs.learn(rows, inputs.yearly(rows.times))
    for name in (name for name, own in columns.items() if scaler.own and own.lowest is not None):
        ends = float(trained[name].min()), float(trained[name].max())
        columns[name] = columns[name].model_copy(update={"observed": ends})
    return Usual(
        chunk=chunk,
        chunks=len(chunks),
        error_chunks=len(errors),
        until=str(until),
        columns=columns,
        input_limits=_nested(limits.learned(chunks)),
        error_limits=_nested(limits.learned(errors)),
        baseline=baseline,
        test=scores.scores(tallies["test"]),
    )


def _baseline(spec: Spec, card: Card, series: Panel, test: Windows) -> Naive | SeasonalNaive:
    """Of persistence and each seasonal naive the one with the least RMSE on test, over the targets'
    own deviations; it needs no fit, so it forecasts from rows that came as well."""
    found: list[Naive | SeasonalNaive] = [Naive(name="persistence")]
    found += [SeasonalNaive(name="seasonal_naive", season=season) for season in card.seasons]
    times = pd.DatetimeIndex(series.frame.index)
    made = [scores.naive(one, spec, series, times) for one in found]
    total, squares = np.zeros((2, len(spec.targets)))
    missed, count = np.zeros((2, len(found), len(spec.targets)))
    values = series.frame[list(spec.targets)]
    means = [moments.mean_and_deviation(values[name].to_numpy(np.float64))[0] for name in values]
    around = np.nan_to_num(np.array(means))  # or squares would lose their digits
    n = np.zeros(len(spec.targets))
    for group in test.groups():
        seen = group.observed - around
        total += np.nansum(seen, axis=(0, 1))
        squares += np.nansum(seen**2, axis=(0, 1))
        n += (~np.isnan(seen)).sum(axis=(0, 1))
        for i, one in enumerate(made):
            error = (one(group.origins) - group.observed) ** 2
            missed[i] += np.nansum(error, axis=(0, 1))
            count[i] += (~np.isnan(error)).sum(axis=(0, 1))
    variance = squares / n - (total / n) ** 2
    variance = np.where(variance > 1e-12 * squares / n, variance, 1.0)
    errors = (missed / variance).sum(axis=1) / count.sum(axis=1)
    return found[int(np.nanargmin(errors))]


def _tally(
    spec: Spec,
    card: Card,
    series: Panel,
    baseline: Naive | SeasonalNaive,
    made: Windows,
    length: int,
) -> pd.DataFrame:
    """What adds up of a span's forecasts, by chunks of so many rows up to its last observed one.

    They are as `scores.join` gives those that are in service.
    """
    times = pd.DatetimeIndex(series.frame.index)
    rule, step = scores.naive(baseline, spec, series, times), np.arange(1, spec.horizon + 1)
    last = times[0]
    for group in made.groups():
        known = ~np.isnan(group.observed).all(axis=2)
        last = max(last, times[(group.origins[:, None] + step)[known]].max())
    start, tallies = times.min(), []
    (end,) = card.step.between(start, pd.DatetimeIndex([last]))
    for group in made.groups():
        of = spec.targets, times, "", "", [""]
        rows = predictions.table(group, group.made(MODEL), *of)
        rows["baseline"] = rule(group.origins).ravel()
        rows = rows[rows["observed"].notna()]
        at = card.step.between(start, pd.DatetimeIndex(rows["time"]))
        tallies.append(scores.tally(rows, -((end - at) // length)))
    return scores.added(tallies)


def _nested(learned: pd.Series) -> Limits:
    found: Limits = {}
    keys: list[Any] = list(learned.index)
    for (name, statistic), value in zip(keys, learned, strict=True):
        found.setdefault(str(name), {})[str(statistic)] = float(value)
    return found

"""Evaluate: forecast validation and test as a user would, and score beside the baselines."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.experiment import Experiment
from pipeline.data import constants, long_tables, panel, splits
from pipeline.data.panel import Panel
from pipeline.data.splits import Spans
from pipeline.data.windows import Runs
from pipeline.evaluation import by_series, network_memory, scoring
from pipeline.evaluation.forecasts import OnDisk
from pipeline.evaluation.network_memory import Memory
from pipeline.evaluation.scoring import Yardstick
from pipeline.experiments.baselines import forecasts as of_each
from pipeline.experiments.intervals import followed, with_intervals
from pipeline.experiments.members import by_members
from pipeline.experiments.scored import all_scores
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.example import newest
from pipeline.forecasting.forecaster import CALIBRATION, Forecaster, stage_files
from pipeline.preparation.training_windows import Count
from pipeline.runtime import determinism
from pipeline.runtime.progress import say


@dataclass(frozen=True)
class Evaluation:
    """What was forecast, how good it is, and what a report shows beside it."""

    metrics: dict[str, Any]  # metrics.json
    forecasts: dict[str, OnDisk]  # by span
    series: Panel  # the regular series, in their units
    by_series: pd.DataFrame  # the test scores of each
    spans: Spans
    yardstick: Yardstick
    memory: Memory | None  # of a plain stack of recurrent layers
    example: pd.DataFrame  # the table's newest rows, as many as a forecast needs


def evaluate(experiment: Experiment, layout: Layout) -> Evaluation:
    """The raw table, data/model and data/windows -> the scores and forecasts of data/reports."""
    card = experiment.card
    determinism.settle(experiment.params.train.seed)
    files = stage_files(layout, experiment.dataset)
    del files[CALIBRATION]  # of another model, where no DVC removes it
    forecaster = Forecaster.load(files)
    spec = forecaster.spec
    raw = layout.raw_table(experiment.dataset, card.file)
    table = long_tables.read(raw, card)
    seen = forecaster.prepare(forecaster.read(table, str(raw), experiment.params.ingest.series))
    example = newest(table, spec, card, forecaster.imputer)
    del table
    series = panel.read(layout.series, card)
    targets, times = series.frame[list(spec.targets)], pd.DatetimeIndex(series.frame.index)
    origins = {
        span: np.asarray(Runs(artifacts.read_array(layout.origins(span))))
        for span in experiment.split.ends
        if span != "train"
    }
    count = artifacts.read_json_record(layout.windows_quality, Count)
    rows = splits.of(experiment, series.timeline(card))
    for line in constants.unscored(series, spec.targets, rows):
        say(f"{layout.metrics}: {line}")

    task = prepared(experiment, layout, series)
    by = of_each(experiment, forecaster, seen, task)
    forecasts, calibration = with_intervals(experiment, layout, forecaster, by, series, origins)
    artifacts.write_json(layout.calibration, calibration.model_dump(mode="json"))
    train = [targets.iloc[slice(*own)] for own in rows["train"]]
    yardstick, each = by_series.yardsticks(train, card.season, max(spec.horizon, card.steps_a_day))
    memory = network_memory.measure(
        spec, layout.weights, seen.features, np.asarray(task.validation)
    )
    in_gaps = scoring.in_gaps(targets, origins["test"], forecaster.imputer.limit, series.borders)
    yardsticks = dict(zip(series.borders.names, each, strict=True))
    metrics, scored = all_scores(experiment, layout, forecasts, yardstick, yardsticks, times)
    artifacts.write_frame(layout.by_series, scored)
    follow = partial(followed, lowest=forecaster.lowest)
    metrics |= {"rolling": scoring.rolling(forecasts["test"], follow, yardstick)}
    metrics |= {"memory": memory.scores} if memory else {}
    metrics |= by_members(experiment, layout, forecaster, seen, forecasts["validation"], yardstick)
    metrics |= {"series": by_series.summary(scored, series.borders.names)} if card.series else {}
    metrics |= {"training_windows": count.model_dump(), "test_origins": in_gaps}
    artifacts.write_json(layout.metrics, metrics := scoring.rounded(metrics))
    artifacts.write_json(layout.summary, scoring.summary(metrics))
    return Evaluation(metrics, forecasts, series, scored, rows, yardstick, memory, example)

"""Evaluate: forecast validation and test as a user would, and score beside the baselines."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.checks import ridge_left_out
from pipeline.config.experiment import Experiment
from pipeline.data import panel, splits
from pipeline.data.sources import reading
from pipeline.data.splits import Spans
from pipeline.data.windows import Runs
from pipeline.evaluation import network_memory, scoring
from pipeline.evaluation.network_memory import Memory
from pipeline.evaluation.scoring import MODEL, Forecasts, Yardstick
from pipeline.experiments.intervals import Forecast, with_intervals
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.forecaster import CALIBRATION, Forecaster, newest, stage_files
from pipeline.models.baselines import FittedBaseline, beside
from pipeline.preparation.training_windows import Count
from pipeline.runtime import determinism
from pipeline.runtime.progress import progress


@dataclass(frozen=True)
class Evaluation:
    """What was forecast, how good it is, and what a report shows beside it."""

    metrics: dict[str, Any]  # metrics.json
    forecasts: dict[str, Forecasts]  # by span
    series: pd.DataFrame  # the regular series, in its units
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
    table = reading.read_table(raw, card)
    seen = forecaster.prepare(forecaster.read(table, str(raw)))
    example = newest(table, spec, card, forecaster.imputer)
    del table  # its text takes more memory than all that follows
    ingested = panel.read(layout.series, card)
    series = ingested.frame
    targets, times = series[list(spec.targets)], pd.DatetimeIndex(series.index)
    origins = {
        span: np.asarray(Runs(artifacts.read_array(layout.origins(span))))
        for span in experiment.split.ends
        if span != "train"
    }
    count = artifacts.read_json_record(layout.windows_quality, Count)
    rows = splits.of(experiment, ingested.borders, ingested.starts)

    # The model does not see a target that is not among its inputs; baselines do.
    task = prepared(experiment, layout)
    by: dict[str, Forecast] = {MODEL: partial(forecaster.forecast, seen)}
    wanted = beside(experiment.params.evaluate, card.seasons)
    if ridge_left_out(experiment):
        wanted.pop("ridge", None)
    with progress("baselines", len(wanted)) as tell:
        for name, model in wanted.items():
            fitted = FittedBaseline.of(model, task)
            by[name] = partial(forecaster.bounded, fitted, task.seen)
            tell(name)
    forecasts, calibration, followed = with_intervals(
        experiment, layout, forecaster, by, targets, origins
    )
    artifacts.write_json(layout.calibration, calibration.model_dump(mode="json"))
    block = max(spec.horizon, card.steps_a_day)
    yardstick = Yardstick.of(targets.iloc[slice(*rows["train"][0])], card.season, block)
    memory = network_memory.measure(spec, layout.weights, seen.features, origins["validation"])
    in_gaps = scoring.in_gaps(targets, origins["test"], forecaster.imputer.limit)
    metrics = scoring.rounded(
        scoring.report(forecasts, spec.targets, yardstick, card.spans)
        | {"rolling": scoring.rolling(forecasts["test"], followed, yardstick)}
        | ({"memory": memory.scores} if memory else {})
        | {"training_windows": count.model_dump(), "test_origins": in_gaps}
    )
    artifacts.write_json(layout.metrics, metrics)
    artifacts.write_json(layout.summary, scoring.summary(metrics))
    artifacts.write_frame(layout.predictions, scoring.table(forecasts, spec.targets, times))
    return Evaluation(metrics, forecasts, series, rows, yardstick, memory, example)

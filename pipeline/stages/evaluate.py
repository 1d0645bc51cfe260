"""Evaluate: forecast validation and test as a user would, score beside the baselines, report."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.evaluate")  # settles it, then imports the rest

from functools import partial

import numpy as np
import pandas as pd

from pipeline.config.experiment import begin_stage, check_unchanged, ridge_left_out, split
from pipeline.data import tables
from pipeline.data.splits import spans
from pipeline.data.windows import Runs
from pipeline.evaluation import scoring
from pipeline.evaluation.scoring import MODEL, Forecast, Forecasts, Yardstick
from pipeline.files import artifacts, paths
from pipeline.forecasting.forecaster import Forecaster, newest, stage_files
from pipeline.models.baselines import naive, ridge
from pipeline.preparation.training_windows import Count
from pipeline.reports import markdown, network_memory, page, report_pictures
from pipeline.runtime import determinism
from pipeline.tracking import publishing


def main() -> None:
    """The raw table, data/model and data/windows -> data/reports, and scores to MLflow."""
    params, card = begin_stage()
    determinism.settle(params.train.seed)
    forecaster = Forecaster.load(stage_files(params.ingest.dataset))
    spec = forecaster.spec
    raw = paths.raw_table(params.ingest.dataset, card.file)
    table = tables.read_table(raw, card)
    prepared = forecaster.prepare(forecaster.read(table, str(raw)))
    example = newest(table, spec, card, forecaster.imputer)
    del table  # its text takes more memory than all that follows
    series, history = artifacts.read_frame(paths.SERIES), pd.read_csv(paths.HISTORY)
    targets, times = series[list(spec.targets)], pd.DatetimeIndex(series.index)
    train, validation, test = (
        np.asarray(Runs(artifacts.read_array(paths.windows(span))))
        for span in ("train", "validation", "test")
    )
    count = artifacts.read_json_record(paths.WINDOWS_QUALITY, Count)
    rows = spans(split(params, card), times[0], card.step, len(times), card.time.timezone)

    by: dict[str, Forecast] = {MODEL: partial(forecaster.forecast, prepared)}
    by |= {
        name: partial(rule, targets, horizon=spec.horizon)
        for name, rule in naive(card.seasons).items()
    }
    if not ridge_left_out(params, card):
        solved = ridge(spec, forecaster.scaler, prepared, targets, train, validation)
        by["ridge"] = lambda origins: forecaster.units(solved(origins))
    forecasts = {
        span: Forecasts.of(by, targets, starts + spec.look_back - 1, spec.horizon)
        for span, starts in (("validation", validation), ("test", test))
    }
    yardstick = Yardstick.of(targets.iloc[slice(*rows.train)], card.season)
    remembered = network_memory.explain(spec, card, paths.WEIGHTS, prepared, validation)
    in_gaps = scoring.in_gaps(targets, forecasts["test"].origins, forecaster.imputer.limit)
    metrics = scoring.rounded(
        scoring.report(forecasts, spec.targets, yardstick, card.spans)
        | ({"memory": remembered.scores} if remembered else {})
        | {"training_windows": count.model_dump(), "test_origins": in_gaps}
    )
    artifacts.write_json(paths.METRICS, metrics)
    artifacts.write_json(paths.SUMMARY, scoring.summary(metrics))
    artifacts.write_frame(paths.PREDICTIONS, scoring.table(forecasts, spec.targets, times))

    stretch = params.evaluate.stretch
    drawn = report_pictures.draw(
        forecasts["test"], spec, card, series, rows, yardstick, metrics, history, stretch
    )
    for name, figure in (drawn | (remembered.pictures if remembered else {})).items():
        artifacts.write_figure(paths.PLOTS / f"{name}.png", figure)
    quality, versions = artifacts.read_json(paths.QUALITY), determinism.versions()
    text = markdown.markdown(
        params, card, metrics, history, quality, list(drawn), remembered, versions
    )
    artifacts.write_text(paths.REPORT, text)
    markdown.show(metrics, markdown.heading(params, card))
    check_unchanged(params, card)
    publishing.publish_or_warn(params, card, page.of_report(params, card), example)

"""Validate: the model's scores on the validation span, as evaluate gives them; no test row."""

from functools import partial

import numpy as np

from pipeline.config.experiment import Experiment
from pipeline.data import panel, splits
from pipeline.data.windows import Runs
from pipeline.evaluation import by_series, scoring, sums
from pipeline.evaluation.forecasts import MODEL, Forecasts, Made, Windows
from pipeline.evaluation.metrics import Scores
from pipeline.evaluation.scoring import Watch, Yardstick
from pipeline.evaluation.sums import Tree
from pipeline.experiments import intervals
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.forecaster import CALIBRATION, Forecaster, stage_files
from pipeline.runtime import determinism


def validate(experiment: Experiment, layout: Layout) -> Scores:
    """data/prepared, data/windows and data/model -> the scores of the validation span.

    Of many series they are pooled over all rows, but for `mase`, the mean over series.
    """
    determinism.settle(experiment.params.train.seed)
    files = stage_files(layout, experiment.dataset)
    del files[CALIBRATION]
    forecaster, card = Forecaster.load(files), experiment.card
    ingested = panel.read(layout.series, card)
    spec, seen = forecaster.spec, prepared(experiment, layout, ingested).seen
    rows = np.asarray(Runs(artifacts.read_array(layout.origins("validation"))))
    by = {MODEL: partial(forecaster.forecast, seen)}
    span = intervals.forecast(layout, spec, ingested, by, rows)
    forecasts = intervals.on_validation(experiment, forecaster, span)
    spans = splits.of(experiment, ingested.timeline(card))
    targets = ingested.frame[list(spec.targets)]
    train = [targets.iloc[slice(*part)] for part in spans["train"]]
    yardstick, each = by_series.yardsticks(train, card.season)
    if not card.series:
        return scoring.rounded(pooled(forecasts, yardstick))
    yardsticks, own = dict(zip(ingested.borders.names, each, strict=True)), Tree()

    def watch(_: str, group: Forecasts, __: str, made: Made) -> None:
        nonlocal own
        own = sums.joined(own, by_series.of_one(group, Made(made.point), yardsticks))

    found = pooled(forecasts, yardstick, watch)
    many = by_series.summary(by_series.table({MODEL: sums.finished(own)}, card.series))
    found |= {"mase": many["mase"]} if "mase" in many else {}
    return scoring.rounded(found)


def pooled(
    forecasts: Windows,
    yardstick: Yardstick,
    watch: Watch = lambda *_: None,
) -> Scores:
    """The scores of the model's forecasts; `watch` is called with those of each group."""
    total = Tree()
    for group in forecasts.groups():
        made = group.made(MODEL)
        watch("validation", group, MODEL, made)
        total = sums.joined(total, scoring.summed(group.observed, made, yardstick))
    return sums.finished(total)

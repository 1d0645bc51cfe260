"""Validate: the model's scores on the validation span, as evaluate gives them; no test row."""

from contextlib import suppress

import numpy as np

from pipeline.config.experiment import Experiment
from pipeline.data import panel, splits
from pipeline.data.windows import Rows, Runs
from pipeline.evaluation import by_series, scoring
from pipeline.evaluation.forecasts import MODEL, Forecasts, Made
from pipeline.evaluation.metrics import Scores
from pipeline.evaluation.scoring import Yardstick
from pipeline.experiments.intervals import method
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting import conformal
from pipeline.forecasting.conformal import Floats, TooFewError
from pipeline.forecasting.forecaster import CALIBRATION, Forecaster, stage_files
from pipeline.runtime import determinism


def validate(experiment: Experiment, layout: Layout) -> Scores:
    """data/prepared, data/windows and data/model -> the scores of the validation span.

    Of many series they are pooled over all rows, but for `mase`, the mean over series.
    """
    determinism.settle(experiment.params.train.seed)
    files = stage_files(layout, experiment.dataset)
    del files[CALIBRATION]
    forecaster = Forecaster.load(files)
    spec, seen = forecaster.spec, prepared(experiment, layout).seen
    rows = np.asarray(Runs(artifacts.read_array(layout.origins("validation"))))
    own = forecaster.forecast(seen, rows)
    ingested = panel.read(layout.series, experiment.card)
    targets = ingested.frame[list(spec.targets)]
    observed = scoring.observed(targets, rows, spec.horizon)
    spans = splits.of(experiment, ingested.timeline(experiment.card))
    train = [targets.iloc[slice(*part)] for part in spans["train"]]
    yardstick, each = by_series.yardsticks(train, experiment.card.season)
    of = ingested.borders.number(rows)
    found = scores(experiment, forecaster, own, observed, rows, of, yardstick)
    if name := experiment.card.series:
        yardsticks = dict(zip(ingested.borders.names, each, strict=True))
        by = {MODEL: spec.point(own)}
        forecasts = Forecasts(rows, observed, by, borders=ingested.borders)
        many = by_series.summary(by_series.scores(forecasts, yardsticks, name))
        found |= {"mase": many["mase"]} if "mase" in many else {}
    return scoring.rounded(found)


def scores(
    experiment: Experiment,
    forecaster: Forecaster,
    made: Floats,
    observed: Floats,
    origins: Rows,
    of: Rows,
    yardstick: Yardstick,
) -> Scores:
    """Of forecasts on validation, each half with intervals by the errors of the other.

    Args:
        made: [N, H, K], or quantiles [N, H, K, Q], in units.
        observed: [N, H, K], NaN where missing.
        origins: [N] rows.
        of: [N] the numbers of their series.
        yardstick: what errors are compared with.
    """
    spec = forecaster.spec
    shown = Made(spec.point(made))
    with suppress(TooFewError):
        how = method(experiment, spec.quantiles or ())
        parts = conformal.halves(how, made, observed, spec.targets, origins, of)
        shown = Made(shown.point, *conformal.around(parts, made, forecaster.lowest))
    return scoring.pooled(observed, shown, yardstick)

"""The intervals around the forecasts of a model and its baselines, made alike for all."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial

import numpy as np
import pandas as pd

from pipeline.config.experiment import Experiment
from pipeline.data import splits
from pipeline.data.panel import Panel
from pipeline.data.windows import Rows
from pipeline.evaluation import scoring
from pipeline.evaluation.forecasts import MODEL, Around, Forecasts
from pipeline.experiments.baselines import Forecast
from pipeline.files.layout import Layout
from pipeline.forecasting import conformal, drift
from pipeline.forecasting.conformal import Bands, Calibration, Method, TooFewError
from pipeline.forecasting.forecaster import Forecaster
from pipeline.runtime.progress import progress, say


def method(experiment: Experiment, given: tuple[float, ...]) -> Method:
    """What is learned of errors, by the parameters; `given` are the quantiles of a forecast."""
    settings = experiment.params.evaluate
    return Method(
        levels=settings.levels,
        given=given,
        scaled=experiment.scaled,
        bins=settings.calibration.bins,
    )


def with_intervals(
    experiment: Experiment,
    layout: Layout,
    forecaster: Forecaster,
    by: Mapping[str, Forecast],
    series: Panel,
    origins: Mapping[str, Rows],
) -> tuple[dict[str, Forecasts], Calibration, Bands, Bands]:
    """What each of `by` forecasts from the origins of each span, with its intervals.

    The errors of the calibration span make them; on validation, those of its other half. Also given
    are the model's own calibration, its intervals on test before they are cut at the least value of
    each target, and its intervals there had they followed its errors.
    """
    settings, spec = experiment.params.evaluate, forecaster.spec
    targets, borders = series.frame[list(spec.targets)], series.borders
    times, timeline = pd.DatetimeIndex(series.frame.index), series.timeline(experiment.card)
    own = {
        span: {name: forecast(rows) for name, forecast in by.items()}
        for span, rows in origins.items()
    }
    seen = {span: scoring.observed(targets, rows, spec.horizon) for span, rows in origins.items()}
    learned_on = splits.calibrates(origins)
    around: dict[str, dict[str, Around]] = {span: {} for span in splits.SCORED}
    learned: dict[str, Calibration] = {}
    chosen = origins["validation"]
    of = borders.number(chosen)
    with progress("calibrations", len(by)) as tell:
        for name in by:
            how = method(experiment, (spec.quantiles or ()) if name == MODEL else ())
            one = conformal.calibrate(how, own[learned_on][name], seen[learned_on], spec.targets)
            learned[name], parts = one, {"test": [(np.arange(len(seen["test"])), one)]}
            with suppress(TooFewError):
                parts["validation"] = conformal.halves(
                    how, own["validation"][name], seen["validation"], spec.targets, chosen, of
                )
            for span, part in parts.items():
                made = partial(conformal.around, part, own[span][name], forecaster.lowest)
                around[span][name] = made
            tell(name)
    cells = learned[MODEL].cells
    if fewer := sum(len(cell.n) < settings.calibration.bins for cell in cells):
        say(
            f"{layout.calibration}: {learned_on} has too few windows for evaluate.calibration.bins "
            f"{settings.calibration.bins} at {fewer} of {len(cells)} steps and targets: fewer there"
        )
    if not around["validation"]:
        say(f"{layout.metrics}: half of validation is too short for scores of intervals there")
    forecasts = {
        span: Forecasts(
            origins[span],
            seen[span],
            {
                name: spec.point(values) if name == MODEL else values
                for name, values in own[span].items()
            },
            around[span],
            borders,
            timeline.steps(times, origins[span]),
        )
        for span in splits.SCORED
    }
    bands, test = learned[MODEL].bands(own["test"][MODEL]), forecasts["test"]
    followed = [  # each series by its own errors
        drift.replay(
            {level: (low[part], high[part]) for level, (low, high) in bands.items()},
            test.model[part],
            test.observed[part],
            test.origins[part],
            forecaster.lowest,
        )
        for _, part in test.series()
    ]
    joined = {
        level: (
            np.concatenate([one[level][0] for one in followed]),
            np.concatenate([one[level][1] for one in followed]),
        )
        for level in bands
    }
    return forecasts, learned[MODEL], bands, joined

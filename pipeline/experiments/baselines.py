"""The baselines of a report, fitted on what the model was fitted on."""

from collections.abc import Callable
from functools import partial

from pipeline.config.checks import unfitted
from pipeline.config.experiment import Experiment
from pipeline.data.windows import Rows
from pipeline.forecasting.conformal import Floats
from pipeline.forecasting.forecaster import Forecaster
from pipeline.models.baselines import FittedBaseline, beside
from pipeline.models.task import Task
from pipeline.runtime.progress import progress

Forecast = Callable[[Rows], Floats]  # from origins [N] to [N, H, K], or quantiles [N, H, K, Q]


def baselines(experiment: Experiment, forecaster: Forecaster, task: Task) -> dict[str, Forecast]:
    """What each baseline of evaluate.baselines forecasts, in the targets' units."""
    wanted = beside(experiment.params.evaluate, experiment.card.seasons)
    by: dict[str, Forecast] = {}
    for name in unfitted(experiment):
        wanted.pop(name, None)
    with progress("baselines", len(wanted)) as tell:
        for name, model in wanted.items():
            fitted = FittedBaseline.of(model, task)
            by[name] = partial(forecaster.bounded, fitted, task.seen)
            tell(name)
    return by

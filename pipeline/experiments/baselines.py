"""The baselines of a report, fitted on what the model was fitted on."""

from collections.abc import Callable
from functools import partial

from pipeline.config.checks import unfitted
from pipeline.config.experiment import Experiment
from pipeline.data.windows import Rows
from pipeline.forecasting.conformal import Floats
from pipeline.forecasting.forecaster import Forecaster
from pipeline.models.baselines import FittedBaseline, beside
from pipeline.models.mix import Mixed
from pipeline.models.task import Task
from pipeline.runtime.progress import progress

Forecast = Callable[[Rows], Floats]  # from origins [N] to [N, H, K], or quantiles [N, H, K, Q]


def baselines(experiment: Experiment, forecaster: Forecaster, task: Task) -> dict[str, Forecast]:
    """What each baseline of evaluate.baselines forecasts, in the targets' units.

    And each that is mixed into the model, which is not fitted again: what is the network worth?
    """
    wanted = beside(experiment.params.evaluate, experiment.card.seasons)
    for name in unfitted(experiment):
        wanted.pop(name, None)
    model = forecaster.model
    own = {one.model.name: one for one in (model.others if isinstance(model, Mixed) else ())}
    wanted |= {name: one.model for name, one in own.items() if name not in wanted}
    by: dict[str, Forecast] = {}
    with progress("baselines", len(wanted)) as tell:
        for name, baseline in wanted.items():
            there = name in own and own[name].model == baseline
            fitted = own[name] if there else FittedBaseline.of(baseline, task)
            by[name] = partial(forecaster.bounded, fitted, task.seen)
            tell(name)
    return by

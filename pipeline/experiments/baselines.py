"""What a report scores: the model, and baselines fitted on what it was fitted on."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pipeline.config.checks import unfitted
from pipeline.config.experiment import Experiment
from pipeline.data.windows import Rows
from pipeline.evaluation.forecasts import MODEL
from pipeline.forecasting.conformal import Floats
from pipeline.forecasting.forecaster import Forecaster
from pipeline.models.baselines import FittedBaseline, beside
from pipeline.models.mix import Mixed
from pipeline.models.task import Seen, Task
from pipeline.runtime.progress import progress

Forecast = Callable[[Rows], Floats]  # from origins [N] to [N, H, K], or quantiles [N, H, K, Q]


class Shared(FittedBaseline):
    """A baseline that the model mixes in and a report has beside it: it forecasts for both once."""

    def __init__(self, fitted: FittedBaseline) -> None:
        super().__init__(fitted.spec, fitted.scaler)
        self.learned, self.kept = fitted.learned, dict[bytes, Floats]()

    def forecast(self, seen: Seen, origins: Rows) -> Floats:
        """Made when the first asks, and kept until the second does."""
        if (made := self.kept.pop(origins.tobytes(), None)) is None:
            made = self.kept[origins.tobytes()] = super().forecast(seen, origins)
        return made


def forecasts(
    experiment: Experiment, forecaster: Forecaster, seen: Seen, task: Task
) -> dict[str, Forecast]:
    """What the model and each baseline of evaluate.baselines forecast, in the targets' units.

    And each that is mixed into the model, which is not fitted again: what is the network worth?

    Args:
        seen: what the model sees; of targets that are not among its inputs it sees nothing.
        task: what baselines are fitted on and see.
    """
    wanted = beside(experiment.params.evaluate, experiment.card.seasons)
    for name in unfitted(experiment):
        wanted.pop(name, None)
    model, own = forecaster.model, dict[str, Shared]()
    if isinstance(model, Mixed):
        own = {one.model.name: Shared(one) for one in model.others}
        model = replace(model, others=[*own.values()])
    wanted |= {name: one.model for name, one in own.items() if name not in wanted}
    by: dict[str, Forecast] = {MODEL: partial(forecaster.forecast, seen, model=model)}
    with progress("baselines", len(wanted)) as tell:
        for name, baseline in wanted.items():
            if name in own and own[name].model == baseline:
                by[name] = partial(forecaster.bounded, own[name], seen)
            else:
                fitted = FittedBaseline.of(baseline, task)
                by[name] = partial(forecaster.bounded, fitted, task.seen)
            tell(name)
    return by

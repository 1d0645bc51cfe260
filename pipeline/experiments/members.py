"""What each further member gives an ensemble, told by the validation span."""

from typing import Any

from pipeline.config.experiment import Experiment
from pipeline.data.panel import Panel
from pipeline.data.windows import Rows
from pipeline.evaluation import scoring
from pipeline.evaluation.metrics import Scores, brief
from pipeline.evaluation.scoring import Yardstick
from pipeline.experiments.validate import scores
from pipeline.forecasting.conformal import Floats
from pipeline.forecasting.forecaster import Forecaster
from pipeline.models.mix import Mixed
from pipeline.models.task import Seen
from pipeline.runtime.progress import progress

COUNTS = (1, 2, 3, 5, 10, 20, 50)  # of first members that are scored, and all
MIXED = "mixed"  # all of them with what is mixed in


def by_members(
    experiment: Experiment,
    forecaster: Forecaster,
    seen: Seen,
    series: Panel,
    origins: Rows,
    yardstick: Yardstick,
) -> dict[str, Any]:
    """`members`: the validation scores of an ensemble's first members, by how many.

    With something mixed in, also those of all that, and `mix`: its share by step. Nothing of a
    network by itself. `origins` [N] are those of validation, `series` has the targets in units.
    """
    spec, found = forecaster.spec, dict[str, Scores]()
    if spec.ensemble == 1 and not spec.mix:
        return {}
    targets = series.frame[list(spec.targets)]
    observed = scoring.observed(targets, origins, spec.horizon)
    of = series.borders.number(origins)

    def told(made: Floats) -> Scores:
        return brief(scores(experiment, forecaster, made, observed, origins, of, yardstick))

    with progress("members", spec.ensemble) as tell:
        for number, made in forecaster.growing(seen, origins):
            if number in (*COUNTS, spec.ensemble):
                found[str(number)] = told(made)
            tell("validation")
    if not isinstance(forecaster.model, Mixed):
        return {"members": found}
    found[MIXED] = told(forecaster.forecast(seen, origins))
    steps = scoring.names_of_steps(spec.horizon)
    shares = dict(zip(steps, map(float, forecaster.model.shares), strict=True))
    return {"members": found, "mix": shares}

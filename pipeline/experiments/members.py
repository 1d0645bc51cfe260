"""What each further member gives an ensemble, told by the validation span."""

from typing import Any

from pipeline.config.experiment import Experiment
from pipeline.evaluation import scoring
from pipeline.evaluation.forecasts import MODEL, OnDisk
from pipeline.evaluation.metrics import Scores, brief
from pipeline.evaluation.scoring import Yardstick
from pipeline.experiments import intervals
from pipeline.experiments.validate import pooled
from pipeline.files.layout import Layout
from pipeline.files.on_disk import Kept
from pipeline.forecasting.forecaster import Forecaster
from pipeline.models.mix import Mixed
from pipeline.models.task import Seen
from pipeline.runtime.progress import progress

COUNTS = (1, 2, 3, 5, 10, 20, 50)  # of first members that are scored, and all
MIXED = "mixed"  # all of them with what is mixed in


def by_members(
    experiment: Experiment,
    layout: Layout,
    forecaster: Forecaster,
    seen: Seen,
    validation: OnDisk,
    yardstick: Yardstick,
) -> dict[str, Any]:
    """`members`: the validation scores of an ensemble's first members, by how many.

    With baselines mixed in, also those of all that, and `mix`: the share of each by step. Nothing
    of a network by itself. `validation` has what all together forecast there.
    """
    spec, kept = forecaster.spec, dict[int, Kept]()
    if spec.ensemble == 1 and not spec.mix:
        return {}
    with progress("members", spec.ensemble * len(validation.cuts)) as tell:
        for part in validation.cuts:
            for number, made in forecaster.growing(seen, validation.origins[part]):
                if number in (*COUNTS, spec.ensemble):
                    if number not in kept:
                        shape = len(validation.origins), *made.shape[1:]
                        kept[number] = Kept(layout.reports, shape)
                    kept[number].write(part, made)
                tell("validation")

    def told(made: Kept) -> Scores:
        of = validation.origins, validation.borders, validation.observed
        span = intervals.Span(*of, {MODEL: made})
        return brief(pooled(intervals.on_validation(experiment, forecaster, span), yardstick))

    found = {str(number): told(made) for number, made in kept.items()}
    if not isinstance(forecaster.model, Mixed):
        return {"members": found}
    found[MIXED] = brief(pooled(validation, yardstick))
    steps = scoring.names_of_steps(spec.horizon)
    shares = {
        one.name: dict(zip(steps, map(float, own), strict=True))
        for one, own in zip(spec.mix, forecaster.model.shares, strict=True)
    }
    return {"members": found, "mix": shares}

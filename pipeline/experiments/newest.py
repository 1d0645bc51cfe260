"""Several models on the newest rows, from which none of them has learned: the same forecasts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.config.experiment import Experiment
from pipeline.data import panel, splits
from pipeline.data.sources import reading
from pipeline.data.windows import Rows, Runs
from pipeline.errors import PipelineError
from pipeline.evaluation import by_series, scoring
from pipeline.evaluation.forecasts import Made
from pipeline.evaluation.metrics import Scores
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.forecaster import Forecaster


@dataclass(frozen=True)
class Newest:
    """How models forecast from the origins of the test span that are new to all of them."""

    origins: int
    first: pd.Timestamp  # origin
    last: pd.Timestamp
    scores: dict[str, Scores]  # by the model's name


def origins_after(
    experiment: Experiment, layout: Layout, times: pd.DatetimeIndex, learned: pd.Timestamp
) -> Rows:
    """The scored origins of test from a time on up to which models have learned.

    PipelineError if they are fewer than a season's.
    """
    rows = np.asarray(Runs(artifacts.read_array(layout.origins("test"))))
    new = rows[times[rows] >= learned]
    least = experiment.card.season
    if len(new) < least:
        raise PipelineError(
            f"{layout.origins('test')}: expected at least a season ({least:,}) of origins after "
            f"{learned}, up to which the models have learned, found {len(new):,}; wait until the "
            "table has grown further, or make the test span longer"
        )
    return new


def compare(
    experiment: Experiment,
    layout: Layout,
    forecasters: Mapping[str, Forecaster],
    learned: pd.Timestamp,
) -> Newest:
    """Score each Forecaster from all origins of the test span that come after `learned`.

    Each reads the raw table by its own card and fills gaps by what it has learned itself.
    PipelineError of one that forecasts something else, or reads another grid from the table.
    """
    card, targets = experiment.card, list(experiment.targets)
    series = panel.read(layout.series, card)
    times = pd.DatetimeIndex(series.frame.index)
    origins = origins_after(experiment, layout, times, learned)
    seen = scoring.observed(series.frame[targets], origins, experiment.params.window.horizon)
    if np.isnan(seen).all():
        raise PipelineError(f"{layout.series}: expected a target after {learned}, found none")
    train = splits.of(experiment, series.timeline(card))["train"]
    rows = [series.frame[targets].iloc[slice(*own)] for own in train]
    yardstick, _ = by_series.yardsticks(rows, card.season)
    scores = {}
    for name, one in forecasters.items():
        size = experiment.params.window.horizon, experiment.targets
        if (one.spec.horizon, one.spec.targets) != size:
            raise PipelineError(
                f"{name}: expected forecasts of {', '.join(targets)} {size[0]} steps ahead, found "
                f"{', '.join(one.spec.targets)} {one.spec.horizon} ahead; no rows compare them"
            )
        raw = layout.raw_table(experiment.dataset, one.card.file)
        table = reading.read_table(raw, one.card)
        read = one.read(table, str(raw), experiment.params.ingest.series)
        del table  # its text takes more memory than all that follows
        if not read.frame.index.equals(times) or read.borders.names != series.borders.names:
            raise PipelineError(
                f"{name}: expected it to read the {len(times):,} rows of {layout.series} from the "
                f"table, found {len(read.frame):,} by its card"
            )
        values = one.forecast(one.prepare(read), origins)
        bands = one.calibration.bands(values, one.lowest) if one.calibration else {}
        made = Made(one.spec.point(values), bands)
        scores[name] = scoring.rounded(scoring.pooled(seen, made, yardstick))
    return Newest(len(origins), times[origins[0]], times[origins[-1]], scores)

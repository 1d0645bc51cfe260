"""What evaluate measures and writes of forecasts, some series at a time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.experiment import Experiment
from pipeline.evaluation import by_series, predictions, scoring, sums
from pipeline.evaluation.forecasts import MODEL, Forecasts, Made, OnDisk
from pipeline.evaluation.scoring import Yardstick
from pipeline.evaluation.sums import Tree
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.conformal import columns
from pipeline.runtime.progress import progress, say

OFTEN = 0.05  # of the forecasts may lie outside their own interval before it is told


def all_scores(
    experiment: Experiment,
    layout: Layout,
    forecasts: Mapping[str, OnDisk],
    yardstick: Yardstick,
    yardsticks: Mapping[str, Yardstick],
    times: pd.DatetimeIndex,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """metrics.json and the test scores of each series; predictions.parquet is written on the way.

    What makes intervals is done once for all three.
    """
    targets, name_of = experiment.targets, experiment.card.series
    own: Tree = {name: {} for name in forecasts["test"].by}
    bounds = [end for level in experiment.params.evaluate.levels for end in columns(level)]
    groups = sum(len(made.cuts) * len(made.by) for made in forecasts.values())
    written = sum(int(np.prod(made.observed.shape)) for made in forecasts.values())
    outside = Counter[float]()
    with (
        artifacts.appending(layout.predictions, written) as append,
        progress("groups of series scored", groups) as tell,
    ):

        def watch(span: str, group: Forecasts, name: str, made: Made) -> None:
            if name == MODEL:
                of = targets, times, name_of or "", span, [*forecasts]
                frame = predictions.table(group, made, *of)
                # Validation may be too short for intervals.
                lacking = [end for end in bounds if end not in frame]
                append(frame.assign(**dict.fromkeys(lacking, np.nan)))
                outside.update(made.outside if span == "test" else {})
            if span == "test":
                own[name] = sums.joined(own[name], by_series.of_one(group, made, yardsticks))
            tell(name)

        metrics = scoring.report(forecasts, targets, yardstick, experiment.card.spans, watch)
    for line in outside_remarks(outside, int(np.prod(forecasts["test"].observed.shape))):
        say(f"{layout.metrics}: {line}")
    return metrics, by_series.table(sums.finished(own), name_of or "series")


def outside_remarks(outside: Mapping[float, int], count: int) -> Iterator[str]:
    """What to say of so many forecasts that lie outside their own interval, by level."""
    for level, number in outside.items():
        if number > OFTEN * count:
            yield (
                f"{number / count:.0%} of the forecasts of test lie outside their own interval of "
                f"{level:g}%, whose ends follow errors alone; what comes lies in it as often as "
                f"coverage_{level:g} says"
            )

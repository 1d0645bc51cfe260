"""The intervals around the forecasts of a model and its baselines, made alike for all."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.experiment import Experiment
from pipeline.data import panel, splits
from pipeline.data.panel import Borders, Panel
from pipeline.data.windows import Rows
from pipeline.evaluation import scoring
from pipeline.evaluation.forecasts import MODEL, Forecasts, OnDisk, Part, grouped, parts
from pipeline.experiments.baselines import Forecast
from pipeline.files.layout import Layout
from pipeline.files.on_disk import Kept
from pipeline.forecasting import conformal, drift, learning
from pipeline.forecasting.conformal import Bands, Calibration, Floats, Method, TooFewError
from pipeline.forecasting.forecaster import Forecaster
from pipeline.models.spec import Spec
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


@dataclass(frozen=True)
class Span:
    """What was forecast from the origins of a span and what came, on disk: [N, H, K]."""

    origins: Rows  # [N]
    borders: Borders
    observed: Kept
    by: dict[str, Kept]  # of a quantile network [N, H, K, Q]

    @cached_property
    def number(self) -> Rows:
        """[N] the numbers of the origins' series."""
        return self.borders.number(self.origins)

    def named(self, experiment: Experiment) -> dict[str, Rows]:
        """By series the positions of its origins, if intervals are learned of each."""
        if not (experiment.card.series and experiment.params.evaluate.calibration.by_series):
            return {}
        each = parts(self.origins, self.borders)
        return {self.borders.names[i]: np.arange(own.start, own.stop) for i, own in each}


def forecast(
    layout: Layout, spec: Spec, series: Panel, by: Mapping[str, Forecast], origins: Rows
) -> Span:
    """What each of `by` forecasts from the origins of a span, some series at a time."""
    targets, directory = series.frame[list(spec.targets)], layout.reports
    shape = len(origins), spec.horizon, len(spec.targets)
    kept: dict[str, Kept] = {}
    observed = Kept(directory, shape)
    groups = list(grouped(origins, series.borders, spec.horizon * len(spec.targets)))
    with progress("groups of series forecast", len(groups) * len(by)) as tell:
        for part in groups:
            observed.write(part, scoring.observed(targets, origins[part], spec.horizon))
            for name, make in by.items():
                made = make(origins[part])
                if name not in kept:
                    kept[name] = Kept(directory, (len(origins), *made.shape[1:]))
                kept[name].write(part, made)
                tell(name)
    return Span(origins, series.borders, observed, kept)


@dataclass(frozen=True)
class Assigned:
    """What tells the intervals of each window of a span."""

    calibrations: Sequence[Calibration]
    which: npt.NDArray[np.int8]  # [N] the number of each window's
    names: Sequence[str]
    number: Rows  # [N] of each window's series

    def parts(self, part: Part) -> list[conformal.Part]:
        """Those of some of the windows."""
        which, number, found = self.which[part], self.number[part], list[conformal.Part]()
        for i, calibration in enumerate(self.calibrations):
            own = np.flatnonzero(which == i)
            each = calibration.parts(self.names, number[own])
            found += [(own[rows], one) for rows, one in each]
        return found

    def around(self, kept: Kept, lowest: Floats, part: Part) -> tuple[Bands, dict[float, Floats]]:
        """The intervals and the quantiles of some of the windows."""
        return conformal.around(self.parts(part), kept[part], lowest)

    def uncut(self, kept: Kept, part: Part) -> Bands:
        """The intervals before they are cut at the least value of each target."""
        return conformal.bands(self.parts(part), kept[part])


@dataclass(frozen=True)
class Halves:
    """Of the windows of a span [N], which half each is in, from 0, and which may teach each."""

    which: npt.NDArray[np.int8]
    taught: list[Rows]

    @classmethod
    def of(cls, span: Span, horizon: int) -> "Halves":
        """Those of a span."""
        found = learning.halves(span.origins, span.number, horizon)
        which = np.zeros(len(span.origins), np.int8)
        which[found[1][0]] = 1
        return cls(which, [of for _, of in found])


def by_halves(
    experiment: Experiment, how: Method, span: Span, kept: Kept, spec: Spec, halves: Halves
) -> Assigned:
    """What tells the intervals of each half of a span's windows: the errors of the other half.

    Raises:
        TooFewError: a half has too few of them.
    """
    given = kept, span.observed, spec.targets, halves.taught, span.named(experiment)
    found = learning.calibrations(how, *given)
    return Assigned(found, halves.which, span.borders.names, span.number)


def on_validation(
    experiment: Experiment, forecaster: Forecaster, span: Span, steps: Rows | None = None
) -> OnDisk:
    """Forecasts on validation, each half with intervals by the errors of the other, if it may be.

    `steps` [N] is how many steps after the first time of all each origin is.
    """
    spec, around = forecaster.spec, {}
    halves = Halves.of(span, spec.horizon)
    for name, kept in span.by.items():
        how = method(experiment, (spec.quantiles or ()) if name == MODEL else ())
        with suppress(TooFewError):
            made = by_halves(experiment, how, span, kept, spec, halves)
            around[name] = partial(made.around, kept, forecaster.lowest)
    points = points_of(spec, span)
    return OnDisk(span.origins, span.observed, points, around, span.borders, steps)


def points_of(spec: Spec, span: Span) -> dict[str, Callable[[Part], Floats]]:
    """What reads the point forecasts of each."""

    def point(kept: Kept, part: Part) -> Floats:
        return spec.point(kept[part])

    return {
        name: partial(point, kept) if name == MODEL else kept.__getitem__
        for name, kept in span.by.items()
    }


def with_intervals(
    experiment: Experiment,
    layout: Layout,
    forecaster: Forecaster,
    by: Mapping[str, Forecast],
    series: Panel,
    origins: Mapping[str, Rows],
) -> tuple[dict[str, OnDisk], Calibration]:
    """What each of `by` forecasts from the origins of each span, with its intervals.

    The errors of the calibration span make them; on validation, those of its other half. Also given
    is the model's own calibration.
    """
    spec, borders = forecaster.spec, series.borders
    times, timeline = pd.DatetimeIndex(series.frame.index), series.timeline(experiment.card)
    spans = {span: forecast(layout, spec, series, by, rows) for span, rows in origins.items()}
    learned_on = splits.calibrates(origins)
    learned: dict[str, Calibration] = {}
    for name, kept in spans[learned_on].by.items():
        how = method(experiment, (spec.quantiles or ()) if name == MODEL else ())
        named = spans[learned_on].named(experiment)
        observed = spans[learned_on].observed
        (learned[name],) = learning.calibrations(how, kept, observed, spec.targets, [None], named)
    _say_what_is_less(experiment, layout, learned[MODEL], learned_on, borders)
    steps = {span: timeline.steps(times, origins[span]) for span in splits.SCORED}
    validation = on_validation(experiment, forecaster, spans["validation"], steps["validation"])
    if not validation.around:
        say(f"{layout.metrics}: half of validation is too short for scores of intervals there")
    test = spans["test"]
    all_of_it = np.zeros(len(test.origins), np.int8)
    made = {
        name: Assigned([one], all_of_it, borders.names, test.number)
        for name, one in learned.items()
    }
    around = {
        name: partial(one.around, test.by[name], forecaster.lowest) for name, one in made.items()
    }
    uncut = partial(made[MODEL].uncut, test.by[MODEL])
    of_test = points_of(spec, test), around, borders, steps["test"], uncut
    return {
        "validation": validation,
        "test": OnDisk(test.origins, test.observed, *of_test),
    }, learned[MODEL]


def _say_what_is_less(
    experiment: Experiment, layout: Layout, learned: Calibration, span: str, borders: Borders
) -> None:
    """Where there are fewer bins, or no intervals of a series' own, than was asked for."""
    bins, cells = learned.method.bins, learned.cells
    if fewer := sum(len(cell.n) < bins for cell in cells):
        say(
            f"{layout.calibration}: {span} has too few windows for evaluate.calibration.bins "
            f"{bins} at {fewer} of {len(cells)} steps and targets: fewer there"
        )
    alike = {
        level: sum(not cell.levels[level].upper for cell in cells) for level in cells[0].levels
    }
    for level in (level for level, n in alike.items() if n and learned.method.given):
        say(
            f"{layout.calibration}: {span} has too few windows to move each end of {level}% by "
            f"itself at {alike[level]} of {len(cells)} steps and targets: both move alike there"
        )
    if not (experiment.card.series and experiment.params.evaluate.calibration.by_series):
        return
    if small := [name for name in borders.names if name not in learned.series]:
        say(
            f"{layout.calibration}: {len(small)} of {len(borders)} series have fewer than "
            f"{learned.method.least} observed values at some step of {span}, so they have the "
            f"intervals of all series together: {panel.listed(small)}"
        )


def followed(group: Forecasts, lowest: Floats) -> Bands:
    """The model's intervals had they followed its errors, those of each series by themselves."""
    bands, middle = group.uncut() if group.uncut else {}, group.model
    found = [
        drift.replay(
            {level: (low[part], high[part]) for level, (low, high) in bands.items()},
            middle[part],
            group.observed[part],
            group.origins[part],
            lowest,
        )
        for _, part in group.series()
    ]
    if len(found) == 1:
        return found[0]
    return {
        level: (
            np.concatenate([one[level][0] for one in found]),
            np.concatenate([one[level][1] for one in found]),
        )
        for level in bands
    }

"""What a backtest is of: which rows each fold tests, which fit forecasts it, from which past."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from pipeline.config.cards import CLOCK, Card, Fold, Row, Split
from pipeline.config.changes import changed
from pipeline.config.experiment import Experiment
from pipeline.config.params import Count
from pipeline.data import splits
from pipeline.data.panel import Borders, Timeline
from pipeline.data.splits import Spans
from pipeline.data.windows import Rows, scored_origins
from pipeline.errors import PipelineError
from pipeline.files.records import Record, parse
from pipeline.forecasting.conformal import Method


class Settings(Record):
    """How a backtest goes on through time."""

    folds: Annotated[int, Field(ge=1, le=10_000)]
    step: Count  # rows that a fold tests
    refit: Count | None = 1  # folds that a fit serves; null: all
    window: Count | None = None  # rows at most that a fit learns from; all before them if null
    gap: Row = 0  # rows between what a fit sees and what it is tested on
    origins: tuple[str, ...] = ()  # times of day; those of the card if there are none
    local: bool = False  # beside one model of all series, one of each

    def experiment(self, base: Experiment) -> Experiment:
        """The base, with forecasts from these times of day."""
        if not self.origins:
            return base
        card = base.card.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        card["origins"] = list(self.origins)
        return Experiment(base.asked, parse(card, Card, "backtest"))

    def check(self, base: Experiment) -> None:
        """PipelineError of settings that cannot be, whatever the series."""
        for time in self.origins:
            if not CLOCK.fullmatch(time):
                raise PipelineError(
                    f"backtest: origins: expected a time of day such as 08:00, found {time}"
                )
        self.experiment(base)
        window = base.params.window
        if self.step < window.horizon:
            raise PipelineError(
                f"backtest: step: expected at least window.horizon ({window.horizon:,} rows), so "
                f"that a fold holds a forecast, found {self.step:,}"
            )
        needed = window.look_back + window.horizon
        if self.window and self.window < needed:
            raise PipelineError(
                f"backtest: window: expected at least {needed:,} rows (window.look_back + "
                f"window.horizon), found {self.window:,}"
            )
        if self.gap >= self.step:
            raise PipelineError(
                f"backtest: gap: expected less than step ({self.step:,} rows), or it swallows a "
                f"fold, found {self.gap:,}"
            )
        if self.local and not base.card.series:
            raise PipelineError(
                "backtest: local: expected a table with many series, found one; its model is the "
                "local one"
            )
        if base.split.fold:
            raise PipelineError("window.split: expected no fold beside a backtest, found one")

    @property
    def fits(self) -> list[range]:
        """The folds, from 0, that each fit serves."""
        served = self.refit or self.folds
        return [range(i, min(i + served, self.folds)) for i in range(0, self.folds, served)]

    def split(self, own: Split, folds: range) -> Split:
        """The split of a fit that serves these folds; the last one ends with the test span."""
        fold = Fold(
            back=(self.folds - folds.stop) * self.step,
            test=len(folds) * self.step,
            gap=self.gap,
            train=self.window,
        )
        return own.model_copy(update={"fold": fold})

    def of_fit(self, base: Experiment, folds: range, series: str | None = None) -> Experiment:
        """The experiment of a fit, on all series or one."""
        split = self.split(base.split, folds).model_dump(mode="json", exclude_none=True)
        changes: dict[str, Any] = {"window.split": split}
        if series is not None:  # whose baselines nobody asks for
            changes |= {"ingest.series": [series], "evaluate.baselines": ["persistence"]}
        return Experiment(changed(base.asked, changes, "backtest"), base.card)


@dataclass(frozen=True)
class Calendar:
    """Where the folds of a backtest are in the rows of the series."""

    settings: Settings
    base: Experiment
    timeline: Timeline

    @property
    def borders(self) -> Borders:
        """Where each series begins and ends."""
        return self.timeline.borders

    def spans(self, folds: range) -> Spans:
        """The spans of a fit that serves these folds, in rows of the table."""
        return splits.of(self.settings.of_fit(self.base, folds), self.timeline)

    def origins(self, fold: int) -> Rows:
        """Every row from which all steps of a forecast lie in the fold, at any time of day."""
        span, horizon = self.spans(range(fold, fold + 1))["test"], self.base.params.window.horizon
        return np.asarray(scored_origins(span, horizon, self.borders.firsts))

    def tested(self, folds: range) -> list[tuple[int, str]]:
        """Number and name of the series that have room for a forecast in these folds."""
        rows = self.spans(folds)["test"]
        room = rows[:, 1] - rows[:, 0] >= self.base.params.window.horizon
        return [(i, name) for i, name in enumerate(self.borders.names) if room[i]]

    @cached_property
    def before(self) -> list[slice]:
        """The rows of each series before the first fold, by which scores are scaled."""
        ends = self.spans(range(1))["test"][:, 0]
        return [slice(*rows) for rows in zip(self.borders.firsts, ends, strict=True)]

    def times(self, fold: int) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """The first and last time of a fold; None where series have other times."""
        rows = self.spans(range(fold, fold + 1))["test"] - self.borders.firsts[:, None]
        held = np.flatnonzero(rows[:, 0] < rows[:, 1])
        first, last = (self.timeline.at(held, at) for at in (rows[held, 0], rows[held, 1] - 1))
        by_time = isinstance(self.base.split.test, str)  # if some series ends within the fold, too
        same = by_time or len(first.unique()) == len(last.unique()) == 1
        return (first.min(), last.max()) if same else None

    def check(self) -> None:
        """PipelineError where the folds, or what comes before the first, do not fit the series."""
        settings, window = self.settings, self.base.params.window
        needed = window.look_back + window.horizon
        first = self.spans(settings.fits[0])
        rows = int((first["train"][:, 1] - first["train"][:, 0]).max())
        if rows < needed:
            raise PipelineError(
                f"backtest: folds: expected so many folds of {settings.step:,} rows that at least "
                f"{needed:,} rows (window.look_back + window.horizon) are left to train on before "
                f"the first, found {settings.folds:,}, which leave {rows:,}{self._most(needed)}"
            )

    def _most(self, needed: int) -> str:
        """What to say of how many folds fit."""
        settings, own = self.settings, self.base.split
        whole = splits.in_series(own, self.timeline, self.base.card.time.timezone)
        between = sum(
            rows[:, 1] - rows[:, 0] for name, rows in whole.items() if name not in ("train", "test")
        )
        left = (whole["test"][:, 1] - between).max() - needed - settings.gap
        return (
            f"; at most {left // settings.step:,} fit" if left >= settings.step else "; none fits"
        )

    def check_origins(self, origins: Sequence[str]) -> None:
        """PipelineError of a time of day at which no series has rows, or no span of a fit has."""
        card, there = self.base.card, set[str]()
        for first, rows in zip(self.borders.firsts, self.borders.lengths, strict=True):
            there |= {*self._clock(first + np.arange(min(max(card.steps_a_day, 1), rows)))}
        if unknown := [one for one in origins if one not in there]:
            raise PipelineError(
                f"backtest: origins: expected times of day at which the series have rows "
                f"({min(there)} to {max(there)}{card.step.every}), found {unknown[0]}"
            )
        for number, folds in enumerate(self.settings.fits if origins else (), start=1):
            self._check_scored(number, folds, origins)

    def _check_scored(self, number: int, folds: range, origins: Sequence[str]) -> None:
        """PipelineError where a fit scores none at these times, or too few to make intervals."""
        spans, params = self.spans(folds), self.base.params
        method = Method(levels=params.evaluate.levels)
        for name in (name for name in spans if name != "train"):
            scored = scored_origins(spans[name], params.window.horizon, self.borders.firsts)
            least = method.least if name == splits.calibrates(spans) else 1
            days = least + 1  # however they begin, they have each time of day so often
            if not len(scored) or scored.counts.max() >= days * self.base.card.steps_a_day:
                continue
            clock = self._clock(np.asarray(scored))
            own, span = int(clock.isin(origins).sum()), f"the {name} span of fit {number}"
            if not own:
                raise PipelineError(
                    f"backtest: origins: expected times of day at which {span} has rows to "
                    f"forecast from ({clock[0]} to {clock[-1]}), found {', '.join(origins)}"
                )
            if own < least:
                raise PipelineError(
                    f"backtest: origins: {span}, at {', '.join(origins)}: "
                    f"{method.fault(self.base.targets[0], 1, own)}"
                )

    def _clock(self, rows: Rows) -> pd.Index:
        """The times of day of rows of the table."""
        number = self.borders.number(rows)
        times = self.timeline.at(number, rows - self.borders.firsts[number])
        clock = times if times.tz is None else times.tz_convert(self.base.card.time.timezone)
        return clock.strftime("%H:%M")

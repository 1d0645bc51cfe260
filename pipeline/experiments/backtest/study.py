"""A backtest: fit after fit, each with its folds; the files of the fits are the truth."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.experiment import Experiment
from pipeline.data import panel
from pipeline.data.windows import Rows
from pipeline.errors import PipelineError
from pipeline.evaluation import by_fold, by_series, metrics, scoring
from pipeline.evaluation.forecasts import MODEL, Bands, Floats, Forecasts, Made
from pipeline.evaluation.metrics import Metric
from pipeline.evaluation.scoring import Yardstick
from pipeline.experiments.backtest import fit as fits
from pipeline.experiments.backtest.fit import QUANTILE, ROW, UNCUT, Fit, Outcome
from pipeline.experiments.backtest.plan import Calendar, Settings
from pipeline.experiments.executors import Executor
from pipeline.experiments.shared import said_of, share
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting import drift

LOCAL = "local"  # who has a model of each series
SCORES, FORECASTS = "scores.json", "forecasts.parquet"


@dataclass
class Backtest:
    """What is tested, where, and how far it has come."""

    settings: Settings
    asked: Experiment  # as it is written
    project: Path  # absolute, as the directory
    directory: Path

    @cached_property
    def base(self) -> Experiment:
        """The experiment whose split the fits move through time."""
        return self.settings.experiment(self.asked)

    @property
    def layout(self) -> Layout:
        """Where the series are."""
        return Layout(self.directory / "series", self.project)

    @cached_property
    def calendar(self) -> Calendar:
        """Where the folds are; PipelineError of settings that do not fit the series."""
        self.settings.check(self.asked)
        layout = self.layout
        if not (layout.root / "data/ingested").is_symlink():
            shutil.rmtree(layout.root, ignore_errors=True)  # what a killed one left
            with redirect_stderr(StringIO()):
                share(self.base, layout, self.directory / "shared", ["ingested"])
        own = panel.read(layout.series, self.base.card, [])
        found = Calendar(self.settings, self.base, own.timeline(self.base.card))
        found.check_origins(self.settings.origins)
        found.check()
        return found

    @property
    def said(self) -> list[str]:
        """What the making of the series said."""
        place = (self.layout.root / "data/ingested").resolve()
        return said_of(place).read_text(encoding="utf-8").splitlines()

    @cached_property
    def fits(self) -> list[Fit]:
        """Those of all series, then, of each span, those of each series."""
        of = self.directory, self.project, self.base, self.settings
        spans = self.settings.fits
        own = [
            Fit(*of, number, series)
            for number, folds in enumerate(spans if self.settings.local else ())
            for series in self.calendar.tested(folds)
        ]
        return [*(Fit(*of, number) for number in range(len(spans))), *own]

    @property
    def waiting(self) -> list[Fit]:
        """The fits that have no result yet."""
        return [fit for fit in self.fits if not fit.file.exists()]

    @property
    def metric(self) -> Metric:
        """The one that decides."""
        return metrics.row("mse_scaled" if self.base.targets[1:] else "rmse")

    def run(
        self, executor: Executor, watch: Callable[[Fit, Outcome], None] = lambda *_: None
    ) -> None:
        """Run the fits that have no result yet; `watch` is called with each as it ends."""
        for fit, _ in executor.map(fits.run, self.waiting):
            watch(fit, fit.outcome())

    def collect(self) -> dict[str, Any]:
        """Write scores.json and forecasts.parquet of all fits together; the scores.

        Raises:
            PipelineError: a fit has no result yet.
        """
        if waiting := self.waiting:
            raise PipelineError(
                f"{self.directory}: expected the results of {len(self.fits)} fits, found "
                f"{len(self.fits) - len(waiting)}; the same command goes on"
            )
        table = self._read(fit for fit in self.fits if not fit.series)
        rolling = dict(self._rolling(table))
        folds = self._folds(table, rolling)
        own = [c for c in table if str(c).startswith((UNCUT, QUANTILE)) or c == ROW]
        shown = table.drop(columns=own)
        place = list(shown).index(_last_bound(shown)) + 1
        for level, bounds in reversed(rolling.items()):
            for side, bound in zip(("hi", "lo"), reversed(bounds), strict=True):
                shown.insert(place, f"rolling-{side}-{level:g}", bound.ravel())
        if self.settings.local:
            local = self._read(fit for fit in self.fits if fit.series)
            self._score_local(local, folds)
            shown.insert(place + 2 * len(rolling), LOCAL, local["forecast"].to_numpy())
        artifacts.write_frame(self.directory / FORECASTS, shown)
        parts = ("scores", "by_horizon", "by_target", "by_series", "rolling")
        both = {part: by_fold.over_folds(folds, part) for part in parts if part in folds[0]}
        scores: dict[str, Any] = {
            "settings": self.settings.model_dump(mode="json"),
            "folds": folds,
            "mean": {part: mean for part, (mean, _) in both.items()},
            "spread": {part: spread for part, (_, spread) in both.items()},
        }
        scores = scoring.rounded(scores)
        artifacts.write_json(self.directory / SCORES, scores)
        return scores

    def _read(self, of: Iterator[Fit]) -> pd.DataFrame:
        """What fits forecast, by series and origin."""
        name, borders, frames = self.base.card.series, self.calendar.borders, []
        for fit in of:
            frame = artifacts.read_frame(fit.table)
            frames.append(frame)
            if fit.series:  # whose rows are counted from its own first
                frame[ROW] += borders.firsts[fit.series[0]]
        if not name:
            return pd.concat(frames, ignore_index=True)
        kind = pd.CategoricalDtype(pd.Index(borders.names, dtype="str"))
        joined = pd.concat([f.assign(**{name: f[name].astype(kind)}) for f in frames])
        return joined.sort_values(ROW, kind="stable", ignore_index=True)

    def _array(self, table: pd.DataFrame, column: str) -> Floats:
        """A column as [N, H, K]."""
        shape = (-1, self.base.params.window.horizon, len(self.base.targets))
        return table[column].to_numpy(np.float64).reshape(shape)

    def _origins(self, table: pd.DataFrame) -> Rows:
        """[N] the rows of the origins."""
        each = self.base.params.window.horizon * len(self.base.targets)
        return table[ROW].to_numpy(np.int64)[::each]

    def _bands(self, table: pd.DataFrame, prefix: str) -> Bands:
        """Lower and upper bounds by level, of columns that begin so."""
        lows = [str(c) for c in table if str(c).startswith(f"{prefix}lo-")]
        return {
            float(low.rpartition("-")[2]): (
                self._array(table, low),
                self._array(table, low.replace("lo-", "hi-")),
            )
            for low in lows
        }

    def _rolling(self, table: pd.DataFrame) -> Iterator[tuple[float, tuple[Floats, Floats]]]:
        """The intervals of all folds, had each followed the errors that were known by then."""
        columns = self.base.card.columns
        bounds = (columns[name].minimum for name in self.base.targets)
        lowest = np.array([-np.inf if bound is None else bound for bound in bounds])
        seen, point = self._array(table, "observed"), self._array(table, "forecast")
        origins, uncut = self._origins(table), self._bands(table, UNCUT)
        number = self.calendar.borders.number(origins)
        parts = np.split(np.arange(len(origins)), np.flatnonzero(np.diff(number)) + 1)
        made = [
            drift.replay(
                {level: (low[at], high[at]) for level, (low, high) in uncut.items()},
                point[at], seen[at], origins[at], lowest,
            )
            for at in parts
        ]  # fmt: skip
        for level in uncut:
            low, high = (np.concatenate([one[level][side] for one in made]) for side in (0, 1))
            yield level, (low, high)

    def _folds(self, table: pd.DataFrame, rolling: Bands) -> list[dict[str, Any]]:
        """What the fits scored, and where each fold is."""
        scored = {
            int(fold): (fit.number + 1, tree)
            for fit in self.fits
            if not fit.series
            for fold, tree in fit.outcome().scores.items()
        }
        yardstick, _ = self._yardsticks()
        seen, point = self._array(table, "observed"), self._array(table, "forecast")
        parts, folds = self._parts(table), []
        names = [MODEL, *map(str, table)]  # in JSON they stand by the alphabet
        for fold, (number, tree) in sorted(scored.items()):
            at = parts[fold]
            bands = {level: (low[at], high[at]) for level, (low, high) in rolling.items()}
            own = scoring.pooled(seen[at], Made(point[at], bands), yardstick)
            times = self.calendar.times(fold)
            first, last = map(str, times) if times else (None, None)
            place = {"fold": fold + 1, "fit": number, "from": first, "to": last}
            ordered = {
                part: {name: of[name] for name in names if name in of} if part != "n" else of
                for part, of in tree.items()
            }
            folds.append(place | ordered | {"rolling": metrics.of_intervals(own)})
        return folds

    def _score_local(self, table: pd.DataFrame, folds: Sequence[dict[str, Any]]) -> None:
        """Put the scores of the models of each series beside those of the one of all."""
        quantiles = [str(column) for column in table if str(column).startswith(QUANTILE)]
        percents = {float(c.removeprefix(QUANTILE)): self._array(table, c) for c in quantiles}
        made = Made(self._array(table, "forecast"), self._bands(table, ""), percents)
        forecasts = Forecasts(
            self._origins(table),
            self._array(table, "observed"),
            {LOCAL: made.point},
            {LOCAL: made.around},
            self.calendar.borders,
        )
        yardstick, each = self._yardsticks()
        parts, targets = self._parts(table), self.base.targets
        found = scoring.rounded(by_fold.scores(forecasts, parts, targets, yardstick, each))
        for fold in folds:
            own = found[fold["fold"] - 1]
            if own["n"] != fold["n"]:
                raise PipelineError(
                    f"fold {fold['fold']}: expected {fold['n']:,} forecasts of models of one "
                    f"series, found {own['n']:,}"
                )
            for part, by in own.items():
                if part != "n":  # behind the model, before the baselines
                    fold[part] = {MODEL: fold[part][MODEL], **by, **fold[part]}

    def _parts(self, table: pd.DataFrame) -> dict[int, Rows]:
        """The positions of each fold's origins, by its number from 0."""
        each = self.base.params.window.horizon * len(self.base.targets)
        of = table["fold"].to_numpy()[::each] - 1
        return {fold: np.flatnonzero(of == fold) for fold in range(self.settings.folds)}

    def _yardsticks(self) -> tuple[Yardstick, dict[str, Yardstick]]:
        """Of all series together and of each by name: of their rows before the first fold."""
        targets = list(self.base.targets)
        frame = panel.read(self.layout.series, self.base.card, targets).frame[targets]
        before = [frame.iloc[rows] for rows in self.calendar.before]
        yardstick, each = by_series.yardsticks(before, self.base.card.season)
        return yardstick, dict(zip(self.calendar.borders.names, each, strict=True))


def _last_bound(table: pd.DataFrame) -> str:
    """The last column of intervals."""
    return [str(column) for column in table if str(column).startswith("hi-")][-1]

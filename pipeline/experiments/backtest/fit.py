"""One fit of a backtest: trained on its past, and what it forecasts of each fold that it serves."""

import io
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import checks
from pipeline.config.experiment import Experiment
from pipeline.data.windows import Rows
from pipeline.errors import PipelineError
from pipeline.evaluation import by_fold, by_series, predictions, scoring
from pipeline.evaluation.forecasts import MODEL, Forecasts
from pipeline.experiments.backtest.plan import Calendar, Settings
from pipeline.experiments.evaluate import Evaluation, evaluate
from pipeline.experiments.shared import RESULT, own_names, share
from pipeline.experiments.train import train
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.files.records import Record

# Columns that a fit keeps for the backtest alone: the origin's row, and how others begin.
ROW, UNCUT, QUANTILE = "row", "uncut-", "q-"
LEFT_OUT = "expected at least one observed value of a target, found none"


class Outcome(Record):
    """result.json: how a fit went."""

    sha256: dict[str, str]  # of what train wrote
    epochs: int
    scores: dict[str, Any]  # by fold, from 0; none of a local one
    said: tuple[str, ...] = ()
    seconds: float = 0


@dataclass(frozen=True)
class Fit:
    """What is run."""

    directory: Path  # of the backtest; absolute, as the project's
    project: Path
    base: Experiment
    settings: Settings
    number: int  # from 0
    series: tuple[int, str] | None = None  # number and name, of a local one

    @property
    def folds(self) -> range:
        """Those that it serves, from 0."""
        return self.settings.fits[self.number]

    @property
    def root(self) -> Path:
        """Where its files are."""
        own = f"series-{self.series[0]:05d}" if self.series else "all"
        return self.directory / "fits" / f"{self.number:04d}" / own

    @property
    def file(self) -> Path:
        """result.json: it is there once the fit has ended."""
        return self.root / RESULT

    @property
    def table(self) -> Path:
        """What it forecast."""
        return self.root / "forecasts.parquet"

    @property
    def layout(self) -> Layout:
        """The same places as in a project."""
        return Layout(self.root, self.project)

    @property
    def experiment(self) -> Experiment:
        """Its experiment."""
        return self.settings.of_fit(self.base, self.folds, self.series[1] if self.series else None)

    @property
    def title(self) -> str:
        """What it is called on screen, where folds count from 1."""
        first, last = self.folds.start + 1, self.folds.stop
        of = f"fold {first}" if first == last else f"folds {first} to {last}"
        return f"fit {self.number + 1} ({of}{f', series {self.series[1]}' if self.series else ''})"

    def outcome(self) -> Outcome:
        """How it ended."""
        return artifacts.read_json_record(self.file, Outcome)


def run(fit: Fit) -> Path:
    """Train, forecast and score; the result's file."""
    shutil.rmtree(fit.root, ignore_errors=True)  # what a killed one left
    began, said, layout = time.monotonic(), io.StringIO(), fit.layout
    try:
        with redirect_stderr(said):
            experiment = fit.experiment
            checks.check(experiment, layout)
            share(experiment, layout, fit.directory / "shared")
            train(experiment, layout)
            scores = _forecast(fit, evaluate(experiment, layout))
    except PipelineError as error:
        if isinstance(error.__cause__, OSError):  # a full disk
            raise
        raise PipelineError(f"{fit.title}: {own_names(str(error), layout)}") from None
    files = sorted(path for path in layout.model.rglob("*") if path.is_file())
    layout.predictions.unlink()  # of validation as well, which nobody reads
    outcome = Outcome(
        sha256={str(path.relative_to(layout.model)): artifacts.sha256(path) for path in files},
        epochs=len(layout.history.read_text(encoding="utf-8").splitlines()) - 1,
        scores=scores,
        said=tuple(own_names(line, layout) for line in said.getvalue().splitlines()),
        seconds=round(time.monotonic() - began, 2),
    )
    artifacts.write_json(fit.file, outcome.model_dump(mode="json"))
    return fit.file


def _forecast(fit: Fit, evaluation: Evaluation) -> dict[str, Any]:
    """Write what the fit forecasts of each fold; the scores."""
    series, test, targets = evaluation.series, evaluation.forecasts["test"], fit.base.targets
    when = Calendar(fit.settings, fit.base, series.timeline(fit.base.card))
    parts = {fold: np.flatnonzero(np.isin(test.origins, when.origins(fold))) for fold in fit.folds}
    for fold, at in parts.items():
        if np.isnan(test.observed[at]).all():
            raise PipelineError(f"fold {fold + 1}: {LEFT_OUT}")
    artifacts.write_frame(fit.table, _table(fit, evaluation, parts))
    if fit.series:  # its scores are of all series together
        return {}
    before = [series.frame[list(targets)].iloc[rows] for rows in when.before]
    yardstick, each = by_series.yardsticks(before, fit.base.card.season)
    of_each = dict(zip(series.borders.names, each, strict=True))
    scores = by_fold.scores(test.of(slice(None)), parts, targets, yardstick, of_each)
    return {str(fold): scoring.rounded(tree) for fold, tree in scores.items()}


def _table(fit: Fit, evaluation: Evaluation, parts: Mapping[int, Rows]) -> pd.DataFrame:
    """A row for each fold, origin, step and target.

    The origin's row, the model's intervals as they are and uncut, its quantiles, the forecasts of
    each baseline.
    """
    test, card = evaluation.forecasts["test"], fit.base.card
    at = np.concatenate([*parts.values()])
    of = np.repeat([*parts], [len(part) for part in parts.values()])
    own = test.of(at)
    made, times = own.made(MODEL), pd.DatetimeIndex(evaluation.series.frame.index)
    named = fit.base.targets, times, card.series or ""
    frame = predictions.table(own, made, *named, "test", ["test"])
    rows = own.observed.size // max(len(at), 1)  # of each origin
    frame = frame.drop(columns="span")
    frame.insert(int(bool(card.series)), "fold", (of + 1).repeat(rows).astype(np.int32))
    columns = {ROW: own.origins.repeat(rows), **dict(_columns(own))}
    columns |= {f"{QUANTILE}{p:g}": values.ravel() for p, values in made.quantiles.items()}
    return pd.concat([frame, pd.DataFrame(columns)], axis=1)


def _columns(own: Forecasts) -> Iterator[tuple[str, Any]]:
    for level, bounds in (own.uncut() if own.uncut else {}).items():
        for side, bound in zip(("lo", "hi"), bounds, strict=True):
            yield f"{UNCUT}{side}-{level:g}", bound.ravel()
    for name, values in own.by.items():
        if name != MODEL:
            yield name, values.ravel()

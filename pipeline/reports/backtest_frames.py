"""A backtest as tables for Python."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pipeline.evaluation.forecasts import MODEL
from pipeline.experiments.backtest.study import FORECASTS, Backtest
from pipeline.files import artifacts
from pipeline.reports import backtest_pictures, backtest_text


@dataclass(frozen=True)
class Tested:
    """What a backtest found."""

    backtest: Backtest
    tree: dict[str, Any]  # scores.json: every score by fold, step, target and series
    temporary: object = None  # the directory, if it goes with the result

    @property
    def scores(self) -> pd.DataFrame:
        """The mean scores over the folds, a row for the model and each beside it."""
        return pd.DataFrame(self.tree["mean"]["scores"]).T

    @property
    def spread(self) -> pd.DataFrame:
        """Their standard deviation over the folds."""
        return pd.DataFrame(self.tree["spread"]["scores"]).T

    @property
    def folds(self) -> pd.DataFrame:
        """The scores of each fold, a row for the model and each beside it."""
        rows = {
            (fold["fold"], name): {"fit": fold["fit"], "from": fold["from"], "to": fold["to"]}
            | scores
            | ({f"rolling_{k}": v for k, v in fold["rolling"].items()} if name == MODEL else {})
            for fold, name, scores in self._scored()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["fold", "by"])

    @property
    def steps(self) -> pd.DataFrame:
        """The mean scores of each step ahead, a row for the model and each beside it."""
        by = self.tree["mean"]["by_horizon"]
        rows = {(step, name): by[name][step] for name in by for step in by[name]}
        frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["step", "by"])
        return frame.sort_index(level="step", kind="stable", sort_remaining=False)

    @property
    def forecasts(self) -> pd.DataFrame:
        """Every scored forecast: fold, origin, time, step, target, forecast, bounds, observed."""
        return artifacts.read_frame(self.backtest.directory / FORECASTS)

    @property
    def notes(self) -> list[str]:
        """What was tested, how often the model is better, what intervals hold."""
        return [
            backtest_text.plan(self.backtest, self.tree),
            *backtest_text.notes(self.backtest, self.tree),
        ]

    @property
    def pictures(self) -> dict[str, Figure]:
        """Scores by fold, what intervals hold by fold, and error by step."""
        return backtest_pictures.draw(self.backtest, self.tree)

    def _scored(self) -> Iterator[tuple[dict[str, Any], str, dict[str, float]]]:
        for fold in self.tree["folds"]:
            for name, scores in fold["scores"].items():
                yield fold, name, scores

"""Where backtests are: data/backtests/NAME-DIGEST, the digest of all that decides them."""

from pathlib import Path
from typing import ClassVar

from pipeline.experiments import kept
from pipeline.experiments.backtest.plan import Settings
from pipeline.experiments.backtest.study import Backtest
from pipeline.files.records import parse


class Kept(kept.Kept):
    """backtest.json: what a backtest is of; the params are those of its base."""

    word: ClassVar[str] = "backtest"
    place: ClassVar[Path] = Path("data/backtests")

    def backtest(self, project: Path, directory: Path) -> Backtest:
        """The backtest, with whatever results it has."""
        settings = parse(self.settings, Settings, str(directory / self.file()))
        return Backtest(settings, self.base(directory), project.resolve(), directory.resolve())

"""Where searches are: data/searches/NAME-DIGEST, the digest of all that decides their trials."""

from pathlib import Path
from typing import ClassVar

from pipeline.experiments import kept
from pipeline.experiments.search.settings import Settings
from pipeline.experiments.search.study import Search
from pipeline.experiments.search.trial import Outcome
from pipeline.experiments.shared import RESULT
from pipeline.files import artifacts
from pipeline.files.records import parse

PLACE, KEPT = Path("data/searches"), "search.json"


class Kept(kept.Kept):
    """search.json: what a search is of; the params are those of trial 0."""

    word: ClassVar[str] = "search"
    place: ClassVar[Path] = PLACE
    free: ClassVar[frozenset[str]] = frozenset({"trials"})  # more of them go on
    libraries: ClassVar[tuple[str, ...]] = ("optuna",)

    def search(self, project: Path, directory: Path) -> Search:
        """The search, without its results."""
        settings = parse(self.settings, Settings, str(directory / KEPT))
        return Search(settings, self.base(directory), project.resolve(), directory.resolve())


def begin(name: str, kept: Kept, project: Path) -> tuple[Path, list[str]]:
    """The directory of a search, made if need be; what is new since the newest of its name."""
    return kept.begin(name, project)


read, known, find, held, delete = Kept.read, Kept.known, Kept.find, Kept.held, Kept.delete


def outcomes(directory: Path) -> list[Outcome]:
    """Every result that there is."""
    files = sorted(directory.glob(f"trials/*/*/{RESULT}"))
    return [artifacts.read_json_record(file, Outcome) for file in files]

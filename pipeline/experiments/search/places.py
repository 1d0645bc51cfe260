"""Where searches are: data/searches/NAME-DIGEST, the digest of all that decides their trials."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pipeline
from pipeline.config.cards import Card
from pipeline.config.experiment import Experiment
from pipeline.config.params import Params
from pipeline.config.reading import raw_table
from pipeline.errors import PipelineError
from pipeline.experiments.search.settings import Settings
from pipeline.experiments.search.study import Search
from pipeline.experiments.search.trial import RESULT, Outcome
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.files.records import Record, parse
from pipeline.runtime import determinism

PLACE, KEPT = Path("data/searches"), "search.json"
# What changes no trial: what only calls or watches the rest, and a card's prose.
IDLE = {"api.py", "commands", "lstm", "reports", "reproduction", "stages", "tracking"}
PROSE = {"title", "source", "attribution", "licence", "fetch"}
CODE = Path(pipeline.__file__).parent


class Kept(Record):
    """search.json: what a search is of."""

    settings: dict[str, Any]
    params: dict[str, Any]  # of trial 0
    card: dict[str, Any]
    data: str  # one sha256 of the raw table and the holidays
    code: str  # and of the modules that make a trial
    versions: dict[str, str]

    @classmethod
    def of(cls, settings: Settings, base: Experiment, layout: Layout) -> "Kept":
        """What a search would be of now."""
        raw_table(base, layout)  # which may be several files, of a pattern
        raw = (p for p in sorted((layout.raw / base.dataset).rglob("*")) if p.is_file())
        files = (p for p in sorted(CODE.rglob("*.py")) if p.relative_to(CODE).parts[0] not in IDLE)
        return cls(
            settings=settings.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            params=base.asked.model_dump(mode="json"),
            card=base.card.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            data=_digest(*raw, *sorted(layout.holidays.glob("*.json"))),
            code=_digest(*files),
            versions=determinism.libraries() | {"optuna": version("optuna")},
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What decides which trials there are; how many of them is not among it."""
        tree = self.model_dump(mode="json")
        tree["settings"] = {k: v for k, v in tree["settings"].items() if k != "trials"}
        tree["card"] = {k: v for k, v in tree["card"].items() if k not in PROSE}
        return tree

    def search(self, project: Path, directory: Path) -> Search:
        """The search, without its results."""
        where = str(directory / KEPT)
        base = Experiment(parse(self.params, Params, where), parse(self.card, Card, where))
        settings = parse(self.settings, Settings, where)
        return Search(settings, base, project.resolve(), directory.resolve())


def begin(name: str, kept: Kept, project: Path) -> tuple[Path, list[str]]:
    """The directory of a search, made if need be; what is new since the newest of its name."""
    digest = artifacts.checksum(kept.identity)[:8]
    directory = project / PLACE / f"{name}-{digest}"
    others = [other for other in known(project) if other.name.rpartition("-")[0] == name]
    new: list[str] = []
    if others and directory not in others:
        before, now = read(others[0]).identity, kept.identity
        new = [f"since {others[0].name}: {one}" for one in now if now[one] != before.get(one)]
    # In the order of the files: that of a card's columns is that of a network's inputs.
    text = json.dumps(kept.model_dump(mode="json"), indent=2, ensure_ascii=False)
    artifacts.write_text(directory / KEPT, f"{text}\n")
    return directory, new


def read(directory: Path) -> Kept:
    """What a search is of."""
    return artifacts.read_json_record(directory / KEPT, Kept)


def known(project: Path) -> list[Path]:
    """The directories of all searches, the newest first."""
    found = (project / PLACE).glob(f"*/{KEPT}")
    return [file.parent for file in sorted(found, key=lambda f: f.stat().st_mtime, reverse=True)]


def find(name: str, project: Path) -> Path:
    """The directory of a search by its name; PipelineError lists those there are."""
    directories = {one.name: one for one in known(project)}
    if name not in directories:
        listed = ", ".join(directories) or "none"
        raise PipelineError(f"{project / PLACE}: expected a search ({listed}), found {name}")
    return directories[name]


def outcomes(directory: Path) -> list[Outcome]:
    """Every result that there is."""
    files = sorted(directory.glob(f"trials/*/*/{RESULT}"))
    return [artifacts.read_json_record(file, Outcome) for file in files]


def _digest(*files: Path) -> str:
    return artifacts.checksum([artifacts.sha256(file) for file in files])


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Nobody else runs or deletes the search meanwhile; PipelineError if somebody does."""
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PipelineError(f"{directory}: another process runs this search") from None
        yield


def delete(directory: Path) -> None:
    """Remove a search with all its trials."""
    with held(directory):
        shutil.rmtree(directory)

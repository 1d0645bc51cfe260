"""Directories that keep what runs long, NAME-DIGEST, the digest of all that decides it.

So the same command goes on where it was stopped, and with anything changed begins anew.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self

import pipeline
from pipeline.config.cards import Card
from pipeline.config.experiment import Experiment
from pipeline.config.params import Params
from pipeline.config.reading import raw_table
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.files.records import Record, parse
from pipeline.runtime import determinism

# What changes no result: what only calls or watches the rest, and a card's prose.
IDLE = {"api.py", "commands", "lstm", "reports", "reproduction", "stages", "tracking"}
PROSE = {"title", "source", "attribution", "licence", "fetch"}
CODE = Path(pipeline.__file__).parent


class Kept(Record):
    """WORD.json: what a directory is of."""

    word: ClassVar[str]  # what it keeps
    place: ClassVar[Path]  # where, from the project on
    free: ClassVar[frozenset[str]] = frozenset()  # settings that change no result
    libraries: ClassVar[tuple[str, ...]] = ()  # beside those that make any model

    settings: dict[str, Any]
    params: dict[str, Any]  # of the experiment that it begins with
    card: dict[str, Any]
    data: str  # one sha256 of the raw table and the holidays
    code: str  # and of the modules that make a result
    versions: dict[str, str]

    @classmethod
    def of(cls, settings: Record, base: Experiment, layout: Layout) -> Self:
        """What it would be of now."""
        raw_table(base, layout)  # which may be several files, of a pattern
        raw = (p for p in sorted((layout.raw / base.dataset).rglob("*")) if p.is_file())
        files = (p for p in sorted(CODE.rglob("*.py")) if p.relative_to(CODE).parts[0] not in IDLE)
        return cls(
            settings=settings.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            params=base.asked.model_dump(mode="json"),
            card=base.card.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            data=_digest(*raw, *sorted(layout.holidays.glob("*.json"))),
            code=_digest(*files),
            versions=determinism.libraries() | {name: version(name) for name in cls.libraries},
        )

    @classmethod
    def file(cls) -> str:
        """Its file's name in the directory."""
        return f"{cls.word}.json"

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the results."""
        tree = self.model_dump(mode="json")
        tree["settings"] = {k: v for k, v in tree["settings"].items() if k not in self.free}
        tree["card"] = {k: v for k, v in tree["card"].items() if k not in PROSE}
        return tree

    def base(self, directory: Path) -> Experiment:
        """The experiment that it begins with."""
        where = str(directory / self.file())
        return Experiment(parse(self.params, Params, where), parse(self.card, Card, where))

    def begin(self, name: str, project: Path) -> tuple[Path, list[str]]:
        """Its directory, made if need be; what is new since the newest of its name."""
        digest = artifacts.checksum(self.identity)[:8]
        directory = project / self.place / f"{name}-{digest}"
        others = [one for one in self.known(project) if one.name.rpartition("-")[0] == name]
        new: list[str] = []
        if others and directory not in others:
            before, now = self.read(others[0]).identity, self.identity
            new = [f"since {others[0].name}: {one}" for one in now if now[one] != before.get(one)]
        # In the order of the files: that of a card's columns is that of a network's inputs.
        text = json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False)
        artifacts.write_text(directory / self.file(), f"{text}\n")
        return directory, new

    @classmethod
    def read(cls, directory: Path) -> Self:
        """What a directory is of."""
        return artifacts.read_json_record(directory / cls.file(), cls)

    @classmethod
    def known(cls, project: Path) -> list[Path]:
        """All directories, the newest first."""
        found = (project / cls.place).glob(f"*/{cls.file()}")
        return [f.parent for f in sorted(found, key=lambda f: f.stat().st_mtime, reverse=True)]

    @classmethod
    def find(cls, name: str, project: Path) -> Path:
        """The directory of this name; PipelineError lists those there are."""
        directories = {one.name: one for one in cls.known(project)}
        if name not in directories:
            listed = ", ".join(directories) or "none"
            raise PipelineError(
                f"{project / cls.place}: expected a {cls.word} ({listed}), found {name}"
            )
        return directories[name]

    @classmethod
    @contextmanager
    def held(cls, directory: Path) -> Iterator[None]:
        """Nobody else runs or deletes it meanwhile; PipelineError if somebody does."""
        with (directory / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise PipelineError(f"{directory}: another process runs this {cls.word}") from None
            yield

    @classmethod
    def delete(cls, directory: Path) -> None:
        """Remove it with all its results."""
        with cls.held(directory):
            shutil.rmtree(directory)


def _digest(*files: Path) -> str:
    return artifacts.checksum([artifacts.sha256(file) for file in files])

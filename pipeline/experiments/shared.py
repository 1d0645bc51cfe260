"""What many experiments share, each in a directory of its own: made once, linked by the others."""

import fcntl
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from pipeline.config.experiment import Experiment
from pipeline.experiments.impute_scale import impute_scale
from pipeline.experiments.ingest import ingest
from pipeline.experiments.window import window
from pipeline.files import artifacts
from pipeline.files.layout import Layout

# What is shared: the step that makes it, and the parameters that decide it, as in dvc.yaml.
SHARED = {
    "ingested": (ingest, ("ingest",)),
    "prepared": (impute_scale, ("ingest", "impute_scale", "window.split")),
    "windows": (window, ("ingest", "impute_scale", "window", "evaluate.levels")),
}
RESULT = "result.json"  # of each experiment, there once it has ended


def share(
    experiment: Experiment, layout: Layout, shared: Path, names: Iterable[str] = SHARED
) -> None:
    """Link data/ingested, data/prepared and data/windows, each made once for its parameters.

    What the making says is kept beside, for whoever shows it.
    """
    flat = experiment.params.flat()
    for name in names:
        step, sections = SHARED[name]
        decides = {
            k: v for k, v in flat.items() if any(f"{k}.".startswith(f"{s}.") for s in sections)
        }
        if name == "windows":  # by what the model takes as well: what is checked, and what is said
            decides["known_ahead"] = list(experiment.known_ahead)
            decides["takes"] = sorted(experiment.params.train.model.takes)
        place = shared / name / artifacts.checksum(decides)[:12]
        own = layout.root / "data" / name
        with _locked(place.with_suffix(".lock")):
            if not place.exists():
                said = io.StringIO()
                with redirect_stderr(said):
                    step(experiment, layout)
                artifacts.write_text(said_of(place), own_names(said.getvalue(), layout))
                own.rename(place)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.symlink_to(os.path.relpath(place, own.parent), target_is_directory=True)


def said_of(place: Path) -> Path:
    """What the making of something shared said."""
    return place.with_suffix(".txt")


def shared_said(root: Path) -> list[str]:
    """What the making of what an experiment below this root shares said."""
    data = root / "data"
    texts = (said_of((data / name).resolve()) for name in SHARED if (data / name).is_symlink())
    return [line for text in texts for line in text.read_text(encoding="utf-8").splitlines()]


def own_names(text: str, layout: Layout) -> str:
    """A message that names the files as they are called in a project."""
    return text.replace(f"{layout.root}/", "").replace(f"{layout.project}/", "")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; a lock goes with whoever holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

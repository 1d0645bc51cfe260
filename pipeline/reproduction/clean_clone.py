"""A clone of the committed state, in which the pipeline runs with nothing remembered."""

import shutil
from pathlib import Path

from pipeline.files.layout import HERE
from pipeline.repository import dvc, git
from pipeline.runtime.progress import say


def make(directory: Path) -> Path:
    """Clone HEAD of the repository in the working directory; DVC's cache there is empty.

    A raw table that is not in Git is copied from the working directory: ingest verifies it.
    """
    source = Path.cwd()
    if git.run(source, "status", "--porcelain", "--untracked-files=no"):
        say("note: changes that are not committed are left out")
    git.run(source, "clone", "--quiet", "--no-checkout", str(source), str(directory))
    git.run(directory, "checkout", "--quiet", "--detach", git.run(source, "rev-parse", "HEAD"))
    for folder in HERE.raw.glob("*/"):
        if not (directory / folder).exists():
            shutil.copytree(folder, directory / folder)
    dvc.run(directory, "config", "--local", "cache.dir", f"{directory}.cache")
    return directory

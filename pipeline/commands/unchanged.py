"""Say whether anything has changed since DVC found everything up to date.

Asking DVC takes seconds. If something has, the exit code is 1 and what `make` remembers is written.
Marks of change are compared for being the same, not the later: clocks are set.
"""

import argparse
import os
import sys
from pathlib import Path

from pipeline.runtime import determinism

WATCHED = (".dvc/config", ".dvcignore", "data", "dvc.lock", "dvc.yaml", "params.yaml", "pipeline")
MARK = Path(".dvc/tmp/asked")


def state() -> str:
    """A line for each library and each watched file: path, number, size, marks of change."""
    # Path.rglob does not follow a link to a directory.
    walked = (place for top in WATCHED for place in os.walk(top, followlinks=True))
    found = (Path(folder, name) for folder, _, names in walked for name in names)
    lines = [f"{name} {version}" for name, version in determinism.libraries().items()]
    for file in sorted([*map(Path, WATCHED), *found]):
        if file.is_file() and "__pycache__" not in file.parts:
            at = file.stat()
            lines.append(f"{file} {at.st_ino} {at.st_size} {at.st_mtime_ns} {at.st_ctime_ns}")
    return "\n".join(lines)


def main() -> None:
    """Say that nothing has changed, or write down what there is now and end with exit code 1."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    now = state()
    if MARK.exists() and MARK.read_text(encoding="utf-8", errors="surrogateescape") == now:
        print("Nothing has changed since DVC found everything up to date.")
        return
    MARK.parent.mkdir(parents=True, exist_ok=True)
    MARK.with_name("asked.now").write_text(now, encoding="utf-8", errors="surrogateescape")
    sys.exit(1)

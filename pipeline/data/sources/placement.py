"""Where a table of one's own lies: in a directory of its own, data/raw/NAME."""

import re
import shlex
from pathlib import Path

from pipeline.config.reading import moved
from pipeline.data.panel import listed
from pipeline.data.sources import reading
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE, matching, require


def in_place(table: Path) -> Path:
    """The table as data/raw/NAME/FILE; PipelineError with what puts it there."""
    table = _all_in(table) if table.is_dir() else table
    require(table, "expected the data set's table here")
    kind, known = reading.kind(table.name), (*reading.TEXT, *reading.BLOCKS, ".zip")
    if kind not in known:
        raise PipelineError(
            f"{table}: expected a table ({', '.join(known)}, or one of them with .gz), found "
            f"{kind or 'no'} suffix"
        )
    folder, raw = table.absolute().parent, HERE.raw.resolve()
    inside = folder.parent.resolve() == raw
    several = matching(table) != [table]
    own = folder.name if inside or several else table.name[: table.name.lower().rindex(kind)]
    name = re.sub(r"[^\w-]+", "_", own).strip("_") or "mine"
    place = HERE.raw_table(name, name + table.name[table.name.lower().rindex(kind) :])
    if inside and re.fullmatch(r"[\w-]+", folder.name):
        return HERE.raw_table(folder.name, table.name)
    what = " ".join(shlex.quote(str(file)) for file in matching(table))
    copied = f"mkdir -p {place.parent} && cp {what} {place.parent if several else place}"
    raise PipelineError(
        f"{table}: expected the table in a directory of its own, data/raw/NAME, the name of "
        f"letters, digits, _ and -: {moved(table, place) if folder.resolve() == raw else copied}"
    )


def _all_in(folder: Path) -> Path:
    """The table in a directory: its file, or a pattern that all its files match."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name[0] != "."]
    if len(files) == 1:
        return files[0]
    gz = {".gz" * (file.suffix == ".gz") for file in files}
    if len(kinds := {reading.kind(file.name) for file in files}) == len(gz) == 1:
        return folder / f"*{kinds.pop()}{gz.pop()}"
    found = listed([file.name for file in files]) or "none"
    raise PipelineError(
        f"{folder}: expected a table, or files of one form, found {found}; name the table, or a "
        "pattern in quotes, such as 'load-*.csv'"
    )

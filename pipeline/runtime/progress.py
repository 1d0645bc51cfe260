"""How far a long command has come, as a bar on the terminal; nothing in a pipe or a log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

REFRESH = 4  # times a second, of some milliseconds each: an epoch may take as long


@contextmanager
def progress(unit: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar of so many units; what it yields counts one more, and says something of it."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.completed}/{task.total} {task.description}"),
        BarColumn(bar_width=None),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[said]}", markup=False),
    )
    hidden = not (console.is_terminal and total)
    with Progress(*columns, console=console, refresh_per_second=REFRESH, disable=hidden) as bar:
        task = bar.add_task(unit, total=total, said="")
        yield lambda said: bar.update(task, advance=1, said=said)


def say(line: str) -> None:
    """Print a line that is no result: to standard error."""
    print(line, file=sys.stderr)

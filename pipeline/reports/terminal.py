"""Tables on the terminal, with names as they are: neither brackets nor colons are markup."""

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def table(title: str | None = None) -> Table:
    """An empty table in the house style."""
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def show(*parts: Table | str, width: int = 120) -> None:
    """Tables and lines below them, as wide as the terminal; `width` in a file or a pipe."""
    wide = None if sys.stdout.isatty() else width
    console = Console(width=wide, highlight=False, markup=False, emoji=False)
    for part in parts:
        console.print(part)

"""What tests ask of processes that may end at any moment."""

from contextlib import suppress

import psutil


def words(process: psutil.Process) -> list[str]:
    """The words of its command line; none once it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def kill(process: psutil.Process) -> None:
    """kill -9, unless it has ended."""
    with suppress(psutil.NoSuchProcess):
        process.kill()


def below(process: psutil.Process, text: str) -> list[psutil.Process]:
    """All that it has started, and what those have, with this text in the command line."""
    return [one for one in process.children(recursive=True) if text in " ".join(words(one))]

"""Git: what it answers about the repository."""

import os
import subprocess
from pathlib import Path

from pipeline.errors import PipelineError


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What Git answers, in English, or why it does not: it may not be there at all."""
    command, env = ["git", *arguments], os.environ | {"LC_ALL": "C"}
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    except OSError as error:
        reason = f"git: {os.strerror(error.errno or 0)}; is it installed and on PATH?"
        return subprocess.CompletedProcess(command, 127, "", reason)


def run(directory: Path, *arguments: str) -> str:
    """What Git says in a directory; PipelineError with its last words."""
    done = ask("-C", str(directory), *arguments)
    if done.returncode:
        raise PipelineError(f"git {arguments[0]}: {last_words(done)}")
    return done.stdout.strip()


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of what a command says went wrong, or its exit code."""
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]

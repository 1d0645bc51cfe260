"""The bar of a long command, on a terminal and in a pipe."""

import os
import subprocess
import sys

from tests.toys import ROOT

CODE = """
from pipeline.runtime.progress import progress

with progress("epochs", 3) as tell:
    tell("loss 0.5, [validation] 0.25, rate 0.01")
    raise SystemExit("error: the fit ended")
"""
COMMAND = [sys.executable, "-c", CODE]


def test_a_bar_tells_of_its_last_unit_on_a_terminal() -> None:
    """80 columns have room for count and losses; an error leaves the cursor as it was."""
    ours, theirs = os.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    subprocess.run(COMMAND, cwd=ROOT, env=env, stderr=theirs, check=False)
    os.close(theirs)
    said = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "1/3 epochs" in said
    assert "loss 0.5, [validation] 0.25, rate 0.01" in said
    assert "error: the fit ended" in said
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")  # shown again after it was hidden


def test_a_bar_is_quiet_in_a_pipe() -> None:
    """A log has what the command says, and no bar."""
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "error: the fit ended\n")

"""Where a run comes from: its commit, what DVC calls it, and the process that makes it."""

import os
import socket
import subprocess

import psutil

from pipeline import paths

PROCESS = "pipeline.process"
DRIFT = 2  # seconds by which a process' start may seem to move when the clock is set


def tags(dataset: str) -> dict[str, str]:
    """Commit, whether what makes a run of the data set differs, what DVC says, and the process."""
    tags = {
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": "dvc repro",
        PROCESS: process(),
    }
    commit = git("rev-parse", "HEAD")
    if commit.returncode == 0:
        # params.yaml, dvc.lock and outputs are changed by DVC as it works, so they do not count.
        makers = ("pipeline", str(paths.card(dataset)), "dvc.yaml", "requirements.lock")
        changes = git("status", "--porcelain", "--", *makers)
        tags["mlflow.source.git.commit"] = tags["git.commit"] = commit.stdout.strip()
        tags["git.dirty"] = str(bool(changes.stdout.strip())).lower()
    for name, variable in (("dvc.stage", "DVC_STAGE"), ("dvc.experiment", "DVC_EXP_NAME")):
        if value := os.environ.get(variable):
            tags[name] = value
    return tags


def process() -> str:
    """This process, so that a later one can tell whether it is gone: host, number, start."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.0f}"


def gone(process: str) -> bool:
    """Whether a process of this host has ended; one of another host is taken to run on."""
    host, _, rest = process.partition(" ")
    if host != socket.gethostname():
        return False
    number, start = rest.split()
    try:
        return abs(psutil.Process(int(number)).create_time() - float(start)) > DRIFT
    except psutil.NoSuchProcess:
        return True


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What Git answers, or why it does not."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)

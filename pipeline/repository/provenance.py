"""Where a run comes from: its commit, what DVC calls it, and the process that makes it."""

import os
import re
import socket
import sys
from collections.abc import Mapping
from functools import cache

import psutil

from pipeline.files.layout import HERE
from pipeline.repository import git

PROCESS = "pipeline.process"
# Of the code that trained; of the code that scored they stand behind SCORED.
COMMIT, DIRTY, SCORED = "git.commit", "git.dirty", "scores."
ENVIRONMENT = "pipeline.environment"
SOURCE = "mlflow.source.git.commit"  # where MLflow looks for the commit
SHADOWS = (":(glob)*.py", ":(glob)*/__init__.py")  # Python takes them before a library so named
UNSEEN = re.compile("^[a-zS] ", re.MULTILINE)  # files whose changes Git was told to pass by
EXPERIMENT = "DVC_EXP_NAME"  # how DVC tells a stage which experiment it runs
DRIFT = 2  # seconds by which a process' start may seem to move when the clock is set


def tags(dataset: str) -> dict[str, str]:
    """Commit, whether what makes a run of the data set differs, what DVC says, and the process."""
    tags = {"mlflow.source.type": "PROJECT", "mlflow.source.name": "dvc repro", PROCESS: process()}
    # params.yaml, dvc.lock and outputs are changed by DVC as it works, so they do not count.
    raw = str(HERE.raw / dataset)
    data = (str(HERE.card(dataset)), str(HERE.holidays), raw, f"{raw}.dvc")
    makers = ("pipeline", *data, str(HERE.versions), "dvc.yaml", "requirements.lock", *SHADOWS)
    commit, changes, files = (
        git.ask("rev-parse", "--verify", "HEAD"),
        git.ask("status", "--porcelain", "--untracked-files=all", "--", *makers),
        git.ask("ls-files", "-v", "--", *makers),
    )
    if commit.returncode == 0:
        tags[SOURCE] = tags[COMMIT] = commit.stdout.strip()
        dirty = str(bool(changes.stdout.strip() or UNSEEN.search(files.stdout))).lower()
        tags[DIRTY] = "unknown" if changes.returncode else dirty
    if failed := next((answer for answer in (changes, commit) if answer.returncode), None):
        _warn(next((line for line in failed.stderr.splitlines() if "fatal" in line), failed.stderr))
    for name, variable in (("dvc.stage", "DVC_STAGE"), ("dvc.experiment", EXPERIMENT)):
        if value := os.environ.get(variable):
            tags[name] = value
    return tags


def experiment() -> str | None:
    """The newest DVC experiment that has the results in dvc.lock, if there is one."""
    refs = ("--sort=-committerdate", "--format=%(refname)", "refs/exps/??/*/*")
    for ref in git.ask("for-each-ref", *refs).stdout.split():
        if git.ask("diff", "--quiet", ref, "--", "dvc.lock").returncode == 0:
            return ref.rpartition("/")[2]
    return None


def of_scores(tags: Mapping[str, str]) -> dict[str, str]:
    """Commit, whether code differs from it, and environment, as tags of what this code scores."""
    return {SCORED + key: tags[key] for key in (COMMIT, DIRTY, ENVIRONMENT) if key in tags}


def clean(tags: Mapping[str, str]) -> bool:
    """Whether the code that trained a run and the code that scored it were committed."""
    return tags.get(DIRTY) == tags.get(SCORED + DIRTY) == "false"


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


@cache
def _warn(reason: str) -> None:
    """Say once that the commit of a run's code is unknown, why, and what to do about it."""
    remedies = {
        "not a git repository": "; make one with: git init && git add -A && git commit -m Start",
        "index file": "; fix it with: rm .git/index && git reset",
        "dubious ownership": '; allow it: git config --global --add safe.directory "$PWD"',
        "single revision": "; commit first: git add -A && git commit -m Start",
    }
    remedy = next((remedy for words, remedy in remedies.items() if words in reason), "")
    unknown = "the state of Git is unknown, so the run cannot be promoted"
    print(f"warning: {unknown}: {reason}{remedy}", file=sys.stderr)

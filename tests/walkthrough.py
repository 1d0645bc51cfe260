"""The walk-through: from six experiments to a model in use, with its real output and screenshots.

`python -m tests.walkthrough` runs it in a clone of its own and writes docs/walkthrough.md and
docs/images/. It takes some ten minutes.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mlflow
import requests

from tests import browser as pages
from tests.full_repository import ROOT, environment, make
from tests.serving import free_port, serving

IMAGES = ROOT / "docs/images"
MODELS = {"large": "[50,50]", "small": "[4]"}
SEEDS = (1, 2, 3)
EPOCHS = 8  # with them the larger model beats ridge on validation, and the smaller one does not
# What tells nothing: warnings about a tree that is new, MLflow's start-up.
NOISE = re.compile(r"WARNING|INFO|^Generating|^Updating|^\s*$|Waiting|warn")


class Walk:
    """A clone in which commands are run, and the page that tells of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = make(directory)
        self.page: list[str] = []
        self.store = f"sqlite:///{self.directory}/mlflow.db"
        self.started = time.monotonic()

    def tell(self, text: str) -> None:
        """Prose."""
        self.page.append(text)

    def run(self, command: str, status: int = 0, keep: int = 40) -> str:
        """A command, with what it printed."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=environment() | {"MLFLOW_TRACKING_URI": self.store, "PAGER": "cat"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        print(f"$ {command}\n{done.stdout}", flush=True)
        if done.returncode != status:
            sys.exit(f"walkthrough: {command}: exit code {done.returncode}, expected {status}")
        lines = [line.rstrip() for line in done.stdout.splitlines() if not NOISE.search(line)]
        shown = "\n".join(lines[-keep:]).replace(str(self.directory), "/home/ada/forecasts")
        self.page.append(f"```console\n$ {command}\n{shown}\n```")
        return done.stdout

    def picture(self, window: pages.webdriver.Chrome, name: str, text: str) -> None:
        """A screenshot."""
        window.save_screenshot(str(IMAGES / f"{name}.png"))
        self.page.append(f"![{text}](images/{name}.png)")


def experiments(walk: Walk) -> None:
    """Two models, three seeds."""
    walk.tell(
        f"## Six experiments\n\nTwo networks by themselves with three seeds each, for {EPOCHS} "
        "epochs to keep it short. The first command and the end of its output:"
    )
    for model, units in MODELS.items():
        for seed in SEEDS:
            command = (
                f"dvc exp run -n {model}-{seed} -S train.seed={seed} "
                f"-S 'train.model.units={units}' -S train.epochs={EPOCHS} -S 'train.mix=[]'"
            )
            walk.run(command, keep=12)
            if (model, seed) != ("large", 1):
                walk.page.pop()
    walk.tell("The other five differ in `train.seed` and `train.model.units`.")


def compare(walk: Walk) -> list[mlflow.entities.Run]:
    """The table, its page, and the UI's own views."""
    walk.tell("## Which is best\n\nRuns that differ only in their seed share a row.")
    walk.run("make -s --old-file=setup compare")
    client = mlflow.MlflowClient(walk.store)
    found = client.get_experiment_by_name("beijing_pm25")
    assert found is not None
    runs = client.search_runs([found.experiment_id], order_by=["metrics.`validation/rmse`"])
    port = free_port()
    command = ["mlflow", "ui", "--backend-store-uri", walk.store, "--workers", "1"]
    ui = f"http://127.0.0.1:{port}"
    log = walk.directory.parent / "ui.log"
    with (
        serving([*command, "--port", str(port)], f"{ui}/health", log),
        pages.chromium() as window,
    ):
        window.get(f"file://{walk.directory}/comparison.html")
        walk.picture(window, "comparison", "comparison.html: the table and the loss curves")
        walk.tell(
            "`make ui` shows the same runs. The link *Runs, best first* at the top of the "
            "experiment opens this table:"
        )
        cell = str(runs[0].data.metrics["test/rmse"])[:5]
        pages.run_table(window, ui, found.experiment_id, cell)
        walk.picture(window, "run-table", "the run table, sorted by validation RMSE")
        walk.tell("These are its charts:")
        pages.charts(window, ui, found.experiment_id)
        walk.picture(window, "charts", "the chart view, metrics in groups")
        walk.tell("This is its compare page:")
        ids = [run.info.run_id for run in runs]
        pages.comparison(window, ui, found.experiment_id, ids)
        walk.picture(window, "compare", "the compare page, parameters against scores")
        walk.tell("Each run has its report as a single page that contains the pictures:")
        window.get(f"file://{client.download_artifacts(ids[0], 'report/report.html')}")
        walk.picture(window, "report", "the top of a run's report")
    return list(runs)


def promote(walk: Walk, runs: list[mlflow.entities.Run]) -> None:
    """Refused, a baseline accepted, a better run accepted, rolled back, and back again."""
    best, worst = (runs[i].info.run_id[:8] for i in (0, -1))
    walk.tell(
        "## The champion\n\nPromotion decides by the validation span. A run that loses to a "
        "baseline there is refused, with a non-zero exit code."
    )
    said = walk.run(f"make -s --old-file=setup promote RUN={worst}", status=2)
    walk.tell("The error gives a command that trains the baseline as a model, to promote instead:")
    command = said.partition("ridge is a model too: ")[2].partition("\n")[0]
    walk.run(command.replace("exp run", "exp run -n ridge"), keep=12)
    walk.run("make -s --old-file=setup promote RUN=ridge")
    walk.tell("A better run replaces it.")
    walk.run(f"make -s --old-file=setup promote RUN={best}")
    walk.tell("Go back to the previous champion, try a promotion without making it, then make it:")
    walk.run("make -s --old-file=setup rollback")
    walk.run(f"make -s --old-file=setup promote RUN={best} DRY=--dry-run")
    walk.run(f"make -s --old-file=setup promote RUN={best}")


def forecast(walk: Walk) -> None:
    """By file and by HTTP."""
    walk.tell("## A forecast from a file\n\nThe input is raw rows, gaps included: the last 60.")
    walk.run("raw=data/raw/beijing_pm25/beijing_pm25.csv; (head -1 $raw; tail -60 $raw) > new.csv")
    walk.run(
        "python -m pipeline predict --model models:/beijing_pm25@champion "
        "--input new.csv --output forecast.csv && head -4 forecast.csv"
    )
    walk.tell("If rows are missing, the error says how many are needed.")
    walk.run(
        "head -6 new.csv > short.csv; python -m pipeline predict "
        "--model models:/beijing_pm25@champion --input short.csv --output forecast.csv",
        status=1,
    )
    walk.tell("## A forecast over HTTP\n\n`make serve` serves the champion.")
    port = free_port()
    command = ["make", "-s", "-C", str(walk.directory), "--old-file=setup", "serve"]
    address = f"http://127.0.0.1:{port}"
    log = walk.directory.parent / "serve.log"
    with serving([*command, f"PORT={port}"], f"{address}/ping", log):
        requests.get(f"{address}/health", timeout=10).raise_for_status()
        post = f"curl -s {address}/invocations -H 'Content-Type: text/csv' --data-binary"
        walk.run(f"{post} @new.csv | cut -c1-240")
        walk.run(f"{post} @short.csv | cut -d '\"' -f 8")
    walk.page = [part.replace(address, "http://127.0.0.1:5001") for part in walk.page]
    walk.tell(
        "Write the rows as in the table that the card describes. In JSON, send them as "
        '`{"dataframe_split": {"columns": [...], "data": [...]}}` or `{"dataframe_records": '
        '[{...}, ...]}`; you can add several origins and choose levels, `"params": {"origins": '
        '["2014-12-30 00:00:00", ...], "levels": [80]}`. CSV is forecast from its last row that '
        "has a value, with every level. Warnings that `predict` would print, for example about a "
        "look-back without values, are in "
        "the answer under `warnings`. `mlflow models serve` runs the code that made a model, and "
        "takes JSON only."
    )


def main() -> None:
    """Walk, and write the page."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="walkthrough-"))  # kept, to look into, if a step fails
    walk = Walk(directory / "forecasts")
    walk.tell(
        "# From many runs to one model in use\n\n`make walkthrough` writes this page: it runs each "
        "command and puts the output below it. (`--old-file=setup` keeps make from checking the "
        "environment; leave it out.)"
    )
    experiments(walk)
    runs = compare(walk)
    promote(walk, runs)
    forecast(walk)
    minutes = (time.monotonic() - walk.started) / 60
    walk.tell(f"All of this took {minutes:.0f} minutes.")
    (ROOT / "docs/walkthrough.md").write_text("\n\n".join(walk.page) + "\n", encoding="utf-8")
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()

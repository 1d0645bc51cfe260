"""Run the worked examples: what others report, beside this project on the same targets.

It runs the commands of docs/worked-examples.yaml, each with every seed, in clean clones, and
writes docs/worked-examples.json and .md from what they made.
"""

import argparse
import shlex
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pipeline.config.members import title
from pipeline.config.params import Baseline
from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.evaluation.forecasts import MODEL
from pipeline.evaluation.metrics import BRIEF, METRICS, brief, deciding, listed, skill
from pipeline.experiments.chosen import trained
from pipeline.experiments.workers import add_arguments, executor, workers_of
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.files.records import Record
from pipeline.files.yaml import read_record
from pipeline.reports.formatting import percent, table
from pipeline.reports.markdown import holds
from pipeline.repository import dvc, git, lockfile
from pipeline.reproduction import clean_clone
from pipeline.reproduction.committed_results import Machine
from pipeline.runtime.progress import progress

DEFINITIONS = Path("docs/worked-examples.yaml")
RESULTS = DEFINITIONS.with_suffix(".json")
PAGE = DEFINITIONS.with_suffix(".md")
SEEDS = (1, 2, 3)
SCORES = [metric.name for metric in METRICS if metric.shown >= BRIEF and not metric.each]
INTRODUCTION = f"""# Worked examples

Each table sets this project's network beside the baselines and beside what tutorials and papers
report for the same targets. To run a command yourself, first run `git restore params.yaml`, because
`dvc exp run` leaves its settings there, and choose the seed with `-S train.seed=N`. The tables give
the mean and the standard deviation over the seeds. Skill is 1 - error / error of the best baseline;
the error is RMSE, or for several targets the root of the standardised MSE.

`python -m pipeline worked-examples` makes the tables: it runs the commands of
[{DEFINITIONS.name}]({DEFINITIONS.name}) in a clean clone.
[{RESULTS.name}]({RESULTS.name}) has the scores of every run and the sha256 of its `params.yaml` and
`dvc.lock`. The scores of others are quoted, not reproduced: DLinear is by Zeng et al. (2023, arXiv
2205.13504), PatchTST by Nie et al. (2023, arXiv 2211.14730), SegRNN by Lin et al. (2023, arXiv
2308.11200). Their code left out the last test windows if these did not fill a batch; here every
window counts. The airline model beside the air passengers is run by a script of the benchmarks.
`load`, `etth1`, `made_load` and `made_sales` need their tables first: `fetch` in the card is the
command.
"""


class Place(Record):
    """On which targets a run is scored, and what others report there."""

    on: str
    span: str  # test, or a span that the card names
    step: str | None = None  # h24; None for all steps pooled
    tutorial: dict[str, float] | None = None
    literature: dict[str, dict[str, float]] = {}

    @property
    def whole(self) -> bool:
        """Whether it is the test span, all steps pooled."""
        return self.span == "test" and self.step is None

    def scores(self, metrics: dict[str, Any], who: str) -> dict[str, float]:
        """The scores of the model or a baseline there."""
        if self.span != "test":
            found = metrics["spans"][self.span][who]
        elif who == MODEL:
            found = metrics["test_by_horizon" if self.step else "test"]
        else:
            found = metrics["baselines_by_horizon" if self.step else "baselines"][who]
        return brief(found[self.step] if self.step else found)


class Example(Record):
    """One command, run with every seed."""

    name: str
    title: str
    horizon: int
    known_ahead: tuple[str, ...] | None = None  # the parameters' if null
    settings: tuple[str, ...]
    chosen: str  # what was chosen, and on what
    rows: Annotated[tuple[Place, ...], Field(min_length=1)]

    @property
    def flags(self) -> list[str]:
        """What `dvc exp run` is given besides the seed."""
        settings = [*self.settings, f"window.horizon={self.horizon}"]
        if self.known_ahead is not None:
            settings.append(f"window.known_ahead=[{','.join(self.known_ahead)}]")
        return [word for setting in settings for word in ("-S", setting)]


class Definitions(Record):
    """docs/worked-examples.yaml."""

    examples: tuple[Example, ...]


class Run(Record):
    """What one command made with one seed."""

    seed: int
    model: str
    params_sha256: str
    dvc_lock_sha256: str
    machine_sha256: str  # bytes are the same on one machine, digits on others
    seconds: float  # of the whole command
    metrics: dict[str, Any]


def perform(directory: Path, example: Example, seed: int, *more: str) -> Run:
    """Run an example's command in a clone, as a user does, with more arguments."""
    git.run(directory, "reset", "--quiet", "--hard")
    began = time.monotonic()
    dvc.run(directory, "exp", "run", *example.flags, *more, "-S", f"train.seed={seed}")
    seconds = time.monotonic() - began
    layout = Layout(directory)
    train = trained(read_experiment(layout), layout).params.train
    units = "" if isinstance(train.model, Baseline) else f" {list(train.model.units)}"
    return Run(
        seed=seed,
        model=f"{title(train)}{units}",
        params_sha256=artifacts.sha256(layout.params),
        dvc_lock_sha256=artifacts.sha256(directory / lockfile.LOCK),
        machine_sha256=Machine.here().sha256,
        seconds=round(seconds, 1),
        metrics=artifacts.read_json(layout.metrics),
    )


@dataclass(frozen=True)
class Task:
    """An example and a seed."""

    clone: Path  # that is copied for it: DVC runs once at a time in a directory
    example: Example
    seed: int


def run(task: Task) -> Path:
    """Run an example's command with one seed; the file of what it made."""
    own = task.clone.with_name(f"{task.example.name}-{task.seed}")
    shutil.copytree(task.clone, own, symlinks=True)
    made = perform(own, task.example, task.seed)
    shutil.rmtree(own)
    file = own.with_suffix(".json")
    artifacts.write_json(file, made.model_dump(mode="json"))
    return file


def rows(example: Example, runs: list[Run]) -> list[dict[str, Any]]:
    """The example's rows of worked-examples.json: means over the runs."""
    made = []
    for place in example.rows:
        scores = [place.scores(run.metrics, MODEL) for run in runs]
        first = runs[0].metrics
        made.append(
            {
                "example": example.name,
                "on": place.on,
                "horizon": example.horizon,
                "model": runs[0].model,
                "seeds": [run.seed for run in runs],
                **{name: _mean(scores, name) for name in SCORES},
                "spread": _spread(scores),
                "intervals": _intervals([run.metrics for run in runs]) if place.whole else None,
                "baselines": {name: place.scores(first, name) for name in first["baselines"]},
                "tutorial": place.tutorial,
                "literature": place.literature or None,
                "chosen": example.chosen,
                "command": shlex.join(["dvc", "exp", "run", *example.flags]),
                "runs": [
                    {**run.model_dump(exclude={"metrics", "model"}), **score}
                    for run, score in zip(runs, scores, strict=True)
                ],
            }
        )
    return made


def _mean(scores: list[dict[str, float]], name: str) -> float | None:
    values = [score[name] for score in scores if name in score]
    return float(f"{statistics.fmean(values):.6g}") if values else None


def _intervals(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """By level: the share held and its standard error, means over the runs, the smallest and the
    largest share at a step of any run, and what intervals hold that follow the errors."""
    made, test = {}, [run["test"] for run in runs]
    for level in listed(test[0], BRIEF):
        if level.name.startswith("coverage"):
            steps = [of[level.name] for run in runs for of in run["test_by_horizon"].values()]
            made[f"{level.percent:g}"] = {
                "held": _mean(test, level.name),
                "error": _mean(test, f"coverage_error_{level.percent:g}"),
                "least": min(steps),
                "most": max(steps),
                "rolling": _mean([run["rolling"]["test"] for run in runs], level.name),
            }
    return made


def _spread(scores: list[dict[str, float]]) -> float | None:
    values = [score[deciding(score).name] for score in scores]
    return float(f"{statistics.stdev(values):.4g}") if len(values) > 1 else None


def page(examples: Sequence[Example], made: list[dict[str, Any]]) -> str:
    """docs/worked-examples.md: a section for each example that was run, and which were not."""
    parts = [INTRODUCTION]
    absent = [e.name for e in examples if e.name not in {row["example"] for row in made}]
    if absent:
        parts.append(f"Defined, but not run yet: {', '.join(absent)}.\n")
    for example in examples:
        found = [row for row in made if row["example"] == example.name]
        if not found:
            continue
        parts.append(f"## {example.title}\n")
        for row in found:
            parts.append(f"On {row['on']}:\n\n{_scores(row)}\n")
        seeds = ", ".join(str(seed) for seed in found[0]["seeds"])
        parts.append(f"```bash\n{found[0]['command']}\n```\n\nSeeds {seeds}. {example.chosen}\n")
    return "\n".join(parts)


def _scores(row: dict[str, Any]) -> str:
    """One row of the JSON as a table: others, baselines, this project."""
    ours: dict[str, float] = {name: row[name] for name in SCORES if row.get(name) is not None}
    by = deciding(ours)
    names: list[str] = list(ours)
    best = min(by.error(scores) for scores in row["baselines"].values())
    made = {name.replace("_", " "): scores for name, scores in row["baselines"].items()}
    made |= {f"this project, {row['model']}": ours}
    winner = min(made, key=lambda who: by.error(made[who]))
    told = {"tutorial": row["tutorial"]} if row["tutorial"] else {}
    lines = {**told, **(row["literature"] or {}), **made}
    body = []
    for who, scores in lines.items():
        gain = percent(skill(by.error(scores), best))
        cells = [f"{scores[name]:.4g}" if name in scores else "" for name in names]
        if scores is ours and row["spread"] is not None:
            cells[names.index(by.name)] += f" ± {row['spread']:.2g}"
        body.append([who, *cells, gain])
    verdict = f"Of what was run here, the best by {by.title}: {winner}."
    for level, of in (row.get("intervals") or {}).items():
        steps = [of["least"], of["most"]] if row["horizon"] > 1 else []
        words = holds(level, of["held"], of["error"], steps)
        verdict += f" Intervals of {words}; rolling {of['rolling']:.1%}."
    return f"{table(['', *names, 'skill'], body)}\n\n{verdict}"


def main() -> None:
    """Run the examples, all or those named, and write their rows; the others keep theirs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of an example; all by default")
    add_arguments(parser)
    parser.add_argument("--page", action="store_true", help="only write the page from the JSON")
    options = parser.parse_args()
    workers = workers_of(options)
    examples = read_record(DEFINITIONS, Definitions).examples
    known = [example.name for example in examples]
    for name in options.names:
        if name not in known:
            raise PipelineError(f"{DEFINITIONS}: expected one of {', '.join(known)}, found {name}")
    made: list[dict[str, Any]] = artifacts.read_json(RESULTS) if RESULTS.exists() else []
    wanted = [] if options.page else [e for e in examples if e.name in (options.names or known)]
    with workers.temporary("worked-examples") as temporary:
        clone = clean_clone.make(temporary / "clone") if wanted else Path()
        tasks = [Task(clone, example, seed) for example in wanted for seed in SEEDS]
        runs: dict[str, dict[int, Run]] = defaultdict(dict)  # by example and seed
        with executor(workers) as at, progress("runs", len(tasks)) as tell:
            for task, file in at.map(run, tasks):
                example, own = task.example, runs[task.example.name]
                own[task.seed] = artifacts.read_json_record(file, Run)
                tell(f"{example.name}, seed {task.seed}")
                if len(own) < len(SEEDS):
                    continue
                new = rows(example, [own[seed] for seed in SEEDS])
                kept = [row for row in made if row["example"] != example.name] + new
                made = sorted(kept, key=lambda row: known.index(row["example"]))
                artifacts.write_json(RESULTS, made)
                made = artifacts.read_json(RESULTS)  # in the order that the page has from the file
                artifacts.write_text(PAGE, page(examples, made))
    if options.page:
        artifacts.write_text(PAGE, page(examples, made))

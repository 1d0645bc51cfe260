"""What further members give on worked examples, and what they cost: an ensemble of each.

It runs the commands of docs/worked-examples.yaml with `train.ensemble`, in a clean clone, and
prints a table for each: the scores of the first 1, 2, 5 and 10 members on validation, and how long
a forecast by them takes.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from pipeline.config.changes import kind
from pipeline.config.experiment import Experiment
from pipeline.config.params import Baseline
from pipeline.config.reading import read_experiment, read_params
from pipeline.errors import PipelineError
from pipeline.evaluation.metrics import METRICS, deciding, skill
from pipeline.experiments.task import prepared
from pipeline.experiments.workers import add_arguments, workers_of
from pipeline.files.layout import HERE, Layout
from pipeline.files.yaml import load_yaml, read_record
from pipeline.forecasting import numpy_backend
from pipeline.models.network import Network, Steps, mean
from pipeline.models.task import Task, forecasts
from pipeline.reports.formatting import number, percent, table
from pipeline.reproduction import clean_clone
from pipeline.reproduction.worked_examples import DEFINITIONS, Definitions, Example, Run, perform
from pipeline.runtime import determinism
from pipeline.runtime.progress import progress, say

COUNTS = (1, 2, 5, 10)
ORIGINS = (1, 1024)  # that are forecast from at once
ROUNDS = 7
SEED = 1


def costs(
    experiment: Experiment, layout: Layout, counts: tuple[int, ...]
) -> dict[tuple[str, int], list[float]]:
    """Milliseconds of a forecast from each number of origins, by backend and so many members.

    The medians of some rounds, in each of which all take turns. None of a backend that cannot run
    the model.
    """
    task = prepared(experiment, layout)
    origins = np.asarray(task.validation)
    models = dict(_models(task, layout, counts))
    found: dict[tuple[str, int], list[float]] = {of: [] for of in models}
    with progress("rounds", len(ORIGINS) * (ROUNDS + 1)) as tell:
        for many in ORIGINS:
            rows, took = np.resize(origins, many), {of: list[float]() for of in models}
            for _ in range(ROUNDS + 1):
                for of, model in models.items():
                    began = time.perf_counter()
                    forecasts(model, task.seen, rows)
                    took[of].append(1000 * (time.perf_counter() - began))
                tell(f"from {many:,} origins")
            for of in models:
                found[of].append(median(took[of][1:]))
    return found


def _models(
    task: Task, layout: Layout, counts: tuple[int, ...]
) -> Iterator[tuple[tuple[str, int], Network]]:
    """The first so many members of the layout's ensemble, by backend and count."""
    from pipeline.models import registry

    whole = registry.build(task.spec, task.scaler)
    whole.load_weights(layout.weights)
    each = registry.members_of(whole, task.spec)
    alone: tuple[Steps, ...] = ()
    try:
        alone = numpy_backend.load(task.spec, task.scaler, layout.weights)
    except PipelineError as error:
        say(str(error))
    for count in counts:
        first = registry.together(each[:count]) if count > 1 else each[0]
        yield ("TensorFlow", count), Network(task.spec, task.scaler, first.predict_on_batch)
        if alone:
            numpy = Network(task.spec, task.scaler, mean(alone[:count]))
            yield ("NumPy", count), replace(numpy, batch=numpy_backend.BATCH)  # as it is served


def shown(members: dict[str, dict[str, float]], found: dict[tuple[str, int], list[float]]) -> str:
    """The table of an example: scores of so many members, what is gained by them, what it costs."""
    by = deciding(members["1"])
    scores = [metric for metric in METRICS if metric.name in members["1"] and not metric.each]
    timed = [
        (backend, place) for backend in dict.fromkeys(b for b, _ in found) for place in range(2)
    ]
    header = ["members", *(metric.name for metric in scores), f"less {by.name}"]
    header += [f"{backend}, {ORIGINS[place]:,} (ms)" for backend, place in timed]
    lines = []
    for count in (count for count in COUNTS if str(count) in members):
        own = members[str(count)]
        gain = percent(skill(by.error(own), by.error(members["1"]))) if count > 1 else ""
        cells = [number(own[metric.name]) for metric in scores]
        cells += [gain, *(number(found[backend, count][place]) for backend, place in timed)]
        lines.append([str(count), *cells])
    return table(header, lines)


def measure(directory: Path, example: Example, count: int) -> tuple[Run, str]:
    """Run an example's command with so many members in a clone; what it made, and its table."""
    made = perform(directory, example, SEED, "-S", f"train.ensemble={count}")
    members: dict[str, Any] = made.metrics["members"]
    layout = Layout(directory)
    determinism.settle(SEED)  # before TensorFlow comes
    sizes = tuple(own for own in COUNTS if own <= count)
    return made, shown(members, costs(read_experiment(layout), layout, sizes))


def is_network(example: Example) -> bool:
    """Whether an example's model can have members."""
    mark = "+train.model="
    given = [one.removeprefix(mark) for one in example.settings if one.startswith(mark)]
    names = [load_yaml(f"model: {one}".encode(), example.name)["model"]["name"] for one in given]
    return not any(issubclass(kind(name) or Baseline, Baseline) for name in names)


def has_table(example: Example) -> bool:
    """Whether its raw table is here."""
    mark = "ingest.dataset="
    given = [one.removeprefix(mark) for one in example.settings if one.startswith(mark)]
    return (HERE.raw / (given[0] if given else read_params().ingest.dataset)).is_dir()


def main() -> None:
    """Measure the examples, all or those named, and print a table for each as it ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of an example; all by default")
    parser.add_argument(
        "--members", type=int, default=COUNTS[-1], metavar="N", help="default %(default)s"
    )
    add_arguments(parser)
    options = parser.parse_args()
    workers = workers_of(options)
    if options.members < 2:
        raise PipelineError(f"members: expected at least 2, found {options.members}")
    os.environ.update(workers.of_shell())  # which the train stage reads
    able = {e.name: e for e in read_record(DEFINITIONS, Definitions).examples if is_network(e)}
    for name in options.names:
        if name not in able:
            raise PipelineError(f"{DEFINITIONS}: expected one of {', '.join(able)}, found {name}")
    lacking: list[str] = []
    with workers.temporary("members") as temporary:
        clone = clean_clone.make(temporary / "clone")
        with progress("examples", len(options.names or able)) as tell:
            for name in options.names or able:
                example = able[name]
                tell(name)
                if not has_table(example):
                    lacking.append(name)
                    continue
                made, text = measure(clone, example, options.members)
                print(
                    f"{name}: {made.model}, seeds 1 to {options.members}, "
                    f"{made.seconds:,.0f} s\n\n{text}\n",
                    flush=True,
                )
    if lacking:
        print(f"not measured, without their tables: {', '.join(lacking)}")

"""docs/worked-examples.*: what stands there was run, can be run again, and comes out the same."""

import re
import shlex
import shutil
import statistics
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides

from pipeline.config.params import Params
from pipeline.config.reading import read_experiment
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.files.yaml import read_record
from pipeline.reproduction import clean_clone, worked_examples
from pipeline.reproduction.committed_results import Machine
from pipeline.reproduction.worked_examples import Example, Run, Task
from tests.repositories import ROOT

with chdir(ROOT):
    DEFINED = read_record(worked_examples.DEFINITIONS, worked_examples.Definitions)
    EXAMPLES = {example.name: example for example in DEFINED.examples}
    ROWS: list[dict[str, Any]] = artifacts.read_json(worked_examples.RESULTS)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The committed parameters and cards, to be changed."""
    shutil.copy(ROOT / HERE.params, tmp_path)
    shutil.copytree(ROOT / "data/datasets", tmp_path / "data/datasets")
    return tmp_path


def params_of(directory: Path, example: Example) -> Params:
    """The parameters that an example's command sets, checked against the card."""
    with chdir(directory):
        apply_overrides(HERE.params, example.flags[1::2])
        return read_experiment().params


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_valid_experiment(directory: Path, name: str) -> None:
    """Its -S flags, as DVC applies them, give parameters that the pipeline accepts."""
    params = params_of(directory, EXAMPLES[name])
    assert params.window.horizon == EXAMPLES[name].horizon
    assert EXAMPLES[name].known_ahead in (None, params.window.known_ahead)
    assert "known_ahead" not in str(EXAMPLES[name].settings)  # it has a key of its own


def test_what_was_tried_can_be_run_again(directory: Path) -> None:
    """Each line of docs/tried.md, after its section's command, gives parameters that are valid."""
    before, lines = shutil.copy(directory / HERE.params, directory / "before"), 0
    for section in (ROOT / "docs/tried.md").read_text().split("```bash\n")[1:]:
        command = shlex.split(section.splitlines()[0])[3:]
        for settings in re.findall(r"^\| [^|]*`(-S [^`]+)`", section, re.MULTILINE):
            shutil.copy(before, directory / HERE.params)
            with chdir(directory):
                apply_overrides(HERE.params, (command + shlex.split(settings))[1::2])
                read_experiment()
            lines += 1
    assert lines >= 40


def test_every_example_that_was_run_has_three_seeds() -> None:
    """Each place where an example is scored is a row, with a run for every seed."""
    run = {row["example"] for row in ROWS}
    assert [(row["example"], row["on"]) for row in ROWS] == [
        (name, place.on)
        for name, example in EXAMPLES.items()
        if name in run
        for place in example.rows
    ]
    for row in ROWS:
        assert len({run["params_sha256"] for run in row["runs"]}) == len(row["seeds"]) >= 3
        assert [run["seed"] for run in row["runs"]] == row["seeds"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['example']}, {row['on']}")
def test_a_row_is_the_mean_of_its_runs(row: dict[str, Any]) -> None:
    """Means and spread are those of the runs; a score that does not apply is null."""
    assert (row["rmse"] is None) == (row["mse_scaled"] is not None)
    for name in worked_examples.SCORES:
        values = [run[name] for run in row["runs"] if name in run]
        if row.get(name) is None:  # as where it was no score yet
            assert values == []
        else:
            assert row[name] == pytest.approx(statistics.fmean(values), rel=1e-5)
    error = "rmse" if row["rmse"] is not None else "mse_scaled"
    spread = statistics.stdev(run[error] for run in row["runs"])
    assert row["spread"] == pytest.approx(spread, rel=1e-3)


def test_the_page_is_made_from_the_rows() -> None:
    """docs/worked-examples.md is what the rows of the JSON give; no skill is a negative zero."""
    text = worked_examples.page(list(EXAMPLES.values()), ROWS)
    assert "-0.0%" not in text
    assert (ROOT / worked_examples.PAGE).read_text() == text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_cheapest_example_comes_out_the_same(tmp_path: Path) -> None:
    """Run again in a clean clone: the same scores, or on another machine scores like its seeds'."""
    own = [row for row in ROWS if "ingest.dataset" not in row["command"]]  # its table is in Git
    row = min(own, key=lambda row: row["runs"][0]["seconds"])
    recorded = row["runs"][0]
    example = EXAMPLES[row["example"]]
    place = next(place for place in example.rows if place.on == row["on"])
    with chdir(ROOT):
        here = recorded.get("machine_sha256") == Machine.here().sha256
        clone = clean_clone.make(tmp_path / "clone")
    file = worked_examples.run(Task(clone, example, recorded["seed"]))
    made = artifacts.read_json_record(file, Run)
    for name, score in place.scores(made.metrics, worked_examples.MODEL).items():
        spread = statistics.stdev(run[name] for run in row["runs"])
        # Boosting has no spread over seeds, but other digits on another machine.
        tolerance = 1e-9 * abs(score) if here else max(10 * spread, 0.01 * abs(score))
        assert score == pytest.approx(recorded[name], abs=tolerance), name

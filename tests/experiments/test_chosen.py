"""What is `auto` of the training: chosen from its windows, and by validation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.experiment import Experiment
from pipeline.config.reading import read_experiment
from pipeline.data.windows import Rows
from pipeline.experiments import chosen
from pipeline.experiments.chosen import TRIED, _fewest, trained
from pipeline.experiments.evaluate import Evaluation, evaluate
from pipeline.experiments.run import run_experiment
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models import baselines, linear
from pipeline.models.baselines import FittedBaseline
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Seen
from tests.toys import Project, toy_card, toy_params, toy_table

ROWS = 240
CARD = {"split": {"train": 160, "validation": 200, "test": 240}}
SHORT = {"train.epochs": 1, "evaluate.baselines": ["linear"], "train.residual": "damped"}
AUTO = dict.fromkeys(("train.batch_size", "train.mix", "train.model.input_dropout"), "auto")


def run(project: Project, changes: dict[str, Any]) -> tuple[Layout, Evaluation]:
    """An experiment of the table that is there, from the raw rows to scores."""
    project.write(None, CARD, SHORT | changes)
    layout = Layout(project.root)
    return layout, run_experiment(read_experiment(layout), layout)


def contents(layout: Layout) -> dict[str, bytes]:
    """The model's files but for what they say of how they were chosen, and the scores."""
    found = {path.name: path.read_bytes() for path in (layout.weights, layout.metrics)}
    model = artifacts.read_json(layout.model_json)
    return found | {"model": str({k: v for k, v in model.items() if k != "chosen"}).encode()}


def test_what_is_chosen_gives_the_bytes_of_the_same_written_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wave is predictable: no dropout, and maps are mixed in; all of it is said and kept."""
    project = Project(tmp_path)
    project.write(toy_table(ROWS, missing=0.02))
    layout, _ = run(project, AUTO)
    said = capsys.readouterr().err
    kept = artifacts.read_json(layout.model_json)["chosen"]
    mixed = kept["train.mix"]
    assert kept == {
        "train.batch_size": 16,
        "train.mix": mixed,
        "train.model.input_dropout": 0.0,
    }
    assert "train.batch_size: auto is 16, by " in said
    assert "train.model.input_dropout: auto is 0, since a linear map has an error " in said
    assert {"linear", "ridge"} & {*mixed}
    assert f"train.mix: auto is [{', '.join(mixed)}], which takes " in said
    then = trained(read_experiment(layout), layout)
    assert then.chosen == kept
    first = contents(layout)
    layout, _ = run(project, kept)
    assert "auto" not in capsys.readouterr().err
    assert contents(layout) == first
    assert "chosen" not in artifacts.read_json(layout.model_json)


def test_what_is_mixed_in_forecasts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model and the report's row of its baseline share each forecast, to the same scores."""
    project = Project(tmp_path)
    project.write(toy_table(ROWS, missing=0.02))
    layout, first = run(project, {"train.mix": ["linear"], "evaluate.baselines": ["linear"]})
    own, asked = baselines.BASELINES["linear"], list[bytes]()

    def counted(fitted: FittedBaseline, seen: Seen, origins: Rows) -> Floats:
        asked.append(origins.tobytes())
        return own(fitted, seen, origins)

    monkeypatch.setitem(baselines.BASELINES, "linear", counted)
    again = evaluate(trained(read_experiment(layout), layout), layout)
    assert len(asked) == len({*asked}) > 1
    assert again.metrics == first.metrics


def test_the_fewest_that_are_as_good_are_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    """A second is not worth a thousandth of the error; what adds noise is not mixed in at all."""
    one, two, three = np.eye(3)
    own = Experiment(toy_params({"train.mix": [*TRIED]}), toy_card())

    def fewest(*errors: Any) -> tuple[int, ...]:
        return _fewest((np.stack(errors) @ np.stack(errors).T)[None], Spec.of(own))

    assert fewest(one, two, 0.999 * two, 0.1 * three + 0.999 * two) == (1,)
    assert fewest(one, two, two, three) == (0, 2)
    assert fewest(one, one + two, one + 9 * three, one + two + three) == ()
    said = capsys.readouterr().err.splitlines()
    gains = "from the error on validation; the most that mixes with linear, ridge, boosting take is"
    assert said == [
        f"train.mix: auto is [ridge], which takes 29.3% {gains} 29.3%",
        f"train.mix: auto is [linear, boosting], which takes 42.3% {gains} 42.3%",
        f"train.mix: auto is [], which takes 0.0% {gains} 0.0%",
    ]


def test_noise_has_dropout(tmp_path: Path) -> None:
    """Where a linear map is no better than the damped last value."""
    project = Project(tmp_path)
    table = toy_table(ROWS, missing=0)
    steps = np.random.default_rng(2).normal(0, 1, ROWS)
    level = [0.0]
    for step in steps[1:]:
        level.append(0.9 * level[-1] + step)
    project.write(table.assign(level=np.round(level, 3) + 20))
    layout, _ = run(project, AUTO)
    assert artifacts.read_json(layout.model_json)["chosen"]["train.model.input_dropout"] == 0.4


def test_many_windows_are_not_boosted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That would take minutes; a line says so, and the closed forms are tried."""
    monkeypatch.setattr(chosen, "MOST", 9)
    project = Project(tmp_path)
    project.write(toy_table(ROWS, missing=0))
    run(project, AUTO)
    said = capsys.readouterr().err
    assert "train.mix: auto does not try boosting: expected at most 9, found " in said
    assert "; the most that mixes with linear, ridge take is " in said


def test_no_row_of_test_decides_a_gain(tmp_path: Path) -> None:
    """They may be anything."""
    project = Project(tmp_path)
    table = toy_table(ROWS, missing=0)
    gains = []
    for shift in (0.0, 50.0):
        own = table.assign(
            level=table["level"].where(np.arange(ROWS) < 200, table["level"] + shift)
        )
        project.write(own, CARD, SHORT).run("ingest", "impute_scale", "window")
        layout = Layout(project.root)
        gains.append(linear.gain_of(prepared(read_experiment(layout), layout)))
    assert gains[0] == gains[1] > 0.05


def test_a_gain_by_hand() -> None:
    """A map that is right gains all; one that learned nothing loses to a part of the last value."""
    wave = np.tile([0.0, 1.0, 0.0, -1.0], 15)[:, None]
    last = np.arange(60)[:, None]
    origins = np.arange(3, 50)
    kernel = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    assert linear.gain(kernel, 4, wave, last, wave, origins[:44]) == pytest.approx(1)
    noise = np.random.default_rng(1).normal(size=(60, 1))
    nothing = np.zeros((4, 1))
    worse = linear.gain(nothing, 4, noise, last, noise, origins)
    ahead, now = noise[origins + 1, 0], noise[origins, 0]
    share = (ahead * now).sum() / (now * now).sum()
    of = np.sqrt(np.square(ahead - now).sum() / np.square(ahead - share * now).sum())
    assert worse == pytest.approx(1 - of)
    assert worse < 0

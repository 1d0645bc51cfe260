"""Trials that stop early: by Optuna's rule, and by finished generations alone."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import MedianPruner

from pipeline.config.changes import NAME
from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.experiments.search import pruning
from pipeline.experiments.search import trial as trials
from pipeline.experiments.search.pruning import LEAST, WARM_UP
from pipeline.experiments.search.trial import Trial
from pipeline.reports import search_pictures, search_text
from tests.experiments.search.test_study import RANGES, Fake, search, told, written
from tests.toys import Project, toy_params

CURVES = st.lists(st.integers(1, 9).map(float), min_size=1, max_size=8)


def stops(losses: Sequence[float], limits: Sequence[float]) -> int | None:
    """After how many epochs a trial stops; None if it does not."""
    for epochs in range(1, len(losses) + 1):
        try:
            pruning.check(losses[:epochs], limits)
        except pruning.PrunedError:
            return epochs
    return None


@settings(max_examples=60)
@given(st.lists(CURVES, max_size=9), CURVES)
def test_a_trial_stops_where_optuna_would_stop_it(
    before: list[list[float]], losses: list[float]
) -> None:
    """The same epoch as its median pruner's, told of the same finished trials."""
    pruner = MedianPruner(LEAST, WARM_UP, n_min_trials=LEAST)
    study = optuna.create_study(pruner=pruner)
    for curve in before:
        values = dict(enumerate(curve))
        study.add_trial(optuna.trial.create_trial(value=1, intermediate_values=values))
    trial, expected = study.ask(), None
    for epoch, loss in enumerate(losses):
        trial.report(loss, epoch)
        if trial.should_prune():
            expected = epoch + 1
            break
    assert stops(losses, pruning.limits(before)) == expected


def test_a_search_prunes_by_finished_generations_alone(tmp_path: Path) -> None:
    """In whatever order trials end and whenever it is killed; a pruned one never wins."""
    wanted = written(trials=30, generation=6, seeds=2, pruning="median")
    whole, other = search(tmp_path / "a", wanted), search(tmp_path / "b", wanted)
    whole.run(Fake(epochs=8))
    for order in range(9):
        try:
            search(tmp_path / "b", wanted).run(Fake(order, dies=5, epochs=8))
        except Exception as error:
            assert type(error).__name__ == "KilledError"
    other.run(Fake(99, epochs=8))
    assert told(other) == told(whole)
    stopped = search_text.pruned(whole)
    assert stopped
    assert not any(one in whole.ranked for one in stopped)
    assert min(one.number for one in stopped) >= 6
    for one in stopped:
        line = one.pruned
        assert line is not None
        earlier = [o.losses for o in whole.ranked if o.number < one.number // 6 * 6]
        limit = pruning.limits(earlier)[len(one.losses) - 1]
        assert line.endswith(f"above {limit:.4g}, the median of earlier trials")
    assert not search_text.pruned(ran(tmp_path / "c", written(trials=30, generation=30)))


def ran(directory: Path, wanted: Any) -> Any:
    """A search, all of whose trials are there."""
    made = search(directory, wanted)
    made.run(Fake(epochs=8))
    return made


def test_pruned_trials_are_shown(tmp_path: Path) -> None:
    """As crosses and dotted lines in the pictures, below the others in the table, in a note."""
    found = ran(tmp_path, written(trials=30, generation=6, pruning="median"))
    stopped = search_text.pruned(found)
    axes = search_pictures.history(found).axes[0]
    [crosses] = [one for one in axes.lines if "pruned" in str(one.get_label())]
    assert [*crosses.get_xdata()] == [one.number for one in stopped]
    lines = [one for one in search_pictures.parallel(found).axes[0].lines if ":" in one.get_ls()]
    assert len(lines) == len(stopped)
    marks = {
        axes.get_xlabel(): sum(
            len(one.get_xdata()) for one in axes.lines if one.get_marker() == "x"
        )
        for axes in search_pictures.slices(found).axes
    }
    assert marks[NAME] == len(stopped)
    _, rows = search_text.table(found)
    assert [row[1] for row in rows[len(found.ranked) :]] == [str(one.number) for one in stopped]
    assert rows[-1][0] == f"pruned, epoch {len(stopped[-1].losses)}"
    _, rows = search_text.table(found, len(found.ranked) + 2)
    assert len(rows) == len(found.ranked) + 2
    note = f"{len(stopped)} of 30 trials were stopped early"
    assert any(line.startswith(note) for line in search_text.notes(found))


def test_a_training_stops_and_leaves_its_line(project: Project) -> None:
    """At the epoch's end, without a model; one that is not above the limit goes on."""
    project.write(params={"train.epochs": 6, "train.patience": 6})
    base = read_experiment(trials.Layout(project.root))
    made = {
        number: Trial(project.root, project.root, base, number, 1, {}, (math.inf, math.inf, limit))
        for number, limit in enumerate((9.0, 0.0))
    }
    whole, stopped = (trials.run(one) and one.outcome() for one in made.values())
    assert (whole.epochs, whole.pruned) == (6, None)
    assert stopped.pruned is not None
    assert stopped.pruned.startswith("validation loss ")
    assert stopped.pruned.endswith("after 3 epochs, above 0, the median of earlier trials")
    assert (stopped.losses, stopped.scores, stopped.failed) == (whole.losses[:3], {}, None)
    assert not made[1].layout.model_json.exists()


def test_losses_of_two_kinds_are_not_compared() -> None:
    """A setting that changes what the loss measures is refused, by name."""
    ranges = {"train.loss": {"choice": ["mse", "mae"]}} | RANGES
    written(ranges=ranges).check(toy_params(), "search.yaml")
    with pytest.raises(PipelineError, match=r"ranges\.train\.loss: .* beside pruning: median"):
        written(ranges=ranges, pruning="median").check(toy_params(), "search.yaml")

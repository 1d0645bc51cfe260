"""Searches whose trials cost nothing: which come next, in whatever order they end."""

import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.changes import NAME, changed
from pipeline.config.experiment import Experiment
from pipeline.config.members import fits
from pipeline.errors import PipelineError
from pipeline.experiments.search import best, pruning
from pipeline.experiments.search import trial as trials
from pipeline.experiments.search.pruning import PrunedError
from pipeline.experiments.search.settings import Settings
from pipeline.experiments.search.study import Search
from pipeline.experiments.search.trial import Trial
from pipeline.files.records import parse
from pipeline.reports import search_text
from tests.toys import toy_card, toy_params

RANGES: dict[str, Any] = {
    NAME: {"choice": ["lstm", "gru", "ridge"]},
    "train.model.units": {"choice": [[4], [8], [4, 4]]},
    "train.learning_rate": {"float": [1e-4, 0.1], "log": True},
    "train.model.dropout": {"float": [0, 0.5], "step": 0.1, "models": ["gru"]},
    "window.look_back": {"int": [4, 16], "step": 4},
}


def written(**changes: Any) -> Settings:
    """The settings of a search, with values changed by key."""
    tree = {"trials": 12, "generation": 4, "ranges": RANGES} | changes
    return parse(tree, Settings, "search.yaml")


def experiment(**changes: Any) -> Experiment:
    """Trial 0."""
    return Experiment(toy_params(changes), toy_card())


def search(directory: Path, wanted: Settings, base: Experiment | None = None) -> Search:
    """A search without results."""
    return Search(wanted, base or experiment(), directory, directory)


class KilledError(Exception):
    """The search's process is gone."""


class Fake:
    """Ends trials in a random order, and dies after so many; each costs nothing."""

    def __init__(
        self,
        order: int = 0,
        dies: float = math.inf,
        failing: Callable[[Trial], bool] | None = None,
        epochs: int = 0,
    ) -> None:
        self.random, self.left, self.epochs = random.Random(order), dies, epochs
        self.failing = failing or (lambda trial: False)

    def map(self, work: Any, tasks: Sequence[Trial], died: Any = None) -> Iterator[Any]:
        """As an executor does."""
        for task in self.random.sample(tasks, len(tasks)):
            if not self.left:
                raise KilledError
            self.left -= 1
            if self.failing(task):
                yield task, trials.write(task, failed="expected another, found this")
                continue
            rate = math.log10(task.params.train.learning_rate)
            error = (rate + 2) ** 2 + task.params.window.look_back / 100 + task.seed / 1000
            losses = [error + 1 / (1 + epoch) for epoch in range(self.epochs)]
            for i in range(1, self.epochs + 1):
                try:
                    pruning.check(losses[:i], task.limits)
                except PrunedError as stop:
                    yield task, trials.write(task, losses=tuple(losses[:i]), pruned=str(stop))
                    break
            else:
                scores = {"rmse": 1 + error, "r2": 0.5}
                yield task, trials.write(task, scores=scores, losses=tuple(losses))


def told(found: Search) -> list[Any]:
    """What a search has done: numbers, values, results."""
    return [
        (one.number, one.drawn, one.failed, one.pruned, one.errors(found.metric))
        for one in found.finished
    ]


@settings(max_examples=6)
@given(st.integers(0, 99), st.lists(st.integers(0, 9), max_size=5), st.sampled_from([1, 3, 5]))
def test_a_search_that_is_killed_goes_on_to_the_same_trials(
    order: int, deaths: list[int], generation: int
) -> None:
    """Whenever it dies, how often, and in whatever order trials end."""
    wanted = written(generation=generation, seeds=2)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        whole = search(Path(one), wanted)
        whole.run(Fake())
        for i, after in enumerate(deaths):
            with pytest.raises(KilledError):
                search(Path(other), wanted).run(Fake(order + i, dies=min(after, 2)))
        resumed = search(Path(other), wanted)
        resumed.run(Fake(order))
        assert told(resumed) == told(whole)
        assert resumed.best.number == whole.best.number


def test_more_trials_go_on_from_those_there_are(tmp_path: Path) -> None:
    """How many there are decides nothing else, even in the middle of a generation."""
    few, many = search(tmp_path / "a", written(trials=6)), search(tmp_path / "b", written())
    few.run(Fake())
    many.run(Fake())
    assert told(few) == told(many)[:6]
    more = search(tmp_path / "a", written())
    ran: list[int] = []
    more.run(Fake(), lambda trial, outcome: ran.append(trial.number))
    assert told(more) == told(many)
    assert min(ran) >= 6


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_setting_is_drawn_for_the_models_that_use_it(tmp_path: Path, sampler: str) -> None:
    """A baseline has no units and no learning rate; `models` narrows further."""
    found = search(tmp_path, written(trials=30, sampler=sampler))
    found.run(Fake())
    assert found.finished[0].drawn == {}
    for one in found.finished[1:]:
        name = one.drawn[NAME]
        expected = {NAME, "window.look_back"}
        expected |= {"train.model.units", "train.learning_rate"} if name != "ridge" else set()
        expected |= {"train.model.dropout"} if name == "gru" else set()
        assert one.drawn.keys() == expected
        params = one.runs[0].params
        assert params.train.model.name == name
        assert params.train.residual == ("none" if name == "ridge" else "last")
    assert {one.drawn[NAME] for one in found.finished[1:]} == {"lstm", "gru", "ridge"}


def test_a_search_learns(tmp_path: Path) -> None:
    """The later half of the trials is better than the first, and better than by chance."""
    means = {}
    for sampler in ("tpe", "random"):
        ranges = {"train.learning_rate": RANGES["train.learning_rate"]}
        found = search(tmp_path / sampler, written(trials=40, sampler=sampler, ranges=ranges))
        found.run(Fake())
        errors = [one.error(found.metric) for one in found.finished]
        means[sampler] = sum(errors[20:]) / 20
        if sampler == "tpe":
            assert means["tpe"] < sum(errors[:20]) / 20
    assert means["tpe"] < means["random"]


def test_a_grid_has_each_combination_once(tmp_path: Path) -> None:
    """And the parameters as they are, whose own combination shares their result."""
    ranges = {
        NAME: {"choice": ["lstm", "ridge"]},
        "train.model.units": RANGES["train.model.units"],
        "window.look_back": {"int": [7, 8]},
    }
    found = search(tmp_path, written(trials=99, sampler="grid", ranges=ranges))
    found.run(Fake())
    drawn = [one.drawn for one in found.finished]
    assert len(drawn) == 1 + 3 * 2 + 2
    assert all(drawn.count(one) == 1 for one in drawn)
    assert [one.drawn for one in found.finished if one.repeats] == [
        {NAME: "lstm", "train.model.units": [4], "window.look_back": 8}
    ]
    (again,) = [one.number for one in found.finished if one.repeats]
    assert (
        "1 of 9 trials drew the settings of an earlier one and share its result: "
        f"trial {again} that of trial 0."
    ) in search_text.notes(found)


def test_trial_0_has_the_searched_settings_of_its_parameters(tmp_path: Path) -> None:
    """In the table of trials, where they are known before training and its model uses them."""
    found = search(tmp_path, written(trials=3, ranges=RANGES))
    found.run(Fake())
    base = found.base.params.flat()
    first = found.tried(found.finished[0])
    assert first == {key: base[key] for key in first}
    assert {NAME, "train.learning_rate", "train.model.units"} <= first.keys()
    assert found.tried(found.finished[1]) == found.finished[1].drawn


def test_an_ensemble_is_of_the_best_that_can_be_members(tmp_path: Path) -> None:
    """What is no network or sees other windows is left out and told; the first is the winner."""
    ranges = {
        NAME: {"choice": ["lstm", "ridge", "gru"]},
        "window.look_back": {"choice": [7, 8]},
        "train.model.units": {"choice": [[4], [8]]},
        "train.schedule.name": {"choice": ["constant", "cosine"]},
    }
    wanted = written(trials=99, sampler="grid", ranges=ranges)
    found = search(tmp_path, wanted, experiment(**{"train.ensemble": 2}))
    found.run(Fake())
    params, said = best.ensemble(found, 5)
    winner = found.best.runs[0].params
    assert winner.window.look_back == params.window.look_back == 7
    assert params.model_copy(update={"train": winner.train}) == winner
    fitted = fits(params.train)
    able = [
        one.runs[0].params.train
        for one in found.ranked
        if one.runs[0].params.window.look_back == 7 and one.drawn[NAME] != "ridge"
    ][:5]
    assert [(one.seed, one.model, one.schedule) for one in fitted] == [
        (seed, one.model, one.schedule) for seed in (1, 2) for one in able
    ]
    assert params.train.members[0] == {}
    assert all("window" not in key for own in params.train.members for key in own)
    ridges = [one.number for one in found.ranked if one.drawn.get(NAME) == "ridge"]
    assert f"trial {ridges[0]} is left out of the ensemble: ridge is no network" in said
    with pytest.raises(PipelineError, match=r"found 8; .*its window\.look_back is not that of tri"):
        best.ensemble(found, 9)
    for count in (1, 99):
        with pytest.raises(PipelineError, match=f"ensemble: expected 2 to 19 .* found {count}"):
            best.ensemble(found, count)


def test_an_ensemble_of_ensembles_is_refused(tmp_path: Path) -> None:
    """Whose members differ already, one line says so before anything runs."""
    base = experiment(**{"train.members": [{}, {NAME: "gru"}]})
    with pytest.raises(PipelineError, match=r"train\.members: expected \[\] in params\.yaml"):
        best.check(search(tmp_path, written(), base), 2)


def test_a_failed_trial_is_recorded(tmp_path: Path) -> None:
    """With its line; it has no place, and the search goes on without it."""
    found = search(tmp_path, written())
    found.run(Fake(failing=lambda trial: trial.number == 5))
    assert found.finished[5].failed == "expected another, found this"
    assert 5 not in [one.number for one in found.ranked]
    assert "Failed: trial 5: expected another, found this." in search_text.notes(found)
    again = search(tmp_path, written())
    again.run(None)
    assert told(again) == told(found)


def test_a_search_whose_trials_all_fail_ends(tmp_path: Path) -> None:
    """With the first one's line, after one generation."""
    found = search(tmp_path, written())
    with pytest.raises(PipelineError, match="every trial failed; the first: expected another"):
        found.run(Fake(failing=lambda trial: True))
    assert len(found.finished) == 4


def test_a_result_of_other_settings_is_refused(tmp_path: Path) -> None:
    """A file that was not made by this search's draw is named."""
    found = search(tmp_path, written())
    found.run(Fake())
    [run] = found.finished[3].runs
    trials.write(Trial(tmp_path, tmp_path, found.base, 3, 1, {}), scores={"rmse": 0.1})
    with pytest.raises(PipelineError, match=f"{run.file}: expected the result of .* found that of"):
        search(tmp_path, written()).run(None)


def test_trials_within_the_spread_of_seeds_tie(tmp_path: Path) -> None:
    """Three seeds give each trial a spread; the text says who ties and who cannot be told."""
    ranges = {"window.look_back": {"int": [8, 9]}}
    found = search(tmp_path / "3", written(trials=8, seeds=3, ranges=ranges))
    found.run(Fake())
    assert [one.number for one in found.ranked] == [0, 1]
    assert len(found.tied) == 1
    ranges = {"train.learning_rate": {"float": [0.01, 0.0101]}}
    found = search(tmp_path / "tie", written(trials=4, seeds=3, ranges=ranges))
    found.run(Fake())
    assert len(found.tied) > 1
    assert "with the best: " in search_text.notes(found)[0]
    assert [line[0] for line in search_text.table(found)[1]][:2] == ["1 tie", "1 tie"]
    found = search(tmp_path / "1", written())
    found.run(Fake())
    assert "has one seed" in search_text.notes(found)[0]


def test_a_best_at_the_end_of_its_range_is_told(tmp_path: Path) -> None:
    """The text names the setting and the end beyond which something better may lie."""
    ranges = {
        "window.look_back": {"int": [4, 16], "step": 4},
        "train.learning_rate": {"float": [0.02, 0.2], "log": True},
    }
    base = experiment(**{"train.learning_rate": 0.05})
    found = search(tmp_path, written(trials=60, ranges=ranges), base)
    found.run(Fake())
    told = [note for note in search_text.notes(found) if "lies at the end" in note]
    assert [note.split(",")[0] for note in told] == [
        "The best train.learning_rate",
        "The best window.look_back",
    ]
    assert told[1].endswith("(4 to 16): something better may lie beyond 4.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling": "tpe"}, "sampling: unknown key; did you mean sampler?"),
        ({"metric": "rmsa"}, "metric: expected 'rmse'"),
        ({"ranges": {"window.lookback": {"int": [1, 2]}}}, "window.lookback: unknown key"),
        ({"ranges": {"window.look_back": {"int": [9, 2]}}}, "expected the smaller bound first"),
        ({"ranges": {"window.look_back": {"int": [0, 2]}}}, "window.look_back: expected greater"),
        ({"ranges": {"window.look_back": {}}}, "expected one of float, int and choice"),
        (
            {"ranges": {"window.look_back": {"int": [1, 9], "step": 0.5}}},
            "expected a step that fits the bounds, and is whole for int",
        ),
        (
            {"ranges": {"train.learning_rate": {"float": [0, 1], "log": True}}},
            "expected bounds above 0 and no step beside log",
        ),
        (
            {"ranges": {"window.horizon": {"int": [1, 9]}}},
            "ranges.window.horizon: expected it as in params.yaml: scores of two horizons",
        ),
        (
            {"ranges": {"train.seed": {"int": [1, 9]}}},
            "ranges.train.seed: expected it as in params.yaml: seeds says how many",
        ),
        ({"ranges": {NAME: {"choice": ["lstn"]}}}, f"ranges.{NAME}: expected a choice of rnn"),
        (
            {"ranges": {"train.model.segment": {"int": [1, 9]}}},
            "train.model.segment: expected a key that a model tried here uses (lstm)",
        ),
        (
            {"ranges": {"train.model.unit": {"choice": [[4], [8]]}}},
            "a model tried here uses (lstm); did you mean train.model.units?",
        ),
        (
            {"ranges": {"window.look_back": {"int": [1, 9], "models": ["gru"]}}},
            "window.look_back.models: expected models that are tried (lstm), found gru",
        ),
        (
            {"sampler": "grid", "ranges": {"train.learning_rate": {"float": [0.1, 1]}}},
            "train.learning_rate: expected a choice or a step, of which grid is made",
        ),
        (
            {"ranges": {"train.optimizer": {"choice": ["adam", "adamm"]}}},
            "train.optimizer: expected 'adam'",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(changes: dict[str, Any], message: str) -> None:
    """Which names the file, the key, what was expected and what was found."""
    with pytest.raises(PipelineError) as caught:
        written(**changes).check(toy_params(), "search.yaml")
    assert str(caught.value).startswith("search.yaml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_model_keeps_the_keys_that_it_has() -> None:
    """Units go on from lstm to gru; a baseline has neither them nor a residual."""
    base = toy_params({"train.model.units": [5], "train.model.dropout": 0.2})
    gru = changed(base, {NAME: "gru"}, "here").train
    assert gru.model.model_dump(exclude_defaults=True) == {
        "name": "gru",
        "units": (5,),
        "dropout": 0.2,
    }
    ridge = changed(base, {NAME: "ridge", "train.model.alphas": [2.0]}, "here").train
    assert (ridge.model.alphas, ridge.residual) == ((2.0,), "none")  # type: ignore[union-attr]

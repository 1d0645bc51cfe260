"""What is `auto` is chosen by the card's season and by the training windows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import automatic
from pipeline.config.automatic import of_season
from pipeline.config.experiment import Experiment
from pipeline.config.params import Linear, Params
from pipeline.files.records import parse
from pipeline.models.spec import Spec
from pipeline.tracking import labels
from tests.toys import Project, toy_card, toy_params, toy_table

AUTO = {"window.look_back": "auto", "window.horizon": "auto"}


@pytest.mark.parametrize(
    ("season", "look_back", "horizon"),
    [
        (1, 24, 24),  # no cycle
        (7, 21, 7),  # days
        (12, 36, 12),  # two hours
        (24, 24, 24),  # hours
        (96, 96, 96),  # quarters of an hour
        (144, 144, 144),  # ten minutes
        (1440, 336, 336),  # minutes
    ],
)
def test_a_window_is_chosen_by_the_season(season: int, look_back: int, horizon: int) -> None:
    """One season each, three of a short one, never more than two weeks of hours."""
    assert of_season(season) == {"look_back": look_back, "horizon": horizon}
    made = Experiment(toy_params(AUTO), toy_card(season=[season, 2]))
    window = made.params.window
    assert (window.look_back, window.horizon) == (look_back, horizon)
    assert made.chosen == {"window.look_back": look_back, "window.horizon": horizon}
    assert (Spec.of(made).look_back, Spec.of(made).horizon) == (look_back, horizon)
    assert labels.hyperparameters(made)["window.look_back"] == look_back


def test_one_of_the_two_may_be_chosen() -> None:
    """What is written stays, and parameters are written as they were asked for."""
    made = Experiment(toy_params({"window.horizon": "auto"}), toy_card(season=6))
    assert made.chosen == {"window.horizon": 6} and made.params.window.look_back == 8
    assert made.asked.flat()["window.horizon"] == "auto"
    again = json.loads(json.dumps(made.asked.model_dump(mode="json")))
    assert Experiment(parse(again, Params, "again"), made.card) == made
    assert not Experiment(toy_params(), toy_card()).chosen


def test_what_was_chosen_is_said_and_makes_the_same_windows(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """The window stage tells the rows; its index is that of the same rows written out."""
    stages = ("ingest", "impute_scale", "window")
    card = {"split": {"train": 120, "validation": 160, "test": 200}}
    project.write(toy_table(200), card, AUTO).run(*stages)
    said = capsys.readouterr().err
    assert "window.look_back: auto is 18 rows, by the card's season of 6" in said
    assert "window.horizon: auto is 6 rows" in said
    chosen = project.read("data/windows/train.npy")
    written = {"window.look_back": 18, "window.horizon": 6}
    project.write(None, card, written).run("window")
    assert project.read("data/windows/train.npy") == chosen
    assert "auto" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("windows", "batch_size", "epochs"),
    [
        (1, 16, 100),
        (54, 16, 100),
        (448, 16, 82),
        (3173, 32, 24),
        (12_217, 128, 24),
        (10**6, 256, 24),
    ],
)
def test_batch_size_and_epochs_follow_the_windows(
    windows: int, batch_size: int, epochs: int
) -> None:
    """Few windows come in small batches and often; a batch size that is given stays."""
    found = automatic.of_windows(windows)
    assert found == {"train.batch_size": batch_size, "train.epochs": epochs}
    assert automatic.of_windows(windows, 256)["train.batch_size"] == 256


@given(st.integers(1, 10**7))
def test_a_training_has_its_updates(windows: int) -> None:
    """At least 2,300, where 100 epochs are enough; batch size and epochs stay in their bounds."""
    found = automatic.of_windows(windows)
    size, epochs = found["train.batch_size"], found["train.epochs"]
    assert 16 <= size <= 256 and 24 <= epochs <= 100
    assert epochs == 100 or (epochs + 1) * windows / size >= 2300


def test_what_training_chose_takes_the_place_of_auto() -> None:
    """By dotted key, beside what the card chose; what was asked for stays as it is."""
    keys = ("train.batch_size", "train.epochs", "train.mix")
    asked = toy_params({**dict.fromkeys(keys, "auto"), "window.horizon": "auto"})
    made = Experiment(asked, toy_card(season=6))
    assert (made.params.train.batch_size, made.params.train.mix) == (256, ())
    then = made.after({"train.batch_size": 32, "train.mix": ["linear"]})
    assert then.params.train.batch_size == 32
    assert then.params.train.mixed == (Linear(name="linear"),)
    assert then.asked == asked and then.params.window.horizon == 6
    assert set(then.chosen) == {*keys, "window.horizon"}

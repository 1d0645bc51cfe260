"""What is said of many series of which some have no error to be compared with."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config.cards import Card
from pipeline.evaluation import scoring
from pipeline.evaluation.by_series import summary, table
from pipeline.evaluation.forecasts import Made
from pipeline.evaluation.metrics import Scores
from pipeline.evaluation.scoring import Yardstick
from pipeline.evaluation.sums import finished
from pipeline.reports import of_series, series_pictures
from tests.toys import PANEL, toy_card


def scores(rmse: float, mase: float | None = None) -> Scores:
    """Of one model on one series."""
    return {"n": 8, "rmse": rmse, "mae": rmse} | ({} if mase is None else {"mase": mase})


@pytest.fixture
def card() -> Card:
    """Of sites, each a series."""
    return toy_card(**PANEL)


@pytest.fixture
def each() -> pd.DataFrame:
    """Of three sites, the second never changes, which one of its baselines always meets."""
    found: dict[str, dict[str, Scores]] = {
        "model": {"a": scores(1, 0.5), "b": scores(0.074), "c": scores(3, 1.0)},
        "persistence": {"a": scores(2, 1.0), "b": scores(0), "c": scores(4, 1.3)},
        "mean": {"a": scores(3, 1.5), "b": scores(0.288), "c": scores(6, 2.0)},
    }
    return table(found, "site")


def test_no_series_is_better_than_a_baseline_without_error(each: pd.DataFrame) -> None:
    """Nor than the best of its baselines, though it is better than another of them."""
    found = summary(each)
    beaten = {"persistence": 2 / 3, "mean": 1.0, "best": 2 / 3}
    assert found["beats"] == pytest.approx(beaten)
    assert (found["mase"], found["scaled"]) == (0.75, 2)
    assert "scaled" not in summary(each.iloc[[0, 2]])


def test_what_is_not_defined_is_left_empty(each: pd.DataFrame, card: Card) -> None:
    """In the row of a series: its MASE, and its skill where a baseline has no error."""
    metrics: dict[str, Any] = {"series": summary(each), "training_windows": {}}
    _, said, rows, *_ = of_series.section(metrics, each, card)
    assert "a mean MASE of 0.750 over 2 of them: of the others, training values a season" in said
    assert "a series' own baselines in 67%" in said
    assert "(none where that has no error)" in said
    assert [line.split(" | ")[0] for line in rows.splitlines()[2:]] == ["| a", "| c", "| b"]
    assert rows.splitlines()[-1] == "| b | 8 | 0.074 | 0.074 |  |  |"


def test_series_that_are_not_scored_are_named(each: pd.DataFrame, card: Card) -> None:
    """The first of them, and how many more; of those that are scored there are so many."""
    of: dict[str, Any] = {"training_windows": {}}
    one = of | {"series": summary(each, ["a", "b", "b_", "c"])}
    said = of_series.sentence(one)
    assert said.startswith("3 of 4 series, with a mean MASE of 0.750 over 2 of")
    assert "or there are none; b_ has no scored origin in test. The model" in said
    assert r"; b\_ has no scored" in of_series.section(one, each, card)[1]
    more = of | {"series": summary(each, [*"abcdefghij"])}
    assert "; d, e, f, g, h and 2 more have no scored origin in test. " in of_series.sentence(more)
    all_scored = of | {"series": summary(each, [*"abc"])}
    assert of_series.sentence(all_scored).startswith("3 series, with")


def test_a_series_that_never_changes_has_no_r2() -> None:
    """Which would be 0 and better than that of others; over all rows it stays as it is."""
    values = np.full(6, 0.1)
    values[3:] = [1, 3, 5]
    parts = {"a": slice(0, 3), "b": slice(3, 6)}
    made = Made(np.full((6, 1), 300.0))
    unit = Yardstick(np.ones(1), np.ones(1))
    own = {
        name: finished(scoring.of_series(values[part, None], made.part(part), unit))
        for name, part in parts.items()
    }
    rows = table({"model": own}, "site").set_index("site")
    assert np.isnan(rows.loc["a", "r2"])
    assert rows.loc["b", "r2"] == pytest.approx(1 - sum((values[3:] - 300) ** 2) / 8)


def test_series_without_a_mase_are_not_the_worst(each: pd.DataFrame, card: Card) -> None:
    """Of so many series that the table has the best and the worst, these have a MASE."""
    many = pd.concat([each] * 11).assign(site=[f"{number:02}" for number in range(33)])
    metrics: dict[str, Any] = {"series": summary(many), "training_windows": {}}
    _, said, rows, *_ = of_series.section(metrics, many, card)
    assert "The 10 best and the 10 worst, by MASE" in said
    assert not any(line.startswith("| 01 |") or line.endswith(" |  |") for line in rows.splitlines()
                   if "..." not in line)  # fmt: skip
    fewer = many.iloc[:24]
    _, said, rows, *_ = of_series.section(metrics, fewer, card)
    assert "The 16 with a MASE, by MASE" in said
    assert len(rows.splitlines()) == 2 + 16


def test_the_picture_counts_what_the_sentence_counts(each: pd.DataFrame, card: Card) -> None:
    """A series whose baseline has no error has no bar and is not among the better ones."""
    (axes,) = series_pictures.skill(each, card).axes
    assert "67% of 3 series" in axes.get_title()
    assert "no error" in axes.get_xlabel()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "c", "b"]

"""The page of a search: its pictures, its words, every trial."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.experiments.search.study import Search
from pipeline.reports import search_page, search_pictures
from tests.experiments.search.test_study import RANGES, Fake, search, written


@pytest.fixture
def found(tmp_path: Path) -> Search:
    """A search whose trials cost nothing, one of which failed and one of which is far off."""

    def failing(trial: Any) -> bool:
        return bool(trial.number == 5)

    made = search(tmp_path, written(trials=16, ranges=RANGES))
    made.run(Fake(failing=failing))
    return made


def test_each_setting_has_its_panel(found: Search) -> None:
    """Every trial that uses a setting is a point there; the best and the first are marked."""
    figure = search_pictures.slices(found)
    panels = {axes.get_xlabel(): axes for axes in figure.axes if axes.get_visible()}
    assert set(panels) == set(RANGES)
    assert len(panels["train.model.name"].lines[0].get_xdata()) == len(found.ranked)
    networks = [one for one in found.ranked if one.drawn.get("train.model.name") != "ridge"]
    assert len(panels["train.model.units"].lines[0].get_xdata()) == len(networks)
    assert panels["train.learning_rate"].get_xscale() == "log"


def test_the_history_falls_to_the_best(found: Search) -> None:
    """Its line never rises and ends at the winner's error."""
    axes = search_pictures.history(found).axes[0]
    [line] = [one for one in axes.lines if one.get_label() == "the best until then"]
    values = [*line.get_ydata()]
    assert values == sorted(values, reverse=True)
    assert values[-1] == found.best.error(found.metric)


def test_a_line_a_trial_runs_over_all_settings(found: Search) -> None:
    """The winner's is drawn last, so that it is seen."""
    axes = search_pictures.parallel(found).axes[0]
    lines = [one for one in axes.lines if len(one.get_xdata()) == len(RANGES)]
    assert len(lines) == len(found.ranked)
    assert lines[-1].get_color() == search_pictures.BEST


def test_the_page_has_all_of_it(found: Search) -> None:
    """Four pictures inside, a row a trial, the failed one's line, the test score."""
    metrics = {
        "test": {"rmse": 3.21},
        "baselines": {"drift": {"rmse": 4.0}, "ridge": {"rmse": 3.5}},
    }
    html = search_page.html(found, metrics)
    assert html.count("data:image/png;base64,") == len(search_page.CAPTIONS) == 4
    assert html.count("<tr>") == len(found.ranked) + 1
    assert "trial 5: expected another, found this" in html
    assert "RMSE 3.210; the best baseline, ridge: 3.500" in html
    assert "dvc exp run" in html


def test_a_search_of_one_trial_has_a_page(tmp_path: Path) -> None:
    """Without what needs several."""
    made = search(tmp_path, written(trials=1))
    made.run(Fake())
    html = search_page.html(made, {"test": {"rmse": 1.0}, "baselines": {}})
    assert html.count("data:image/png;base64,") == 3

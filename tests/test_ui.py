"""The MLflow UI in a real browser: the run table, the charts and the compare page make sense.

Screenshots go to the directory that SCREENSHOTS names, if it is set.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests import browser as pages
from tests.serving import free_port, serving
from tests.story import Story, story

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
__all__ = ["story"]  # a fixture


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium of the system, without any profile."""
    if not pages.installed():
        warnings.warn("no chromium and chromedriver on PATH: the UI was NOT checked", stacklevel=1)
        pytest.skip("the UI was not checked: no chromium and chromedriver on PATH")
    with pages.chromium() as window:
        yield window


@pytest.fixture(scope="module")
def ui(story: Story) -> Iterator[str]:
    """`mlflow ui` on the story's store."""
    port = free_port()
    command = ["mlflow", "ui", "--backend-store-uri", story.store, "--workers", "1"]
    base = f"http://127.0.0.1:{port}"
    with serving([*command, "--port", str(port)], f"{base}/health", story.directory / "ui.log"):
        yield base


@pytest.fixture(scope="module")
def experiment(story: Story) -> str:
    """The id of the story's experiment."""
    found = story.client.get_experiment_by_name("beijing_pm25")
    assert found is not None
    return str(found.experiment_id)


def keep(browser: webdriver.Chrome, name: str) -> None:
    """Save a screenshot if screenshots are wanted."""
    if directory := os.environ.get("SCREENSHOTS"):
        browser.save_screenshot(str(Path(directory) / f"{name}.png"))


def test_the_run_table_shows_scores_best_first(
    browser: webdriver.Chrome, ui: str, story: Story, experiment: str
) -> None:
    """One click on the experiment's note leads to the scores; the larger model stands first."""
    metrics = story.client.get_run(story.id("large-1")).data.metrics
    pages.run_table(browser, ui, experiment, str(metrics["test/rmse"])[:5])
    columns = ("validation/rmse", "test/rmse", "skill/persistence", "model/weights")
    best, other = "large-1: lstm 24, 12 to 24", "lstm 4, 12 to 24"
    weights = f"\n{metrics['model/weights']:.0f}\n"
    shown = pages.shown(browser, *columns, "train.model.units", best, other, weights)
    keep(browser, "run-table")
    assert shown.index(best) < shown.index(other)


def test_the_chart_view_groups_metrics(browser: webdriver.Chrome, ui: str, experiment: str) -> None:
    """One section a group: scores by span, rules, skill, loss; no metric stands outside of one."""
    pages.charts(browser, ui, experiment)
    scores = {
        "best",
        "linear",
        "persistence",
        "ridge",
        "skill",
        "test",
        "time",
        "train",
        "validation",
    }
    pages.wait(browser, lambda: scores | {"model"} <= {*pages.text(browser).splitlines()})
    keep(browser, "charts")


def test_the_compare_page_has_numbers_on_its_axes(
    browser: webdriver.Chrome, ui: str, story: Story, experiment: str
) -> None:
    """Numeric parameters are numeric; those that differ, and grouped metrics, are listed."""
    ids = [story.id(name) for name in ("small-1", "small-2", "large-1")]
    pages.comparison(browser, ui, experiment, ids)
    words = ("train.model.units", "best/validation_loss", "24.00000")
    shown = pages.shown(browser, *words, "Clear All", "Run details")
    keep(browser, "compare")
    axis = shown[shown.index("Clear All") : shown.index("Run details")]
    assert "24.00000" in axis  # an axis of numbers, not of labels


def test_a_models_page_leads_to_its_report(
    browser: webdriver.Chrome, ui: str, story: Story, experiment: str
) -> None:
    """It says what the model takes and holds; models are ranked by a score on their data set."""
    table = {"dataset_name": "beijing_pm25"}
    order = [{"field_name": "metrics.test/rmse", "ascending": True, **table}]
    ranked = story.client.search_logged_models([experiment], datasets=[table], order_by=order)
    scores = [story.client.get_run(m.source_run_id).data.metrics["test/rmse"] for m in ranked]
    assert len(scores) >= 4
    assert scores == sorted(scores)
    browser.get(f"{ui}/#/experiments/{experiment}/models/{ranked[0].model_id}")
    words = (
        "Signature:",
        "On test: ",
        "Intervals of 80% hold ",
        "a long table with the columns origin",
    )
    pages.shown(browser, *words)
    keep(browser, "model")
    [address] = pages.targets(browser, "report.html")
    browser.get("about:blank")
    browser.get(address)
    pages.wait(browser, lambda: "report/report.html" in pages.text(browser))
    pages.wait(browser, lambda: pages.elements(browser, "iframe"))  # which has the report


def test_the_report_is_one_page_with_its_pictures(browser: webdriver.Chrome, story: Story) -> None:
    """The logged report needs nothing beside it, and says commit and host."""
    page = story.client.download_artifacts(story.id("large-1"), "report/report.html")
    browser.get(f"file://{page}")
    shown = pages.text(browser)
    keep(browser, "report")
    for word in ("Scores beside the baselines", "How to reproduce this", "git checkout", "host"):
        assert word in shown
    pictures = pages.elements(browser, "img")
    assert len(pictures) >= 7
    assert all(picture.get_property("naturalWidth") > 0 for picture in pictures)

"""The MLflow UI in a real browser: the run table, the charts and the compare page make sense.

Screenshots go to the directory that SCREENSHOTS names, if it is set.
"""

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.serving import free_port, serving
from tests.story import Story, story

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
__all__ = ["story"]  # a fixture
FLAGS = [
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "window-size=1900,1000",
]
NODE = ".du-bois-light-tree-treenode"
T = TypeVar("T")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Headless Chromium of the system, without any profile."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        warnings.warn("no chromium and chromedriver on PATH: the UI was NOT checked", stacklevel=1)
        pytest.skip("the UI was not checked: no chromium and chromedriver on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    window = webdriver.Chrome(options=options, service=Service(driver))
    yield window
    window.quit()


@pytest.fixture(scope="module")
def ui(story: Story) -> Iterator[str]:
    """`mlflow ui` on the story's store."""
    port = free_port()
    command = ["mlflow", "ui", "--backend-store-uri", story.store, "--workers", "1"]
    base = f"http://127.0.0.1:{port}"
    with serving([*command, "--port", str(port)], f"{base}/health", story.directory / "ui.log"):
        yield base


def wait(browser: webdriver.Chrome, found: Callable[[], T], seconds: int = 60) -> T:
    """What `found` returns once it is not empty; the page's text if it never is."""
    try:
        return WebDriverWait(browser, seconds, ignored_exceptions=[IndexError]).until(
            lambda _: found()
        )
    except Exception:
        print(text(browser))
        raise


def text(browser: webdriver.Chrome) -> str:
    """What a reader sees."""
    return browser.find_element(By.TAG_NAME, "body").text


def elements(browser: webdriver.Chrome, selector: str, label: str = "") -> list[WebElement]:
    """The elements of a CSS selector, those with a certain text if one is given."""
    found = browser.find_elements(By.CSS_SELECTOR, selector)
    return [element for element in found if not label or element.text == label]


def open_page(browser: webdriver.Chrome, address: str, expected: str) -> None:
    """Go to a page, wait for a text on it, and close the assistant's panel."""
    browser.get("about:blank")  # an address that differs behind the # alone is no new page
    browser.get(address)
    wait(browser, lambda: expected in text(browser))
    for button in elements(browser, "button[aria-label=Close]"):
        button.click()


def keep(browser: webdriver.Chrome, name: str) -> None:
    """Save a screenshot if screenshots are wanted."""
    if directory := os.environ.get("SCREENSHOTS"):
        browser.save_screenshot(str(Path(directory) / f"{name}.png"))


def experiment_id(story: Story) -> str:
    """The id of the story's experiment."""
    found = story.client.get_experiment_by_name("beijing_pm25")
    assert found is not None
    return str(found.experiment_id)


def test_the_run_table_shows_chosen_scores_best_first(
    browser: webdriver.Chrome, ui: str, story: Story
) -> None:
    """Sorted by validation error, with four columns chosen, the larger model stands first."""
    order = quote("metrics.`validation/rmse`")
    address = f"{ui}/#/experiments/{experiment_id(story)}/runs?orderByKey={order}&orderByAsc=true"
    open_page(browser, address, "3 matching runs")
    elements(browser, "[data-testid=column-selection-dropdown]", "Columns")[0].click()
    chosen = ("validation/rmse", "test/rmse", "skill/persistence", "train.model.units")
    search = wait(browser, lambda: elements(browser, "input[placeholder='Search columns']"))[0]
    for name in chosen:
        search.clear()
        search.send_keys(name)
        row = wait(browser, lambda name=name: elements(browser, NODE, name))[0]
        row.find_element(By.CSS_SELECTOR, ".du-bois-light-tree-checkbox").click()
        search = elements(browser, "input[placeholder='Search columns']")[0]
    elements(browser, "h2")[0].click()
    best = story.client.get_run(story.id("large-1")).data.metrics
    shown = wait(
        browser, lambda: f"{best['test/rmse']:.3f}"[:-1] in text(browser) and text(browser)
    )
    keep(browser, "run-table")
    assert all(name in shown for name in chosen)
    assert shown.index("lstm 12, 12 to 24") < shown.index("lstm 4, 12 to 24")


def test_the_chart_view_groups_metrics(browser: webdriver.Chrome, ui: str, story: Story) -> None:
    """One section a group: scores by span, rules, skill, loss; no metric stands outside of one."""
    address = f"{ui}/#/experiments/{experiment_id(story)}/runs?compareRunsMode=CHART"
    open_page(browser, address, "best/epoch")
    shown = wait(browser, lambda: "validation" in text(browser) and text(browser)).splitlines()
    keep(browser, "charts")
    groups = {"best", "persistence", "ridge", "skill", "test", "time", "train", "validation"}
    assert groups <= set(shown)


def test_the_compare_page_has_numbers_on_its_axes(
    browser: webdriver.Chrome, ui: str, story: Story
) -> None:
    """Numeric parameters are numeric; those that differ, and grouped metrics, are listed."""
    ids = [story.id(name) for name in ("small-1", "small-2", "large-1")]
    experiments = quote(json.dumps([experiment_id(story)]))
    address = f"{ui}/#/compare-runs?runs={quote(json.dumps(ids))}&experiments={experiments}"
    open_page(browser, address, "Comparing 3 Runs from 1 Experiment")
    shown = wait(browser, lambda: "test/rmse_h24" in text(browser) and text(browser))
    keep(browser, "compare")
    assert "train.model.units" in shown
    assert "seasonal_naive/rmse" in shown
    axis = shown[shown.index("Clear All") : shown.index("Run details")]
    assert "12.00000" in axis  # an axis of numbers, not of labels


def test_the_report_is_one_page_with_its_pictures(browser: webdriver.Chrome, story: Story) -> None:
    """The logged report needs nothing beside it, and says commit and host."""
    page = story.client.download_artifacts(story.id("large-1"), "report/report.html")
    browser.get(f"file://{page}")
    shown = text(browser)
    keep(browser, "report")
    for word in ("Scores beside naive rules", "To make it again", "git checkout", "host"):
        assert word in shown
    pictures = elements(browser, "img")
    assert len(pictures) == 7
    assert all(picture.get_property("naturalWidth") > 0 for picture in pictures)

"""The MLflow UI in headless Chromium: its pages, opened and waited for."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import quote

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

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
T = TypeVar("T")


def installed() -> bool:
    """Whether the system has Chromium and its driver."""
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """Headless Chromium of the system with a new profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        window = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield window
        finally:
            window.quit()


def wait(browser: webdriver.Chrome, found: Callable[[], T], seconds: int = 90) -> T:
    """What `found` returns once it is not empty; shows the page's text if it never is."""
    try:
        return WebDriverWait(
            browser, seconds, ignored_exceptions=[IndexError, WebDriverException]
        ).until(lambda _: found())
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


def open_page(browser: webdriver.Chrome, address: str, expected: str) -> str:
    """Go to a page, wait for a text on it, and close the assistant's panel; the page's text."""
    browser.get("about:blank")  # an address that differs behind the # alone is no new page
    browser.get(address)
    wait(browser, lambda: expected in text(browser))
    # Again, if the page is drawn anew between the look and the click.
    wait(
        browser,
        lambda: [one.click() for one in elements(browser, "button[aria-label=Close]")] or True,
    )
    return text(browser)


def run_table(browser: webdriver.Chrome, ui: str, experiment: str, cell: str) -> str:
    """The runs, where the link on top of the experiment leads; waits for a cell's text."""
    browser.get(f"{ui}/#/experiments/{experiment}")
    open_page(browser, targets(browser, "Runs, best first")[0], "matching runs")
    return shown(browser, cell)


def targets(browser: webdriver.Chrome, label: str) -> list[str]:
    """Where the links with this text lead, once there is one."""
    return wait(
        browser, lambda: [str(link.get_property("href")) for link in elements(browser, "a", label)]
    )


def shown(browser: webdriver.Chrome, *words: str) -> str:
    """The page's text once all words are in it: tables and charts are drawn bit by bit."""

    def found() -> str:
        now = text(browser)
        return now if all(word in now for word in words) else ""

    return wait(browser, found)


def charts(browser: webdriver.Chrome, ui: str, experiment: str) -> str:
    """The chart view."""
    address = f"{ui}/#/experiments/{experiment}/runs?compareRunsMode=CHART"
    open_page(browser, address, "best/epoch")
    return shown(browser, "validation")


def comparison(browser: webdriver.Chrome, ui: str, experiment: str, ids: Sequence[str]) -> str:
    """The compare page of these runs."""
    experiments = quote(json.dumps([experiment]))
    address = f"{ui}/#/compare-runs?runs={quote(json.dumps(list(ids)))}&experiments={experiments}"
    open_page(browser, address, f"Comparing {len(ids)} Runs from 1 Experiment")
    # The list of metrics is drawn as far as the window shows it.
    return shown(browser, "drift/coverage_80")

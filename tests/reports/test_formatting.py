"""Names in reports and pictures: shown as they are, never read as markup."""

from collections.abc import Callable
from contextlib import chdir
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from pipeline.config.experiment import Experiment
from pipeline.config.reading import read_experiment
from pipeline.files.layout import HERE
from pipeline.reports import comparison_pictures, markdown, page, pictures
from pipeline.reports.formatting import escape_markdown, escape_mathtext, table
from pipeline.tracking import labels
from tests.repositories import NO_STORE, STAGES
from tests.toys import CARD, Project, changed, to_yaml, toy_card, toy_params, toy_table, toy_times

SIGNS = list("$\\_*`|[]()<>!#&~^{}:;'\"-+=./ ab1é漢")
NAMES = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=14).map(
    lambda signs: " ".join("".join(signs).split())
)
NASTY = (
    "![x](http://example.org/a.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=y>",
    "[a](b)",
    "a|b\\|c\\",
    "*a* _b_ __c__ ~~d~~",
    "`a` ``b``",
    "$a$ and $b",
    "&amp; &#36; <http://a.b>",
    "# a #",
    "speed [m/s]",
    "a\\$b$",
)


class Seen(HTMLParser):
    """The tags and the text of a page's body, cell by cell."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.sources: list[str] = []
        self.feed(html.partition("<body>")[2])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and what it loads."""
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data.strip())


def shown(markdown: str) -> Seen:
    """What a browser shows of a page."""
    return Seen(page.html("t", markdown, {}))


def nasty(test: Callable[..., None]) -> Callable[..., None]:
    """A property over names, each of the list above among them."""
    for name in NASTY:
        test = example(name=name)(test)
    return given(name=NAMES.filter(bool))(test)


@nasty
def test_a_table_shows_names_as_they_are(name: str) -> None:
    """Whatever stands in a cell, head or body, it is text, and no cell is torn in two."""
    seen = shown(table([name, "b"], [[name, name]]))
    assert [text for text in seen.texts if text] == [name, "b", name, name]
    assert set(seen.tags) == {"table", "thead", "tbody", "tr", "th", "td"}


@nasty
def test_titles_and_sentences_show_names_as_they_are(name: str) -> None:
    """In a heading, in bold and in the midst of a sentence."""
    text = escape_markdown(name)
    seen = shown(f"# {text}\n\nOf {text}, and {text}.")
    whole = "".join(seen.texts)
    assert whole == f"{name}Of {name}, and {name}."
    assert seen.tags == ["h1", "p"]


@nasty
def test_pictures_show_names_as_they_are(name: str) -> None:
    """matplotlib reads no formula in a name, and draws every sign of it."""
    text = Text(text=escape_mathtext(name))
    written, formula = text._preprocess_math(text.get_text())
    assert (written, formula) == (name, False)


@pytest.mark.parametrize("name", NASTY)
def test_a_note_shows_a_title_and_targets_as_they_are(name: str) -> None:
    """What the UI shows above a run loads nothing and links nowhere."""
    card = toy_card(title=name, columns={name: {}}, targets=[name], inputs=[name])
    seen = shown(labels.note(Experiment(toy_params(), card)))
    assert set(seen.tags) == {"p", "strong"}
    assert "".join(seen.texts).startswith(f"{name}Forecasts {name} 3 steps")


def test_a_command_stays_in_its_block() -> None:
    """A card's command that has a fence of its own opens nothing."""
    command = "cat <<'x'\n```\n![a](http://example.org/a.png)\n```\nx"
    assert set(shown(markdown._code([command])).tags) == {"pre", "code"}


def test_a_page_may_load_nothing_from_elsewhere() -> None:
    """The browser is told so as well: pictures inside the page alone."""
    html = page.html("t", "![a](http://example.org/a.png)", {})
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in html


@pytest.mark.slow
def test_a_whole_report_shows_names_as_they_are(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Title, target, unit and licence are text in the page; a table without gaps has no picture
    of them."""
    for variable, value in NO_STORE.items():
        monkeypatch.setenv(variable, value)
    title, target = "![x](http://example.org/a.png) <b>", "a|b $c$ `d` [e](f)"
    card = changed(CARD, {"title": title, "licence": "*MIT*", "targets": [target]})
    card |= {"inputs": [target, "flow"], "columns": {target: {"unit": "$m$"}, "flow": {}}}
    card |= {"excluded": ["wind", "note"]}
    project.write(toy_table(missing=0).rename(columns={"level": target}))
    project.card.write_text(to_yaml(card))
    project.run(*STAGES)
    with chdir(project.root):
        seen = Seen(page.of_report(read_experiment(), HERE))
    whole = " ".join(seen.texts)
    for text in (title, f"{target}, 3 steps of 1h ahead", f"{target} in $m$", "(*MIT*)"):
        assert text in whole
    assert not set(seen.tags) & {"a", "b", "em", "script"}
    assert seen.sources
    assert all(source.startswith("data:image/png;base64,") for source in seen.sources)
    assert not (project.root / "data/reports/plots/missing.png").exists()


def texts(figure: Figure) -> list[str]:
    """Every text of a figure as it is drawn, and none of them a formula."""
    figure.draw_without_rendering()
    drawn = [text._preprocess_math(text.get_text()) for text in figure.findobj(Text)]
    assert not any(formula for _, formula in drawn)
    return [str(written) for written, _ in drawn]


def test_every_picture_draws_names_with_dollars() -> None:
    """Loss curves and errors of compared runs, and missing values: no label is a formula."""
    name = r"a$b_{$c^x$"
    curves = {name: [([2.0, 1.0], [2.0, 1.0], 2)]}
    assert name in texts(comparison_pictures.losses(curves))
    table = pd.DataFrame({name: [1.0, float("nan"), 2.0]}, toy_times(3))
    assert f"{name} (1)" in texts(pictures.missing(table, [1, 2], toy_card()))

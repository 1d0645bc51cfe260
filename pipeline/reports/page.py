"""Markdown as one self-contained HTML page: its pictures travel inside it."""

import base64
import platform
import time
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader
from markdown_it import MarkdownIt
from markupsafe import Markup

from pipeline.config.experiment import Experiment
from pipeline.files.layout import Layout
from pipeline.reports import markdown
from pipeline.repository import changed_params, provenance
from pipeline.runtime import determinism

CHANGED = {  # by a run's tag git.dirty
    "true": " and uncommitted changes",
    "unknown": ", perhaps with changes: Git cannot tell",
}
PAGE = Environment(autoescape=True, loader=PackageLoader("pipeline", "reports"))


def html(title: str, markdown: str, pictures: Mapping[str, bytes]) -> str:
    """The page of a Markdown text (CommonMark with tables); raw HTML in it is shown, not obeyed.

    `title` is the browser tab's, `pictures` has the PNG file of each address in the text.
    """
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    for address, png in pictures.items():
        inline = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        body = body.replace(f'src="{address}"', f'src="{inline}"')
    # Safe: MarkdownIt has escaped what was not Markdown.
    return PAGE.get_template("page.html").render(title=title, body=Markup(body))  # noqa: S704


def of_report(experiment: Experiment, layout: Layout) -> str:
    """The report with what no stage output may hold: commit, date, host."""
    tags = provenance.tags(experiment.dataset)
    facts = {
        "commit": tags.get("git.commit", "not in Git") + CHANGED.get(tags.get("git.dirty", ""), ""),
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "host": f"{platform.node()}, {determinism.processor()}",
    }
    text = layout.report.read_text(encoding="utf-8")
    flags = changed_params.flags(experiment.asked)
    own = markdown.provenance(facts, tags.get("git.commit"), flags)
    pictures = {f"plots/{file.name}": file.read_bytes() for file in layout.plots.glob("*.png")}
    return html(experiment.card.title, f"{text}\n{own}", pictures)

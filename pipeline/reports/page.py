"""Markdown as one self-contained HTML page: its pictures travel inside it."""

import base64
import platform
import time
from collections.abc import Mapping

from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup

from pipeline.config.cards import Card
from pipeline.config.params import Params
from pipeline.files import paths
from pipeline.reports import markdown
from pipeline.repository import changed_params, provenance
from pipeline.runtime import determinism

CHANGED = {  # by a run's tag git.dirty
    "true": " and uncommitted changes",
    "unknown": ", perhaps with changes: Git cannot tell",
}
TEMPLATE = Environment(autoescape=True).from_string(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; color: #222; background: #fff;
       font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin-bottom: .4rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem;
     border-bottom: 1px solid #ddd; }
img { max-width: 100%; height: auto; display: block; margin: 1rem 0 .2rem; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums;
        display: block; overflow-x: auto; }
th, td { padding: .3rem .55rem; border-bottom: 1px solid #e5e5e5; }
th { background: #f6f6f6; white-space: nowrap; }
tbody tr:hover { background: #f3f8fc; }
code { font-size: .86em; background: #f4f4f4; padding: .1em .3em; border-radius: 3px; }
pre { background: #f4f4f4; padding: .8rem 1rem; border-radius: 4px; overflow-x: auto; }
pre code { padding: 0; background: none; }
</style>
</head>
<body>
{{ body }}
</body>
</html>
"""
)


def html(title: str, markdown: str, pictures: Mapping[str, bytes]) -> str:
    """The page of a Markdown text (CommonMark with tables); raw HTML in it is shown, not obeyed.

    `title` is the browser tab's, `pictures` has the PNG file of each address in the text.
    """
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    for address, png in pictures.items():
        inline = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        body = body.replace(f'src="{address}"', f'src="{inline}"')
    # Safe: MarkdownIt has escaped what was not Markdown.
    return TEMPLATE.render(title=title, body=Markup(body))  # noqa: S704


def of_report(params: Params, card: Card) -> str:
    """The report with what no stage output may hold: commit, date, host."""
    tags = provenance.tags(params.ingest.dataset)
    facts = {
        "commit": tags.get("git.commit", "not in Git") + CHANGED.get(tags.get("git.dirty", ""), ""),
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "host": f"{platform.node()}, {determinism.processor()}",
    }
    text = paths.REPORT.read_text(encoding="utf-8")
    own = markdown.provenance(facts, tags.get("git.commit"), changed_params.flags(params))
    pictures = {f"plots/{file.name}": file.read_bytes() for file in paths.PLOTS.glob("*.png")}
    return html(card.title, f"{text}\n{own}", pictures)

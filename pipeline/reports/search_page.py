"""A search as one page: what it found, its pictures, every trial."""

import time
from typing import Any

from pipeline.experiments.search.study import Search
from pipeline.files import artifacts
from pipeline.reports import page, search_pictures, search_text
from pipeline.reports.formatting import escape_markdown, table

CAPTIONS = {
    "history": "A point is a trial, a bar its seeds' spread.",
    "slices": "What lies to the left or right of all good trials lies beyond the range.",
    "parallel": "Where the dark lines meet, good trials agree.",
    "importance": "Of the settings that every trial has, which those of single models are not.",
}


def html(search: Search, metrics: dict[str, Any]) -> str:
    """The page; `metrics` are the winner's."""
    told = [
        search_text.against_the_start(search),
        *search_text.notes(search),
        search_text.on_test(search, metrics),
    ]
    name, title = search.directory.name, escape_markdown(search.base.card.title)
    text = [f"# Search {escape_markdown(name)}", title]
    text += [f"- {escape_markdown(line)}" for line in told]
    text += [
        "The winner is made by",
        f"```bash\n{search_text.command(search, search_text.winner(search))}\n```",
    ]
    images = {}
    for of, figure in search_pictures.draw(search).items():
        text.append(f"![{of}]({of}.png)\n\n{CAPTIONS[of]}")
        images[f"{of}.png"] = artifacts.png(figure)
    text += ["## Trials", table(*search_text.table(search), words=["settings"])]
    text.append(f"Written {time.strftime('%Y-%m-%d %H:%M %z')}.")
    return page.html(f"Search {name}", "\n\n".join(text), images)

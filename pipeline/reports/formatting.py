"""How numbers and names are written in reports and pictures; no name is read as markup."""

import math
import re
from collections.abc import Collection, Sequence

# What opens something in Markdown; an underscore within a word does not. `&`, `<`, `>` and `$`,
# which some renderers know no backslash before, are written as HTML has them.
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"}
SIGNS = re.compile(r"[\\`*\[\]#|~&<>$]|(?<![^\W_])_|_(?![^\W_])")


def escape_markdown(name: object) -> str:
    """A name or value so that Markdown shows it as it is, in a line of text or a table's cell."""
    return SIGNS.sub(lambda sign: ENTITIES.get(sign[0], f"\\{sign[0]}"), _one_line(name))


def table(header: Sequence[str], body: Sequence[Sequence[str]], words: Collection[str] = ()) -> str:
    """A Markdown table of plain cells; all but the first column and those of words to the right."""
    first, *lines = ([escape_markdown(cell) for cell in line] for line in (header, *body))
    rule = ["---", *("---" if name in words else "---:" for name in header[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (first, rule, *lines))


def escape_mathtext(name: object) -> str:
    """A name whose dollars are dollars: between two of them matplotlib would read a formula."""
    return _one_line(name).replace("$", r"\$")


def _one_line(name: object) -> str:
    return " ".join(str(name).split())


def number(score: float | None) -> str:
    """A score to at least three digits that say something; nothing if it is not defined."""
    if score is None or math.isnan(score):
        return ""
    if 0 < abs(score) < 0.1:
        return f"{score:.3g}"
    return f"{score:.3f}" if abs(score) < 10 else f"{score:,.2f}"


def percent(skill: float | None) -> str:
    """A skill with its sign; nothing if it is not defined."""
    if skill is None or math.isnan(skill):
        return ""
    return f"{round(skill, 3) + 0:+.1%}"  # + 0, since -0.0 would show

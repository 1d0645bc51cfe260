"""Text as a card has it: words, lists of them, and comments of one line."""

import json
import re
from collections.abc import Iterable
from typing import Any


def line(text: str) -> str:
    """The text without line breaks or anything else that would end a comment."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def words(found: Iterable[Any]) -> str:
    """A list of words in one line."""
    return f"[{', '.join(word(str(one)) for one in found)}]"


def word(text: str) -> str:
    """A string as YAML: plain where that cannot be mistaken for anything else, else quoted."""
    plain = re.fullmatch(r"[^\W\d_][\w.%-]*", text)
    if plain and text.lower() not in ("null", "true", "false"):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in quoted)

"""One JSON object a line: a case, then what to do, each answered in turn."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


class Turns:
    """The other side of `benchmarks.measure.Program`; what libraries print goes elsewhere."""

    def __init__(self) -> None:
        self.answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def read(self) -> dict[str, Any]:
        """The next line; the process ends where there is none."""
        line = sys.stdin.readline()
        if not line:
            sys.exit()
        message: dict[str, Any] = json.loads(line)
        return message

    def answer(self, **content: Any) -> None:
        """Answer it."""
        print(json.dumps(content), file=self.answers)


def serve(prepare: Callable[[dict[str, Any]], Callable[..., dict[str, Any]]]) -> None:
    """Prepare for a case, then measure once for every line."""
    turns = Turns()
    measure = prepare(turns.read())
    turns.answer()
    while True:
        turns.answer(**measure(**turns.read()))

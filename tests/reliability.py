"""docs/reliability.md, made from the tests: `make reliability-docs`."""

import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent.parent / "docs/reliability.md"
SECTIONS = {
    "Faults": ["test_faults"],
    "Interrupted trainings": ["training.test_checkpoint", "experiments.test_resume"],
    "MLflow's database": ["tracking.test_database"],
    "What Git says": ["repository.test_provenance"],
    "A Ray cluster": ["experiments.test_ray_cluster"],
    "Reproducibility": ["reproduction.test_reproducibility"],
    "Security": ["test_security"],
    "Bad tables": ["data.test_tables"],
    "Bad series, windows and stage inputs": ["stages.test_stages"],
    "Bad parameters and cards": ["config.test_experiment"],
    "Rows to forecast from": ["commands.test_predict", "forecasting.test_remarks"],
    "Where files are read and written": ["files.test_artifacts"],
    "The server": ["forecasting.test_server"],
    "The forecast log": ["forecasting.test_forecast_log"],
    "A model in service": [
        "monitoring.test_inputs",
        "monitoring.test_watch",
        "commands.test_monitor",
    ],
    "Retraining": ["experiments.test_newest", "commands.test_retrain"],
    "Models of earlier code": ["forecasting.test_stored", "tracking.test_served_code"],
    "In a container": ["test_container"],
    "On a GPU that is only said to be there": ["models.test_by_layer"],
}
INTRODUCTION = """# What can go wrong, and what happens then

Each line is a test. `make test` runs them, `make test-slow` those marked *slow*.
`make reliability-docs` writes this page from the tests, and a test checks that the two agree. Bad
input ends with exit code 1 and a line that starts with `error:`, without a traceback; a wrong
option with exit code 2 and the usage. No output is replaced then; `new-dataset` leaves its card.

Two faults are not covered. A stage whose DVC is killed while Python starts, before the stage has
looked who called it, runs on. A bit that flips in a model already logged to MLflow goes unnoticed,
because HDF5 keeps no checksums.
"""


def page() -> str:
    """The whole document."""
    parts = [INTRODUCTION]
    for title, modules in SECTIONS.items():
        parts.append(f"\n## {title}\n\n| What | Outcome |\n|---|---|\n")
        for name in modules:
            module = importlib.import_module(f"tests.{name}")
            for test in vars(module).values():
                if inspect.isfunction(test) and test.__name__.startswith("test_"):
                    parts += [f"| {what} | {outcome} |\n" for what, outcome in rows(test)]
    return "".join(parts)


def rows(test: Any) -> Iterator[tuple[str, str]]:
    """A line for the test, and one for each case that tells of a message."""
    marks = [*getattr(test, "pytestmark", []), *_of_module(test)]
    slow = " *(slow)*" if any(mark.name == "slow" for mark in marks) else ""
    title = test.__name__.removeprefix("test_").replace("_", " ")
    cases = [case for mark in marks if mark.name == "parametrize" for case in _cases(*mark.args)]
    brief = [what for what, message in cases if what and not message]
    listed = f" ({', '.join(brief)})" if brief else ""
    yield title + listed + slow, _cell(inspect.getdoc(test) or "")
    for what, message in cases:
        if message:
            yield f"&nbsp;&nbsp;{what or '…'}", message


def _of_module(test: Any) -> list[Any]:
    marks = getattr(inspect.getmodule(test), "pytestmark", [])
    return marks if isinstance(marks, list) else [marks]


def _cases(names: Any, values: Any) -> Iterator[tuple[str, str]]:
    """Of each case what it is, and what must be said of it."""
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    for value in values:
        name = getattr(value, "id", None)
        if isinstance(values, dict):  # a table of cases by name: what goes in, what is said
            told = values[value]
            message = _message(told[-1]) if isinstance(told, tuple) else ""
            yield _cell(str(value)), message
            continue
        given = value.values if hasattr(value, "values") and name is not None else value
        given = given if len(names) > 1 else [given]
        told = [v for n, v in zip(names, given, strict=False) if n in ("parts", "message")]
        rest = [v for n, v in zip(names, given, strict=False) if n not in ("parts", "message")]
        what = name or ": ".join(filter(None, map(_show, rest)))
        yield _cell(what), _message(told[0]) if told else ""


def _message(told: Any) -> str:
    parts = [told] if isinstance(told, str) else told
    return " … ".join(f"`{_cell(str(part)).replace('`', chr(39))}`" for part in parts)


def _show(value: Any) -> str:
    if callable(value):
        return ""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return ""
    readable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:70])
    return f"`{readable}`" if text.strip() else "(empty)"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")

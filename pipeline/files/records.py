"""Typed, frozen records of what files hold, with one-line errors that name the key."""

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import PipelineError

TYPES = {"str", "int", "float", "bool", "none"}  # by pydantic's names


class Record(BaseModel):
    """A frozen, strict record that knows every key it may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


R = TypeVar("R", bound=Record)


def parse(content: dict[str, Any], record: type[R], where: str) -> R:
    """The content as a record; PipelineError says where, which key, expected and found."""
    # By way of JSON: there a list may become a tuple while a string never becomes a number.
    text = json.dumps(content, default=str)
    try:
        return record.model_validate_json(text)
    except ValidationError as error:
        problems = [_explain(problem, record) for problem in sorted(error.errors(), key=_last)]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise PipelineError(f"{where}: {problems[0]}{more}")


def _last(problem: Any) -> tuple[bool, bool]:
    """What sorts problems, first the one to read.

    A misspelt key makes two, unknown and missing; a mapping where a name may stand two as well.
    """
    name_for_mapping = problem["type"] == "literal_error" and isinstance(problem["input"], dict)
    return problem["type"] != "extra_forbidden", name_for_mapping


def _explain(problem: Any, record: type[Record]) -> str:
    keys, siblings = _walk(problem["loc"], record)
    name, found = ".".join(keys), shown(problem["input"])
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], siblings, n=1, cutoff=0.5)
        parent = ".".join(keys[:-1])
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(siblings)}"
        return f"{name}: unknown key{f' in {parent}' if parent else ''}; {hint}"
    if problem["type"] == "missing":
        return f"{name}: missing; expected a value for this key"
    if problem["type"] == "union_tag_invalid":
        tag = problem["ctx"]["discriminator"].strip("'")
        expected = problem["ctx"]["expected_tags"].replace("'", "")
        near = difflib.get_close_matches(str(problem["ctx"]["tag"]), expected.split(", "), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f'{name}.{tag}: expected one of {expected}, found "{problem["ctx"]["tag"]}"{hint}'
    if problem["type"] == "union_tag_not_found":
        tag = problem["ctx"]["discriminator"].strip("'")
        return f"{name}.{tag}: missing; expected a value for this key"
    expected = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    expected = re.sub("^(String|Tuple|Dictionary) should ", "to ", expected)
    expected = re.sub(r" after validation, not \d+$", "", expected)
    if problem["type"] == "string_type" and isinstance(problem["input"], int | float):
        found += "; put it in quotes"
    if problem["type"] in ("list_type", "tuple_type"):
        expected, found = "a list", f"{found}; put it in brackets"
    # The words of a check of the whole file say themselves what was found.
    return f"{name}: expected {expected}, found {found}" if keys else f"expected {expected}"


def _walk(location: tuple[Any, ...], record: type[Record]) -> tuple[list[str], list[str]]:
    """The keys of an error's place, without the union tags pydantic adds, and what may stand there.

    pydantic names the chosen member of a union in the place of an error; a user never wrote it.
    """
    keys: list[str] = []
    current: list[type[Record]] = [record]
    siblings: list[str] = []
    for part in location:
        fields = {key: field for member in current for key, field in _fields(member).items()}
        if part in fields:
            siblings = list(fields)
            keys.append(str(part))
            current = _records(fields[str(part)].annotation)
            continue
        tagged = [m for m in current if part in _names(m)]
        if tagged:  # the tag of a discriminated union
            current, siblings = tagged, list(_fields(tagged[0]))
            continue
        if part in TYPES or "[" in str(part):  # a member of a plain union
            continue
        keys.append(f"[{part}]" if isinstance(part, int) else str(part))
        siblings = list(fields)
    return keys, siblings


def _fields(record: type[Record]) -> dict[str, Any]:
    """A record's fields by the keys that a file has for them."""
    return {field.alias or name: field for name, field in record.model_fields.items()}


def _names(record: type[Record]) -> tuple[Any, ...]:
    field = record.model_fields.get("name")
    return get_args(field.annotation) if field else ()


def _records(annotation: Any) -> list[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return [annotation]
    return [record for part in get_args(annotation) for record in _records(part)]


def shown(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def flatten(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested mappings by its dotted name."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

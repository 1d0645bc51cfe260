"""Strict reading of YAML into typed, frozen records, with one-line errors that name the key."""

import difflib
import json
import re
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import PipelineError


class Record(BaseModel):
    """A frozen, strict record that knows every key it may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


R = TypeVar("R", bound=Record)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a duplicate key."""


def _mapping(loader: Any, node: Any) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float):
            raise yaml.constructor.ConstructorError(
                problem=f"a key must be a word, found {key!r}", problem_mark=key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                problem=f"key {key!r} appears twice", problem_mark=key_node.start_mark
            )
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


# YAML 1.1 reads No as false, 1:30 as 90, 010 as 8, 1e-3 as a string and builds dates; YAML 1.2, and
# DVC, do not.
_OLD = (":bool", ":int", ":float", ":timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(_OLD)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, _pattern, _first in (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", "[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+0123456789."),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )
# Plain values alone: no tag builds a date, bytes or a set.
_PLAIN = (":null", ":bool", ":int", ":float", ":str", ":seq")
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.endswith(_PLAIN)
}
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


# Of a file whose aliases are written out: a card of ten thousand columns has a tenth of them.
NODES = 1_000_000


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; PipelineError names the line of what cannot be read."""
    return load_yaml(path.read_bytes(), str(path))


def load_yaml(content: bytes, where: str) -> dict[str, Any]:
    """The mapping that YAML in UTF-8 holds; PipelineError says where, and the line."""
    try:
        loader = _Loader(content.decode("utf-8-sig"))
        root = loader.get_single_node()
        if root and (nodes := _written_out(root, {})) > NODES:
            raise PipelineError(
                f"{where}: expected at most {NODES:,} values, found {nodes:,} once its aliases are "
                "expanded"
            )
        tree = loader.construct_document(root) if root else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise PipelineError(f"{where}{line}: {error.problem or error.context}") from None
    except RecursionError:
        raise PipelineError(
            f"{where}: expected plain YAML, found brackets nested too deep"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise PipelineError(f"{where}: expected plain YAML in UTF-8, found {first_line}") from None
    if not isinstance(tree, dict):
        raise PipelineError(f"{where}: expected a mapping of keys, found {shown(tree)}")
    return tree


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes a node holds, itself among them, those behind an alias once for each alias.

    A long text counts as several, since it is written out as well.
    """
    if id(node) not in known:
        known[id(node)] = 0  # of one that holds itself, which is refused when it is built
        nested = isinstance(node, yaml.CollectionNode)
        parts, own = (node.value, 1) if nested else ([], 1 + len(node.value) // 100)
        children = [child for part in parts for child in (part if type(part) is tuple else (part,))]
        known[id(node)] = own + sum(_written_out(child, known) for child in children)
    return known[id(node)]


def read_record(path: Path, record: type[R]) -> R:
    """The file's content as a record; PipelineError names the first key that is wrong."""
    return parse(read_yaml(path), record, str(path))


def parse(content: dict[str, Any], record: type[R], where: str) -> R:
    """The content as a record; PipelineError says where, which key, expected and found."""
    # By way of JSON: there a list may become a tuple while a string never becomes a number.
    text = json.dumps(content, default=str)
    try:
        return record.model_validate_json(text)
    except ValidationError as error:
        # A misspelt key makes two problems, unknown and missing; the first is the one to read.
        ordered = sorted(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
        problems = [_explain(problem, record) for problem in ordered]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise PipelineError(f"{where}: {problems[0]}{more}")


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
        near = difflib.get_close_matches(str(problem["ctx"]["tag"]), _tags(problem), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        expected = problem["ctx"]["expected_tags"].replace("'", "")
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


def _tags(problem: Any) -> list[str]:
    return [tag.strip(" '") for tag in problem["ctx"]["expected_tags"].split(",")]


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
        if isinstance(part, str) and _is_type_name(part):
            continue
        keys.append(f"[{part}]" if isinstance(part, int) else str(part))
        siblings = list(fields)
    return keys, siblings


def _fields(record: type[Record]) -> dict[str, Any]:
    """A record's fields by the keys that a file has for them."""
    return {field.alias or name: field for name, field in record.model_fields.items()}


def _is_type_name(part: str) -> bool:
    """Whether pydantic made this part up to name a member of a plain union."""
    return part in {"str", "int", "float", "bool", "none"} or "[" in part


def _names(record: type[Record]) -> tuple[Any, ...]:
    field = record.model_fields.get("name")
    return get_args(field.annotation) if field else ()


def _records(annotation: Any) -> list[type[Record]]:
    """Every record type that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return [annotation]
    return [record for part in get_args(annotation) for record in _records(part)]


def shown(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."

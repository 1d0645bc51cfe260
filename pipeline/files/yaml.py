"""YAML 1.2 as DVC reads it, plain values alone; errors are one line that names the line."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from ruamel.yaml.resolver import VersionedResolver, implicit_resolvers

from pipeline.errors import PipelineError
from pipeline.files.records import R, parse, shown

# Of a file whose aliases are expanded: a card of ten thousand columns has a tenth of them.
NODES = 1_000_000
DEPTH = 100  # of values in one another, which libyaml would follow until the process dies
PLAIN = (":null", ":bool", ":int", ":float", ":str", ":seq", ":map")


class _Resolver(VersionedResolver):
    """What a word without quotes is in YAML 1.2, but a date, which stays text."""

    versioned_resolver: dict[str, list[Any]] = {}


for _versions, _tag, _pattern, _first in implicit_resolvers:
    if (1, 2) in _versions and _tag.endswith(PLAIN):
        for _letter in _first:
            _Resolver.versioned_resolver.setdefault(_letter, []).append((_tag, _pattern))


class _Constructor(SafeConstructor):
    """Plain values: no tag builds a date, bytes or a set, and no key appears twice."""

    yaml_constructors = {
        tag: construct
        for tag, construct in SafeConstructor.yaml_constructors.items()
        if tag is None or tag.endswith(PLAIN)
    }

    def check_mapping_key(
        self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any
    ) -> bool:
        """ConstructorError for a key that is not a word, or that appears twice."""
        problem = f"key {key!r} appears twice" if key in mapping else ""
        if not isinstance(key, str | int | float):
            problem = f"a key must be a word, found {key!r}"
        if problem:
            raise ConstructorError(problem=problem, problem_mark=key_node.start_mark)
        return True


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; PipelineError names the line of what cannot be read."""
    return load_yaml(path.read_bytes(), str(path))


def load_yaml(content: bytes, where: str) -> dict[str, Any]:
    """The mapping that YAML in UTF-8 holds; PipelineError says where, and the line."""
    try:
        text = content.decode("utf-8-sig")
        try:
            tree = _tree(text, where)
        except MarkedYAMLError:  # libyaml, several times as fast, takes no [log1p:flow]
            tree = _tree(text, where, pure=True)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise PipelineError(f"{where}{line}: {error.problem or error.context}") from None
    except (YAMLError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise PipelineError(f"{where}: expected plain YAML in UTF-8, found {first_line}") from None
    if not isinstance(tree, dict):
        raise PipelineError(f"{where}: expected a mapping of keys, found {shown(tree)}")
    return tree


def read_record(path: Path, record: type[R]) -> R:
    """The file's content as a record; PipelineError names the first key that is wrong."""
    return parse(read_yaml(path), record, str(path))


def _tree(text: str, where: str, pure: bool = False) -> Any:
    yaml = YAML(typ="safe", pure=pure)
    yaml.Resolver, yaml.Constructor = _Resolver, _Constructor
    _check_size(yaml.parse(text), where)
    return yaml.load(text)


def _check_size(events: Any, where: str) -> None:
    """PipelineError of too many values, those behind an alias counted again, or too deep ones.

    A long text counts as several, since it is written out as well.
    """
    inside: list[list[Any]] = [[None, 0]]  # of each open value its anchor, and how many it holds
    sizes: dict[str, int] = {}  # by anchor
    for event in events:
        if isinstance(event, CollectionStartEvent):
            inside.append([event.anchor, 1])
            if len(inside) > DEPTH:
                raise PipelineError(f"{where}: expected plain YAML, found brackets nested too deep")
        elif isinstance(event, AliasEvent):
            if any(anchor == event.anchor for anchor, _ in inside):
                raise ConstructorError(problem="recursive value", problem_mark=event.start_mark)
            inside[-1][1] += sizes.get(event.anchor, 0)
        elif isinstance(event, CollectionEndEvent | ScalarEvent):
            anchor, size = (
                (event.anchor, 1 + len(event.value) // 100)
                if isinstance(event, ScalarEvent)
                else inside.pop()
            )
            sizes[anchor] = size
            inside[-1][1] += size
    if (found := inside[0][1]) > NODES:
        raise PipelineError(
            f"{where}: expected at most {NODES:,} values, found {found:,} once its aliases are "
            "expanded"
        )

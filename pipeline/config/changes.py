"""Parameters with some of them changed, by dotted key."""

from collections.abc import Mapping
from typing import Any, get_args

from pipeline.config.params import Baseline, Model, Params
from pipeline.files.records import Record, parse

NAME = "train.model.name"
MODEL = NAME.removesuffix("name")


def known() -> list[str]:
    """The name of every model."""
    return [name for one in _kinds() for name in get_args(one.model_fields["name"].annotation)]


def kind(name: str | None) -> type[Record] | None:
    """The keys of a model."""
    return next((k for k in _kinds() if name in get_args(k.model_fields["name"].annotation)), None)


def _kinds() -> tuple[type[Record], ...]:
    return get_args(get_args(Model)[0])


def changed(base: Params, changes: Mapping[str, Any], where: str) -> Params:
    """The parameters with values by dotted key; of another model, the keys that it has.

    Raises:
        PipelineError: of a key or value that cannot be; `where` is its first word.
    """
    tree: dict[str, Any] = base.model_dump(mode="json")
    change(tree, changes)
    return parse(tree, Params, where)


def change(tree: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Change parameters in a tree that has `train`."""
    train = tree["train"]
    if model := kind(changes.get(NAME)):
        train["model"] = {k: v for k, v in train["model"].items() if k in model.model_fields}
        if issubclass(model, Baseline):
            train |= {"residual": "none", "normalisation": "none"}
    for key, value in changes.items():
        *sections, last = key.split(".")
        branch = tree
        for section in sections:
            below = branch.setdefault(section, {})
            if not isinstance(below, dict):  # null, as window.inputs
                below = branch[section] = {}
            branch = below
        branch[last] = value


def plain(base: Params, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What of the values drawn differs from the parameters."""
    held = base.flat()
    return {key: value for key, value in drawn.items() if key not in held or held[key] != value}

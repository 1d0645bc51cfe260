"""How an experiment's parameters differ from those that are committed."""

import json
import re
from typing import Any

from pipeline.config.params import Params
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE
from pipeline.files.records import flatten, parse
from pipeline.files.yaml import load_yaml
from pipeline.repository import git

# A string that Hydra reads as one without its quotes.
PLAIN = re.compile(r"(?!(?i:true|false|null|nan|inf)$)[A-Za-z_][\w.:-]*", re.ASCII)


def _committed() -> tuple[Params, list[str]] | None:
    """The commit's parameters and the keys of its file, if this code reads them."""
    file = git.ask("show", f"HEAD:./{HERE.params}")
    try:
        tree = load_yaml(file.stdout.encode(), f"HEAD:{HERE.params}")
        return parse(tree, Params, f"HEAD:{HERE.params}"), [key for key, _ in flatten(tree)]
    except PipelineError:
        return None


def flags(params: Params) -> list[str]:
    """What `dvc exp run -S` sets to get these parameters from the commit's params.yaml.

    Nothing, if the commit has none that this code reads: a report must not fail over it.
    """
    committed = _committed()
    if committed is None:
        return []
    then, held = committed
    flags, made = [], _differing(then, params)
    if then.train.model.name != params.train.model.name:  # another model has keys of its own
        model = params.train.model.model_dump(mode="json")
        flags = ["~train.model", f"+train.model={setting(model)}"]
        made = {key: value for key, value in made.items() if not key.startswith("train.model.")}
    for key, value in made.items():
        there = any(other == key or other.startswith(f"{key}.") for other in held)
        flags.append(f"{'' if there else '+'}{key}={value}")
    return flags


def changed(params: Params) -> dict[str, str]:
    """The parameters that differ from the commit's, as text by their dotted names.

    Nothing, if the commit has no parameters that this code reads.
    """
    committed = _committed()
    return _differing(committed[0], params) if committed else {}


def _differing(then: Params, params: Params) -> dict[str, str]:
    """A key that only the present model has differs from its default."""
    before, now = then.flat(), params.flat()
    model = params.train.model
    unset = model.model_dump().keys() - model.model_dump(exclude_defaults=True).keys()
    before = {f"train.model.{key}": now[f"train.model.{key}"] for key in unset} | before
    return {
        key: setting(value)
        for key, value in now.items()
        if key not in before or before[key] != value
    }


def setting(value: Any) -> str:
    """A value as DVC's `-S` takes it: JSON without the quotes that are not needed."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {setting(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(setting, value))}]"
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)

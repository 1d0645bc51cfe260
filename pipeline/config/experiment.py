"""One experiment: params.yaml and its data set's card, each checked, and one against the other."""

import shlex
from pathlib import Path
from typing import Any, cast, get_args

from pipeline.config import network_size, versions
from pipeline.config.cards import Card, Split, Transform, read_card
from pipeline.config.input_names import expand
from pipeline.config.params import Baseline, Naive, Params, Ridge, SeasonalNaive, Segment, flatten
from pipeline.errors import PipelineError
from pipeline.files import paths
from pipeline.files.records import parse
from pipeline.files.yaml import read_yaml

# Of what ridge regression solves; for moments it takes some three and a half times as much.
RIDGE_BYTES = 400 * 2**20


def read_params(path: Path = paths.PARAMS) -> Params:
    """The experiment in params.yaml; PipelineError names the key that is wrong."""
    tree = read_yaml(paths.require(path, "expected the parameters here"))
    _check_alone(tree, path)
    _check_moved(tree, path)
    return parse(tree, Params, str(path))


def _check_alone(tree: dict[str, Any], path: Path) -> None:
    """PipelineError if keys of a network are left beside the name of a baseline, as by `-S`."""
    given = dict(flatten(tree))
    model = given.get("train.model.name")
    names: Any = [kind.model_fields["name"].annotation for kind in Baseline.__subclasses__()]
    if "train.model.units" in given and any(model in get_args(own) for own in names):
        raise PipelineError(
            f"{path}: train.model: expected no key of a network beside the baseline {model}; "
            f"set -S '~train.model' -S '+train.model={{name: {model}}}' -S train.residual=none"
        )


def _check_moved(tree: dict[str, Any], path: Path) -> None:
    """PipelineError if a key is still here that has moved to the card."""
    if any(key.startswith("impute_scale.log1p") for key, _ in flatten(tree)):
        raise PipelineError(
            f"{path}: impute_scale.log1p: expected in the data set's card (transform: log1p, "
            "beside the column's unit), not here; for an experiment without the card's transforms: "
            "-S 'impute_scale.transforms=[]'"
        )


def read_experiment(path: Path = paths.PARAMS) -> tuple[Params, Card]:
    """The parameters and their data set's card, each checked, and one against the other."""
    params = read_params(path)
    card = read_card(params.ingest.dataset)
    check(params, card)
    return params, card


def begin_stage() -> tuple[Params, Card]:
    """`read_experiment`, where the installed libraries are those that DVC will remember."""
    if changes := versions.changes():
        remedy = "write the installed versions with: python -m pipeline check"
        raise PipelineError(f"{paths.VERSIONS}: {changes[0]}; {remedy}")
    return read_experiment()


def check(params: Params, card: Card) -> None:
    """PipelineError where the parameters ask for what the card does not have."""
    numeric = card.numeric
    own = paths.card(params.ingest.dataset)
    targets_key = "window.targets" if params.window.targets else f"{own}: targets"
    inputs_key = "window.inputs" if params.window.inputs else f"{own}: inputs"
    for key, names in (
        ("impute_scale.transforms", [column for _, column in _terms(params)]),
        (targets_key, targets(params, card)),
    ):
        for name in names:
            if name in card.excluded:
                raise PipelineError(
                    f"{key}: {name} is excluded by the card, expected it to be used"
                )
            if name not in numeric:
                other = f"; of another data set? -S {key}=null"
                ours = other if key.endswith("transforms") else ""
                raise PipelineError(
                    f"{key}: expected numeric columns of the card ({', '.join(numeric)}), "
                    f"found {name}{ours}"
                )
        if len(set(names)) != len(names):
            raise PipelineError(f"{key}: expected each column once, found {', '.join(names)}")
    expanded = expand(inputs(params, card), card, inputs_key)
    _check_own_past(params, targets(params, card), expanded)
    _check_wrappers(params)
    _check_compiler(params)
    _check_window(params)
    if isinstance(params.train.model, Ridge) and (reason := ridge_left_out(params, card)):
        raise PipelineError(f"train.model.name: expected a model that fits into memory; {reason}")
    if isinstance(params.train.model, Segment):
        _check_channels(params, card, expanded)
    network_size.check(params, len(expanded), len(targets(params, card)))


def _check_own_past(params: Params, names: tuple[str, ...], expanded: list[str]) -> None:
    train = params.train
    for key, needed, why in (
        ("residual", train.residual != "none", "its last value is what the network corrects"),
        ("normalisation", train.normalisation != "none", "its own past is what is normalised"),
        ("model.name", isinstance(train.model, Naive | SeasonalNaive), "it sees nothing else"),
    ):
        for name in names:
            if needed and name not in expanded:
                raise PipelineError(
                    f"train.{key}: expected {name} among window.inputs, since {why}; "
                    f"found {', '.join(expanded)}"
                )


def _check_wrappers(params: Params) -> None:
    train = params.train
    for key, found in (("residual", train.residual), ("normalisation", train.normalisation)):
        if isinstance(train.model, Baseline) and found != "none":
            raise PipelineError(
                f"train.{key}: expected none with train.model.name {train.model.name}, which is "
                f"a complete baseline; found {found}"
            )


def _check_compiler(params: Params) -> None:
    model = params.train.model
    if params.train.acceleration == "xla" and model.name == "cnn_lstm":
        raise PipelineError(
            f"train.acceleration: expected none with train.model.name {model.name}, "
            "whose pooling XLA cannot repeat to the byte, found xla"
        )


def _check_window(params: Params) -> None:
    model, look_back = params.train.model, params.window.look_back
    needed = model.season if isinstance(model, SeasonalNaive) else 1
    if model.name in ("drift", "last_change", "attention_lstm"):
        needed = 2
    if look_back < needed:
        raise PipelineError(
            f"window.look_back: expected at least {needed} with train.model.name {model.name}, "
            f"found {look_back}"
        )
    if isinstance(model, Segment) and look_back % model.segment:
        raise PipelineError(
            f"window.look_back: expected a multiple of train.model.segment ({model.segment}), "
            f"found {look_back}"
        )


def _check_channels(params: Params, card: Card, expanded: list[str]) -> None:
    name, names = params.train.model.name, targets(params, card)
    if expanded != list(names):
        raise PipelineError(
            f"window.inputs: expected the targets and nothing else ({', '.join(names)}) with "
            f"train.model.name {name}, which forecasts each channel from itself; "
            f"found {', '.join(expanded)}"
        )
    if bent := [target for target in names if target in transforms(params, card)]:
        raise PipelineError(
            f"impute_scale.transforms: expected none of a target with train.model.name {name}, "
            f"which has one scale for what it sees and forecasts; found {', '.join(bent)} in the "
            "card or params.yaml; set -S 'impute_scale.transforms=[]'"
        )


def check_unchanged(params: Params, card: Card) -> None:
    """PipelineError if params.yaml or the card is no longer what a stage began with.

    DVC reads them after the stage ends, and would record its outputs as made from them.
    """
    if read_experiment() != (params, card):
        raise PipelineError(
            "params.yaml or the card was changed while the stage ran: run it again, or undo "
            "the change and keep the outputs with: dvc commit -f STAGE"
        )


def ridge_left_out(params: Params, card: Card) -> str | None:
    """Why ridge regression is not fitted, in one line; None where it is.

    It solves for [L * F, H * K] numbers by a matrix of [L * F, L * F], both of which it holds.
    """
    look_back, features = params.window.look_back, len(expand(inputs(params, card), card))
    columns = look_back * features
    size = 8 * columns * (columns + params.window.horizon * len(targets(params, card)))
    if size <= RIDGE_BYTES:
        return None
    return (
        f"ridge of {look_back:,} rows x {features} features would take {size / 2**30:.2g} GiB and "
        f"more, expected at most {RIDGE_BYTES / 2**30:.2g}: shorten window.look_back or use "
        "fewer window.inputs"
    )


def targets(params: Params, card: Card) -> tuple[str, ...]:
    """The columns that are forecast."""
    return params.window.targets or card.targets


def inputs(params: Params, card: Card) -> tuple[str, ...]:
    """What a forecast is made from: columns of the card and features made of them."""
    return params.window.inputs or card.inputs


def transforms(params: Params, card: Card) -> dict[str, Transform]:
    """The transform of each column before scaling."""
    if params.impute_scale.transforms is None:
        return {name: column.transform for name, column in card.columns.items() if column.transform}
    return {column: cast(Transform, name) for name, column in _terms(params)}


def _terms(params: Params) -> list[tuple[str, str]]:
    """Name and column of each transform that stands in params.yaml."""
    parted = (term.partition(":") for term in params.impute_scale.transforms or ())
    return [(name, column) for name, _, column in parted]


def split(params: Params, card: Card) -> Split:
    """Where the spans end."""
    return params.window.split or card.split


def raw_table(params: Params, card: Card) -> Path:
    """The data set's raw table; PipelineError with the way to get it if it is absent."""
    dataset = params.ingest.dataset
    table, flat = paths.raw_table(dataset, card.file), paths.RAW / f"{dataset}.csv"
    remedy = "expected the data set's table here"
    if flat.exists():
        remedy = f"a data set is a directory: {moved(flat, table)}"
    elif card.fetch:
        remedy = f"get it with: {card.fetch}"
    elif pinned := [place for place in (table.parent, flat) if Path(f"{place}.dvc").exists()]:
        remedy = f"get it with: dvc pull {pinned[0]}; without a remote, from whoever pinned it"
    return paths.require(table, remedy)


def moved(flat: Path, table: Path) -> str:
    """The commands that move a table which lies in data/raw itself, and its pin, into place."""
    old, new, folder = (shlex.quote(str(path)) for path in (flat, table, table.parent))
    if Path(f"{flat}.dvc").exists():
        pin = shlex.quote(f"{flat}.dvc")
        return f"mkdir -p {folder} && mv {old} {new} && rm {pin} && dvc add {folder}"
    return f"mkdir -p {folder} && git mv {old} {new} || mv {old} {new}"

"""params.yaml as frozen, strict records: one section a stage, every value typed and bounded."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from pipeline import paths
from pipeline.cards import Card, Split, Word, read_card
from pipeline.errors import PipelineError, run
from pipeline.features import expand
from pipeline.strict import Record, parse, read_yaml

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
ALPHAS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # penalties of ridge regression to choose from


class Ingest(Record):
    """Which data set: the name of a table in data/raw and of its card in data/datasets."""

    dataset: Annotated[str, Field(pattern=r"^[\w-]+$")]


class Imputation(Record):
    """How an input's gap is filled from the past, up to `limit` rows; then by the train mean."""

    method: Literal["mean", "ffill", "seasonal"]
    limit: Count


class ImputeScale(Record):
    """What is learned from the training span before any window is cut."""

    imputation: Imputation
    scaling: Literal["minmax", "standard", "robust"]
    log1p: tuple[Word, ...] = ()


class Window(Record):
    """How rows become examples; what is null comes from the card."""

    look_back: Count
    horizon: Count
    stride: Count = 1  # between training windows; every validation and test origin is scored
    inputs: Annotated[tuple[Word, ...], Field(min_length=1)] | None = None
    targets: Annotated[tuple[Word, ...], Field(min_length=1)] | None = None
    split: Split | None = None


class Stack(Record):
    """What every recurrent network has: a stack of layers, from the window up."""

    units: Annotated[tuple[Count, ...], Field(min_length=1)]  # one number a layer
    activation: Literal["tanh", "relu"] = "tanh"
    input_dropout: Fraction = 0.0  # of what enters each recurrent layer
    dropout: Fraction = 0.0  # of what leaves it


class Recurrent(Stack):
    """A stack of recurrent layers and a linear head."""

    name: Literal["rnn", "lstm", "bilstm", "gru"]


class Convolutional(Stack):
    """A convolution over time before the stack."""

    name: Literal["cnn_lstm"]
    filters: Count = 32
    kernel: Count = 3  # rows that a filter sees
    pool: Count = 2  # rows that become one


class Attention(Stack):
    """Temporal pattern attention over the stack's states."""

    name: Literal["attention_lstm"]
    filters: Count = 32  # each a pattern of one state unit over the whole window


class EncoderDecoder(Stack):
    """An encoder and a decoder, layer for layer."""

    name: Literal["seq2seq_lstm"]


class Segment(Stack):
    """One recurrent step a segment, each channel by itself, all with the same weights."""

    name: Literal["segment_lstm", "segment_gru"]
    segment: Count = 6  # rows; look_back is a multiple of it


class Baseline(Record):
    """What takes a network's place, and the place of all its keys."""


class Naive(Baseline):
    """A rule without weights: the last value, or the last value plus the last change."""

    name: Literal["persistence", "drift"]


class SeasonalNaive(Baseline):
    """A rule without weights: the value a whole number of seasons before."""

    name: Literal["seasonal_naive"]
    season: Count  # rows; look_back holds one season at least


class Ridge(Baseline):
    """Linear regression from the whole window, solved and not descended to."""

    name: Literal["ridge"]
    alphas: Annotated[tuple[Positive, ...], Field(min_length=1)] = ALPHAS


Model = Annotated[
    Recurrent
    | Convolutional
    | Attention
    | EncoderDecoder
    | Segment
    | Naive
    | SeasonalNaive
    | Ridge,
    Field(discriminator="name"),
]


class Schedule(Record):
    """The learning rate over the epochs: constant, or falling to `final` of its first value."""

    name: Literal["constant", "cosine", "exponential"] = "constant"
    final: Annotated[float, Field(gt=0, le=1)] = 0.01


class Train(Record):
    """The network and how it is fitted."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    model: Model
    normalisation: Literal["none", "last", "revin"] = "none"  # of each window's targets' past
    residual: Literal["none", "last", "damped"]  # what the network's output is added to
    loss: Literal["mse", "mae", "huber"]
    huber_delta: Positive = 1.0  # standard deviations: where huber turns from square to straight
    loss_weights: Literal["equal", "persistence"] = "equal"  # of the steps ahead
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"]
    learning_rate: Positive
    schedule: Schedule = Schedule()
    batch_size: Count
    epochs: Count
    patience: Count
    # how a training step is computed: benchmarks/README.md says what gains where
    acceleration: Literal["none", "xla"] = "none"


class Evaluate(Record):
    """What the report draws."""

    stretch: Count  # rows of the test span in the picture of forecast against observed


class Params(Record):
    """The knobs of one experiment."""

    ingest: Ingest
    impute_scale: ImputeScale
    window: Window
    train: Train
    evaluate: Evaluate

    def flat(self) -> dict[str, Any]:
        """Every hyperparameter by its dotted name, in the order of the file."""
        return dict(flatten(self.model_dump(mode="json")))


def flatten(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested mappings by its dotted name."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def read_params(path: Path = paths.PARAMS) -> Params:
    """The experiment in params.yaml; PipelineError names the key that is wrong."""
    tree = read_yaml(paths.require(path, "expected the parameters here"))
    _check_alone(tree, path)
    return parse(tree, Params, str(path))


def _check_alone(tree: dict[str, Any], path: Path) -> None:
    """PipelineError if a network's keys stand beside a baseline's name, as `-S` leaves them."""
    given = dict(flatten(tree))
    model = given.get("train.model.name")
    names: Any = [kind.model_fields["name"].annotation for kind in Baseline.__subclasses__()]
    if "train.model.units" in given and any(model in get_args(own) for own in names):
        raise PipelineError(
            f"{path}: train.model: expected no key of a network beside the baseline {model}; "
            f"set -S '~train.model' -S '+train.model={{name: {model}}}' -S train.residual=none"
        )


def read_experiment(path: Path = paths.PARAMS) -> tuple[Params, Card]:
    """The parameters and their data set's card, each checked, and one against the other."""
    params = read_params(path)
    card = read_card(params.ingest.dataset)
    check(params, card)
    return params, card


def check(params: Params, card: Card) -> None:
    """PipelineError where the parameters ask for what the card does not have."""
    numeric = card.numeric
    own = paths.card(params.ingest.dataset)
    targets_key = "window.targets" if params.window.targets else f"{own}: targets"
    inputs_key = "window.inputs" if params.window.inputs else f"{own}: inputs"
    for key, names in (
        ("impute_scale.log1p", params.impute_scale.log1p),
        (targets_key, targets(params, card)),
    ):
        for name in names:
            if name in card.excluded:
                raise PipelineError(
                    f"{key}: {name} is excluded by the card, expected it to be used"
                )
            if name not in numeric:
                ours = f"; of another data set? -S '{key}=[]'" if key.endswith("log1p") else ""
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
    if isinstance(params.train.model, Segment):
        _check_channels(params, targets(params, card), expanded)


def _check_own_past(params: Params, names: tuple[str, ...], expanded: list[str]) -> None:
    train = params.train
    for key, needed, why in (
        ("residual", train.residual != "none", "its last value is what the network corrects"),
        ("normalisation", train.normalisation != "none", "its own past is what is normalised"),
        ("model.name", isinstance(train.model, Naive | SeasonalNaive), "it is all the rule sees"),
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
                f"a baseline as it stands; found {found}"
            )


def _check_compiler(params: Params) -> None:
    model = params.train.model
    if params.train.acceleration == "xla" and isinstance(model, Convolutional):
        raise PipelineError(
            f"train.acceleration: expected none with train.model.name {model.name}, "
            "whose pooling XLA cannot repeat to the byte, found xla"
        )


def _check_window(params: Params) -> None:
    model, look_back = params.train.model, params.window.look_back
    needed = model.season if isinstance(model, SeasonalNaive) else 1
    if model.name in ("drift", "attention_lstm"):
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


def _check_channels(params: Params, names: tuple[str, ...], expanded: list[str]) -> None:
    name = params.train.model.name
    if expanded != list(names):
        raise PipelineError(
            f"window.inputs: expected the targets and nothing else ({', '.join(names)}) with "
            f"train.model.name {name}, which forecasts each channel from itself; "
            f"found {', '.join(expanded)}"
        )
    if logged := [target for target in names if target in params.impute_scale.log1p]:
        raise PipelineError(
            f"impute_scale.log1p: expected no target with train.model.name {name}, which has one "
            f"scale for what it sees and forecasts; found {', '.join(logged)}"
        )


def check_unchanged(params: Params, card: Card) -> None:
    """PipelineError if params.yaml or the card is no longer what a stage began with.

    DVC reads them when the stage has ended, and would remember its outputs as made by these.
    """
    if read_experiment() != (params, card):
        raise PipelineError(
            "params.yaml or the card was changed while the stage ran: run it again; or put them "
            "back and keep what was made with: dvc commit -f STAGE"
        )


def targets(params: Params, card: Card) -> tuple[str, ...]:
    """The columns that are forecast."""
    return params.window.targets or card.targets


def inputs(params: Params, card: Card) -> tuple[str, ...]:
    """What a forecast is made from: columns of the card and features made of them."""
    return params.window.inputs or card.inputs


def split(params: Params, card: Card) -> Split:
    """Where the spans end."""
    return params.window.split or card.split


def raw_table(params: Params, card: Card) -> Path:
    """The data set's raw table; PipelineError with the way to get it if it is absent."""
    table = paths.raw_table(params.ingest.dataset)
    remedy = "expected the data set's table here"
    if card.fetch:
        remedy = f"get it with: {card.fetch}"
    elif table.with_name(f"{table.name}.dvc").exists():
        remedy = f"get it with: dvc pull {table}; without a remote, from whoever pinned it"
    return paths.require(table, remedy)


def main() -> None:
    """Check params.yaml, the card it names and that there is a table; silent when all is right."""
    if len(sys.argv) > 1:
        sys.exit("usage: python -m pipeline.config   (checks params.yaml, its card and its table)")
    raw_table(*read_experiment())


if __name__ == "__main__":
    run(main)

"""params.yaml as frozen, strict records: one section a stage, every value typed and bounded."""

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, PlainSerializer, WrapValidator

from pipeline.config.cards import LONGEST, Split, Transform
from pipeline.config.times import Word
from pipeline.files.records import Record, flatten

Count = Annotated[int, Field(ge=1, le=LONGEST)]
AUTO = -1  # a number, until an experiment has what it is chosen by


def _or_auto(given: object, number: Callable[[object], float]) -> float:
    if isinstance(given, str) and given != "auto":
        raise ValueError("a number, or auto")
    return AUTO if given == "auto" else number(given)


OR_AUTO = (
    WrapValidator(_or_auto),
    PlainSerializer(lambda number: "auto" if number == AUTO else number),
)
Positive = Annotated[float, Field(gt=0, le=1e9)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
AutoCount = Annotated[Count, *OR_AUTO]
AutoFraction = Annotated[Fraction, *OR_AUTO]
ALPHAS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # penalties of ridge regression to choose from


def _term(text: str) -> str:
    name, _, column = text.partition(":")
    if name not in get_args(Transform) or not column:
        raise ValueError(f"NAME:COLUMN with NAME one of {', '.join(get_args(Transform))}")
    return text


class Ingest(Record):
    """Which data set: the name of its directory in data/raw and of its card in data/datasets."""

    dataset: Annotated[str, Field(pattern=r"^[\w-]+$")]
    # of a table with many, those that are used; null for all
    series: Annotated[tuple[Word, ...], Field(min_length=1)] | None = None


class Imputation(Record):
    """How an input's gap is filled from the past, up to `limit` rows; then by the train mean."""

    method: Literal["mean", "ffill", "seasonal"]
    limit: Count


class ImputeScale(Record):
    """What is learned from the training span before any window is cut."""

    imputation: Imputation
    scaling: Literal["minmax", "standard", "robust"]
    # NAME:COLUMN, instead of the card's transforms; a list, since -S merges mappings
    transforms: tuple[Annotated[str, AfterValidator(_term)], ...] | None = None
    by_series: bool = True  # each series by its own centre and size first


class Window(Record):
    """How rows become examples; what is null comes from the card."""

    look_back: AutoCount
    horizon: AutoCount
    stride: Count = 1  # between training windows; every validation and test origin is scored
    inputs: Annotated[tuple[Word, ...], Field(min_length=1)] | None = None
    targets: Annotated[tuple[Word, ...], Field(min_length=1)] | None = None
    known_ahead: tuple[Word, ...] | None = None
    split: Split | None = None


# What not every model can use: inputs beside the targets' own past, static columns among them, and
# what is known ahead. Several targets every one can forecast.
EVERYTHING = frozenset({"inputs", "known_ahead"})


class Stack(Record):
    """What every recurrent network has: a stack of layers, from the window up."""

    takes: ClassVar = EVERYTHING
    units: Annotated[tuple[Count, ...], Field(min_length=1, max_length=100)]  # one number a layer
    activation: Literal["tanh", "relu"] = "tanh"
    input_dropout: AutoFraction = 0.0  # of what enters each recurrent layer
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

    takes: ClassVar = frozenset({"known_ahead"})
    name: Literal["segment_lstm", "segment_gru"]
    segment: Count = 6  # rows; look_back is a multiple of it


class Baseline(Record):
    """What replaces a network and all its keys."""

    takes: ClassVar = frozenset[str]()


class Naive(Baseline):
    """No weights: the last value, a line through first and last, or the last value and change."""

    name: Literal["persistence", "drift", "last_change"]


class SeasonalNaive(Baseline):
    """No weights: the value a whole number of seasons before."""

    name: Literal["seasonal_naive"]
    season: Count  # rows; look_back holds one season at least


class Ridge(Baseline):
    """Linear regression from the whole window, solved directly."""

    takes: ClassVar = EVERYTHING
    name: Literal["ridge"]
    alphas: Annotated[tuple[Positive, ...], Field(min_length=1)] = ALPHAS


class LinearMap(Record):
    """What one map of `linear` sees of a target's past, and what that is less."""

    look_back: Count | None = None  # rows; the window's if null
    less: Literal["last", "mean"] = "last"  # the window's last value, or its mean
    period: Count | None = None  # rows; one map for all phases; divides look_back and horizon


class Linear(Baseline):
    """Linear regression of each target from its own past, the same for all; the members' mean."""

    takes: ClassVar = frozenset({"known_ahead"})
    name: Literal["linear"]
    members: Annotated[tuple[LinearMap, ...], Field(min_length=1)] = (LinearMap(),)
    alphas: Annotated[tuple[Positive, ...], Field(min_length=1)] = ALPHAS


class SeasonalRidge(Baseline):
    """Linear regression of a step's change since a season before, the same for every step."""

    takes: ClassVar = frozenset({"known_ahead"})
    name: Literal["seasonal_ridge"]
    # rows; the first is the one before, the others tell more; look_back holds each
    seasons: Annotated[tuple[Count, ...], Field(min_length=1)]
    by_series: bool = True  # of a table with many series, a map of each; else one of all
    alphas: Annotated[tuple[Positive, ...], Field(min_length=1)] = ALPHAS

    def lags(self, horizon: int) -> tuple[int, ...]:
        """Rows from each step back to whole seasons before it, as few as are known of all steps."""
        return tuple(dict.fromkeys(-(-horizon // rows) * rows for rows in self.seasons))


class Boosting(Baseline):
    """Gradient boosted trees by LightGBM; validation decides how many of the rounds are kept."""

    takes: ClassVar = EVERYTHING
    name: Literal["boosting"]
    rounds: Count = 1000  # trees for each target, at most
    learning_rate: Positive = 0.1
    leaves: Annotated[int, Field(ge=2, le=1000)] = 31  # of a tree, at most


Network = Recurrent | Convolutional | Attention | EncoderDecoder | Segment
Model = Annotated[
    Network | Naive | SeasonalNaive | Ridge | Linear | SeasonalRidge | Boosting,
    Field(discriminator="name"),
]


Normalisation = Literal["none", "last", "revin"]
Residual = Literal["none", "last", "damped", "seasonal", "linear"]


def _rising(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(numbers)):
        raise ValueError("rising numbers, each once")
    return numbers


def _with_median(quantiles: tuple[float, ...]) -> tuple[float, ...]:
    if 0.5 not in quantiles:
        raise ValueError("0.5 among them, the median, which is the point forecast")
    return quantiles


Rising = AfterValidator(_rising)
Quantiles = Annotated[
    tuple[Annotated[float, Field(gt=0, lt=1)], ...],
    Field(max_length=999),
    Rising,
    AfterValidator(_with_median),
]
DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of which WQL is made


class Schedule(Record):
    """The learning rate over the epochs: constant, or falling to `final` of its first value."""

    name: Literal["constant", "cosine", "exponential"] = "constant"
    final: Annotated[float, Field(gt=0, le=1)] = 0.01


def _each_once(mix: tuple[Any, ...]) -> tuple[Any, ...]:
    names = [getattr(one, "name", one) for one in mix]
    if len({*names}) < len(names):
        raise ValueError("each baseline once")
    return mix


Mixable = Linear | Ridge | Boosting
MIXABLE: dict[str, Mixable] = {
    one.name: one for one in (Linear(name="linear"), Ridge(name="ridge"), Boosting(name="boosting"))
}
Named = Literal["linear", "ridge", "boosting"]
WithKeys = Annotated[Mixable, Field(discriminator="name")]
Mix = Annotated[tuple[Named | WithKeys, ...], AfterValidator(_each_once)]


class Train(Record):
    """The network and how it is fitted."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    model: Model
    normalisation: Normalisation = "none"  # of each window's targets' past
    residual: Residual  # what the network's output is added to
    loss: Literal["mse", "mae", "huber", "pinball"]
    quantiles: Quantiles = (0.025, *DECILES, 0.975)  # that pinball makes a network forecast
    huber_delta: Positive = 1.0  # standard deviations: where huber changes from quadratic to linear
    loss_weights: Literal["equal", "persistence"] = "equal"  # of the steps ahead
    # what counts the same in the loss, of a table with many series: each window, or each series
    loss_by: Literal["windows", "series"] = "windows"
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"]
    learning_rate: Positive
    schedule: Schedule = Schedule()
    batch_size: AutoCount
    epochs: AutoCount
    patience: Count
    # how a training step is computed: benchmarks/README.md says what gains where
    acceleration: Literal["none", "xla"] = "none"
    # parts of each batch whose gradients are added up in order; several processes may share them
    shards: Count = 1
    # networks that differ in their seed alone; their mean is forecast
    ensemble: Annotated[int, Field(ge=1, le=100)] = 1
    # what each member of an ensemble changes here, by dotted key; each has `ensemble` seeds
    members: Annotated[tuple[dict[str, Any], ...], Field(max_length=100)] = ()
    # what the network's or the ensemble's forecast is mixed with; a list, since -S merges mappings
    mix: Mix | Literal["auto"] = ()

    @property
    def mixed(self) -> tuple[Mixable, ...]:
        """What is mixed in, with its keys."""
        mix = () if self.mix == "auto" else self.mix
        return tuple(MIXABLE[one] if isinstance(one, str) else one for one in mix)

    @property
    def forecasts(self) -> tuple[float, ...] | None:
        """The quantiles that the model forecasts; None where it forecasts points."""
        network = not isinstance(self.model, Baseline)
        return self.quantiles if network and self.loss == "pinball" else None


# A name is the baseline as it is without keys; seasonal_naive is one for each season of the card,
# seasonal_ridge has all of them.
Listed = Literal[
    "persistence",
    "seasonal_naive",
    "drift",
    "last_change",
    "ridge",
    "linear",
    "seasonal_ridge",
    "boosting",
]
# One that is written out, to give it its keys.
Keyed = Annotated[Ridge | Linear | SeasonalRidge | Boosting, Field(discriminator="name")]


class Calibrated(Record):
    """How the errors of the calibration span become intervals."""

    # errors relative to the forecast's size; null: of targets whose minimum in the card is 0
    scaled: bool | None = None
    bins: Count = 5  # of the forecast, each with intervals of its own
    # of a table with many series, intervals of each series that has errors enough; absent if false
    by_series: bool = Field(default=False, exclude_if=lambda given: not given)


Level = Annotated[float, Field(gt=0, lt=100)]  # of an interval, in percent


class Evaluate(Record):
    """What stands beside the model, how sure it is, and what the report draws."""

    # all but boosting, which takes longest, and seasonal_ridge, which takes a longer look-back
    baselines: Annotated[tuple[Listed | Keyed, ...], Field(min_length=1)] = get_args(Listed)[:-2]
    levels: Annotated[tuple[Level, ...], Field(min_length=1, max_length=9), Rising] = (80, 95)
    calibration: Calibrated = Calibrated()
    stretch: Count  # rows of the test span in the picture of forecast against observed


class Params(Record):
    """The settings of one experiment."""

    ingest: Ingest
    impute_scale: ImputeScale
    window: Window
    train: Train
    evaluate: Evaluate

    def flat(self) -> dict[str, Any]:
        """Every hyperparameter by its dotted name, in the order of the file."""
        return dict(flatten(self.model_dump(mode="json")))

"""Whatever stands in params.yaml and a card, it is an experiment that can be built, or one line."""

from contextlib import chdir
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import network_size
from pipeline.config.checks import check
from pipeline.config.experiment import Experiment
from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.files.records import flatten
from pipeline.models.baselines import BASELINES, learned_shapes
from pipeline.models.registry import MODELS, build
from pipeline.models.spec import Spec
from pipeline.preparation.scaling import Scale, Scaler
from tests.toys import CARD, PARAMS, Project, changed, to_yaml, toy_card, toy_params

SMALL = 10**5  # weights, and numbers made of a window, of networks that are built here
OWN: dict[str, dict[str, Any]] = {
    "persistence": {},
    "drift": {},
    "last_change": {},
    "seasonal_naive": {"season": 6},
    "ridge": {"alphas": [1.0]},
    "linear": {"members": [{"look_back": 4}, {"less": "mean", "period": 1}]},
    "seasonal_ridge": {"seasons": [2, 6]},
    "boosting": {"rounds": 5},
    "cnn_lstm": {"units": [4], "filters": 3, "kernel": 3, "pool": 2},
    "attention_lstm": {"units": [4], "filters": 3},
    "segment_lstm": {"units": [4], "segment": 4},
    "segment_gru": {"units": [5, 3], "segment": 4},
}
KEYS = {
    "params": [
        *dict(flatten(PARAMS)),
        *(f"window.{name}" for name in ("stride", "inputs", "targets", "known_ahead", "split")),
        *(f"train.model.{name}" for name in ("season", "filters", "kernel", "pool", "segment")),
        *("train.quantiles", "evaluate.levels"),
        *("train.model.dropout", "train.normalisation", "train.huber_delta", "train.acceleration"),
        *("train.schedule.final", "impute_scale.transforms", "window", "train.model", "evaluate"),
    ],
    "card": [
        *(key for key in dict(flatten(CARD)) if key not in ("title", "source", "licence")),
        *("columns.level.transform", "columns.flow.minimum", "columns.wind.categories", "columns"),
        *(
            "known_ahead",
            "spans.late",
            "time",
            "split",
            "missing",
            "delimiter",
            "time.timezone",
            "rename",
        ),
    ],
}
NUMBERS = st.sampled_from(
    [
        0,
        1,
        2,
        7,
        40,
        1000,
        10**6,
        10**9,
        10**9 + 1,
        2**31,
        2**63,
        10**30,
        int("9" * 400),
        -1,
        -(2**70),
    ]
) | st.sampled_from([0.5, 1.0, 1e-300, 1e300, -1e300, 1e20])
WORDS = st.sampled_from(
    [
        "",
        "x",
        "pinball",
        "1h",
        "1ns",
        "90000D",
        "9999999D",
        "level",
        "flow",
        "wind",
        "hour",
        "2014-01-03",
    ]
    + [f"seasonal:{'9' * digits}:level" for digits in (1, 9, 10, 30, 5000)]
    + [
        "none",
        "last",
        "revin",
        "damped",
        "seasonal",
        "linear",
        "ridge",
        "lstm",
        "asinh:flow",
        "%Y",
        "xla",
        "cosine",
    ]
)
SIMPLE = NUMBERS | WORDS | st.sampled_from([None, True, [], {}])
ANYTHING = SIMPLE | st.lists(SIMPLE, max_size=3) | st.dictionaries(WORDS, SIMPLE, max_size=2)
EDITS = st.lists(
    st.sampled_from([(file, key) for file, keys in KEYS.items() for key in keys]).flatmap(
        lambda place: st.tuples(
            st.just(place),
            st.booleans().flatmap(lambda odd: ANYTHING if odd else st.integers(1, 12)),
        )
    ),
    min_size=1,
    max_size=3,
)


def edited(tree: dict[str, Any], edits: dict[str, Any]) -> dict[str, Any]:
    """The tree with what can be set there set."""
    for key, value in edits.items():
        try:
            tree = changed(tree, {key: value} if value is not None else {f"{key}.none": 1})
        except (TypeError, AttributeError):  # another edit has taken the branch away
            continue
    return tree


def weights(spec: Spec) -> int:
    """How many a model has, once it is built."""
    if spec.model.name in BASELINES:
        return sum(
            int(np.prod(shape)) for shape in learned_shapes(spec, Scaler(columns={})).values()
        )
    scaler = Scaler(columns={name: Scale() for name in {*spec.features, *spec.targets}})
    return sum(int(np.prod(weight.shape)) for weight in build(spec, scaler).trainable_variables)


@settings(max_examples=60)
@given(model=st.sampled_from(sorted([*MODELS, *BASELINES])), edits=EDITS)
def test_any_experiment_ends_well(
    tmp_path_factory: pytest.TempPathFactory, model: str, edits: list[tuple[tuple[str, str], Any]]
) -> None:
    """Random edits end in windows and a network of known size, or in one line."""
    own = {"train.model": {"name": model, **OWN.get(model, {"units": [4]})}}
    if "units" not in own["train.model"]:
        own["train.residual"] = "none"  # type: ignore[assignment]
    if model.startswith("segment"):
        own["window.inputs"] = ["level"]  # type: ignore[assignment]
    trees = {"params": changed(PARAMS, own), "card": CARD}
    for name, tree in trees.items():
        trees[name] = edited(tree, {key: value for (file, key), value in edits if file == name})
    project = Project(tmp_path_factory.mktemp("any"))
    for path, tree in ((project.params, trees["params"]), (project.card, trees["card"])):
        path.write_text(to_yaml(tree))
    try:
        with chdir(project.root):
            experiment = read_experiment()
        project.run("ingest", "impute_scale", "window")
    except PipelineError as error:
        assert len(str(error).splitlines()) == 1
        return
    spec = Spec.of(experiment)
    channels = len(spec.features), len(spec.targets), len(spec.known_features)
    size = network_size.whole(experiment.params, *channels)
    if max(size) <= SMALL:
        assert weights(spec) == size.weights


@pytest.mark.parametrize("units", [[4], [5, 3]])
@pytest.mark.parametrize("name", [*MODELS, *BASELINES])
def test_weights_are_counted_before_they_are_made(name: str, units: list[int]) -> None:
    """What is estimated is what the built network has, wrapped or not."""
    segments = name.startswith("segment")
    wrappers = [
        {"residual": "damped"},
        {"residual": "seasonal"},
        {"residual": "last", "normalisation": "revin", "loss": "pinball"},
    ]
    if name in BASELINES:
        wrappers, own = [{"residual": "none"}], OWN[name]
    else:
        own = {**OWN.get(name, {}), "units": units}
    for wrapper in wrappers:
        train = {"model": {"name": name, **own}, **wrapper}
        columns = ["level", "flow"] if segments else ["flow", "level", "wind"]
        params = toy_params(
            {f"train.{key}": value for key, value in train.items()}
            | {"window.inputs": columns, "window.targets": ["level", "flow"], "window.horizon": 6}
        )
        takes = "known_ahead" in params.train.model.takes
        spec = Spec.of(Experiment(params, toy_card(known_ahead=["wind", "hour"] if takes else [])))
        channels = len(spec.features), len(spec.targets), len(spec.known_features)
        counted = network_size.whole(params, *channels).weights
        assert counted == weights(spec)


TOO_LARGE: list[dict[str, Any]] = [
    {"train.model.units": [10**9]},
    {"train.model.units": [60_000]},
    {"train.model.units": [4] * 99 + [10**6]},
    {"window.horizon": 10**9},
    {"window.look_back": 10**9},
    {"train.model": {"name": "cnn_lstm", "units": [4], "filters": 10**6, "kernel": 10**6}},
    {"train.model": {"name": "attention_lstm", "units": [4], "filters": 10**9}},
    {"train.model": {"name": "persistence"}, "window.horizon": 10**9, "train.residual": "none"},
]


@pytest.mark.parametrize("changes", TOO_LARGE)
def test_a_network_beyond_memory_is_refused_before_it_is_built(changes: dict[str, Any]) -> None:
    """The line says the bound, and what weights and a batch would take."""
    message = (
        r"train\.model: expected at most 16\.0 GiB for weights and a batch, found about [\d,]+"
    )
    with pytest.raises(PipelineError, match=message):
        check(Experiment(toy_params(changes), toy_card()))


def test_a_batch_beyond_memory_is_refused_before_training(project: Project) -> None:
    """Once it is known how many windows there are; a batch of all of few windows is none."""
    experiment = Experiment(toy_params({"train.batch_size": 10**9}), toy_card())
    check(experiment)
    network_size.check(experiment, windows=1000)
    with pytest.raises(PipelineError, match="for a batch of 100,000,000 windows of 8 rows"):
        network_size.check(experiment, windows=10**8)
    project.write(params={"train.batch_size": 10**9}).run("ingest", "impute_scale", "window")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_size, "LIMIT", 100_000)
        with pytest.raises(PipelineError, match=r"batch of \d\d windows of 8 rows"):
            project.run("train")

"""The shapes of a forecasting problem, cut from one table; small models that learn it and serve."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from pipeline.config import input_names
from pipeline.data.windows import ahead, scored_origins, seen, training_origins
from pipeline.evaluation import predictions, scoring
from pipeline.evaluation.forecasts import MODEL, Forecasts
from pipeline.evaluation.scoring import Yardstick
from pipeline.forecasting.forecaster import Forecaster
from pipeline.models.baselines import FittedBaseline
from pipeline.models.registry import build
from pipeline.models.spec import Spec
from pipeline.models.task import Seen, Task
from pipeline.preparation import features
from pipeline.preparation.imputation import Imputer
from pipeline.preparation.scaling import Scaler
from pipeline.runtime import determinism
from pipeline.training import fit
from pipeline.training.batches import Examples
from tests.toys import naive_forecast, shaped, toy_card, toy_params, toy_times

Rows = npt.NDArray[np.int64]
CARD = toy_card(columns={"a": {}, "b": {}}, inputs=["a", "b"], targets=["a"], excluded=[])
LOOK_BACK = 5
ONE = [10, 20, 30, 40, 50]
BOTH = [[10, 11], [20, 21], [30, 31], [40, 41], [50, 51]]


def table(rows: int) -> pd.DataFrame:
    """Two columns by the hour, 10, 20, 30, ... and 11, 21, 31, ..."""
    a = 10.0 * np.arange(1, rows + 1)
    return pd.DataFrame({"a": a, "b": a + 1}, index=toy_times(rows))


def column(values: list[Any]) -> list[list[Any]]:
    """One feature or target as a matrix of one column."""
    return [[value] for value in values]


SHAPES = {
    "one in, one out": (["a"], ["a"], column(ONE), [[60]]),
    "several in, one out": (["a", "b"], ["a"], BOTH, [[60]]),
    "several in, several out": (["a", "b"], ["a", "b"], BOTH, [[60, 61]]),
    "one in, one out, several steps": (["a"], ["a"], column(ONE), [[60], [70]]),
    "several in, one out, several steps": (["a", "b"], ["a"], BOTH, [[60], [70]]),
    "several in, several out, several steps": (
        ["a", "b"],
        ["a", "b"],
        BOTH,
        [[60, 61], [70, 71]],
    ),
    "its own past left out": (["b"], ["a"], column([11, 21, 31, 41, 51]), [[60]]),
}


@pytest.mark.parametrize(("inputs", "targets", "x", "y"), SHAPES.values(), ids=SHAPES)
def test_the_first_window(
    inputs: list[str], targets: list[str], x: list[Any], y: list[Any]
) -> None:
    """X and y of the first window hold exactly the numbers that the shape says."""
    frame, horizon = table(11), len(y)
    built = features.build(
        frame.to_numpy(np.float32),
        list(frame),
        input_names.expand(inputs, CARD),
        toy_times(11),
        CARD,
        horizon,
        changes={},
        gaps=features.Gaps(np.zeros(frame.shape, np.uint8), 1),
    )
    origins = np.array([LOOK_BACK - 1])
    assert seen(built, origins, LOOK_BACK)[0].tolist() == x
    assert ahead(frame[targets].to_numpy(), origins, horizon)[0].tolist() == y
    assert scoring.observed(frame[targets], origins, horizon)[0].tolist() == y


def spec(inputs: list[str], targets: list[str], horizon: int, model: dict[str, Any]) -> Spec:
    """A small model; what can be normalised is, since what comes next lies beyond what was seen."""
    normalised = model["name"] != "ridge"
    params = toy_params(
        {
            "window.look_back": LOOK_BACK,
            "window.horizon": horizon,
            "train.model": model,
            "train.normalisation": "last" if normalised else "none",
            "train.residual": "none",
            "train.loss": "mse",
            "train.epochs": 2,
        }
    )
    return Spec(
        dataset="toy",
        inputs=tuple(inputs),
        features=tuple(input_names.expand(inputs, CARD)),
        targets=tuple(targets),
        **shaped(params),
    )


def trained(made: Spec, frame: pd.DataFrame, path: Path) -> Forecaster:
    """A Forecaster of a model trained on every window of the frame, by way of its files."""
    imputer = Imputer.fit(frame, "ffill", 1, CARD.season)
    scaler = Scaler.fit(frame, "standard")
    values = scaler.transform(frame).to_numpy(np.float32)
    complete = np.ones(len(frame), bool)
    span = (0, len(frame))
    origins = np.asarray(training_origins(span, LOOK_BACK, made.horizon, 1, 0, ~complete, complete))
    gaps = features.Gaps(np.zeros(frame.shape, np.uint8), 1)
    seen = Seen.of(made, CARD, scaler, frame, values, list(frame), gaps)
    task = Task(made, scaler, seen, np.tile(origins, 2400 // len(origins)), origins)
    determinism.settle(1)
    own = {"model": made.model.model_dump(), "residual": "none", "loss": "mse", "epochs": 2}
    settings = toy_params({f"train.{k}": v for k, v in own.items()}).train
    network: Any
    if made.model.name == "ridge":
        network = FittedBaseline(made, scaler).fit(task)
    else:
        network = build(made, scaler)
        fit.fit(network, Examples.of(task), settings)
    network.save_weights(path)
    return Forecaster(CARD, made, imputer, scaler, path)


def served(forecaster: Forecaster, frame: pd.DataFrame, origins: Rows) -> npt.NDArray[np.float64]:
    """Forecasts [N, H, K] as they are served, from raw rows with a written time."""
    times = pd.DatetimeIndex(frame.index)
    raw = frame.assign(time=times.strftime("%Y-%m-%d %H:%M"))
    answer = forecaster.predict(raw, [str(times[row]) for row in origins])
    spec = forecaster.spec
    assert answer["target"].tolist() == [*spec.targets] * len(origins) * spec.horizon
    return answer["forecast"].to_numpy().reshape(len(origins), spec.horizon, len(spec.targets))


SMALL = {"name": "lstm", "units": [8]}
NEXT: dict[str, tuple[list[str], list[str], int, list[list[int]], dict[str, Any]]] = {
    "one in, one out": (["a"], ["a"], 11, [[120]], SMALL),
    "several in, one out": (["a", "b"], ["a"], 7, [[80]], SMALL),
    "several in, several out": (["a", "b"], ["a", "b"], 7, [[80, 81]], SMALL),
    "one in, one out, several steps": (["a"], ["a"], 7, [[80], [90]], SMALL),
    "several in, one out, several steps": (["a", "b"], ["a"], 7, [[80], [90]], SMALL),
    "several in, several out, several steps": (
        ["a", "b"],
        ["a", "b"],
        7,
        [[80, 81], [90, 91]],
        SMALL,
    ),
    "its own past left out": (["b"], ["a"], 11, [[120]], {"name": "ridge", "alphas": [1e-6]}),
    "channels by themselves": (
        ["a", "b"],
        ["a", "b"],
        7,
        [[80, 81], [90, 91]],
        {"name": "segment_gru", "units": [8], "segment": 1},
    ),
}


@pytest.mark.parametrize(("inputs", "targets", "rows", "comes", "model"), NEXT.values(), ids=NEXT)
def test_what_comes_next(
    inputs: list[str],
    targets: list[str],
    rows: int,
    comes: list[list[int]],
    model: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Trained on the rows so far, served from them, the next steps are right to within 2%."""
    horizon = len(comes)
    made = spec(inputs, targets, horizon, model)
    forecaster = trained(made, table(rows), tmp_path / "model.weights.h5")
    (forecast,) = served(forecaster, table(rows), np.array([rows - 1]))
    np.testing.assert_allclose(forecast, comes, rtol=0.02)

    longer = table(rows + 4)
    spans = {}
    for name, span in (("validation", (rows, rows + 2)), ("test", (rows + 2, rows + 4))):
        origins = np.asarray(scored_origins(span, horizon))
        spans[name] = Forecasts(
            origins,
            scoring.observed(longer[targets], origins, horizon),
            {
                MODEL: served(forecaster, longer, origins),
                "persistence": naive_forecast("persistence", longer[targets], origins, horizon),
            },
        )
    metrics = scoring.report(spans, targets, Yardstick.of(table(rows)[targets], 1), {})
    assert list(metrics["test_by_horizon"]) == ["h01", "h02"][:horizon]
    assert metrics["test"]["n"] == (3 - horizon) * horizon * len(targets)
    assert metrics["skill"]["persistence"] > 0.5
    if len(targets) > 1:
        assert list(metrics["test_by_target"]) == targets
        assert all(scores["mape"] < 0.05 for scores in metrics["test_by_target"].values())
    else:
        assert metrics["test"]["mape"] < 0.05


def test_the_table_of_predictions_names_each_value() -> None:
    """A row for each span, origin, step and target, in that order; of 300 targets as well."""
    names = [f"t{k}" for k in range(300)]
    values = np.arange(2 * 2 * 300, dtype=float).reshape(2, 2, 300)
    spans = {
        name: Forecasts(np.array([3, first]), values + 1, {MODEL: values})
        for name, first in (("validation", 4), ("test", 7))
    }
    made = pd.concat(
        predictions.table(one, one.made(MODEL), names, toy_times(12), "", span, [*spans])
        for span, one in spans.items()
    )
    assert len(made) == 2 * values.size
    assert made["forecast"].tolist() == [*values.ravel(), *values.ravel()]
    assert (made["observed"] == made["forecast"] + 1).all()
    times = toy_times(12)
    for row, span, origin, step, target in (
        (0, "validation", 3, 1, "t0"),
        (299, "validation", 3, 1, "t299"),
        (300, "validation", 3, 2, "t0"),
        (1199, "validation", 4, 2, "t299"),
        (1200 + 600, "test", 7, 1, "t0"),
    ):
        found = made.iloc[row]
        assert (found["span"], found["step"], found["target"]) == (span, step, target)
        assert (found["origin"], found["time"]) == (times[origin], times[origin + step])


def test_a_named_span_of_which_nothing_was_observed_is_left_out() -> None:
    """A span of the card that lies in a gap, or elsewhere, has no scores."""
    series = table(12).astype(float)
    series.iloc[9] = np.nan
    origins = np.arange(5, 10)
    seen = scoring.observed(series, origins, 2)
    made = {name: Forecasts(origins, seen, {MODEL: seen}) for name in ("validation", "test")}
    yardstick = Yardstick.of(series, 1)
    named = {"gap": (9, 9), "elsewhere": (0, 2), "there": (9, 10)}
    assert list(scoring.report(made, ["a", "b"], yardstick, named)["spans"]) == ["there"]

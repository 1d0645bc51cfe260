"""The battery of every model and baseline on a panel: served as scored, alone, masked."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config.experiment import Experiment
from pipeline.experiments.task import prepared
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.forecaster import Forecaster, bundled_files, stage_files
from pipeline.models import boosting
from pipeline.models.baselines import FittedBaseline
from pipeline.models.registry import MODELS, build
from pipeline.models.task import Task
from pipeline.runtime import determinism
from pipeline.training import fit
from pipeline.training.batches import Examples
from tests.experiments.test_panels import CARD, table
from tests.models.test_networks import EVERY, FITTED, QUANTILES, model
from tests.toys import Project, toy_card, toy_params

SERIES = ("a", "b", "c")  # d is too short for a window
SIZE: dict[str, Any] = {
    "window.look_back": 12,
    "window.horizon": 3,
    "window.known_ahead": ["hour"],
    "train.residual": "none",
    "train.loss": "mse",
    "train.learning_rate": 0.001,
}
LEARNING = ["quantile lstm", "ridge", "linear", "boosting"]


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """The panel of four sites, as it is made ready for every model."""
    project = Project(tmp_path_factory.mktemp("battery"))
    project.write(table(), card=CARD, params=SIZE).run("ingest", "impute_scale", "window")
    with chdir(project.root):
        yield Layout(project.root)


def settings(name: str, **changes: Any) -> Experiment:
    """An experiment of a small model."""
    own = {"train.model": model(name.split()[-1])} | changes
    own |= {"train.loss": "pinball"} if name in QUANTILES else {}
    return Experiment(toy_params(SIZE | own), toy_card(**CARD))


def started(task: Task) -> Any:
    """A network with random weights, the same each time, or a baseline that is fitted."""
    if task.spec.model.name not in MODELS:
        return FittedBaseline(task.spec, task.scaler).fit(task)
    determinism.settle(1)
    network, random = build(task.spec, task.scaler), np.random.default_rng(2)
    network.set_weights([random.normal(0, 0.2, w.shape) for w in network.get_weights()])
    return network


@pytest.fixture(scope="module")
def served(
    panel: Layout, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Backend], Forecaster]:
    """Makes a model's Forecaster from its files, once each."""

    @cache
    def make(name: str, backend: Backend) -> Forecaster:
        directory = tmp_path_factory.mktemp("bundle")
        for file, source in stage_files(panel, "toy").items():
            if source.exists():
                shutil.copyfile(source, directory / file)
        task = prepared(settings(name), panel)
        files = bundled_files(directory)
        artifacts.write_json(files["model.json"], task.spec.model_dump(mode="json"))
        started(task).save_weights(files["model.weights.h5"])
        return Forecaster.load(files, backend)

    return make


def last_rows(name: str, rows: int = 40) -> pd.DataFrame:
    """A site's raw rows up to one that is observed."""
    own = table().query("site == @name")
    return own.iloc[: min(rows, len(own) - 4)]


@pytest.mark.parametrize("name", FITTED)
def test_of_many_it_is_served_as_it_is_scored(
    name: str, served: Callable[..., Forecaster], panel: Layout
) -> None:
    """From one site's newest rows to the last digit what comes of the whole table; a new site too.

    The forecast of a site that is too short is its last value.
    """
    one = served(name, "tensorflow")
    every = one.read(table())
    origins = np.array([len(last_rows(site)) for site in SERIES]) - 1 + every.borders.firsts[:3]
    scored = one.spec.point(one.forecast(one.prepare(every), origins))
    for site, values in zip(SERIES, scored, strict=True):
        answer = one.predict(last_rows(site))
        np.testing.assert_array_equal(answer["forecast"], values.ravel())
    new = one.predict(last_rows("a").assign(site="new"))
    assert np.isfinite(new["forecast"]).all()
    short = one.prepare(every), np.array([every.borders.edges[4] - 4])
    values = one.spec.point(one.forecast(*short)).ravel()
    last = table()["level"].iloc[:-3].dropna().iloc[-1]
    np.testing.assert_allclose(values, last, rtol=1e-9)


@pytest.mark.parametrize("name", FITTED)
def test_what_is_warm_has_nothing_left_to_read(
    name: str, served: Callable[..., Forecaster]
) -> None:
    """A server that has warmed any model answers the first request as it does the next."""
    one, read = served(name, "tensorflow"), boosting._booster
    read.cache_clear()
    one.warm()
    before = read.cache_info().misses
    assert (before > 0) == (name == "boosting")
    one.predict(last_rows("a"))
    assert read.cache_info().misses == before


@pytest.mark.parametrize("name", FITTED)
def test_no_other_series_and_nothing_later_is_seen(
    name: str, served: Callable[..., Forecaster]
) -> None:
    """Other sites' rows, and later ones of its own, change no digit; its own earlier rows do."""
    one, rows = served(name, "tensorflow"), table()
    origin = last_rows("b")["time"].iloc[-1]
    mine, later = rows["site"] == "b", rows["time"] > origin
    sites = {"series": ["b"], "origins": [origin]}
    made = one.predict(rows, **sites)["forecast"]
    other = rows.assign(level=rows["level"].mask(~mine | later, 1e6))
    np.testing.assert_array_equal(one.predict(other, **sites)["forecast"], made)
    own = rows.assign(level=rows["level"].mask(mine & ~later, rows["level"] * 1.5))
    assert (one.predict(own, **sites)["forecast"] != made).any()


@pytest.mark.parametrize("name", ["lstm", "rnn", "quantile lstm"])
def test_numpy_forecasts_a_panel_as_tensorflow_does(
    name: str, served: Callable[..., Forecaster]
) -> None:
    """To 1e-5 of each site's own size, with static inputs and what is known ahead."""
    rows = table().query("site != 'd'")
    first, second = (
        served(name, backend).predict(rows)["forecast"] for backend in ("tensorflow", "numpy")
    )
    size = rows.groupby("site")["level"].std().repeat(3).to_numpy()
    assert (np.abs(first - second) / size).max() < 1e-5


def learned(task: Task, of: Experiment) -> bytes:
    """The weights after two epochs."""
    if task.spec.model.name not in MODELS:
        baseline = FittedBaseline(task.spec, task.scaler).fit(task)
        return b"".join(array.tobytes() for array in baseline.learned.values())
    determinism.settle(1)
    network = build(task.spec, task.scaler)
    fit.fit(network, Examples.of(task), of.params.train)
    return b"".join(array.tobytes() for array in network.get_weights())


@pytest.mark.parametrize("name", LEARNING)
def test_a_panel_is_learned_without_what_is_masked(name: str, panel: Layout) -> None:
    """Without a site's targets its windows teach nothing: whatever they show, the same bytes.

    With its targets the bytes are others.
    """
    by_series = {"train.loss_by": "series"} if name in QUANTILES else {}
    of = settings(name, **by_series, **{"train.epochs": 2, "train.batch_size": 1000})
    task = prepared(of, panel)
    b = dict(task.seen.each.parts())["b"]
    targets, features = task.seen.targets.copy(), task.seen.features.copy()
    targets[b] = np.nan
    masked = replace(task, seen=replace(task.seen, targets=targets))
    without = learned(masked, of)
    assert without != learned(task, of)
    features[b] = 7
    shown = replace(task, seen=replace(task.seen, targets=targets, features=features))
    assert learned(shown, of) == without


def test_every_model_is_in_the_battery() -> None:
    """The registry's networks, all baselines and the networks of quantiles."""
    assert {*EVERY, *QUANTILES} == {*FITTED}

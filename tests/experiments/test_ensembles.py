"""Ensembles of many series: scored, served over HTTP, and inside the folds of a backtest."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
import uvicorn

from pipeline.config.changes import NAME
from pipeline.config.reading import read_experiment
from pipeline.experiments.backtest.fit import Fit
from pipeline.experiments.backtest.study import FORECASTS, Backtest
from pipeline.experiments.evaluate import Evaluation
from pipeline.experiments.executors import Inline
from pipeline.experiments.run import run_experiment
from pipeline.experiments.task import prepared
from pipeline.files.layout import Layout
from pipeline.forecasting import endpoints
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.forecaster import Forecaster, portable, stage_files
from pipeline.forecasting.service import Served, Service
from pipeline.models.task import forecasts
from tests.experiments import test_panels
from tests.experiments.backtest.test_fits import begun
from tests.toys import Project

# Two cells, mixed with linear.
SETTINGS = test_panels.SETTINGS | {
    "train.epochs": 1,
    "train.members": [{}, {NAME: "rnn", "train.model.units": [3], "train.residual": "damped"}],
    "train.mix": ["linear"],
    "evaluate.baselines": ["persistence", "linear"],
}
LONG = "site in ('a', 'b')"  # the series with windows in every fold


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Four series of other lengths, and the parameters of an ensemble."""
    made = Project(tmp_path_factory.mktemp("ensembles"))
    return made.write(test_panels.table(), card=test_panels.CARD, params=SETTINGS)


@pytest.fixture(scope="module")
def evaluation(project: Project) -> Evaluation:
    """Of one ensemble of all series."""
    layout = Layout(project.root)
    return run_experiment(read_experiment(layout), layout)


@contextmanager
def address(forecaster: Forecaster) -> Iterator[str]:
    """A model over HTTP in this process."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            endpoints.app(Service(Served("toy", forecaster))), lifespan="off", log_level="warning"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.02)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/invocations"
        finally:
            server.should_exit = True
            thread.join()


def test_an_ensemble_of_a_panel_is_scored(project: Project, evaluation: Evaluation) -> None:
    """Each further network on validation, all of them with linear, and each series by itself."""
    metrics = evaluation.metrics
    assert list(metrics["members"]) == ["1", "2", "mixed"]
    mixed = metrics["members"]["mixed"]
    assert mixed["rmse"] == pytest.approx(metrics["validation"]["rmse"], rel=1e-5)
    assert list(metrics["mix"]["linear"]) == ["h01", "h02", "h03"]
    assert metrics["series"]["count"] == len(test_panels.LENGTHS)
    history = pd.read_csv(project.root / "data/reports/history.csv")
    assert history["member"].tolist() == [1, 2]


@pytest.mark.parametrize("backend", ["tensorflow", "numpy"])
def test_what_is_scored_is_what_is_served(
    project: Project, evaluation: Evaluation, backend: Backend
) -> None:
    """Raw rows over HTTP, as CSV and as JSON, give predictions.parquet to the digit.

    NumPy's digits are those of NumPy in any form, and TensorFlow's to 1e-5 of their size.
    """
    assert "2" in evaluation.metrics["members"]
    scored = test_panels.read(project).query(f"span == 'test' and {LONG}")
    newest = scored.groupby("site", observed=True).tail(3)
    ends = newest.groupby("site", observed=True)["origin"].max()
    rows = test_panels.table().query(LONG)
    rows = rows[pd.to_datetime(rows["time"]).to_numpy() <= rows["site"].map(ends).to_numpy()]
    own = Forecaster.load(stage_files(Layout(project.root), "toy"), backend)
    here = own.predict(rows)
    as_json = {"dataframe_split": json.loads(rows.to_json(orient="split", index=False))}
    with address(own) as at:
        for kind, body in (
            (endpoints.CSV, rows.to_csv(index=False)),
            (endpoints.JSON, json.dumps(as_json)),
        ):
            answer = requests.post(at, body.encode(), headers={"Content-Type": kind}, timeout=60)
            served = pd.DataFrame(answer.json()["predictions"])
            pd.testing.assert_frame_equal(served, portable(here), check_dtype=False)
    for name in ("forecast", "lo-80", "hi-95"):
        if backend == "tensorflow":
            np.testing.assert_array_equal(here[name], newest[name])
        else:
            np.testing.assert_allclose(here[name], newest[name], rtol=1e-5)


@pytest.fixture(scope="module")
def tested(project: Project) -> Backtest:
    """A backtest of two folds of all series, each with an ensemble of its own."""
    made = begun(project.root, {"folds": 2, "step": 8})
    made.run(Inline())
    return made


def test_a_fold_has_an_ensemble_of_its_own(tested: Backtest, tmp_path: Path) -> None:
    """Of the members that the fit's parameters have by themselves; its mean is what is scored."""
    found = tested.collect()
    assert [fold["fit"] for fold in found["folds"]] == [1, 2]
    first, second = tested.fits
    assert first.outcome().sha256 != second.outcome().sha256
    table = pd.read_parquet(tested.directory / FORECASTS)
    own: Any = Forecaster.load(stage_files(second.layout, "toy"))
    assert (own.spec.ensemble, len(own.model.network.alone)) == (2, 2)
    task = prepared(second.experiment, second.layout)
    origins = _origins(second, tested)
    each = [forecasts(one, task.seen, origins) for one in own.model.network.alone]
    share = own.model.shares[0, :, None]
    linear = forecasts(own.model.others[0], task.seen, origins)
    mean = (1 - share) * np.mean(each, axis=0) + share * linear
    kept = table.query(f"fold == 2 and {LONG}")["forecast"].to_numpy()
    np.testing.assert_allclose(kept, task.seen.in_units(mean, origins).ravel(), rtol=1e-4)


def _origins(fit: Fit, tested: Backtest) -> Any:
    """The scored origins of the long series in the fit's fold, as its forecasts have them."""
    rows = tested.calendar.origins(fit.folds.start)
    number = tested.calendar.borders.number(rows)
    return rows[np.isin(number, [tested.calendar.borders.names.index(n) for n in ("a", "b")])]

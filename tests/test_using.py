"""From runs to a model in use: compare, promote, roll back, forecast by file and by HTTP."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import requests

from tests.full_repository import ROOT, run
from tests.serving import free_port, serving
from tests.story import Story, story
from tests.toys import from_yaml, to_yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
__all__ = ["story"]  # a fixture
NUMBERS = ["forecast", "lo-80", "hi-80", "lo-95", "hi-95"]
CHAMPION = "models:/beijing_pm25@champion"


@pytest.fixture(scope="module")
def champion(story: Story) -> str:
    """The large model, promoted after ridge; what the second promotion printed."""
    said = story.say("predict", "--model", CHAMPION, *_files(story), status=1)
    assert said.startswith(f"error: --model {CHAMPION}: expected a model in sqlite:")
    assert "make promote RUN=ID makes a run's model the champion" in said
    port = f"PORT={free_port()}"
    served = run(story.directory, "make", "-s", "--old-file=setup", "serve", port, status=2)
    assert served.startswith(
        "error: models:/beijing_pm25@champion: expected a champion, found none"
    )
    assert "Traceback" not in said + served
    story.say("promote", "ridge-1")
    return story.say("promote", story.id("large-1"))


def _files(story: Story) -> list[str]:
    return ["--input", "data/raw/beijing_pm25/beijing_pm25.csv", "--output", "forecast.csv"]


def test_one_changed_parameter_runs_what_depends_on_it(story: Story) -> None:
    """`dvc exp run -S train.seed=2` keeps the first three stages and trains other weights."""
    assert "Stage 'window' didn't change, skipping" in story.second
    said = run(story.directory, "dvc", "metrics", "diff", "small-1", "small-2", "--json")
    difference = json.loads(said)["data/reports/summary.json"]["test.rmse"]
    assert difference["old"] != difference["new"]


def test_the_newest_runs_are_compared(story: Story) -> None:
    """Three rows, the large model first, the small one's seeds together; a page with pictures."""
    said = story.say("compare")
    lines = [line.split() for line in said.splitlines() if re.match(" [123] ", line)]
    assert [line[0] for line in lines] == ["1", "2", "3"] * 2
    assert "in Beijing, 2010 to 2014: intervals" in said
    assert "model.units 24" in said
    assert "large-1 (" in said
    assert "±" in lines[2]
    assert "persistence 79.23" in said
    page = (story.directory / "comparison.html").read_text()
    assert page.count('src="data:image/png;base64,') == 2
    assert "http" not in page.split("<body>")[1]
    assert story.client.get_experiment_by_name("beijing_pm25-comparisons") is None


def test_an_unknown_run_is_said_to_be_unknown(story: Story) -> None:
    """compare and promote end with one line and exit code 1."""
    for module in ("compare", "promote"):
        said = story.say(module, "0123abcd", status=1)
        assert said.startswith("error: run 0123abcd: expected the id of one run in sqlite:")
        assert said.count("\n") == 1


def test_a_better_run_is_promoted_with_its_reasons(story: Story, champion: str) -> None:
    """Alias, version tags and run tags say what was decided and why."""
    assert "NO" not in champion
    assert "yes  baselines: validation RMSE" in champion
    assert f"{CHAMPION} is version 2" in champion
    version = story.client.get_model_version_by_alias("beijing_pm25", "champion")
    assert version.run_id == story.id("large-1")
    assert version.tags["promotion.replaced"] == "1"
    tags = story.client.get_run(version.run_id).data.tags
    assert tags["promotion.decision"] == "promoted"
    assert tags["promotion.champion"].startswith("yes: validation RMSE")


def test_a_worse_run_is_refused(story: Story, champion: str) -> None:
    """It says which rules fail and what to do, changes no alias; a dry run leaves no tag."""
    said = story.say("promote", "small-2", "--dry-run")
    assert "would be refused; nothing was changed" in said
    assert "promotion.decision" not in story.client.get_run(story.id("small-2")).data.tags
    said = story.say("promote", "small-2", status=1)
    assert "NO   champion: validation RMSE" in said
    assert said.endswith(
        "error: run small-2: not promoted: baselines, champion; ridge is a model too: dvc exp run "
        "-S ingest.dataset=beijing_pm25 -S '~train.model' -S '+train.model={name: ridge}' "
        "-S train.residual=none -S window.stride=20\n"  # as the run had it, not params.yaml now
    )
    tags = story.client.get_run(story.id("small-2")).data.tags
    assert tags["promotion.decision"] == "refused"
    versions = story.client.search_model_versions("name='beijing_pm25'")
    assert sorted(int(version.version) for version in versions) == [1, 2]


def test_a_rollback_gives_the_place_back(story: Story, champion: str) -> None:
    """To the version before and no further; the better run can be promoted again, as it was."""
    assert f"{CHAMPION} is version 1 again" in story.say("promote", "--rollback")
    said = story.say("promote", "--rollback", status=1)
    assert "expected a champion before version 1, found none" in said
    assert f"{CHAMPION} is version 2" in story.say("promote", story.id("large-1"))
    assert len(story.client.search_model_versions("name='beijing_pm25'")) == 2


def test_a_model_without_a_signature_is_refused(story: Story, champion: str) -> None:
    """Its MLmodel file without the signature, a run is not promoted, and it says why."""
    (model,) = story.client.get_run(story.id("small-1")).outputs.model_outputs
    (file,) = story.directory.glob(f"mlartifacts/**/{model.model_id}/**/MLmodel")
    whole = file.read_text()
    file.write_text(to_yaml({**from_yaml(whole), "signature": None}))
    try:
        said = story.say("promote", "small-1", "--dry-run")
    finally:
        file.write_text(whole)
    assert "a model with a signature is not logged with the run" in said
    assert "would be refused; nothing was changed" in said


def test_nothing_is_half_registered(story: Story, tmp_path: Path) -> None:
    """If the alias cannot be set, neither model nor version is left."""
    code = (
        "import sys, mlflow\n"
        "from pipeline.commands import promote\n"
        "from pipeline.runtime.process import run\n"
        "from pipeline.tracking import champion\n"
        "def fail(*_): raise mlflow.exceptions.MlflowException('the server went away')\n"
        "mlflow.MlflowClient.set_registered_model_alias = fail\n"
        "champion.current = lambda name: None\n"
        "promote.judge = lambda *_: []\n"
        "sys.argv = ['promote', 'small-2']\n"
        "run(promote.main)\n"
    )
    said = run(story.directory, sys.executable, "-c", code, status=1)
    assert "the server went away" in said
    assert "Traceback" not in said
    where = f"name='beijing_pm25' and run_id='{story.id('small-2')}'"
    assert story.client.search_model_versions(where) == []


@pytest.fixture(scope="module")
def scored(story: Story) -> tuple[pd.DataFrame, list[str]]:
    """predictions.parquet of the large model, and 50 test origins, ten of them inside gaps."""
    table = pd.read_parquet(story.directory / "data/reports/predictions.parquet")
    table = table[table["span"] == "test"]
    raw = pd.read_csv(ROOT / "data/raw/beijing_pm25/beijing_pm25.csv")
    raw.index = pd.to_datetime(raw[["year", "month", "day", "hour"]])
    known = pd.DatetimeIndex(table["origin"].unique())
    gap = known[raw.loc[known, "pm2.5"].isna()]
    choose = np.random.default_rng(1).choice
    origins = [*choose(gap, 10, replace=False), *choose(known.difference(gap), 40, replace=False)]
    text = [str(pd.Timestamp(origin)) for origin in origins]
    indexed = table.assign(origin=table["origin"].astype(str)).set_index("origin").sort_index()
    return indexed, text


def expected(scored: pd.DataFrame, origins: list[str]) -> np.ndarray:
    """What evaluate forecast from these origins, in order, and its intervals."""
    return np.concatenate([scored.loc[[o]].sort_values("step")[NUMBERS] for o in origins])


def answered(response: requests.Response) -> list[list[float]]:
    """The forecasts of an answer and their intervals."""
    assert response.status_code == 200, response.text
    return [[row[name] for name in NUMBERS] for row in response.json()["predictions"]]


def test_a_file_is_forecast_as_it_was_scored(
    story: Story, champion: str, scored: tuple[pd.DataFrame, list[str]]
) -> None:
    """The champion, and the stage outputs it was logged from, at 50 origins in one call."""
    table, origins = scored
    for model in (["--model", CHAMPION], ["--model", f"runs:/{story.id('large-1')}/model"], []):
        said = story.say("predict", *model, *_files(story), "--origins", *origins)
        assert "1,200 rows, 50 origins" in said
        made = pd.read_csv(story.directory / "forecast.csv")
        np.testing.assert_allclose(made[NUMBERS], expected(table, origins), rtol=0, atol=1e-6)


def test_a_file_is_forecast_with_numpy_as_well(
    story: Story, champion: str, scored: tuple[pd.DataFrame, list[str]]
) -> None:
    """`--backend numpy` gives the champion's forecasts to 1e-5, and what bounds them."""
    table, origins = scored
    chosen = ["--model", CHAMPION, "--backend", "numpy"]
    story.say("predict", *chosen, *_files(story), "--origins", *origins)
    made = pd.read_csv(story.directory / "forecast.csv")
    wanted = expected(table, origins)
    np.testing.assert_allclose(made[NUMBERS[0]], wanted[:, 0], rtol=1e-5, atol=1e-5)
    # An end near 0 is the small difference of larger numbers, each of which is right to 1e-5.
    np.testing.assert_allclose(made[NUMBERS], wanted, rtol=1e-5, atol=1e-4)


def test_a_model_of_other_code_says_what_runs_it(story: Story, tmp_path: Path) -> None:
    """Weights that this code would keep elsewhere in their file are not read by a guess."""
    (network,) = story.client.get_run(story.id("large-1")).outputs.model_outputs
    (logged,) = story.directory.glob(f"mlartifacts/models/{network.model_id}/artifacts")
    model = shutil.copytree(logged, tmp_path / "model")
    (weights,) = model.rglob("model.weights.h5")
    with h5py.File(weights, "r+") as file:
        file.move("layers/rnn", "layers/lstm")
    said = story.say("predict", "--model", str(model), *_files(story), status=1)
    assert said.startswith(f"error: --model {model}: expected a model that this code can read")
    assert "mlflow models serve runs the code that made it" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("year,month,day,hour\n2014,1,1,0\n", "columns pm2.5, DEWP, TEMP, PRES, cbwd, Iws missing"),
        ("", "empty, expected a header line and rows"),
        ("year,month\n1,2,3\n", "expected 2 fields, found 3"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(story: Story, content: str, message: str) -> None:
    """What is lacking is named; no output is written."""
    (story.directory / "wrong.csv").write_text(content)
    files = ["--input", "wrong.csv", "--output", "never.csv"]
    said = story.say("predict", "--backend", "numpy", *files, status=1)
    assert message in said
    assert "Traceback" not in said
    assert not (story.directory / "never.csv").exists()


@pytest.fixture(scope="module")
def address(story: Story, champion: str) -> Iterator[str]:
    """`make serve`, which serves the champion."""
    port = free_port()
    command = ["make", "-s", "--old-file=setup", "serve", f"PORT={port}"]
    base, env = f"http://127.0.0.1:{port}", {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    with serving(command, f"{base}/ping", story.directory / "serve.log", env):
        yield f"{base}/invocations"


@pytest.fixture(scope="module")
def bare(story: Story, champion: str) -> Iterator[str]:
    """`mlflow models serve` on the champion."""
    port = free_port()
    command = ["mlflow", "models", "serve", "--model-uri", CHAMPION, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    base = f"http://127.0.0.1:{port}"
    env = {"MLFLOW_TRACKING_URI": story.store, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    with serving(command, f"{base}/ping", story.directory / "bare.log", env):
        yield f"{base}/invocations"


def raw_rows() -> pd.DataFrame:
    """The raw table as a caller would read it, with its time as index."""
    raw = pd.read_csv(ROOT / "data/raw/beijing_pm25/beijing_pm25.csv").drop(columns="No")
    raw.index = pd.to_datetime(raw[["year", "month", "day", "hour"]])
    return raw


def as_split(rows: pd.DataFrame) -> dict:
    """Rows as JSON, missing values as null."""
    return json.loads(rows.to_json(orient="split", index=False))


def test_http_gives_the_scored_forecasts(
    address: str, scored: tuple[pd.DataFrame, list[str]]
) -> None:
    """JSON and CSV, one origin a request with no more rows than needed, and all in one request."""
    table, origins = scored
    raw = raw_rows()
    refusal = requests.post(address, json={"dataframe_split": as_split(raw.tail(1))}, timeout=60)
    needed = re.search(r"at least (\d+) rows", refusal.json()["message"])
    assert needed is not None
    answers: dict[str, list[list[float]]] = {"json": [], "csv": []}
    for origin in origins:
        rows = raw.loc[: pd.Timestamp(origin)].tail(int(needed[1]))
        csv = rows.to_csv(index=False)
        for kind, said in (
            ("json", requests.post(address, json={"dataframe_split": as_split(rows)}, timeout=60)),
            ("csv", requests.post(address, csv, headers={"Content-Type": "text/csv"}, timeout=60)),
        ):
            answers[kind] += answered(said)
    body = {"dataframe_split": as_split(raw.loc["2013":]), "params": {"origins": origins}}
    at_once = answered(requests.post(address, json=body, timeout=120))
    wanted = expected(table, origins)
    for found in (*answers.values(), at_once):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_mlflow_models_serve_gives_the_scored_forecasts(
    bare: str, scored: tuple[pd.DataFrame, list[str]]
) -> None:
    """MLflow's own command takes the same rows as JSON."""
    table, origins = scored
    rows = raw_rows().loc["2013":]
    body = {"dataframe_split": as_split(rows), "params": {"origins": origins}}
    found = answered(requests.post(bare, json=body, timeout=120))
    np.testing.assert_allclose(found, expected(table, origins), rtol=0, atol=1e-6)


def test_http_says_what_is_wrong(address: str) -> None:
    """Unknown or lacking columns, too few rows, no such origin: 400 and a sentence."""
    rows = raw_rows().loc["2014-05-01":"2014-05-03"]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"dataframe_split": as_split(rows.assign(colour=1))}, "unknown column colour"),
        ({"dataframe_split": as_split(rows.drop(columns="TEMP"))}, "TEMP missing"),
        ({"dataframe_split": as_split(rows.tail(5))}, "up to and including the origin"),
        ({"dataframe_split": as_split(rows), "params": {"origins": ["x"]}}, "origins"),
        ({"dataframe_split": as_split(rows), "params": {"levels": [50]}}, "calibrated 80, 95, f"),
    ]
    for request, message in cases:
        said = requests.post(address, timeout=60, json=request)
        assert said.status_code == 400, said.text
        assert message in said.json()["message"]


def test_a_port_in_use_is_said_to_be(address: str) -> None:
    """`make ui` and `make serve` on the served port end with a line that says so."""
    port = address.split(":")[2].split("/")[0]
    for target, message in (("ui", "is in use"), ("serve", "Address already in use")):
        said = run(ROOT, "make", "--old-file=setup", target, f"PORT={port}", status=2)
        assert f"error: port {port}" in said
        assert message in said
        assert "Traceback" not in said

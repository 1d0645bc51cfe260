"""docs/python.md: its code runs, and what it says of its length holds."""

import re
import sqlite3
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import api
from pipeline.config.params import Params
from pipeline.errors import PipelineError
from pipeline.files.records import parse
from pipeline.files.yaml import load_yaml
from tests.repositories import copied, run
from tests.toys import ROOT, toy_table

PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
OURS = [block for block in BLOCKS if not block.startswith("# ")]
# A toy in the place of the data set that takes minutes.
HEAD = """
import pandas as pd
from pipeline.runtime import process
process.settle()
from pipeline import api
rows = pd.read_csv("data/raw/toy/toy.csv")
"""


@pytest.mark.slow
def test_the_code_of_the_page_runs(finished_toy: Path, tmp_path: Path) -> None:
    """Block after block, in a project; scores, pictures, forecasts and a logged run are there."""
    project = copied(finished_toy, tmp_path / "toy")
    with sqlite3.connect(project / "mlflow.db") as database:
        [[logged]] = database.execute("SELECT run_uuid FROM runs")
    code = HEAD + "".join(OURS)
    for there, here in (
        ("models:/beijing_pm25@champion", f"runs:/{logged}/model"),
        ("beijing_pm25", "toy"),
        ('look_back": 48', 'look_back": 12'),
        ("2014-12-31 12:00", "2014-01-13 08:00"),
    ):
        assert there in code
        code = code.replace(there, here)
    code += "print(len(result.scores), len(forecast), sorted(result.pictures))"
    said = run(project, sys.executable, "-c", code)
    assert re.search(r"^7 3 \[.*'error_by_horizon', .*'memory', .*'windows'\]$", said, re.MULTILINE)
    with sqlite3.connect(project / "mlflow.db") as database:
        scored = "SELECT count(*) FROM latest_metrics WHERE key = 'test/rmse'"
        assert database.execute(scored).fetchall() == [(2,)]


NOTEBOOK = """
import os
import numpy as np
import pandas as pd
from pipeline import api
index = pd.date_range("2024-01-01", periods=400, freq="h")
frame = pd.DataFrame({"level": np.sin(np.arange(400.0))}, index)
small = {"window.look_back": 6, "window.horizon": 3, "train.residual": "none", "train.mix": []}
made = api.of_frame(frame, "level", small | {"train.model": {"name": "ridge"}})
result = api.run(made, frame, log=True)
print(*(name for name in os.environ if "PROGRESS_BAR" in name))
"""


@pytest.mark.slow
def test_logging_from_a_notebook_draws_no_bars(tmp_path: Path) -> None:
    """MLflow copies the model in silence, and the caller's environment is then as it was."""
    env = {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    said = run(tmp_path, sys.executable, "-c", NOTEBOOK, env=env)
    assert "artifacts:" not in said
    assert "PROGRESS_BAR" not in said
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM logged_models").fetchall() == [(1,)]


def test_lines_are_counted_as_they_are() -> None:
    """The table's numbers of lines are those of the blocks above it."""
    counts = dict(re.findall(r"^\| (\w+) \| (\d+) \|", PAGE, re.MULTILINE))
    for block in (block for block in BLOCKS if block.startswith("# ")):
        name, *lines = block.removeprefix("# ").splitlines()
        assert int(counts[name]) == len(lines)
    assert "| this project | 2 |" in PAGE


def test_the_defaults_are_those_of_params_yaml() -> None:
    """An experiment without a file has the parameters that are committed."""
    frame = toy_table(200).drop(columns=["note", "time"])
    frame.index = pd.date_range("2024-01-01", periods=len(frame), freq="h")
    made = api.of_frame(frame, "level").asked.flat()
    committed = load_yaml((ROOT / "params.yaml").read_bytes(), "params.yaml")
    expected = parse(committed, Params, "params.yaml").flat()
    assert {k: v for k, v in made.items() if expected[k] != v} == {"ingest.dataset": "frame"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window.lookback": 3}, "window.lookback: unknown key in window; did you mean look_back?"),
        ({"window.targets": ["wind"]}, "window.targets: expected numeric columns"),
    ],
)
def test_a_wrong_change_is_one_line(changes: dict[str, object], message: str) -> None:
    """Of an experiment in memory as of one in files."""
    frame = toy_table(200).drop(columns=["note", "time"])
    frame.index = pd.date_range("2024-01-01", periods=len(frame), freq="h")
    with pytest.raises(PipelineError) as caught:
        api.of_frame(frame, "level", changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_search_from_python_goes_on(tmp_path: Path) -> None:
    """Trials in a table, a winner with test scores; a second call runs no trial again."""
    frame = toy_table(300).drop(columns=["note", "time"])
    frame.index = pd.date_range("2024-01-01", periods=len(frame), freq="h")
    changes = {"train.model": {"name": "ridge"}, "train.residual": "none"}
    experiment = api.of_frame(frame, "level", changes)
    settings = {"trials": 9, "sampler": "grid", "ranges": {"window.look_back": {"choice": [6, 12]}}}
    found = api.search(experiment, settings, frame, root=tmp_path)
    assert list(found.trials.columns) == ["rmse", "spread", "seconds", "window.look_back"]
    assert sorted(found.trials.index) == [0, 1, 2]
    assert found.trials["rmse"].is_monotonic_increasing
    assert found.trials.loc[0, "window.look_back"] == experiment.params.window.look_back
    assert found.best.scores.loc["model", "rmse"] > 0
    assert found.notes[0].startswith("Best on validation: trial")
    assert set(found.pictures) >= {"history", "slices", "parallel"}
    results = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    again = api.search(experiment, settings, frame, root=tmp_path)
    pd.testing.assert_frame_equal(again.trials, found.trials)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")} == results
    with pytest.raises(PipelineError, match=r"settings: ranges\.window\.horizon: expected it as"):
        api.search(experiment, {"trials": 1, "ranges": {"window.horizon": {"int": [1, 9]}}}, frame)


def test_a_backtest_from_python_goes_on(tmp_path: Path) -> None:
    """Scores and forecasts in tables; a second call runs no fit again."""
    frame = toy_table(300).drop(columns=["note", "time"])
    frame.index = pd.date_range("2024-01-01", periods=len(frame), freq="h")
    changes = {
        "train.model": {"name": "linear"},
        "train.residual": "none",
        "window.horizon": 6,
        "evaluate.levels": [50],
        "evaluate.baselines": ["persistence"],
    }
    experiment = api.of_frame(frame, "level", changes)
    plan = {"folds": 3, "step": 12, "refit": None}
    tested = api.backtest(experiment, frame, root=tmp_path, **plan)
    assert list(tested.scores.index) == list(tested.spread.index) == ["model", "persistence"]
    assert tested.folds.loc[(2, "model"), "rolling_coverage_50"] <= 1
    by_fold = tested.folds.xs("model", level="by")["rmse"]
    assert by_fold.mean() == pytest.approx(tested.scores.loc["model", "rmse"])
    assert list(tested.steps.xs("model", level="by").index) == [f"h{n:02}" for n in range(1, 7)]
    assert len(tested.forecasts) == 3 * (12 - 5) * 6
    assert tested.notes[1].startswith("The model is ")
    assert set(tested.pictures) == {"scores", "coverage", "steps"}
    results = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    again = api.backtest(experiment, frame, root=tmp_path, **plan)
    pd.testing.assert_frame_equal(again.folds, tested.folds)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")} == results
    with pytest.raises(PipelineError, match="backtest: step: expected at least"):
        api.backtest(experiment, frame, folds=2, step=5)


def test_a_frame_that_is_no_table_is_refused() -> None:
    """It needs times that rise, and columns with names of their own."""
    times = pd.date_range("2024-01-01", periods=4, freq="h")
    frame = pd.DataFrame({"level": [1.0, 2, 3, 4], "flow": 0.0}, times)
    for wrong, said in (
        (toy_table(), "frame: expected rows over a DatetimeIndex, found 120.*; .*frame.set_index"),
        (frame.iloc[::-1], "frame: row 2: expected a time after.* 03:00:00, found .* 02:00:00"),
        (frame.iloc[[0, 1, 1, 2]], "frame: row 3: expected a time after.*, found .* 01:00:00"),
        (frame.set_index(times.insert(1, pd.NaT)[:4]), "frame: row 2: .* found NaT"),
        (frame.rename(columns={"flow": "time"}), "other than time.* found 'time'; frame.rename"),
        (frame.rename(columns={"flow": 0}), "named by text.* found 0; frame.rename"),
        (frame.rename(columns={"flow": "seasonal:x"}), "frame: column seasonal:x: .*frame.rename"),
        (frame.rename(columns={"flow": "hour_sin"}), "frame: column hour_sin: .*frame.rename"),
        (frame.assign(flow=np.nan), "frame: column flow: expected values, found none in 4 rows;"),
        (frame.assign(flow=None), "frame: column flow: expected values, found none in 4 rows;"),
        (frame.rename(columns={"flow": "level"}), "each column once, found level twice"),
    ):
        with pytest.raises(PipelineError, match=said):
            api.of_frame(wrong, "level")


def test_targets_are_columns_of_a_frame() -> None:
    """Of numbers, each once, held against their names; a step is one that a card knows."""
    times = pd.date_range("2024-01-01", periods=60, freq="h")
    frame = pd.DataFrame({"level": np.arange(60.0), "word": "a"}, times)
    for wrong, said in (
        ("Level", r"targets: expected columns of numbers of the frame \(level\), found Level; did"),
        (["word"], r"found word, a column of words$"),
        (["level", "level"], "targets: expected each column once, found level, level"),
    ):
        with pytest.raises(PipelineError, match=said):
            api.of_frame(frame, wrong)
    with pytest.raises(PipelineError, match=r"frequency: expected a frequency such as 15min.*xx"):
        api.of_frame(frame, "level", frequency="xx")


def test_columns_of_a_frame_are_numbers_or_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Others are refused by name; one of very many words is told, as each becomes an input."""
    times = pd.date_range("2024-01-01", periods=60, freq="h")
    frame = pd.DataFrame({"level": np.arange(60.0)}, times)
    for wrong, said in (
        (
            times,
            r"column other: expected numbers, words or booleans, found datetime64.*\(datetime64",
        ),
        (times - times[0], r"found timedelta64.*\(timedelta64"),
        ([1.5, *"a" * 59], r"found object \(mixed\); drop it, or make one of them of it"),
        ([Decimal(1)] * 60, r"found object \(decimal\)"),
    ):
        with pytest.raises(PipelineError, match=said):
            api.of_frame(frame.assign(other=wrong), "level")
    assert not capsys.readouterr().err
    words = [str(number) for number in range(60)]
    made = api.of_frame(frame.assign(other=words, wet=frame.index.hour > 9), "level")
    assert made.card.columns["other"].categories == tuple(sorted(words))
    assert made.card.columns["wet"].categories == ("False", "True")
    assert "column other has 60 different words, each of which" in capsys.readouterr().err

"""Stages, door by door: what they read and write, and what they refuse."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.cards import Card
from pipeline.data.sources import delimited
from pipeline.data.windows import Runs
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from tests.test_architecture import data, outputs
from tests.toys import PANEL, Project, toy_panel, toy_table, write_holidays

PREPARING = ("ingest", "impute_scale", "window")
EVERY = "the training span of every series, 3,"


@pytest.mark.usefixtures("tracking_store")
def test_stages_read_their_deps_and_write_their_outs(
    projects: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stage runs where nothing but its deps is, and writes its outs and nothing else.

    The raw table is parsed once and hashed once in ingest, parsed once for scores and MLflow.
    """
    done: list[str] = []
    blocks, file_digest = delimited.blocks, hashlib.file_digest

    def parse(file: Any, card: Card, where: str, rows: int) -> Iterator[pd.DataFrame]:
        done.append(f"{stage} parses {where}")
        return blocks(file, card, where, rows)

    def digest(file: Any, name: str) -> Any:
        done.append(f"{stage} hashes {file.name}")
        return file_digest(file, name)

    monkeypatch.setattr(delimited, "blocks", parse)
    monkeypatch.setattr(hashlib, "file_digest", digest)
    whole = projects("whole")
    write_holidays(whole.root)
    for stage in (*PREPARING, "train", "evaluate"):
        alone = projects(stage).write(params={"window.known_ahead": ["holiday:DE"]})
        for path in (name.replace("${ingest.dataset}", "toy") for name in data(stage)):
            (alone.root / path).parent.mkdir(parents=True, exist_ok=True)
            if (whole.root / path).is_dir():
                shutil.copytree(whole.root / path, alone.root / path, dirs_exist_ok=True)
            else:
                shutil.copyfile(whole.root / path, alone.root / path)
        before = alone.written()
        alone.run(stage)
        kinds = outputs(stage)  # files, and directories of them
        made = alone.written() - before
        assert {out for out in kinds for path in made if Path(path).is_relative_to(out)} == kinds
        assert all(any(Path(path).is_relative_to(out) for out in kinds) for path in made)
        shutil.copytree(alone.root / "data", whole.root / "data", dirs_exist_ok=True)
    raw = "data/raw/toy/toy.csv"
    assert [line for line in done if line.endswith(raw)] == [
        f"ingest hashes {raw}", f"ingest parses {raw}", f"evaluate parses {raw}"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "path"),
    [
        (stage, path)
        for stage in PREPARING
        for path in sorted(data(stage))
        if not path.startswith(("data/raw/", "data/holidays"))  # directories
    ],
)
def test_a_dep_that_is_absent_is_named(project: Project, stage: str, path: str) -> None:
    """Without one of its files a stage ends with a line that names the file."""
    path = path.replace("${ingest.dataset}", "toy")
    project.run(*PREPARING[: PREPARING.index(stage)])
    (project.root / path).unlink()
    with pytest.raises(PipelineError, match=path):
        project.run(stage)


@pytest.mark.parametrize("stage", PREPARING)
def test_parameters_that_change_meanwhile_are_told(
    project: Project, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC reads params.yaml when a stage has ended: what another one made must not be recorded."""
    project.run(*PREPARING[: PREPARING.index(stage)])
    replacing = artifacts.replacing

    def edited(path: Path) -> Any:
        project.write(params={"evaluate.stretch": 48})
        return replacing(path)

    monkeypatch.setattr(artifacts, "replacing", edited)
    with pytest.raises(PipelineError, match=r"params\.yaml or the card was changed while"):
        project.run(stage)


@pytest.mark.parametrize(
    "path",
    ["data/ingested/series.parquet", "data/prepared/imputed.npy", "data/prepared/scaler.json"],
)
@pytest.mark.parametrize("content", [b"", b"\0half", b"{}"])
def test_a_broken_artifact_is_named(project: Project, path: str, content: bytes) -> None:
    """A file that is not whole ends with its name and the command that makes it again."""
    project.run(*PREPARING)
    windows = project.read("data/windows/train.npy")
    (project.root / path).write_bytes(content)
    with pytest.raises(PipelineError, match=f"{path}: .*remove it and run: dvc repro"):
        project.run("window")
    assert project.read("data/windows/train.npy") == windows


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    # changes of the card, changes of the parameters, parts of the line
    "a series too short": (
        {},
        {"window.look_back": 100, "window.horizon": 24},
        ["window.look_back + window.horizon", "the series' 120 rows, found 100 + 24 = 124"],
    ),
    "a training span without windows": (
        {},
        {"window.look_back": 70},
        ["split.train: expected at least one window of look-back 70 and horizon 3"],
    ),
    "a season that fills the training span": (
        {"inputs": ["level", "seasonal:72:level"]},
        {},
        ["split.train: expected at least one", "after 69 rows that its first features are made"],
    ),
    "a test span without windows": (
        {"split.validation": 118},
        {},
        ["split.test: expected at least one horizon of 3 rows, found 2; set -S window.horizon=2"],
    ),
    "a calibration span without windows": (
        {"split.calibration": 98},
        {},
        ["split.calibration: expected at least one horizon of 3 rows, found 2"],
    ),
    "a calibration span before validation": (
        {"split.calibration": 96},
        {},
        ["split: expected validation to end before calibration"],
    ),
    "a split beyond the series": (
        {"split.test": 121},
        {},
        ["split.test: expected at most the series' 120 rows, found 121"],
    ),
    "a date beyond the series": (
        {"split": {"train": "2014-01-02", "validation": "2014-01-03", "test": "2015-01-01"}},
        {},
        ["split.test: expected a time within the series", "found 2015-01-01"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_windows_that_cannot_be_are_refused(project: Project, name: str) -> None:
    """The line says what was asked for and what there is, and no windows are written."""
    card, params, parts = REFUSED[name]
    with pytest.raises(PipelineError) as caught:
        project.write(card=card, params=params).run(*PREPARING)
    for part in parts:
        assert part in str(caught.value)
    assert "data/windows/train.npy" not in project.written()


@pytest.mark.parametrize(("name", "value"), [("flow", "3"), ("wind", "N")])
def test_an_input_that_is_constant_in_the_training_span_is_told(
    project: Project, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    """One line of the stage that scales has the column and its value, whatever comes later."""
    table = toy_table()
    table.loc[:71, name] = float(value) if name == "flow" else value
    project.write(table).run(*PREPARING)
    told = [line for line in capsys.readouterr().err.splitlines() if "learn nothing" in line]
    assert told == [
        f"data/ingested/series.parquet: warning: column {name} has one value in the training span, "
        f"{value}, so a model can learn nothing from it"
    ]


@pytest.mark.usefixtures("tracking_store")
def test_a_target_that_never_changes_in_a_scored_span_is_told(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its R2 there is no measure of the model; gaps are no change."""
    table = toy_table()
    table["level"] = table["level"].where((table.index < 96) | table["level"].isna(), 4.5)
    ridge = {"train.model": {"name": "ridge"}, "train.residual": "none", "evaluate.levels": [50]}
    project.write(table, params=ridge).run(*PREPARING, "train", "evaluate")
    told = [line for line in capsys.readouterr().err.splitlines() if "R2" in line]
    assert told == [
        "data/reports/metrics.json: split.test: target level is 4.5 wherever it has a value, so R2 "
        "there is 1 without any error and 0 with one"
    ]
    assert json.loads(project.read("data/reports/metrics.json"))["test"]["r2"] == 0


def test_an_input_that_never_changes_is_told_once(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ingest has told of the whole table is not told again of the training span."""
    project.write(toy_table().assign(flow=3.0)).run(*PREPARING)
    told = [line for line in capsys.readouterr().err.splitlines() if "learn nothing" in line]
    assert len(told) == 1 and "column flow never changes" in told[0]


@pytest.mark.parametrize(
    ("values", "by_series", "where"),
    [
        pytest.param((3, 3, 3), True, EVERY, id="the same in all"),
        pytest.param((3, 3, 3), False, EVERY, id="in the table's units"),
        pytest.param((3, None, 3), True, EVERY, id="no value in one"),
        pytest.param((3, 4, 5), True, "each series' training span,", id="another in each"),
        pytest.param((3, 4, 5), False, "", id="another in each, in the table's units: not told"),
    ],
)
def test_an_input_of_a_panel_that_is_constant_in_training_is_told(
    project: Project,
    capsys: pytest.CaptureFixture[str],
    values: tuple[float | None, ...],
    by_series: bool,
    where: str,
) -> None:
    """What differs between series alone is nothing to a model that sees each in its own units."""
    table = toy_panel().sort_values(["site", "time"])
    table["price"] = table["site"].map(dict(zip("abc", values, strict=True)))
    last = table.groupby("site").cumcount(ascending=False) < 1
    table.loc[last, "price"] = 9.0
    columns = PANEL["columns"] | {"price": {"unit": "EUR"}}
    card = PANEL | {"columns": columns, "inputs": ["level", "price"]}
    params = {"impute_scale.by_series": by_series}
    project.write(table, card, params).run("ingest", "impute_scale")
    told = [line for line in capsys.readouterr().err.splitlines() if "learn nothing" in line]
    assert len(told) == bool(where)
    assert all(f"column price has one value in {where} so a model" in line for line in told)


def test_a_constant_target_is_refused(project: Project) -> None:
    """A target that never changes in the training span cannot be learned."""
    table = toy_table()
    table.loc[:71, "level"] = 7
    with pytest.raises(PipelineError, match=r"column level: expected a target that changes.* 7 in"):
        project.write(table).run(*PREPARING)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (
            0,
            71,
            "column level: expected observed values in the training span, found none; "
            "let split.train end after its first values",
        ),
        (72, 95, "split.validation: expected at least one observed value of the target level"),
        (96, 107, "split.calibration: expected at least one observed value of the target level"),
        (108, 119, "split.test: expected at least one observed value of the target level"),
    ],
)
def test_a_span_without_targets_is_refused(
    project: Project, first: int, last: int, message: str
) -> None:
    """A target that was never observed in one of the spans is told."""
    table = toy_table()
    table.loc[first:last, "level"] = np.nan
    with pytest.raises(PipelineError, match=message):
        project.write(table, card={"split.calibration": 108}).run(*PREPARING)


def test_a_gap_beyond_the_limit_is_marked_and_not_learned_from(project: Project) -> None:
    """Rows beyond the limit hold the training mean, and no training window sees them."""
    table = toy_table(missing=0)
    table.loc[20:29, "flow"] = np.nan
    project.write(table).run(*PREPARING)
    state = np.load(project.root / "data/prepared/imputed.npy")
    assert state[20:30, 1].tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 2, 2]
    values = np.load(project.root / "data/prepared/values.npy")
    mean = json.loads(project.read("data/prepared/imputer.json"))["means"]["flow"]
    scale = json.loads(project.read("data/prepared/scaler.json"))["columns"]["flow"]
    expected = (np.log1p(mean) - scale["center"]) / scale["scale"]
    np.testing.assert_allclose(values[23:30, 1], expected, rtol=1e-6)
    runs = np.load(project.root / "data/windows/train.npy")
    assert runs.tolist() == [[7, 23, 1], [37, 69, 1]]


@settings(max_examples=20)
@given(
    seed=st.integers(0, 99),
    rows=st.integers(1, 60),
    missing=st.floats(0, 1),
    size=st.sampled_from([1e-300, 1e-9, 1.0, 1e9, 1e37, 1e38]),
    params=st.fixed_dictionaries(
        {
            "window.look_back": st.integers(1, 12),
            "window.horizon": st.integers(1, 8),
            "window.stride": st.integers(1, 3),
            "window.split": st.sampled_from(
                [
                    {"train": 0.5, "validation": 0.75, "test": 1.0},
                    {"train": 20, "validation": 30, "test": 40},
                    {"train": "2014-01-01", "validation": "2014-01-02", "test": "2014-01-03"},
                ]
            ),
            "impute_scale.imputation.method": st.sampled_from(["mean", "ffill", "seasonal"]),
            "impute_scale.scaling": st.sampled_from(["minmax", "standard", "robust"]),
            "impute_scale.transforms": st.sampled_from(
                [[], ["log1p:flow"], ["yeo_johnson:flow", "asinh:level"]]
            ),
        }
    ),
)
def test_any_table_and_parameters_end_well(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    rows: int,
    missing: float,
    size: float,
    params: dict[str, Any],
) -> None:
    """The answer is finite values and windows inside the series, or one clear line."""
    table = toy_table(rows, seed, missing)
    table["flow"] *= size
    project = Project(tmp_path_factory.mktemp("any")).write(table, params=params)
    try:
        project.run(*PREPARING)
    except PipelineError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert np.isfinite(np.load(project.root / "data/prepared/values.npy")).all()
    first, ends = params["window.look_back"] - 1, params["window.horizon"]
    series = pd.read_parquet(project.root / "data/ingested/series.parquet")
    for span in ("train", "validation", "test"):
        origins = np.asarray(Runs(np.load(project.root / f"data/windows/{span}.npy")))
        assert first <= origins.min() <= origins.max() < len(series) - ends


def test_split_ends_of_a_card_with_a_time_zone_are_local(project: Project) -> None:
    """A day named as an end is all of that day where the table was written."""
    zone = {"time.timezone": "Europe/Berlin"}
    days = {"train": "2014-01-03", "validation": "2014-01-04", "test": "2014-01-05"}
    project.write(card=zone | {"split": days}).run(*PREPARING)
    (first, end, _stride) = np.load(project.root / "data/windows/test.npy")[0]
    # The first origin is the hour before local midnight, the 96th row.
    assert (first + 1, end + 3) == (96, 120)

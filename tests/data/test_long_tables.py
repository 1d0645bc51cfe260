"""Tables of many rows: read, computed and kept some rows at a time, to the same bytes."""

import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import measure, project
from pipeline.data import long_tables, raw_panel
from pipeline.data.sources import delimited, reading
from pipeline.errors import PipelineError
from pipeline.files import artifacts, long_frames, on_disk
from pipeline.monitoring import inputs, reference
from pipeline.preparation import moments
from tests.toys import Project, toy_card, toy_table

OWN = 1400  # MB: more than evaluate takes at ten million


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is long, and worked on seven rows at a time."""
    monkeypatch.setattr(on_disk, "LONG", 0)
    monkeypatch.setattr(on_disk, "BLOCK", 7)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_a_table_in_blocks_is_the_whole_table(tmp_path: Path, name: str) -> None:
    """As CSV and as Parquet, the series is the same however many rows are read at a time."""
    frame, path, card = toy_table(100), tmp_path / name, toy_card()
    frame.to_parquet(path) if name == "t.parquet" else frame.to_csv(path, index=False)
    whole, given = raw_panel.to_panel(reading.read_table(path, card), card, "t")
    for rows in (1, 7, 99, 100, 101):
        table = long_tables.read(path, card, rows)
        found, counts = raw_panel.to_panel(table, card, "t")
        pd.testing.assert_frame_equal(found.frame, whole.frame, check_freq=False)
        assert counts == given


def test_a_fault_in_a_later_block_is_in_its_row(tmp_path: Path) -> None:
    """Rows are counted from the first of the table, and lines, whatever a block holds."""
    frame, path = toy_table(50).astype("str"), tmp_path / "t.csv"
    frame.loc[40, "level"] = "x"
    frame.to_csv(path, index=False)
    with pytest.raises(PipelineError, match="row 41: expected a finite number"):
        long_tables.read(path, toy_card(), 7)
    with path.open("a") as file:
        file.write("a,b,c,d,e,f,g,h,i\n")
    with pytest.raises(PipelineError, match="line 52: expected"):
        reading.read_table(path, toy_card())


TEXT = st.text("aé,\n\r 1", max_size=40)


@given(TEXT, st.integers(1, 9))
def test_text_is_the_same_in_pieces_of_any_size(text: str, size: int) -> None:
    """A letter of two bytes, a line end or lines without a value may lie on a border."""

    def read(content: bytes) -> str:
        return "".join(delimited._text(BytesIO(content), toy_card(), "t"))

    content = f"\ufeffx,y\n{text}".encode()
    whole = read(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "PIECE", size)
        assert read(content) == whole


@pytest.mark.usefixtures("tiny")
def test_a_long_frame_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Times with and without a zone, numbers with gaps, and names, which stay in memory."""
    for zone in (None, "UTC"):
        times = pd.date_range("2024", periods=30, freq="h", tz=zone, unit="us").rename("time")
        frame = pd.DataFrame({"a": np.arange(30.0), "b": "x", "c": np.nan}, index=times)
        frame.loc[frame.index[3], "a"] = np.nan
        artifacts.write_frame(tmp_path / "f.parquet", frame)
        for columns in (None, ["c", "b"], ["b"], []):
            found = long_frames.read(tmp_path / "f.parquet", columns)
            wanted = frame if columns is None else frame[columns]
            pd.testing.assert_frame_equal(found, wanted, check_freq=False)


def test_the_stages_give_the_same_bytes_in_blocks(
    projects: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read, imputed, scaled and indexed seven rows at a time, on disk, nothing comes out other."""
    for method in ("ffill", "seasonal"):
        files = {}
        for name, block, long in (("whole", on_disk.BLOCK, on_disk.LONG), ("blocks", 7, 0)):
            monkeypatch.setattr(on_disk, "BLOCK", block)
            monkeypatch.setattr(on_disk, "LONG", long)
            one = projects(f"{method}-{name}")
            one.write(params={"impute_scale.imputation.method": method})
            one.run("ingest", "impute_scale", "window")
            made = sorted((one.root / "data").glob("[ipw]*/*"))
            files[name] = {path.name: artifacts.sha256(path) for path in made}
        assert len(files["whole"]) > 5
        assert files["blocks"] == files["whole"]
        monkeypatch.undo()


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=50))
def test_moments_are_those_of_pandas(numbers: list[float]) -> None:
    """To the last digit, with missing values as without."""
    column = pd.Series(numbers, dtype=float)
    mean, deviation = moments.mean_and_deviation(column.to_numpy())
    np.testing.assert_array_equal([mean, deviation], [column.mean(), column.std(ddof=0)])
    own = moments.changes(column.to_numpy(), 2)
    np.testing.assert_array_equal(own, column.diff(2))
    np.testing.assert_array_equal(moments.known(column.to_numpy()), column.dropna())


@given(st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, 9.0]), min_size=1), st.integers(1, 20))
def test_values_are_sorted_part_by_part_as_at_once(drawn: list[float], most: int) -> None:
    """Equal values stay in the order of their rows, however few are sorted at once."""
    values, labels, rows = np.array(drawn), np.arange(len(drawn)), np.arange(0, len(drawn), 2)
    order = rows[np.argsort(values[rows], kind="stable")]
    found = reference.Sorted(np.zeros(len(rows)), np.zeros(len(rows), np.int64))
    with mock.patch.object(reference, "MOST", most):
        found.fill(values, labels, rows)
    np.testing.assert_array_equal(found.values, values[order])
    np.testing.assert_array_equal(found.labels, order)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("by_year", [True, False])
def test_what_is_left_without_some_rows_is_what_they_would_teach(
    by_year: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quantiles of the rest, from all values sorted once, are those of the rest sorted alone."""
    monkeypatch.setattr(reference, "MOST", 7)
    random = np.random.default_rng(1)
    times = pd.date_range("2020-11-01", periods=120, freq="D")
    values = pd.DataFrame({"a": random.normal(size=120).round(1), "c": random.integers(0, 3, 120)})
    values = values.astype(float).mask(random.random((120, 2)) < 0.2).set_axis(times)
    at = np.arange(120)
    rows = inputs.Rows(times, at, values, values.diff(), {"c": 3})
    sorted_once = reference.Reference(rows, at, by_year)
    for first, last in ((0, 0), (10, 40), (0, 118), (100, 200), (0, 119)):
        kept = (at < first) | (at > last)
        assert sorted_once.without(first, last) == inputs.learn(rows.part(kept), by_year)


def test_long_arrays_lie_where_one_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /tmp of a container whose other files are read-only."""
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(on_disk, "LONG", 8)
    with mock.patch("tempfile.TemporaryFile", wraps=tempfile.TemporaryFile) as made:
        on_disk.zeros((4,), np.float64)
    made.assert_called_once_with(dir=tmp_path)


@pytest.mark.slow
def test_a_million_rows_take_little_memory(tmp_path: Path) -> None:
    """All five stages, with the imports of TensorFlow and MLflow."""
    project.write(tmp_path, train={"batch_size": 1024}, window={"stride": 4})
    project.write_table(tmp_path, 1_000_000)
    for stage in project.STAGES:
        used = measure.peak(f"pipeline.stages.{stage}", cwd=tmp_path)
        assert used["own_mb"] < OWN, stage

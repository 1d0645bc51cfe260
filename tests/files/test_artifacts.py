"""Where a file is written to: links, devices, pipes, and places where nothing can be written."""

import os
import re
import resource
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import require
from pipeline.files.on_disk import Kept
from tests.toys import ROOT

WRITE = """
import sys
from pathlib import Path
from pipeline.files import artifacts
for path in sys.argv[1:]:
    artifacts.write_text(Path(path), "new\\n")
"""


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    """Also where the file is absent; a link to a read-only file, as into a cache, gives way."""
    for name, before in (("there", "old"), ("absent", None), ("cached", "old")):
        file, link = tmp_path / "files" / name, tmp_path / name
        file.parent.mkdir(exist_ok=True)
        if before:
            file.write_text(before)
        link.symlink_to(file)
        if name == "cached":
            file.chmod(0o444)
        artifacts.write_text(link, "new")
        assert link.read_text() == "new"
        assert link.is_symlink() == (name != "cached")
        assert file.read_text() == ("old" if name == "cached" else "new")
    assert list(tmp_path.rglob(".partial-*")) == []


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    """What is no file stands there afterwards as it did before, and its reader has it all."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    artifacts.write_text(pipe, "new")
    reader.join(10)
    assert read == ["new"]
    assert pipe.is_fifo()


def test_what_the_shell_has_opened_is_written_through(tmp_path: Path) -> None:
    """Standard output, a process substitution and a device get the bytes; a log keeps its lines."""
    (tmp_path / "log").write_text("old\n")
    done = subprocess.run(
        [
            "bash",
            "-c",
            '"$PYTHON" -c "$CODE" /dev/stdout /dev/fd/3 >(cat >&2) /dev/null >> log 3>> log',
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CODE": WRITE, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "new\n"
    assert (tmp_path / "log").read_text() == "old\nnew\nnew\n"
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "Is a directory"),
        (".", "Is a directory"),
        ("file/below", "Not a directory"),
        ("/proc/self/nothing", "No such file or directory"),
        ("n" * 300, "File name too long"),
    ],
)
def test_where_nothing_can_be_written_one_line_says_so(
    path: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's own reason, and no guess at a full disk."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("old")
    with pytest.raises(
        PipelineError, match=rf"{re.escape(path)}.*: could not be written: {reason}$"
    ):
        artifacts.write_text(Path(path), "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_read_only_file_system_is_told(tmp_path: Path) -> None:
    """One line, also though what was begun there cannot be removed."""
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        with pytest.raises(
            PipelineError, match=r"new: could not be written: Read-only file system$"
        ):
            artifacts.write_text(tmp_path / "new", "new")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_what_is_read_may_be_a_pipe_and_no_directory(tmp_path: Path) -> None:
    """A named pipe is as good as a file; a directory, or a name that cannot be, is no file."""
    os.mkfifo(tmp_path / "pipe")
    assert require(tmp_path / "pipe", "make it") == tmp_path / "pipe"
    for path in (tmp_path, tmp_path / "none", tmp_path / ("n" * 300)):
        with pytest.raises(PipelineError, match=r"no such file; make it"):
            require(path, "make it")


@pytest.mark.parametrize("lengths", [(7,), (1, 2, 4), (3, 0, 4), (6, 1), (3, 3, 1)])
def test_appended_frames_are_one_frame(
    tmp_path: Path, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are those of all rows written at once, wherever groups of rows begin."""
    names = pd.Index(["a", "b"])
    frame = pd.DataFrame(
        {
            "name": pd.Categorical.from_codes([0, 0, 1, 0, 1, 1, 1], names),
            "time": pd.date_range("2014-01-01", periods=7, tz="UTC"),
            "value": [0.5, np.nan, 2, 3, 4, 5, 6],
        }
    )
    whole, made = tmp_path / "whole.parquet", tmp_path / "made.parquet"
    monkeypatch.setattr(artifacts, "GROUP", 3)
    frame.to_parquet(whole, row_group_size=3)
    with artifacts.appending(made, len(frame)) as append:
        for first, end in pairwise(np.cumsum([0, *lengths])):
            append(frame[first:end])
    assert made.read_bytes() == whole.read_bytes()


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 2)),
    cuts=st.lists(st.integers(0, 5), max_size=3),
    part=st.one_of(
        st.lists(st.integers(0, 4), min_size=1, max_size=4).map(np.array),
        st.slices(5),
    ),
)
def test_what_is_kept_on_disk_is_read_in_parts(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...], cuts: list[int], part: Any
) -> None:
    """As the array itself, by windows and by step, however it was written; no file is seen."""
    directory = tmp_path_factory.mktemp("kept")
    values, kept = np.random.default_rng(1).normal(size=shape), Kept(directory, shape)
    edges = sorted({0, *(min(cut, shape[0]) for cut in cuts), shape[0]})
    for first, end in pairwise(edges):
        kept.write(slice(first, end), values[first:end])
    rows = part % shape[0] if isinstance(part, np.ndarray) else part
    if isinstance(rows, slice) and (rows.step or 1) < 0:
        rows = slice(None)
    np.testing.assert_array_equal(kept[rows], values[rows])
    for step in range(shape[1]):
        np.testing.assert_array_equal(kept.step(step), values[:, step])
    assert list(directory.iterdir()) == []


def test_a_full_disk_is_said_of_what_is_kept(tmp_path: Path) -> None:
    """One line that names the directory."""
    kept, (soft, hard) = Kept(tmp_path, (9, 1, 1)), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        with pytest.raises(PipelineError, match=rf"{tmp_path}: could not be written: .*disk full"):
            kept.write(slice(0, 9), np.zeros((9, 1, 1)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

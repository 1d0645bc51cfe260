"""Where a file is written to: links, devices, pipes, and places where nothing can be written."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import require
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

"""Many tasks in one process and in several: the same files, whatever dies meanwhile."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from pipeline.errors import PipelineError
from pipeline.experiments.executors import DiedError, Executor, Inline
from pipeline.experiments.workers import Workers, executor
from pipeline.files import artifacts
from tests.processes import below
from tests.repositories import environment
from tests.toys import ROOT


@dataclass(frozen=True)
class Word:
    """A task: a file with a word, after so many seconds."""

    path: Path
    text: str
    seconds: float = 0
    after: Path | None = None  # not before this file is there
    deaths: int = 0  # of the workers that write it first


def write(task: Word) -> Path:
    """Write the word, or die."""
    time.sleep(task.seconds)
    while task.after and not task.after.exists():
        time.sleep(0.02)
    if task.text == "refused":
        raise PipelineError("refused: expected another word")
    before = task.path.with_suffix(".deaths")
    died = len(before.read_text()) if before.exists() else 0
    if died < task.deaths:
        before.write_text("x" * (died + 1))
        os.kill(os.getpid(), signal.SIGKILL)
    task.path.write_text(task.text)
    return task.path


def write_pid(task: Word) -> Path:
    """Write which process this is, and on which GPUs it computes."""
    time.sleep(task.seconds)
    return write(Word(task.path, f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}"))


def tasks(directory: Path, *seconds: float) -> list[Word]:
    """A task for each of these lengths."""
    return [Word(directory / f"{i}.txt", str(i), s) for i, s in enumerate(seconds)]


def texts(at: Executor, wanted: list[Word]) -> list[str]:
    """What the files hold, in the order in which the tasks ended."""
    return [path.read_text() for _, path in at.map(write, wanted)]


def test_one_process_and_several_leave_the_same_files(tmp_path: Path) -> None:
    """Inline in order, elsewhere as they end: one that waits does not keep the others."""
    wanted, awaited = tasks(tmp_path, 0, 0, 0), tmp_path / "awaited"
    assert texts(Inline(), wanted) == ["0", "1", "2"]
    with executor(Workers(2)) as at:
        found = at.map(write, [replace(wanted[0], after=awaited), *wanted[1:]])
        assert {next(found)[1].read_text() for _ in "12"} == {"1", "2"}
        awaited.touch()
        assert [path.read_text() for _, path in found] == ["0"]


def test_workers_stay_and_are_settled(tmp_path: Path) -> None:
    """As many interpreters as workers do all tasks, none of them this one, without GPUs."""
    with executor(Workers(2)) as at:
        found = [path.read_text() for _, path in at.map(write_pid, tasks(tmp_path, *[0.1] * 6))]
    pids = {int(text.split()[0]) for text in found}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert {text.split()[1] for text in found} == {"-1"}
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """Its task is run again, and the others do not notice."""
    wanted = [*tasks(tmp_path, 0, 0), Word(tmp_path / "dies.txt", "lived", deaths=2)]
    with executor(Workers(2)) as at:
        assert sorted(texts(at, wanted)) == ["0", "1", "lived"]


@pytest.mark.slow
def test_a_task_that_kills_each_worker_is_told(tmp_path: Path) -> None:
    """After three attempts, with the signal; `died` may leave its file instead."""

    def died(task: Word, error: DiedError) -> Path:
        task.path.write_text(str(error))
        return task.path

    wanted = [Word(tmp_path / "dies.txt", "", deaths=9)]
    with executor(Workers(2)) as at:
        with pytest.raises(DiedError, match="found SIGKILL, 3 times"):
            list(at.map(write, wanted))
        [(_, path)] = at.map(write, [Word(tmp_path / "again.txt", "", deaths=9)], died)
    assert "SIGKILL" in path.read_text()


def test_what_a_task_refuses_is_one_line(tmp_path: Path) -> None:
    """A PipelineError comes back as it was."""
    with (
        executor(Workers(2)) as at,
        pytest.raises(PipelineError, match=r"^refused: expected another word$"),
    ):
        list(at.map(write, [Word(tmp_path / "a.txt", "refused")]))


def test_a_file_that_changed_on_its_way_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker says it wrote has to be what lies there."""
    monkeypatch.setattr(artifacts, "sha256", lambda path: "another")
    with (
        executor(Workers(2)) as at,
        pytest.raises(PipelineError, match=r"0\.txt: expected what its worker"),
    ):
        list(at.map(write, tasks(tmp_path, 0)))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """A parent that is killed leaves no orphan that writes on."""
    program = (
        "import sys; from pathlib import Path; from tests.experiments import test_executors as t;"
        "from pipeline.experiments.workers import Workers, executor\n"
        "wanted = t.tasks(Path(sys.argv[1]), 0, 999, 999)\n"
        "with executor(Workers(2)) as at: list(at.map(t.write_pid, wanted))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, env=environment()
    )

    def workers() -> list[psutil.Process]:
        return below(psutil.Process(parent.pid), "spawn_main")

    while not (tmp_path / "0.txt").exists() or len(workers()) < 2:
        assert parent.poll() is None
        time.sleep(0.1)
    left = workers()
    assert len(left) == 2
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(left, timeout=120)
    assert alive == []
    assert not (tmp_path / "1.txt").exists()

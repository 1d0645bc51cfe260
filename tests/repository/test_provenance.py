"""Where a run comes from, as far as Git says; and what is said where it does not."""

import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from pipeline.commands import check
from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE
from pipeline.reports import page
from pipeline.repository import provenance
from pipeline.reproduction import clean_clone
from tests.repositories import copied, run, toy_repository


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Path]:
    """A committed toy repository, which is the working directory."""
    provenance._warn.cache_clear()
    with chdir(toy_repository(tmp_path / "toy")):
        yield Path.cwd()


def without_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on PATH."""
    monkeypatch.setenv("PATH", str(repository / "data"))


def without_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree as an archive holds it."""
    (repository / ".git").rename(repository.parent / "elsewhere")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.parent))


def with_a_broken_index(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full disk leaves."""
    (repository / ".git/index").write_bytes(b"broken" * 20)


def without_a_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right after git init."""
    run(repository, "git", "update-ref", "-d", "HEAD")


BREAKS = {
    "is not on PATH": without_git,
    "has no repository here": without_repository,
    "has a broken index": with_a_broken_index,
    "has no commit": without_a_commit,
}


@pytest.mark.parametrize(
    ("git", "said"),
    [
        ("is not on PATH", "git: No such file or directory; is it installed and on PATH?"),
        ("has no repository here", "with: git init && git add -A && git commit -m Start"),
        ("has a broken index", "fix it with: rm .git/index && git reset"),
        ("has no commit", "commit first: git add -A && git commit -m Start"),
    ],
)
def test_what_git_does_not_say_is_not_taken_for_clean(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    git: str,
    said: str,
) -> None:
    """One line says so, once, and how to mend it; the run goes on and is not marked as clean."""
    BREAKS[git](repository, monkeypatch)
    dirty = "unknown" if git == "has a broken index" else None
    assert provenance.tags("toy").get("git.dirty") == dirty
    assert ("git.commit" in provenance.tags("toy")) == (dirty is not None)
    line = capsys.readouterr().err
    assert line.startswith("warning: the state of Git is unknown, so the run cannot be promoted: ")
    assert line.endswith(f"{said}\n")
    assert line.count("\n") == 1


def test_a_clean_tree_says_nothing(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Committed code is clean, and code that is new or was changed is not."""
    assert provenance.tags("toy")["git.dirty"] == "false"
    run(repository, "git", "config", "status.showUntrackedFiles", "no")
    (repository / "pipeline/new.py").write_text("")
    assert provenance.tags("toy")["git.dirty"] == "true"
    (repository / "pipeline/new.py").unlink()
    (repository / "pipeline/files/layout.py").write_text("")
    assert provenance.tags("toy")["git.dirty"] == "true"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("flag", ["assume-unchanged", "skip-worktree"])
def test_what_git_passes_by_is_not_clean(repository: Path, flag: str) -> None:
    """A file whose changes Git was told not to look for may differ from its commit."""
    run(repository, "git", "update-index", f"--{flag}", "pipeline/evaluation/metrics.py")
    (repository / "pipeline/evaluation/metrics.py").write_text("")
    assert provenance.tags("toy")["git.dirty"] == "true"


@pytest.mark.parametrize("place", ["numpy.py", "mlflow/__init__.py"])
def test_a_module_in_the_place_of_a_library_is_not_clean(repository: Path, place: str) -> None:
    """Stages run with the repository's root first on Python's path: what lies there is code."""
    (repository / place).parent.mkdir(exist_ok=True)
    (repository / place).write_text("")
    assert provenance.tags("toy")["git.dirty"] == "true"


def test_a_tree_without_git_is_named_before_dvc_runs(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make` says what DVC needs and the command that makes it."""
    run(repository, sys.executable, "-m", "pipeline", "check")
    monkeypatch.setattr("sys.argv", ["check"])
    without_repository(repository, monkeypatch)
    for setting in ("", "[core]\n    no_scm = false\n"):
        (repository / ".dvc/config.local").write_text(setting)
        with pytest.raises(PipelineError, match=r"^\.git: expected a Git repository, which DVC"):
            check.main()
    (repository / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    check.main()


def test_a_report_needs_no_git(
    finished_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of a report is written where Git is absent, and says that nothing is known of it."""
    with chdir(copied(finished_toy, tmp_path / "toy")):
        without_git(Path.cwd(), monkeypatch)
        assert "not in Git" in page.of_report(read_experiment(), HERE)


@pytest.mark.parametrize(
    "file", ["data/raw/toy/toy.csv", "data/raw/toy/second.csv", "data/raw/toy.dvc"]
)
def test_a_table_that_git_has_otherwise_is_dirty(repository: Path, file: str) -> None:
    """A run on a table, or by a pin, that is not the commit's is not marked as clean."""
    run(repository, "git", "add", "-f", "data/raw/toy")
    run(repository, "git", "commit", "-q", "-m", "table")
    assert provenance.tags("toy")["git.dirty"] == "false"
    (repository / file).write_text("other")
    run(repository, "git", "add", "-f", "-N", file)
    assert provenance.tags("toy")["git.dirty"] == "true"


def test_a_clean_clone_has_the_tables_that_git_has_not(repository: Path, tmp_path: Path) -> None:
    """What lies in a data set's directory comes along; one that Git has comes from Git."""
    committed = "data/raw/beijing_pm25/beijing_pm25.csv"
    (repository / committed).write_text("changed")
    clone = clean_clone.make(tmp_path / "clone")
    table = "data/raw/toy/toy.csv"
    assert (clone / table).read_bytes() == (repository / table).read_bytes()
    assert (clone / committed).read_bytes() != b"changed"


def test_an_experiment_is_known_by_its_results(repository: Path) -> None:
    """Git's newest DVC experiment with the dvc.lock that is here; none where no other is as it."""
    lock = repository / "dvc.lock"
    for number, (name, content) in enumerate({"a": "1", "b": "2", "c": "2", "d": "3"}.items()):
        lock.write_text(content)
        run(repository, "git", "add", "-A")
        date = {"GIT_COMMITTER_DATE": f"2026-01-0{number + 1}T00:00:00Z"}
        run(repository, "git", "commit", "-q", "--allow-empty", "-m", name, env=date)
        run(repository, "git", "update-ref", f"refs/exps/{number}a/{number:038}/{name}", "HEAD")
    run(repository, "git", "update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    for content, name in {"1": "a", "2": "c", "3": "d", "4": None}.items():
        lock.write_text(content)
        assert provenance.experiment() == name

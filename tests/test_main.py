"""The door for people: commands by name, from any directory of a project."""

import sys
from pathlib import Path

import pytest

from pipeline import __main__ as door
from pipeline.runtime import process
from tests.toys import ROOT, Project

COMMANDS = door.known()


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command runs without the signals of a process of its own, called where it works."""
    monkeypatch.setattr(process, "run", lambda main: main())
    monkeypatch.setattr(process, "_called_in", None)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str, script: str = "__main__.py") -> None:
    """Call the door as `python -m pipeline` does, or as an installed script."""
    monkeypatch.setattr(sys, "argv", [f"/somewhere/bin/{script}", *arguments])
    door.main()


def test_commands_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each by its name and one line on what it does, outside a project as well."""
    monkeypatch.chdir(tmp_path)
    call(monkeypatch)
    usage, _, *lines = capsys.readouterr().out.splitlines()
    assert usage == "usage: python -m pipeline COMMAND [--help]"
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert all(first[0].isupper() and len(first) < 90 for _, first in COMMANDS.values())


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("script", ["__main__.py", "honest-lstm"])
def test_every_command_explains_itself(
    name: str,
    script: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """--help names the command as it was called, and says what the list says; nothing runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, name, "--help", script=script)
    assert ended.value.code == 0
    said = capsys.readouterr().out
    program = "honest-lstm" if script == "honest-lstm" else "python -m pipeline"
    assert said.startswith(f"usage: {program} {name} [-h]")
    assert COMMANDS[name][1] in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("new_dataset", "did you mean new-dataset?"),
        ("promot", "did you mean promote?"),
        ("x", "python -m pipeline lists them"),
    ],
)
def test_a_misspelt_command_is_named(
    name: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the one that is nearest."""
    with pytest.raises(
        SystemExit, match=f"^error: {name}: no such command; {advice}$".replace("?", r"\?")
    ):
        call(monkeypatch, name)


def test_a_command_finds_its_project(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a directory below; a path is relative to where the command is called."""
    monkeypatch.chdir(project.table.parent)
    call(monkeypatch, "new-dataset", "../toy/toy.csv")
    assert "data/datasets/toy.yaml: exists and is kept" in capsys.readouterr().out
    assert Path.cwd() == project.root
    assert process.path("below/rows.csv") == Path("data/raw/toy/below/rows.csv")
    assert process.path("../../../../out.csv") == project.root.parent / "out.csv"
    assert process.path("/dev/stdout") == Path("/dev/stdout")


def test_what_needs_a_project_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And makes no database outside one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"^error: params\.yaml: expected in this directory or"):
        call(monkeypatch, "store-uri")
    assert list(tmp_path.iterdir()) == []


def test_other_code_than_the_project_s_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the package that is installed is not the one that lies in the project."""
    (project.root / "pipeline").mkdir()
    monkeypatch.chdir(project.root)
    call(monkeypatch, "new-dataset", "data/raw/toy/toy.csv")
    assert f"note: this runs {ROOT / 'pipeline'}, not" in capsys.readouterr().err

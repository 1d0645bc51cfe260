"""The versions of the libraries that make bytes are a dependency, those of other tools are not."""

import json
import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from pipeline.commands import check, unchanged
from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.runtime import determinism
from pipeline.tracking import publishing
from tests.toys import ROOT, Project, toy_card, toy_params

STAGES = ("ingest", "impute_scale", "window", "train", "evaluate")


def write(project: Project, **changes: str) -> None:
    """The file of another environment."""
    project.versions.write_text(json.dumps(determinism.libraries() | changes))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_refuses_other_versions_than_dvc_will_remember(
    project: Project, stage: str
) -> None:
    """Its line names the library, both versions and the command that writes the file."""
    write(project, keras="3.14.0")
    found = determinism.libraries()["keras"]
    with pytest.raises(PipelineError) as refused:
        project.run(stage)
    assert str(refused.value) == (
        f"data/versions.json: keras: expected 3.14.0, found {found}; write the installed versions "
        "with: python -m pipeline check"
    )
    assert project.written() == set()


def test_the_check_writes_the_installed_versions(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, in one line; then a stage runs. A file that is broken is written as well."""
    (project.root / ".git").mkdir()
    monkeypatch.chdir(project.root)
    monkeypatch.setattr("sys.argv", ["check"])
    right = (ROOT / "data/versions.json").read_bytes()
    write(project, keras="3.14.0", numpy="2.3.0")
    check.main()
    said = capsys.readouterr().out
    assert re.fullmatch(r"data/versions\.json: written, .*keras: .*3\.14\.0.*numpy: .*\n", said)
    check.main()
    assert (capsys.readouterr().out, project.versions.read_bytes()) == ("", right)
    project.run("ingest")
    project.versions.write_text("{")
    check.main()
    assert project.versions.read_bytes() == right


def test_the_committed_versions_are_those_of_the_lock_file_for_every_python() -> None:
    """Whoever installs requirements.lock writes the same file, whatever the Python."""
    locked = (ROOT / "requirements.lock").read_text()
    committed = json.loads((ROOT / "data/versions.json").read_text())
    for name, version in committed.items():
        assert re.findall(rf"^{name}==(\S+)", locked, re.MULTILINE) == [version]
    assert not committed.keys() & {"python", "dvc", "mlflow", "ruff"}


@pytest.mark.parametrize("there", ["tensorflow", "tensorflow-cpu"])
def test_either_build_of_tensorflow_is_the_same_library(
    there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have its name in the file; a served model asks for one that its machine has."""
    whole = metadata.version

    def version(name: str) -> str:
        if name.startswith("tensorflow"):
            if name != there:
                raise metadata.PackageNotFoundError(name)
            return "2.21.0"
        return whole(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(publishing, "version", version)
    assert determinism.libraries()["tensorflow"] == "2.21.0"
    asked = [*map(Requirement, publishing.requirements(Experiment(toy_params({}), toy_card())))]
    for machine in ("x86_64", "arm64"):
        wanted = [
            str(one.name)
            for one in asked
            if one.name.startswith("tensorflow")
            and (
                one.marker is None
                or one.marker.evaluate({"platform_machine": machine, "sys_platform": "linux"})
            )
        ]
        assert wanted == [there if machine == "x86_64" else "tensorflow"]


def test_another_library_makes_dvc_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make` does not say that nothing has changed where keras has."""
    monkeypatch.chdir(ROOT / "tests")  # where it watches no file
    before = unchanged.state()
    assert unchanged.state() == before
    libraries = determinism.libraries() | {"keras": "3.14.0"}
    monkeypatch.setattr(determinism, "libraries", lambda: libraries)
    assert unchanged.state() != before

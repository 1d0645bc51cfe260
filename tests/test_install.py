"""The package as pip installs it: what is in it, what it needs, and its command elsewhere."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_packages

from pipeline.runtime import determinism
from tests.repositories import copy_code
from tests.test_architecture import MODULES, imports
from tests.toys import ROOT, Project

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUN = {"dvc", "ruamel-yaml-clib"}  # by the commands, by DVC; not imported
BUILDS = {determinism.PROCESSORS: "tensorflow"}  # of one library
THEIRS = {
    "anyio",
    "fastapi",
    "h11",
    "markupsafe",
    "pyyaml",
    "starlette",
    "uvicorn",
}  # MLflow's, Jinja's


def test_the_package_is_pipeline_alone() -> None:
    """Neither tests nor benchmarks are installed; types are, and the command calls the door."""
    include = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    found = {name.replace(".", "/") for name in find_packages(str(ROOT), include=include)}
    assert found == {str(Path(file).parent) for file in MODULES}
    for name in PROJECT["tool"]["setuptools"]["package-data"]["pipeline"]:
        assert (ROOT / "pipeline" / name).is_file()
    module, _, function = PROJECT["project"]["scripts"]["honest-lstm"].partition(":")
    assert callable(getattr(import_module(module), function))


def test_dependencies_are_what_is_imported() -> None:
    """No library that the package imports is undeclared, and none is declared for nothing."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    imported = (name for extra in ("excel", "holidays", "ray") for name in extras[extra])
    needed = [*project["dependencies"], *imported]
    names = {canonicalize_name(Requirement(name).name) for name in needed}
    declared = {BUILDS.get(name, name) for name in names}
    providers = packages_distributions()
    tops = {name.split(".")[0] for file in MODULES for name in imports(file)}
    used = [
        {BUILDS.get(name := canonicalize_name(one), name) for one in providers[top]}
        for top in tops & providers.keys()
    ]
    assert [names for names in used if not names & (declared | THEIRS)] == []
    assert declared - RUN - set().union(*used) == set()


def locked(name: str) -> dict[str, str]:
    """The packages of a lock file, each with its version and hashes; no index is named."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?:|--(extra-)?index|find-links", text)
    return dict(re.findall(r"^([\w.-]+)==((?:.*\\\n)*.*)", text, re.MULTILINE))


def test_tools_are_added_to_the_same_packages() -> None:
    """requirements-dev.lock is requirements.lock, hashes and all, with Ray and what tests need."""
    usual, more = locked("requirements.lock"), locked("requirements-dev.lock")
    assert len(usual) > 100
    assert usual.items() <= more.items()
    declared = PROJECT["project"]["optional-dependencies"]
    asked = [*map(Requirement, declared["dev"] + declared["ray"])]
    tools = {canonicalize_name(one.name) for one in asked} - {PROJECT["project"]["name"]}
    assert tools <= more.keys()
    assert {"ray", "pytest", "mypy", "selenium"} <= more.keys() - usual.keys()


def test_the_lock_file_for_a_gpu_adds_nvidias_libraries_alone() -> None:
    """Every other package is that of requirements-dev.lock, hashes and all."""
    usual, cuda = locked("requirements-dev.lock"), locked("requirements-cuda.lock")
    # The one build of TensorFlow in the place of the other, at one version.
    processors, whole = usual.pop(determinism.PROCESSORS), usual.pop("tensorflow")
    (number, *hashes), (same, *others) = cuda.pop("tensorflow").split(), whole.split()
    assert number == same == processors.split()[0]
    assert set(hashes) <= set(others)
    where = {
        Requirement("tensorflow==" + one.partition("\\")[0]).marker for one in (processors, whole)
    }
    linux = {"sys_platform": "linux", "platform_machine": "x86_64"}
    for machine in (
        linux,
        linux | {"platform_machine": "aarch64"},
        linux | {"sys_platform": "darwin"},
    ):
        assert sum(marker is not None and marker.evaluate(machine) for marker in where) == 1
    assert usual.items() <= cuda.items()
    added = cuda.keys() - usual.keys()
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12"} <= added
    assert all(name.startswith("nvidia-") for name in added)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, from the wheel in an environment that has the present one's libraries."""
    directory = tmp_path_factory.mktemp("installed")
    copy_code(directory / "source")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", ".."]
    subprocess.run(build, cwd=directory / "source", check=True)
    venv.create(directory / "venv", symlinks=True)
    paths = {"base": str(directory / "venv"), "platbase": str(directory / "venv")}
    libraries = Path(sysconfig.get_path("purelib", "venv", paths))
    (libraries / "present.pth").write_text(sysconfig.get_path("purelib"))
    (wheel,) = directory.glob("*.whl")
    python = str(directory / "venv/bin/python")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", str(wheel)], check=True)
    assert not any("tests" in name or "benchmarks" in name for name in ZipFile(wheel).namelist())
    return directory / "venv/bin/honest-lstm"


def call(command: Path, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command says in a directory, by the wheel's code alone."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MLFLOW_"))}
    return subprocess.run(
        [command, *arguments],
        cwd=directory,
        env=env | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_command_works_below_a_project(installed: Path, project: Project) -> None:
    """It finds the project above, and the table where it was called."""
    done = call(installed, project.table.parent, "new-dataset", "toy.csv")
    assert done.returncode == 0, done.stderr
    assert "data/datasets/toy.yaml: exists and is kept" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_a_model_forecasts_outside_any_project(
    installed: Path, finished_toy: Path, tmp_path: Path
) -> None:
    """From a directory that MLflow wrote; no store is made."""
    (model,) = {file.parent for file in (finished_toy / "mlartifacts").rglob("MLmodel")}
    raw = finished_toy / "data/raw/toy/toy.csv"
    arguments = ["predict", "--model", str(model), "--input", str(raw), "--output", "out.csv"]
    done = call(installed, tmp_path, *arguments)
    assert done.stdout == "out.csv: 3 rows, 1 origin, by lstm of toy\n", done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]

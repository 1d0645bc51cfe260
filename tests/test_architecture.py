"""Who may import whom, and that dvc.yaml says what the code does."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.files.layout import HERE
from tests.toys import ROOT, from_yaml

MODULES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "pipeline").rglob("*.py"))
DVC: dict[str, Any] = from_yaml((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = list(DVC["stages"])

# The packages from top to bottom: each may import those of later lines, none those of its own line
# but itself.
ORDER = (
    "stages commands api",
    "reproduction",
    "tracking",
    "reports",
    "monitoring",
    "experiments",
    "evaluation forecasting training",
    "models",
    "preparation",
    "data",
    "repository",
    "config",
    "files runtime",
    "errors",
    "lstm",
)
FLAT = {"__init__", "__main__", "api", "errors"}
# What only watches, and changes no output of a training.
OBSERVERS = ("tracking", "reports")
# Which packages may import a heavy library; elsewhere single modules do.
ALLOWED = {
    "mlflow": {"tracking", "forecasting"},
    "keras": {"models", "training", "forecasting", "runtime"},
    "tensorflow": {"models", "training", "forecasting", "runtime"},
    "dvc": set[str](),
}


def imports(path: str) -> Iterator[str]:
    """The modules that a file imports anywhere, and what it imports from them, by dotted name."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def source(module: str) -> str | None:
    """The file of a module of the pipeline, if there is one."""
    path = module.replace(".", "/")
    return next((file for file in (f"{path}.py", f"{path}/__init__.py") if file in MODULES), None)


def package(file: str) -> str:
    """The package of a file, or the module that lies beside the packages."""
    return Path(file).relative_to("pipeline").parts[0].removesuffix(".py")


def closure(module: str, without: tuple[str, ...] = ()) -> set[str]:
    """The files of a module and of all that it imports, less packages and what they import."""
    found: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        file = source(name)
        if file is None or file in found or package(file) in without:
            continue
        found.add(file)
        todo += imports(file)
    return {file for file in found if not file.endswith("__init__.py")}


def listed(stage: str, key: str) -> list[str]:
    """The paths of a stage under deps, outs or metrics, or the names of its params."""
    return [
        next(iter(entry)) if isinstance(entry, dict) else entry
        for entry in DVC["stages"][stage].get(key, [])
    ]


def outputs(stage: str) -> set[str]:
    """Everything that a stage writes."""
    return {*listed(stage, "outs"), *listed(stage, "metrics")}


def data(stage: str) -> set[str]:
    """The dependencies of a stage that are no code."""
    return {path for path in listed(stage, "deps") if not path.startswith("pipeline/")}


@pytest.mark.parametrize("module", MODULES)
def test_heavy_libraries_stay_where_they_belong(module: str) -> None:
    """Only what tracks and serves runs knows MLflow, only what trains or forecasts knows Keras."""
    part = package(module)
    libraries = {name.split(".")[0] for name in imports(module)}
    assert {
        library for library in ALLOWED.keys() & libraries if part not in ALLOWED[library]
    } == set()


@pytest.mark.parametrize("module", MODULES)
def test_the_library_stays_where_it_is_called(module: str) -> None:
    """Commands alone change their process' directory: elsewhere a layout says where files are."""
    if module == "pipeline/runtime/process.py" or package(module) in ("commands", "reproduction"):
        return
    tree = ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8")))
    names = {getattr(node, "attr", getattr(node, "id", None)) for node in tree}
    assert not {"chdir", "fchdir"} & {*names, *(name.split(".")[-1] for name in imports(module))}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_a_stage(module: str) -> None:
    """Stages are doors: neither another stage nor the library goes through them."""
    assert not [name for name in imports(module) if name.startswith("pipeline.stages.")]


def test_stages_that_train_nothing_start_fast() -> None:
    """Ingest, impute_scale and window load neither TensorFlow nor MLflow; scikit-learn waits."""
    program = (
        "import sys, pipeline.stages.ingest, pipeline.stages.impute_scale, pipeline.stages.window;"
        "print(*{'tensorflow', 'keras', 'mlflow', 'sklearn', 'matplotlib'} & sys.modules.keys())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []


def test_a_network_is_loaded_without_what_it_might_draw_with() -> None:
    """Keras comes without matplotlib and scikit-learn, and both can be imported afterwards."""
    program = (
        "import sys; from pipeline.runtime import determinism; determinism.settle(1);"
        "print(*{'keras', 'sklearn', 'matplotlib'} & sys.modules.keys());"
        "import matplotlib, sklearn"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["keras"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_imports(stage: str) -> None:
    """dvc.yaml covers each module that a stage imports, all the way down, and no other place."""
    code = {path for path in listed(stage, "deps") if path.startswith("pipeline/")}
    needed = closure(f"pipeline.stages.{stage}", OBSERVERS if stage == "train" else ())
    covered = {path: {f for f in needed if f == path or f.startswith(f"{path}/")} for path in code}
    assert needed - set().union(*covered.values()) == set(), f"dvc.yaml, stage {stage}: not listed"
    assert [path for path, files in covered.items() if not files] == [], f"{stage}: not imported"


def test_a_training_depends_on_nothing_that_only_tells_of_it() -> None:
    """Neither a reworded message of ingest nor a renamed tag of MLflow trains a network again."""
    code = [path for path in listed("train", "deps") if path.startswith("pipeline/")]
    free = (
        "data/tables",
        "data/quality",
        "data/timestamps",
        "stages/ingest",
        "tracking/store",
        "tracking/labels",
        "tracking/live_run",
        "reports/markdown",
        "preparation/imputation",
    )
    assert [f for f in free if not (ROOT / f"pipeline/{f}.py").exists()] == []
    assert [f for f in free for path in code if f"pipeline/{f}.py".startswith(path)] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    """A package imports those below it, never one above or beside it."""
    ranks = {name: rank for rank, line in enumerate(ORDER) for name in line.split()}
    own = package(module)
    if own in FLAT - ranks.keys():
        return
    for name in imports(module):
        file = source(name)
        if file and (other := package(file)) not in (own, "__init__"):
            assert ranks[other] > ranks[own], f"{module} imports {name}, which is not below it"


def test_packages_say_what_lives_in_them() -> None:
    """A package's `__init__.py` is its docstring and nothing else, and few modules lie flat."""
    for file in (file for file in MODULES if file.endswith("__init__.py")):
        body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), file
    assert {package(file) for file in MODULES if file.count("/") == 1} == FLAT


@pytest.mark.parametrize("module", MODULES)
def test_a_module_fits_on_a_few_screens(module: str) -> None:
    """No module has more than 350 lines."""
    assert len((ROOT / module).read_text(encoding="utf-8").splitlines()) <= 350


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_own_module(stage: str) -> None:
    """The command is `python -E -m pipeline.stages.NAME`, and the stage says what it is for."""
    assert DVC["stages"][stage]["cmd"] == f"python -E -m pipeline.stages.{stage}"
    assert DVC["stages"][stage]["desc"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_settled_before_it_imports(stage: str) -> None:
    """Its first lines start its own module, so that libraries find the settings made."""
    text = (ROOT / f"pipeline/stages/{stage}.py").read_text(encoding="utf-8")
    _, first, second, *_ = (ast.unparse(part) for part in ast.parse(text).body)
    assert first == "from pipeline.runtime import process"
    assert f"process.start('pipeline.stages.{stage}')" in second


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_page(stage: str) -> None:
    """A stage is few lines around the experiment's step, which is one function on one page."""
    door, step = (ROOT / f"pipeline/{part}/{stage}.py" for part in ("stages", "experiments"))
    body = ast.parse(step.read_text(encoding="utf-8")).body
    assert [node.name for node in body if isinstance(node, ast.FunctionDef)] == [stage]
    assert len(step.read_text(encoding="utf-8").splitlines()) <= 95
    assert len(door.read_text(encoding="utf-8").splitlines()) <= 30


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_sections_of_the_parameters(stage: str) -> None:
    """Whatever a stage names under params is in params.yaml, and the stage's own section is."""
    params = from_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    names = listed(stage, "params")
    assert {stage, "ingest"} <= set(names)
    for name in names:
        branch = params
        for key in name.split("."):
            assert key in branch, f"dvc.yaml, stage {stage}: params.yaml has no {name}"
            branch = branch[key]


def test_stages_have_modules() -> None:
    """Every stage of dvc.yaml has a module, and every module of a stage is in dvc.yaml."""
    files = {Path(file).stem for file in MODULES if file.startswith("pipeline/stages/")}
    assert files - {"__init__"} == set(STAGES)


def test_paths_are_those_of_dvc() -> None:
    """Every file of dvc.yaml is one that files/layout.py names, and every artifact is an out."""
    dataset = "${ingest.dataset}"
    raw = {str(HERE.raw / dataset), str(HERE.card(dataset)), str(HERE.holidays)}
    folders = {str(getattr(HERE, name)) for name in FOLDERS}
    windows = {str(HERE.origins(span)) for span in ("train", "validation", "test")}
    named = {str(value) for value in vars(HERE).values() if isinstance(value, Path)}
    versions = {str(HERE.versions)}
    assert all(versions <= data(stage) for stage in STAGES)
    outs = {path for stage in STAGES for path in outputs(stage)}
    assert outs <= named - folders - versions
    assert unknown((named | windows) - folders - {str(HERE.params)} - versions, outs) == set()
    assert (
        unknown({path for stage in STAGES for path in data(stage)}, outs | raw | versions) == set()
    )


# A checkpoint is no output: DVC would empty it before the stage that goes on from it.
FOLDERS = ("root", "project", "cards", "raw", "holidays", "prepared", "reports", "checkpoint")


def unknown(files: set[str], known: set[str]) -> set[str]:
    """The files that are neither known nor in a directory that is."""
    return {file for file in files if not any(Path(file).is_relative_to(path) for path in known)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_no_file_that_dvc_does_not_know(stage: str) -> None:
    """What a stage takes from the layout is among its deps and outs."""
    known = data(stage) | outputs(stage)
    module = ast.parse((ROOT / f"pipeline/experiments/{stage}.py").read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "layout"
        and isinstance(getattr(HERE, node.attr), Path)
    }
    assert unknown({str(getattr(HERE, name)) for name in used}, known) == set()

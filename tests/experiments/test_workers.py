"""Who does many tasks: what a command, the shell or Python may say, and what is refused."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.experiments import ray_cluster
from pipeline.experiments.workers import Workers, add_arguments, of_members, workers_of
from pipeline.runtime import determinism, extras
from tests.toys import ROOT, from_yaml

GUIDE = ROOT / "docs/cluster.md"


def given(*arguments: str) -> Workers:
    """What a command makes of its arguments."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return workers_of(parser.parse_args(arguments))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray as if it were there: nothing is started here."""
    monkeypatch.setattr(ray_cluster, "_library", lambda address: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.usefixtures("installed")
def test_a_command_says_how_many_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process by default; a cluster's address by argument, or by Ray's own variable."""
    assert given() == Workers(1, "processes")
    assert not given().several
    assert given("--workers", "3") == Workers(3, "processes")
    assert given("--executor", "ray") == Workers(1, "ray")
    assert given("--executor", "ray").several
    at = Workers(1, "ray", "head:6379")
    assert given("--executor", "ray", "--address", "head:6379") == at
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert given("--executor", "ray") == at
    assert given() == Workers(1, "processes")


@pytest.mark.usefixtures("installed")
def test_the_shell_says_who_fits_the_members_of_an_ensemble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variables that a command sets are those that a stage reads."""
    for who in (Workers(3), Workers(2, "ray"), Workers(1, "ray", "head:6379")):
        with monkeypatch.context() as shell:
            for name, value in who.of_shell().items():
                shell.setenv(name, value)
            assert of_members() == who


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workers", "0"), "workers: expected at least 1, found 0"),
        (
            ("--address", "head:6379"),
            "address: expected the executor ray with it, found processes",
        ),
        (
            ("--executor", "ray", "--address", "head:6379", "--workers", "2"),
            "workers: expected none with the address of a cluster, whose processors decide, "
            "found 2",
        ),
        (
            ("--executor", "ray", "--address", "ray://head:10001"),
            "address: expected HOST:PORT, on a node of the cluster; found ray://head:10001",
        ),
    ],
)
def test_what_cannot_be_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    """Before anything is started or written."""
    with pytest.raises(PipelineError) as caught:
        given(*arguments)
    assert str(caught.value) == message


def test_another_executor_is_refused() -> None:
    """From Python, where no parser does."""
    with pytest.raises(PipelineError, match="executor: expected processes or ray, found slurm"):
        Workers(1, "slurm")


def test_without_ray_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to install it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PipelineError, match=r"^ray: expected the extra of that name to be inst.*"):
        given("--executor", "ray")
    with pytest.raises(PipelineError, match=r"install it with: pip install ray$"):
        extras.ray()


def test_ray_that_listens_to_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What imported it before decided where it listens: no cluster is started beside that."""
    monkeypatch.setitem(sys.modules, "ray", argparse)
    monkeypatch.delenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", raising=False)
    with pytest.raises(PipelineError, match="ray: expected it not to be imported before"):
        Workers(1, "ray")


def test_a_processor_of_another_kind_is_named() -> None:
    """By the words in which it differs; the same settings say nothing."""
    here = determinism.settings() | {"processor": "Intel Xeon 8375C CPU @ 2.90GHz"}
    there = here | {"processor": "AMD EPYC 7B13 CPU", "vector_flags": here["vector_flags"] + " zz"}
    assert ray_cluster.differences(here, dict(here)) == ""
    assert ray_cluster.differences(here, there) == (
        "processor (AMD EPYC 7B13; here Intel Xeon 8375C @ 2.90GHz), "
        "vector_flags (zz; here nothing more)"
    )
    older = here | {"version.keras": "3.14.0"}
    assert ray_cluster.differences(here, older).startswith("version.keras (3.14.0; here ")


def test_a_folder_that_is_not_shared_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that a node says it wrote has to be seen here."""
    monkeypatch.setattr(ray_cluster, "PATIENCE", 0)
    with pytest.raises(PipelineError, match=r"a\.txt: expected the file that node-7 wrote, found"):
        ray_cluster._arrived(tmp_path / "a.txt", "node-7")


def test_a_cluster_gets_tasks_files_where_its_nodes_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the project, under a name that Git passes by; on one machine, in its own directory."""
    monkeypatch.setattr(ray_cluster, "check", lambda address: None)
    with Workers(1, "ray", "head:6379").temporary("members", tmp_path) as directory:
        assert directory.parent == tmp_path
        assert directory.name.startswith(".partial-members-")
    assert not directory.exists()
    with Workers(2).temporary("members", tmp_path) as directory:
        assert directory.parent != tmp_path


def test_the_script_of_the_guide_is_whole() -> None:
    """Bash takes the one for Slurm, which starts its nodes with a token."""
    text = GUIDE.read_text(encoding="utf-8")
    [script] = re.findall(r"```bash\n(#!.*?)```", text, re.DOTALL)
    checked = subprocess.run(
        ["bash", "-n"], input=script, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert script.index("RAY_AUTH_MODE=token") < script.index("ray start")


def test_the_manifest_of_the_guide_is_whole() -> None:
    """It parses, asks for a token and mounts one folder on each node."""
    text = GUIDE.read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    [job] = [from_yaml(block) for block in blocks]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    for pod in pods:
        [container] = pod["containers"]
        assert container["image"] == pods[0]["containers"][0]["image"]
        assert container["volumeMounts"] == pods[0]["containers"][0]["volumeMounts"]
        assert pod["volumes"] == pods[0]["volumes"]
    assert "--executor ray" in job["spec"]["entrypoint"]

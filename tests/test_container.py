"""The Dockerfile's own steps, run without Docker: what it installs, as whom and where it serves."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import mlflow
import numpy as np
import pytest
import requests
from packaging.requirements import Requirement

from pipeline.config.experiment import Experiment
from pipeline.experiments.run import run_experiment
from pipeline.files.layout import Layout
from pipeline.forecasting.forecaster import Forecaster, bundle, bundled_files
from tests.serving import free_port, serving
from tests.toys import ROOT, Project, toy_card, toy_params, toy_table

SYSTEM = "/usr/bin/python3.11"  # which anybody may run, where there is one
NOBODY = "65534"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, continued lines joined: (RUN, ...), (COPY, ...)."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word
    ]


def of(word: str) -> list[str]:
    """What stands behind every instruction of a kind."""
    return [rest for one, rest in instructions() if one == word]


def test_it_serves_as_an_ordinary_user_and_says_whether_it_is_well() -> None:
    """Who, how and where; from an image that no registry's host is named of."""
    assert of("USER") == [f"{NOBODY}:{NOBODY}"]
    assert {one.split()[0] for one in of("FROM")} == {"python:3.11-slim"}
    (health,) = of("HEALTHCHECK")
    assert "/ready" in health
    assert json.loads(of("ENTRYPOINT")[0])[:4] == ["python", "-m", "pipeline", "serve"]
    copied = {one for line in of("COPY") for one in line.split()[:-1] if one[0] != "-"}
    assert copied == {"${LOCK}", "pipeline", "/app"}
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"*", "!pipeline", "!requirements*.lock"} <= set(kept)
    assert (ROOT / of("ARG")[0].removeprefix("LOCK=")).is_file()


def plain_python() -> str:
    """An interpreter like ours that an ordinary user may run, if there is one; or ours."""
    probe = f"import sys, venv; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    command = [SYSTEM, "-c", probe]
    there = Path(SYSTEM).exists() and not subprocess.run(command, check=False).returncode
    return SYSTEM if there else sys.executable


def link(lock: Path, site: Path) -> None:
    """The files of the locked packages alone, as they are installed here, at the locked versions.

    To install them takes a minute or two, and a network.
    """
    text = lock.read_text().replace("\\\n", "")
    for line in (one for one in text.splitlines() if one[:1].isalnum()):
        wanted = Requirement(line.partition(" --hash")[0])
        if wanted.marker and not wanted.marker.evaluate():
            continue
        package = distribution(wanted.name)
        assert wanted.specifier.contains(package.version), f"{lock.name}: {line}"
        for file in package.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                (site / file).unlink(missing_ok=True)
                (site / file).symlink_to(str(package.locate_file(file)))


def confined(command: list[str], writable: Path) -> list[str]:
    """The command as nobody, with nothing to write to but one directory, if we may do that."""
    if os.geteuid() or not shutil.which("unshare") or plain_python() != SYSTEM:
        return command
    script = (
        f"mount --bind {shlex.quote(str(writable))} /tmp 2>/dev/null; "
        f"mount -o remount,bind,ro / && exec setpriv --reuid {NOBODY} --regid {NOBODY} "
        f"--clear-groups --no-new-privs {shlex.join(command)}"
    )
    return ["unshare", "--mount", "sh", "-c", script]


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """The image's /app, made by the steps of its first stage, but for the download."""
    # Not below the tests' own directory, which only its owner may enter.
    app = Path(tempfile.mkdtemp(dir="/var/tmp"))
    app.chmod(0o755)
    try:
        shutil.copytree(ROOT / "pipeline", app / "pipeline")
        for step in (step for line in of("RUN") for step in line.split("&&")):
            own = [word.replace("/app", str(app)) for word in shlex.split(step)]
            if own[0] in ("apt-get", "rm"):
                continue  # the system's, of the second stage
            if "pip" in own:
                assert own[-3:-1] == ["--require-hashes", "-r"]
                (site,) = (app / "venv/lib").glob("python*/site-packages")
                link(ROOT / of("ARG")[0].removeprefix("LOCK="), site)
                continue
            own[0] = plain_python() if own[0] == "python" else own[0]
            subprocess.run([*own, *["--without-pip"] * ("venv" in own)], check=True)
        yield app
    finally:
        shutil.rmtree(app)


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a network that boosted trees are mixed with, as of many that auto makes."""
    root = tmp_path_factory.mktemp("mixed")
    Project(root)
    layout, files = Layout(root), root / "forecaster"
    run_experiment(Experiment(toy_params({"train.mix": ["boosting"]}), toy_card()), layout)
    files.mkdir()
    bundle(layout, "toy", files)
    return files


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_its_steps_serve_a_model_where_nothing_can_be_written(
    built: Path, forecaster: Path, tmp_path: Path
) -> None:
    """With the locked libraries alone, as nobody, by NumPy; its health check says that it is well.

    As root the file system is made read-only and the user nobody; elsewhere both are what they are.
    """
    mlflow.pyfunc.save_model(
        built / "model",
        python_model=str(ROOT / "pipeline/forecasting/served_model.py"),
        artifacts={"forecaster": str(forecaster)},
        pip_requirements=[],
    )
    writable, port = built / "tmp", free_port()
    writable.mkdir(mode=0o777)
    writable.chmod(0o777)
    env = {"PATH": f"{built}/venv/bin:{os.environ['PATH']}", "HOME": str(writable)}
    env |= {"FORECAST_BACKEND": "numpy", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(built)}
    env |= {"TMPDIR": str(writable)}
    entry = [*json.loads(of("ENTRYPOINT")[0]), *json.loads(of("CMD")[0])]
    places = {"python": f"{built}/venv/bin/python", "8080": str(port), "/model": f"{built}/model"}
    command = confined([places.get(word, word) for word in entry], writable)
    log = tmp_path / "serve.log"
    with serving(command, f"http://127.0.0.1:{port}/ping", log, env) as server:
        rows = toy_table()
        body = rows.astype(object).where(rows.notna(), None).to_dict("split", index=False)
        answer = requests.post(
            f"http://127.0.0.1:{port}/invocations", json={"dataframe_split": body}, timeout=60
        )
        made = [row["forecast"] for row in answer.json()["predictions"]]
        here = Forecaster.load(bundled_files(forecaster), "numpy").predict(rows)
        np.testing.assert_allclose(made, here["forecast"], rtol=1e-5)
        check = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
        check = [places.get(word, word.replace("8080", str(port))) for word in check]
        tries = (subprocess.run(check, check=False).returncode for _ in range(3))
        assert 0 in tries  # as Docker does before it calls a container unhealthy
        if command[0] == "unshare":
            status = Path(f"/proc/{server.pid}/status").read_text()
            assert re.search(rf"^Uid:\s+{NOBODY}\s", status, re.MULTILINE)
            mounts = Path(f"/proc/{server.pid}/mounts").read_text()
            assert re.search(r"^\S+ / \S+ ro[,\s]", mounts, re.MULTILINE)
    assert "Traceback" not in log.read_text()

"""The same bytes from the same code: clean runs compared, and the check that compares them."""

import getpass
import json
import socket
import sys
import time
from contextlib import chdir
from pathlib import Path
from typing import Any

import mlflow
import pytest

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.repository import dvc, lockfile
from pipeline.reproduction import clean_clone, committed_results, reproduce_check, seed_band
from pipeline.runtime import determinism
from tests.repositories import (
    NO_STORE,
    ROOT,
    commit,
    copied,
    outputs,
    run,
    set_params,
    stage,
    toy_repository,
)

ELSEWHERE = {
    "PYTHONHASHSEED": "77",
    "LC_ALL": "POSIX",
    "TZ": "Asia/Kathmandu",
    "OMP_NUM_THREADS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # the pipeline's own settings win over a shell's
    "KERAS_MAX_EPOCHS": "1",
    "XLA_FLAGS": "--no_such_flag",
    "TF_FUNCTION_JIT_COMPILE_DEFAULT": "1",
    "TF_SET_ONEDNN_FPMATH_MODE": "BF16",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as Jupyter and Colab set it
    "PYTHONSAFEPATH": "1",
}
OF_A_USER = {  # and over those of a home
    ".keras/keras.json": '{"floatx": "float64", "epsilon": 0.01, "backend": "jax", '
    '"image_data_format": "channels_first", "nnx_enabled": true}',
    ".config/matplotlib/matplotlibrc": "lines.linewidth: 9\nfont.size: 30\n",
}


@pytest.fixture(scope="module")
def committed(finished_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy repository with its results committed."""
    return copied(finished_toy, tmp_path_factory.mktemp("committed") / "toy")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, bytes]]:
    """On one core, in another environment: the weights of seed 2, then every output of seed 1."""
    home = tmp_path_factory.mktemp("home")
    for name, content in OF_A_USER.items():
        (home / name).parent.mkdir(parents=True)
        (home / name).write_text(content)
    env = NO_STORE | ELSEWHERE | {"HOME": str(home)}
    directory = toy_repository(tmp_path_factory.mktemp("else") / "a longer path, with spaces")
    set_params(directory, {"train.seed": 2})
    for name in ("ingest", "impute_scale", "window", "train"):
        stage(directory, name, env=env)
    second = (directory / "data/model/model.weights.h5").read_bytes()
    set_params(directory, {"train.seed": 1})
    run(directory, "taskset", "-c", "0", "dvc", "repro", env=env)
    return second, outputs(directory)


def check(repository: Path, status: int) -> str:
    """What the check says, on one line for each of its own."""
    said = run(repository, sys.executable, "-m", "pipeline", "reproduce-check", status=status)
    return " ".join(said.split())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_clean_runs_give_the_same_bytes(
    committed: Path, elsewhere: tuple[bytes, dict[str, bytes]]
) -> None:
    """Directory, time, hash seed, locale, zone, cores, home, earlier runs: no byte differs."""
    here, there = outputs(committed), elsewhere[1]
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_another_seed_gives_other_weights(
    committed: Path, elsewhere: tuple[bytes, dict[str, bytes]]
) -> None:
    """The seed reaches the network."""
    assert (committed / "data/model/model.weights.h5").read_bytes() != elsewhere[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_output_knows_where_and_when_it_was_made(committed: Path) -> None:
    """No date of today, path, host, user or run id stands in the bytes of any output."""
    client = mlflow.MlflowClient(f"sqlite:///{committed}/mlflow.db")
    (logged,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    days = [time.strftime(form) for form in ("%Y-%m-%d", "%Y%m%d", "%d/%m/%Y", "%b %d", "%d %b")]
    words = [*days, str(committed), str(ROOT), logged.info.run_id, logged.info.run_name]
    # A short name stands in any compressed picture, by chance.
    words += [name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 4]
    for name, content in outputs(committed).items():
        assert [word for word in words if word.encode() in content] == [], name


def test_no_variable_of_a_shell_stops_a_stage(finished_toy: Path, tmp_path: Path) -> None:
    """What bends or breaks Python, Keras, TensorFlow or matplotlib is gone before they look."""
    toy = copied(finished_toy, tmp_path / "toy")  # others copy that one meanwhile
    shell = ELSEWHERE | {"KERAS_NNX_ENABLED": "1", "PYTHONWARNINGS": "error", "TF_NEW_SWITCH": "1"}
    code = (
        "from pipeline.runtime import process; process.settle(); import json, os;"
        "import pipeline.reports.pictures; print(json.dumps(dict(os.environ)))"
    )
    # As dvc.yaml and make start Python, which then reads none of its own variables.
    left = json.loads(run(toy, sys.executable, "-E", "-c", code, env=shell))
    steering = [name for name in left if name.startswith(("KERAS_", "TF_", "XLA_", "MPLBACKEND"))]
    assert {name: left[name] for name in steering} == determinism.ENVIRONMENT
    stage(toy, "ingest", env=NO_STORE | shell)


def test_what_steers_libraries_is_part_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that changes how libraries sum is told, and results are compared within bounds."""
    with chdir(ROOT):
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
        before = committed_results.Machine.here()
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")  # threads are set, not read
        now = committed_results.Machine.here()
    assert before.difference(before) == ""
    assert before.difference(now) == "ONEDNN_MAX_CPU_ISA in the shell is SSE41, not unset"
    assert determinism.settings()["env.ONEDNN_MAX_CPU_ISA"] == "SSE41"


def test_the_committed_results_were_made_with_the_locked_packages() -> None:
    """reference.json belongs to this requirements.lock: who changes it makes the results again."""
    with chdir(ROOT):
        made = committed_results.read(lockfile.read_whole_lock()).machine.requirements
        assert made == artifacts.sha256(Path("requirements.lock"))


def test_the_check_names_each_output_that_is_not_identical() -> None:
    """Of all outputs, the one whose checksum differs is the one that does not pass."""
    with chdir(ROOT):
        committed = lockfile.read_whole_lock()
    text = committed.model_dump_json(by_alias=True)
    altered = committed.checksums["data/reports/predictions.parquet"]
    made = lockfile.Lock.model_validate_json(text.replace(altered, "f" * 32))
    findings = [*reproduce_check.same_bytes(committed, made, tuple(committed.stages), {})]
    assert [f.output for f in findings if not f.passed] == ["data/reports/predictions.parquet"]
    assert [f.output for f in findings] == list(committed.checksums)
    assert {f.verdict for f in findings} == {"identical", "differs"}


@pytest.mark.parametrize(
    ("change", "passed"),
    [
        ({}, True),
        ({"rmse": 67.25001}, True),  # by less than a millionth of it
        ({"rmse": 67.2501}, False),
        ({"below_90": 0.91773}, True),  # seven of two hundred thousand forecasts
        ({"below_90": 0.9174}, False),
        ({"steps": [21.4, 22.0]}, False),
        ({"name": "other"}, False),
    ],
)
def test_another_machine_may_differ_in_last_digits_alone(
    change: dict[str, Any], passed: bool
) -> None:
    """And in a few of the forecasts that a share counts, as values lie on a bound."""
    made = {"rmse": 67.25, "below_90": 0.917766, "steps": [21.4], "name": "ridge"}
    both = {"ridge": made}, {"ridge": made | change}
    (finding,) = reproduce_check.same_numbers(Path("metrics.json"), *both)
    assert finding.passed == passed


def test_the_check_names_the_file_of_a_directory_that_is_not_identical(
    finished_toy: Path, tmp_path: Path
) -> None:
    """Of an output that is a directory, each file that is other, gone or new is named."""
    with chdir(copied(finished_toy, tmp_path / "toy")):
        lock = lockfile.read_whole_lock()
        directories = committed_results.read(lock).directories
        assert directories.keys() == {"data/windows", "data/model", "data/reports/plots"}
        windows = Path("data/windows")
        (windows / "train.npy").write_bytes(b"other")
        (windows / "test.npy").rename(windows / "new.npy")
        text = lock.model_dump_json(by_alias=True)
        altered = text.replace(lock.checksums["data/windows"], "f" * 32 + ".dir")
        made = lockfile.Lock.model_validate_json(altered)
        (finding,) = reproduce_check.same_bytes(lock, made, ("window",), directories)
    assert finding.verdict == "differs (new.npy, test.npy, train.npy)"


def test_what_a_clean_clone_has_yet_to_make_is_not_stale(
    finished_toy: Path, tmp_path: Path
) -> None:
    """Neither an output nor a file in one that a stage depends on has to be there."""
    with chdir(finished_toy):
        clone = clean_clone.make(tmp_path / "clone")
    with chdir(clone):
        assert dvc.stale() == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_check_compares_within_bounds_on_another_machine(committed: Path) -> None:
    """A result of another processor is compared by numbers and by the band of seeds."""
    file = committed / committed_results.FILE
    content = json.loads(file.read_text())
    content["machine"]["processor"] = "another processor"
    content["prepared"]["scaler"]["columns"]["level"]["center"] *= 1 + 1e-9
    file.write_text(json.dumps(content))
    with chdir(committed):
        scores = seed_band.scores()
        params = seed_band.parameters(seed_band.read_params())
    draws = {k: [v + 0.01 * i for i in range(-5, 6)] for k, v in scores.items()}
    band = seed_band.Band(
        seeds=tuple(range(11)),
        parameters=params,
        scores={name: seed_band.Score.of(values) for name, values in draws.items()},
    )
    (committed / seed_band.FILE).write_text(band.model_dump_json())
    commit(committed, "made elsewhere")
    try:
        said = check(committed, status=0)
    finally:
        run(committed, "git", "reset", "-q", "--hard", "HEAD~1")
    assert "within bounds, since this is another machine: processor" in said
    assert said.count(" identical ") == 2 + 1 + 2  # ingest, window, counts
    assert said.count(" close ") == 3 + 6  # imputer, scaler, values; the baselines
    assert said.count(" within ") >= len(scores)
    assert f"reproduced: {14 + len(scores)} of {14 + len(scores)}" in said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_check_finds_what_dvc_lock_was_not_made_from(committed: Path) -> None:
    """Changed parameters, code and committed outputs are named before anything is run."""
    set_params(committed, {"train.batch_size": 32})
    code, metrics = (
        committed / "pipeline/preparation/scaling.py",
        committed / "data/reports/metrics.json",
    )
    code.write_text(code.read_text() + "\n")
    metrics.write_text(metrics.read_text().replace("1", "2", 1))
    commit(committed, "stale")
    try:
        said = check(committed, status=1)
    finally:
        run(committed, "git", "reset", "-q", "--hard", "HEAD~1")
    assert "dvc.lock: expected it to be made from the committed state" in said
    assert "impute_scale: pipeline/preparation modified" in said
    assert "train: params.yaml: train modified" in said
    assert "evaluate: data/reports/metrics.json modified" in said
    assert "Running stage" not in said


def test_a_dvc_lock_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    """Wherever dvc.lock ends too soon, reading it names what is lacking and how to restore it."""
    lines = (ROOT / "dvc.lock").read_text().splitlines(keepends=True)
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    with chdir(tmp_path):
        Path("dvc.lock").write_text("".join(lines))
        assert len(lockfile.read_whole_lock().stages) == 5
        for end in range(0, len(lines) - 3, 41):
            for cut in (0, len(lines[end]) // 2):
                Path("dvc.lock").write_text("".join(lines[:end]) + lines[end][:cut])
                with pytest.raises(PipelineError, match=r"restore it with: git checkout dvc\.lock"):
                    lockfile.read_whole_lock()


VERSIONED = """
schema: '2.0'
stages:
  one:
    cmd: make both
    deps: [{path: in, hash: md5, md5: 9dd4e461268c8034f5c8564e155c67a6, size: 1}]
    outs:
    - path: c
      hash: md5
      md5: 2cd6ee2c70b0bde53fbe6cac3c8b8bb1
      size: 2
      cloud:
        shared: {etag: 2cd6ee2c70b0bde53fbe6cac3c8b8bb1, version_id: 6e4f8319}
    - path: out
      hash: md5
      files:
      - relpath: a
        md5: 60b725f10c9c85c70d97880dfe8191b3
        size: 2
        cloud:
          shared: {etag: 60b725f10c9c85c70d97880dfe8191b3, version_id: 57f85fab}
      - relpath: b
        md5: 3b5d5c3712955042212316173ccf37be
"""


def test_what_a_version_aware_remote_has_dvc_record_is_accepted(tmp_path: Path) -> None:
    """Of a directory that lists its files, the checksum is the one that DVC gives it elsewhere."""
    with chdir(tmp_path):
        Path("dvc.lock").write_text(VERSIONED)
        assert lockfile.read_lock().checksums == {
            "c": "2cd6ee2c70b0bde53fbe6cac3c8b8bb1",
            "out": "562ee692a592790b08e880eff9046f72.dir",  # as DVC wrote it for the same two files
        }
        Path("dvc.lock").write_text(VERSIONED.replace("      md5: 2cd6", "      x: 2cd6"))
        with pytest.raises(
            PipelineError, match=r"outs\.\[0\]: expected md5 or files, .*git checkout"
        ):
            lockfile.read_lock()


def test_what_dvc_adds_to_its_lock_is_its_own(tmp_path: Path) -> None:
    """Keys that a later DVC may write are no fault of the file, where it has the checksums."""
    later = VERSIONED.replace("2.0", "2.1").replace("size: 2", "mode: 0o644").replace("cmd:", "do:")
    with chdir(tmp_path):
        Path("dvc.lock").write_text(later)
        assert list(lockfile.read_lock().checksums) == ["c", "out"]


def test_a_band_is_the_prediction_interval_of_ten_seeds_or_more() -> None:
    """Ten draws of mean 0 and deviation 1 reach 3.25 sqrt(1.1) to either side; nine are refused."""
    score = seed_band.Score.of([-1.0, 1.0] * 5)
    assert score.high == pytest.approx(3.2498 * (10 / 9) ** 0.5 * 1.1**0.5, abs=1e-3)
    assert score.low == pytest.approx(-score.high)
    with pytest.raises(ValueError, match="seeds"):
        seed_band.Band(seeds=tuple(range(9)), parameters={}, scores={})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_band_is_made_of_what_dvc_makes(committed: Path, tmp_path: Path) -> None:
    """By two workers: the scores of seed 1 are those committed; code that is not is refused."""
    other = copied(committed, tmp_path / "toy")
    command = (sys.executable, "-m", "pipeline", "seed-band", "--workers", "2")
    run(other, *command, env=NO_STORE)
    with chdir(other):
        band, made = seed_band.read(seed_band.read_params()), seed_band.scores()
    assert {name: score.values[0] for name, score in band.scores.items()} == made
    assert len(set(band.scores["test/rmse"].values)) == len(band.seeds) == 10
    (other / "pipeline/more.py").touch()
    assert "expected code, card and data as they are committed" in run(other, *command, status=1)
    set_params(other, {"train.batch_size": 9})
    assert "params.yaml: expected it as it is committed" in run(other, *command, status=1)

"""A table that grows: retrained, compared on what is new to both, refitted to all rows."""

import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.repositories import TOY, TOY_CARD, commit, copy_code, run, set_params
from tests.toys import to_yaml

RULES = {"train": "rest", "validation": "last 50 rows", "test": "last 50 rows"}
DATA = "data/raw/toy"


def table(rows: int) -> pd.DataFrame:
    """The first rows of a wave of six hours that never ends."""
    random = np.random.default_rng(1)
    level = 10 + 5 * np.sin(np.arange(1000) * np.pi / 3) + random.normal(0, 1, 1000)
    times = pd.date_range("2014-01-01", periods=1000, freq="h").strftime("%Y-%m-%d %H:%M")
    wind = random.choice(["N", "S"], 1000)
    frame = pd.DataFrame({"time": times, "level": level.round(2), "wind": wind})
    return frame.head(rows)


def growing(directory: Path, split: dict[str, str] = RULES) -> Path:
    """A committed repository whose table DVC pins, and a network that adds to the last value."""
    directory.mkdir()
    copy_code(directory)
    (directory / DATA).mkdir()
    table(300).to_csv(directory / DATA / "toy.csv", index=False)
    (directory / "data/datasets/toy.yaml").write_text(to_yaml(TOY_CARD | {"split": split}))
    set_params(
        directory,
        TOY | {"train.residual": "last", "evaluate.baselines": ["last_change"]},
    )
    run(directory, "git", "init", "-q", "-b", "main")
    run(directory, "git", "config", "user.email", "test@example.org")
    run(directory, "git", "config", "user.name", "test")
    run(directory, "dvc", "add", "-q", DATA)
    commit(directory, "code")
    return directory


def retrain(directory: Path, *options: str, status: int = 0) -> str:
    """What the command says."""
    return run(directory, sys.executable, "-m", "pipeline", "retrain", *options, status=status)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_served_model_learns_from_the_newest_rows(tmp_path: Path) -> None:
    """Grown twice: the first model is promoted, the better one replaces it, its refit is served.

    The refit has learned from all rows, keeps the intervals of the model before it, and a third
    call finds nothing to do. What is rolled back stays so.
    """
    there = growing(tmp_path / "own")
    said = retrain(there)
    assert "there is no champion yet" in said and "@champion is version 1, of run" in said
    table(360).to_csv(there / DATA / "toy.csv", index=False)
    set_params(there, {"train.residual": "seasonal"})  # which this wave is forecast well by
    said = retrain(there, "--refit")
    assert "300 rows as they were, 60 new" in said
    assert f"committed {run(there, 'git', 'rev-parse', '--short', 'HEAD').strip()}: " in said
    assert "48 origins from 2014-01-13 21:00:00 to 2014-01-15 20:00:00, new to both" in said
    assert "@champion is version 2, of run" in said
    assert "@champion is version 3, run" in said
    assert "fitted to all 360 rows, 2 epochs, as validation chose. Its intervals are those" in said
    assert run(there, "git", "status", "--porcelain", "--", "data/raw", "data/datasets") == ""

    own = f"sqlite:///{there}/mlflow.db"
    client = mlflow.MlflowClient(own, own)
    runs = [client.get_run(client.get_model_version("toy", str(n)).run_id) for n in (1, 2, 3)]
    until = [one.data.tags["pipeline.learned_until"] for one in runs]
    assert until == ["2014-01-11 09:00:00", "2014-01-13 21:00:00", "2014-01-15 23:00:00"]
    assert runs[2].data.tags["refit.of"] == runs[1].info.run_id
    assert "test/rmse" not in runs[2].data.metrics
    scored, refitted = (
        next((there / "mlartifacts").rglob(f"{one.outputs.model_outputs[0].model_id}/artifacts"))
        for one in runs[1:]
    )
    same = {
        name: (scored / f"artifacts/forecaster/{name}").read_bytes()
        == (refitted / f"artifacts/forecaster/{name}").read_bytes()
        for name in ("calibration.json", "usual.json", "scaler.json", "model.weights.h5")
    }
    assert list(same.values()) == [True, True, False, False]

    assert "nothing new: version 3 has learned from all rows" in retrain(there, "--refit")
    made_by = runs[1].info.run_id[:8]
    for undone in (f"version 3, the refit of run {made_by}", f"version 2, of run {made_by}"):
        run(there, sys.executable, "-m", "pipeline", "promote", "--rollback")
        assert f"{undone}, was rolled back" in retrain(there, "--refit")
    assert client.get_model_version_by_alias("toy", "champion").version == 1

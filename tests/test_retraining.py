"""What trains a network again under DVC, and what does not."""

import json
import re
from pathlib import Path

import pytest

from pipeline.runtime import determinism
from tests.repositories import copied, run
from tests.toys import write_holidays


def replace(file: Path, old: str, new: str) -> None:
    """Change a file that holds the old words."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def would_run(repository: Path) -> list[str]:
    """The stages that `dvc repro` would run; it must say of the others that it skips them."""
    said = run(repository, "dvc", "repro", "--dry")
    ran = re.findall(r"Running stage '(\w+)'", said)
    skipped = re.findall(r"Stage '(\w+)' didn't change, skipping", said)
    assert sorted(ran + skipped) == ["evaluate", "impute_scale", "ingest", "train", "window"]
    return ran


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "again"),
    [
        (
            "data/sources/reading.py",
            "get it again",
            "fetch it again",
            ["ingest", "evaluate"],
        ),
        ("tracking/publishing.py", '"pipeline.repeated_by"', '"pipeline.by"', ["evaluate"]),
    ],
    ids=["a reworded message of ingest", "a renamed tag of MLflow"],
)
def test_what_only_tells_trains_nothing_again(
    finished_toy: Path, tmp_path: Path, file: str, old: str, new: str, again: list[str]
) -> None:
    """The stages that the code tells of run again, and the training is skipped."""
    repository = copied(finished_toy, tmp_path / "toy")
    replace(repository / "pipeline" / file, old, new)
    ingest = re.findall(r"Running stage '(\w+)'", run(repository, "dvc", "repro", "ingest"))
    assert [*ingest, *would_run(repository)] == again


@pytest.mark.slow
def test_another_countrys_holidays_train_nothing_again(finished_toy: Path, tmp_path: Path) -> None:
    """The window stage runs, keeps those that the experiment names, and nothing follows it."""
    repository = copied(finished_toy, tmp_path / "toy")
    write_holidays(repository, "FR")
    assert would_run(repository) == ["window"]
    assert re.findall(r"Running stage '(\w+)'", run(repository, "dvc", "repro")) == ["window"]
    assert would_run(repository) == []


@pytest.mark.slow
def test_another_version_of_a_library_runs_every_stage_again(
    finished_toy: Path, tmp_path: Path
) -> None:
    """What was made with another keras is made anew, and another tool's release changes nothing."""
    repository = copied(finished_toy, tmp_path / "toy")
    (repository / "requirements.lock").write_text("mlflow==99\n")
    assert would_run(repository) == []
    versions = repository / "data/versions.json"
    versions.write_text(json.dumps(determinism.libraries() | {"keras": "3.14.0"}))
    stages = ["ingest", "impute_scale", "window", "train", "evaluate"]
    assert would_run(repository) == stages
    said = run(repository, "dvc", "repro", status=None)
    assert "error: data/versions.json: keras: expected 3.14.0, found " in said

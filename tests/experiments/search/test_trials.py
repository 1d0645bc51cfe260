"""Real trials of toys: their scores, what they share, what they leave, and the command."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.commands.search import apply
from pipeline.config.changes import NAME, changed
from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.experiments.evaluate import evaluate
from pipeline.experiments.executors import Inline
from pipeline.experiments.search import places
from pipeline.experiments.search.settings import Settings
from pipeline.experiments.search.study import Search
from pipeline.experiments.search.trial import Outcome
from pipeline.experiments.shared import RESULT, SHARED, shared_said
from pipeline.files.layout import Layout
from pipeline.files.records import parse
from pipeline.reports import search_text
from tests.experiments import test_panels
from tests.repositories import NO_STORE, kill_when, run, set_params, toy_repository
from tests.test_architecture import DVC
from tests.toys import ROOT, Project, arrays, from_yaml, to_yaml, toy_table

GRID: dict[str, Any] = {
    "trials": 9,
    "sampler": "grid",
    "ranges": {
        NAME: {"choice": ["lstm", "ridge"]},
        "window.look_back": {"choice": [8, 200]},
        "impute_scale.scaling": {"choice": ["standard", "robust"]},
    },
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A search of a toy, all of whose trials are there."""
    made = Project(tmp_path_factory.mktemp("search"))
    split = {"train": 160, "validation": 220, "test": 280}
    made.write(toy_table(280), card={"split": split, "inputs": ["level", "wind"]})
    search = begun(made.root, GRID)
    search.run(Inline())
    return search


def begun(root: Path, settings: dict[str, Any]) -> Search:
    """A search in a project, as the command begins it."""
    layout = Layout(root)
    base = read_experiment(layout)
    kept = places.Kept.of(parse(settings, Settings, "search.yaml"), base, layout)
    directory, _ = places.begin("search", kept, root)
    return kept.search(root, directory)


def test_a_trial_has_the_scores_that_evaluate_gives(found: Search) -> None:
    """Of a network and a baseline, with their quantiles; nothing of the test span is read."""
    assert not [*found.directory.rglob("metrics.json")]
    for number in (0, len(found.finished) - 4):
        [trial] = found.finished[number].runs
        scores = trial.outcome().scores
        full = evaluate(trial.experiment, trial.layout).metrics["validation"]
        assert scores.keys() >= {"rmse", "mae", "mase", "wql", "coverage_80", "n"}
        assert scores == {name: full[name] for name in scores}
        trial.layout.metrics.unlink()


def test_what_trials_share_is_made_once(found: Search) -> None:
    """One series for all, a scale for each scaling, windows for each that can be."""
    shared = found.directory / "shared"
    counts = {name: len([p for p in (shared / name).iterdir() if p.is_dir()]) for name in SHARED}
    assert counts == {"ingested": 1, "prepared": 2, "windows": 2}
    [trial] = found.finished[0].runs
    assert trial.layout.series.resolve().is_relative_to(shared)
    assert any("without a value" in line for line in shared_said(trial.root))


def test_what_trials_share_depends_on_what_dvc_says() -> None:
    """The parameters are those of its stage in dvc.yaml, and of the stages before."""
    before: set[str] = set()
    for name, (step, sections) in SHARED.items():
        before |= set(DVC["stages"][step.__name__]["params"])
        assert set(sections) | {"window.split"} == before | {"window.split"}, name


def test_a_trial_that_cannot_be_is_recorded(found: Search) -> None:
    """With the line that its stage would end with, and names as in a project."""
    failed = [one.failed for one in found.finished if one.drawn.get("window.look_back") == 200]
    assert len(failed) == 4
    for line in failed:
        assert line is not None
        assert line.startswith("split.train: expected at least one window of look-back 200")
        assert str(found.directory) not in line
    assert len(found.ranked) == 4


def test_the_winner_alone_is_scored_on_test(found: Search) -> None:
    """Its metrics.json is written once, and says what evaluate says."""
    metrics = found.score(Inline())
    assert metrics["test"]["rmse"] > 0
    assert [*found.directory.rglob("metrics.json")] == [found.best.runs[0].layout.metrics]
    weights = found.best.runs[0].layout.weights
    kept = weights.read_bytes()
    try:
        found.best.runs[0].layout.metrics.unlink()
        weights.write_bytes(b"another")
        with pytest.raises(PipelineError, match=r"model\.weights\.h5: expected the trial's own"):
            found.score(Inline())
    finally:
        weights.write_bytes(kept)


def test_a_search_is_of_what_decides_its_trials(project: Project) -> None:
    """Other parameters, ranges, rows or holidays are another search; more trials are not."""
    project.write(toy_table(200))
    one = begun(project.root, GRID).directory
    assert begun(project.root, GRID | {"trials": 3}).directory == one
    others = [begun(project.root, GRID | {"seed": 2}).directory]
    project.write(params={"train.batch_size": 8})
    others.append(begun(project.root, GRID).directory)
    project.write(toy_table(199))
    others.append(begun(project.root, GRID).directory)
    assert len({one, *others}) == 4
    project.write(toy_table(200), card={"title": "Other words"})
    assert begun(project.root, GRID).directory == one


def test_a_search_runs_once_at_a_time(project: Project) -> None:
    """Who comes second is told so, and cannot delete it."""
    search = begun(project.root, GRID)
    told = pytest.raises(PipelineError, match="another process runs this search")
    with places.held(search.directory), told:
        places.delete(search.directory)
    places.delete(search.directory)
    assert places.known(project.root) == []


def test_a_search_of_many_series_has_their_scores(project: Project) -> None:
    """Pooled over all rows, MASE as the mean over series; the winner's test score as well."""
    own = {"train.model": {"name": "ridge"}, "train.residual": "none", "window.known_ahead": []}
    project.write(test_panels.table(), card=test_panels.CARD, params=test_panels.SETTINGS | own)
    ranges = {
        NAME: {"choice": ["ridge", "persistence"]},
        "impute_scale.by_series": {"choice": [True, False]},
    }
    wanted = {"metric": "mase", "trials": 9, "sampler": "grid", "ranges": ranges}
    search = begun(project.root, wanted)
    search.run(Inline())
    assert len(search.ranked) == 4
    [trial] = search.finished[0].runs
    metrics = evaluate(trial.experiment, trial.layout).metrics
    scores = trial.outcome().scores
    assert scores == {k: metrics["validation"].get(k) for k in scores} | {"mase": scores["mase"]}
    made = pd.read_parquet(trial.layout.predictions).query("span == 'validation'")
    error = (made["forecast"] - made["observed"]).abs()
    each, levels = [], test_panels.table().groupby("site")["level"]
    for site, own in error.groupby(made["site"].astype(str)):
        level = levels.get_group(str(site))
        naive = level.iloc[: len(level) // 2].diff(4).abs().mean()
        if own.notna().any() and naive > 0:
            each.append(own.mean() / naive)
    assert scores["mase"] == pytest.approx(sum(each) / len(each))
    told = search_text.on_test(search, search.score(Inline()))
    assert f"MASE {search.score(Inline())['series']['mase']:.3f}" in told


def test_a_metric_that_is_not_defined_ends_the_search(project: Project) -> None:
    """Of zeros there is no MAPE: one line says which scores there are."""
    table = toy_table(280)
    table["level"] = table["level"].mask(table.index.isin(range(160, 220)), 0.0)
    model = {"train.model": {"name": "persistence"}, "train.residual": "none"}
    split = {"train": 160, "validation": 220, "test": 280}
    project.write(table, card={"split": split, "inputs": ["level"]}, params=model)
    ranges = {"window.look_back": {"choice": [8, 9]}}
    search = begun(project.root, {"metric": "mape", "trials": 2, "ranges": ranges})
    with pytest.raises(PipelineError, match=r"metric: expected a score .*\(rmse, mae.*found mape"):
        search.run(Inline())


# A search of a repository with two networks, trials that fail and trials that are pruned.
SEARCH = {
    "trials": 14,
    "generation": 7,
    "pruning": "median",
    "ranges": {
        NAME: {"choice": ["lstm", "gru"]},
        "train.learning_rate": {"float": [0.003, 0.1], "log": True},
        "window.look_back": {"choice": [6, 9, 12, 240]},
    },
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy repository with a search.yaml that was run by one worker."""
    directory = toy_repository(tmp_path_factory.mktemp("searched") / "toy")
    (directory / "search.yaml").write_text(to_yaml(SEARCH))
    set_params(directory, {"train.epochs": 6, "train.patience": 6})
    run(directory, "git", "add", "-A")
    run(directory, "git", "commit", "-qm", "search")
    said = run(directory, *COMMAND, env=NO_STORE)
    assert "To make the winner" in said
    return directory


COMMAND = (sys.executable, "-m", "pipeline", "search")
RESULTS = f"data/searches/*/trials/*/*/{RESULT}"


def results(directory: Path) -> list[Outcome]:
    """Every result, without the seconds it took."""
    [place] = places.known(directory)
    return [
        one.model_copy(update={"seconds": 0, "fit_seconds": 0}) for one in places.outcomes(place)
    ]


def copied_whole(repository: Path, directory: Path) -> Path:
    """A copy of a repository, its search with it."""
    return Path(shutil.copytree(repository, directory, symlinks=True))


def fresh(repository: Path, directory: Path) -> Path:
    """A copy of a repository without its search."""
    made = copied_whole(repository, directory)
    places.delete(places.known(made)[0])
    return made


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_workers_find_what_one_does(repository: Path, tmp_path: Path) -> None:
    """The same trials, scores and weights, and in the end the same command."""
    other = fresh(repository, tmp_path / "two")
    run(other, *COMMAND, "--workers", "2", env=NO_STORE)
    assert results(other) == results(repository)
    assert any(one.failed for one in results(other))
    assert any(one.pruned for one in results(other))
    said = [run(at, *COMMAND, env=NO_STORE) for at in (other, repository)]
    ends = {printed(text) for text in said}
    assert len(ends) == 1
    assert "dvc exp run -S" in ends.pop()


def beginning(directory: Path, what: str, before: int) -> bool:
    """Whether a trial that has not ended has this of its own, made since a time in nanoseconds."""
    trials = directory.glob("data/searches/*/trials/*/*")
    unfinished = (one / what for one in trials if not (one / RESULT).exists())
    with suppress(FileNotFoundError):  # it has just been moved or removed
        return any(one.lstat().st_mtime_ns > before for one in unfinished if os.path.lexists(one))
    return False


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_search_killed_at_ten_points_finds_the_same(repository: Path, tmp_path: Path) -> None:
    """kill -9 as it begins, as trials begin, as they train, as they end; by one and by two."""
    other = fresh(repository, tmp_path / "killed")

    def reached(point: int) -> Callable[[], object]:
        now, ended = time.time_ns(), len([*other.glob(RESULTS)])
        if point == 0:
            return lambda: any(other.glob("data/searches/*/search.json"))
        if point % 3 == 0:
            return lambda: len([*other.glob(RESULTS)]) > ended
        return lambda: beginning(other, "" if point % 3 == 1 else "data/windows", now)

    for i in range(10):
        kill_when(reached(i), other, *COMMAND, "--workers", str(1 + i % 2), env=NO_STORE)
    ran = len([*other.glob(RESULTS)])
    assert 3 <= ran < len(results(repository))
    run(other, *COMMAND, env=NO_STORE)
    assert results(other) == results(repository)


@pytest.mark.parametrize("changes", [{NAME: "gru"}, {NAME: "ridge"}, {NAME: "segment_gru"}])
def test_another_model_leaves_the_comments_of_the_rest(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In params.yaml: each stands once and above what it is of."""
    shutil.copytree(ROOT / "data/datasets", tmp_path / "data/datasets")
    file = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    monkeypatch.chdir(tmp_path)
    asked = read_experiment().asked
    apply(asked, changed(asked, changes, "trial"))
    lines = file.read_text().splitlines()
    before = (ROOT / "params.yaml").read_text().splitlines()
    place = lines.index("  normalisation: none")
    assert lines[place - 1] == before[before.index("  normalisation: none") - 1]
    assert lines.count(lines[place - 1]) == 1
    assert f"    name: {changes[NAME]}" in lines


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_winner_is_made_again_by_dvc(repository: Path, tmp_path: Path) -> None:
    """`--apply` and `dvc repro`, or the printed flags, give its bytes; comments stay."""
    applied = copied_whole(repository, tmp_path / "applied")
    params = applied / "params.yaml"
    params.write_text("# by hand\n" + params.read_text())
    said = run(applied, *COMMAND, "--apply", env=NO_STORE)
    assert params.read_text().startswith("# by hand\n")
    assert "null" in params.read_text()
    run(applied, "dvc", "repro", env=NO_STORE)
    [place] = places.known(applied)
    search = places.read(place).search(applied, place)
    search.run(None)
    [winner] = search.best.runs
    assert from_yaml(params.read_text())["train"]["model"]["name"] == winner.params.train.model.name
    assert same(winner.layout, Layout(applied)) >= {"model.weights.h5", "series.parquet"}

    flagged = copied_whole(repository, tmp_path / "flagged")
    run(flagged, "bash", "-c", printed(said), env=NO_STORE)
    assert same(winner.layout, Layout(flagged)) >= {"model.weights.h5", "series.parquet"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_ensemble_of_the_best_is_made_by_dvc(repository: Path, tmp_path: Path) -> None:
    """`--apply --ensemble 2` and `dvc repro`: its members have the trials' very weights.

    By two processes here, as the shell may say.
    """
    applied = copied_whole(repository, tmp_path / "applied")
    said = run(applied, *COMMAND, "--apply", "--ensemble", "2", env=NO_STORE)
    assert "To make an ensemble of the best 2:" in said
    assert "'train.members=[{}, {train." in said
    members = from_yaml((applied / "params.yaml").read_text())["train"]["members"]
    assert members[0] == {} and len(members) == 2
    run(applied, "dvc", "repro", "train", env=NO_STORE | {"MEMBER_WORKERS": "2"})
    [place] = places.known(applied)
    search = places.read(place).search(applied, place)
    search.run(None)
    together = arrays(Layout(applied).weights)
    first = search.best.runs[0]
    [second] = [
        one.runs[0]
        for one in search.ranked
        if one.runs[0].changes.items() >= members[1].items() and one is not search.best
    ][:1]
    for group, trial in (("functional", first), ("functional_1", second)):
        for name, array in arrays(trial.layout.weights).items():
            assert (together[f"layers/{group}/{name}"] == array).all(), (group, name)
    wrong = run(applied, *COMMAND, "--ensemble", "2", status=1, env=NO_STORE).splitlines()
    assert wrong[-1].startswith("error: train.members: expected [] in params.yaml for an ensemble")


def printed(said: str) -> str:
    """The command that makes the winner."""
    return next(line for line in said.splitlines() if line.startswith("  dvc exp run"))


def same(one: Layout, other: Layout) -> set[str]:
    """The files of a trial, each of which has to be the other's."""
    names = set()
    for part in ("ingested", "prepared", "windows", "model", "calibration"):
        for path in sorted((one.root / "data" / part).iterdir()):
            assert path.read_bytes() == (other.root / "data" / part / path.name).read_bytes(), path
            names.add(path.name)
    for path in (one.history, one.metrics, one.predictions):
        assert path.read_bytes() == (other.reports / path.name).read_bytes(), path
    return names


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_searches_are_listed_shown_and_deleted(repository: Path, tmp_path: Path) -> None:
    """By their names; a name that is none lists those there are."""
    other = copied_whole(repository, tmp_path / "listed")
    [place] = places.known(other)
    said = run(other, *COMMAND, "--list")
    assert place.name in said
    assert "14 of 14" in said  # though some repeat others
    assert "Best on validation: trial" in run(other, *COMMAND, "--show", place.name)
    said = run(other, *COMMAND, "--delete", "none", status=1)
    assert f"expected a search ({place.name}), found none" in said
    run(other, *COMMAND, "--delete", place.name)
    assert "no searches yet" in run(other, *COMMAND, "--list")
    set_params(other, {"train.epochs": 1})
    (other / "search.yaml").unlink()
    said = run(other, *COMMAND, status=1)
    assert "search.yaml: no such file; expected the settings of a search" in said

"""A backtest in the MLflow store: one run above its folds, found again beside training runs."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.commands import compare, promote
from pipeline.errors import PipelineError
from pipeline.experiments.backtest.study import Backtest
from pipeline.experiments.workers import ALONE
from pipeline.tracking import backtest_runs, backtest_scores, logged_runs, store
from pipeline.tracking.logged_runs import Trial
from tests.commands.test_compare_promote import trial
from tests.experiments.backtest.test_fits import PLAN, begun, toy

Logged = tuple[Backtest, dict[str, Any]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the project and its store are."""
    return tmp_path_factory.mktemp("logged")


@pytest.fixture(scope="module")
def tested(root: Path) -> Logged:
    """A backtest that has run, in a store of its own, and its scores."""
    made = begun(toy(root).root, PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
        patch.chdir(root)
        found = backtest_runs.carry_out(made, ALONE)
    return made, found


@pytest.fixture
def in_store(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store of the backtest."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
    monkeypatch.chdir(root)


def logged() -> tuple[Run, dict[int, Run]]:
    """The backtest's run, and those of its folds by number."""
    client = store.connect()
    group = client.get_experiment_by_name("toy")
    assert group is not None
    runs = client.search_runs([group.experiment_id])
    folds = {int(run.data.tags[backtest_runs.FOLD]): run for run in runs if _is_fold(run)}
    [parent] = [run for run in runs if not _is_fold(run)]
    assert len(folds) == len(runs) - 1
    return parent, folds


def _is_fold(run: Run) -> bool:
    return backtest_runs.FOLD in run.data.tags


def of(tested: Logged, name: str = "a", **changes: Any) -> Trial:
    """A training run of the backtest's experiment."""
    made, _ = tested
    parent, _ = logged()
    digest = store.digest_of(made.asked, made.layout)
    one = trial(name, **{"train__model__name": "ridge"})
    tags = one.tags | {store.EXPERIMENT: digest, **changes}
    return dataclasses.replace(one, tags=tags, experiment=parent.info.experiment_id)


@pytest.mark.usefixtures("in_store")
def test_a_backtest_is_a_run_above_its_folds(tested: Logged) -> None:
    """Each with the scores, parameters and tags that people filter by; the means stand above."""
    _, found = tested
    parent, folds = logged()
    assert set(folds) == {1, 2, 3}
    for number, run in folds.items():
        scores = found["folds"][number - 1]["scores"]
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        for tag in (backtest_runs.BACKTEST, backtest_runs.OF, "pipeline.environment"):
            assert run.data.tags[tag] == parent.data.tags[tag]
        assert run.data.metrics["test/rmse"] == pytest.approx(scores["model"]["rmse"])
        assert run.data.metrics["persistence/rmse"] == pytest.approx(scores["persistence"]["rmse"])
        assert "test/rolling_coverage_80" in run.data.metrics
        assert run.data.params["train.model.name"] == "ridge"
        assert '"fold": {"back": ' in run.data.params["window.split"]
        assert run.inputs.dataset_inputs[0].dataset.name == "toy"
    mean = found["mean"]["scores"]
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["mean/test/rmse"] == pytest.approx(mean["model"]["rmse"])
    assert parent.data.metrics["mean/persistence/mae"] == pytest.approx(mean["persistence"]["mae"])
    history = MlflowClient().get_metric_history(parent.info.run_id, "fold/test/rmse")
    assert sorted(point.step for point in history) == [1, 2, 3]
    files = {file.path for file in MlflowClient().list_artifacts(parent.info.run_id, "backtest")}
    assert files == {f"backtest/{name}" for name in ("backtest.html", "forecasts.parquet",
                                                     "scores.json")}  # fmt: skip
    # No fold is a training run: none is compared or promoted.
    assert logged_runs.newest("toy") == []


@pytest.mark.usefixtures("in_store")
def test_a_backtest_is_sent_exactly_once(tested: Logged) -> None:
    """Run again it is the same runs; a fold whose run is half there is made again."""
    made, _ = tested
    parent, folds = logged()
    client = store.connect()
    client.update_run(folds[2].info.run_id, status="RUNNING")  # as a kill would leave it
    backtest_runs.carry_out(begun(made.project, PLAN), 1)
    again, now = logged()
    assert again.info.run_id == parent.info.run_id
    assert set(now) == {1, 2, 3}
    same = {n for n, run in now.items() if run.info.run_id == folds[n].info.run_id}
    assert same == {1, 3}


def test_a_store_that_is_down_stops_no_backtest(
    tested: Logged, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One warning says how the results get there later."""
    made, found = tested
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert backtest_runs.carry_out(begun(made.project, PLAN), 1) == found
    said = [line for line in capsys.readouterr().err.splitlines() if "MLflow" in line]
    assert len(said) == 1
    assert said[0].endswith("its results are on disk, and the same command sends them later")


@pytest.mark.usefixtures("in_store")
def test_a_run_knows_its_backtest(tested: Logged) -> None:
    """By its parameters, card and table; another's, and a fold's, are not its own."""
    _, found = tested
    own = of(tested)
    [one] = backtest_scores.of([own])
    assert one.error() == pytest.approx(found["mean"]["scores"]["model"]["rmse"])
    assert one.baselines.keys() == {"persistence", "seasonal_naive"}
    assert one.described == "3 folds of 12 rows, 2014-01-11 00:00:00 to 2014-01-12 11:00:00"
    assert one.how == "every 2 folds, expanding, gap 2"
    other = of(tested, "b", **{store.EXPERIMENT: "another"})
    assert backtest_scores.of([other]) == []
    assert backtest_scores.lacking([own, other], [one]).startswith("Without a backtest: b0000000.")
    assert backtest_scores.pair(own, other) is None
    mine, its = backtest_scores.pair(own, of(tested, "c")) or (one, None)
    assert its is not None and mine.basis == its.basis


@pytest.mark.usefixtures("in_store")
def test_runs_are_compared_over_the_same_folds(tested: Logged) -> None:
    """The best on the mean first, with the folds that each wins; other folds are another table."""
    first, second = (backtest_scores.of([of(tested, name)])[0] for name in "ab")
    tree = first.scores
    worse = {**tree, "folds": [dict(fold) for fold in tree["folds"]]}
    for fold in worse["folds"][:2]:
        model = {**fold["scores"]["model"], "rmse": fold["scores"]["model"]["rmse"] * 2}
        fold["scores"] = {**fold["scores"], "model": model}
    last = worse["folds"][2]
    better = {**last["scores"]["model"], "rmse": last["scores"]["model"]["rmse"] / 2}
    last["scores"] = {**last["scores"], "model": better}
    second.__dict__["scores"] = worse
    [group] = backtest_scores.groups([second, first])
    assert [one.trial.name for one in group] == ["a", "b"]
    header, lines = backtest_scores.table(group)
    shown = [dict(zip(header, line, strict=True)) for line in lines]
    assert [line["folds won"] for line in shown] == ["2 of 3", "1 of 3"]
    assert shown[0]["fitted"] == "every 2 folds, expanding, gap 2"
    other = dataclasses.replace(second, folds=second.folds | {"step": 13})
    assert len(backtest_scores.groups([first, other])) == 2


@pytest.mark.usefixtures("in_store")
def test_backtests_decide_who_is_promoted(tested: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each baseline on the mean over the folds, and the champion over the same, or neither."""

    def rules(mine: Trial, best: Trial | None) -> dict[str, promote.Reason]:
        return {one.rule: one for one in promote.judge(mine, best, True, "backtest")}

    own, bare = of(tested), of(tested, "b", **{store.EXPERIMENT: "another"})
    found = rules(own, None)
    assert found["baselines"].holds
    assert "of 3 folds" in found["baselines"].found
    assert found["champion"].found == "there is no champion yet"
    lacking = rules(bare, own)["backtest"]
    assert not lacking.holds
    assert lacking.found.startswith("the run has no backtest; python -m pipeline backtest")
    found = rules(own, bare)
    assert not found["champion"].holds
    assert "the champion (b0000000) has no backtest over these folds (3 folds of" in (
        found["champion"].found
    )
    same = rules(own, of(tested, "c"))["champion"]
    assert not same.holds  # a tie is no better
    assert same.found.endswith("better in 0 of 3 folds")


@pytest.mark.usefixtures("in_store")
def test_a_comparison_by_backtest_is_a_table_and_a_page(
    tested: Logged,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Who has none is named; where nobody has one, a line says what makes one."""
    own, bare = of(tested), of(tested, "b", **{store.EXPERIMENT: "another"})
    by_name = {"a": own, "b": bare}
    monkeypatch.setattr(logged_runs, "find", lambda name: by_name[name])
    page = tmp_path / "page.html"
    compare.by_backtest(["a", "b"], page, log=False)
    said = capsys.readouterr().out
    assert "toy: 3 folds of 12 rows" in said
    assert "Without a backtest: b0000000." in said
    assert page.read_text(encoding="utf-8").count("data:image/png;base64,") == 1
    with pytest.raises(PipelineError, match=r"expected a backtest of these runs \(1\), found none"):
        compare.by_backtest(["b"], page, log=False)

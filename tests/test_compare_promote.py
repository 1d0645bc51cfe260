"""Comparison and promotion on runs made by hand: rows, ties, bases, and every rule's yes and no."""

import dataclasses
from contextlib import chdir
from pathlib import Path
from typing import Any

import mlflow
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name

from pipeline import compare, description, promote, runs, tracking
from pipeline.errors import PipelineError
from pipeline.runs import Trial
from tests.repositories import STAGES
from tests.toys import Project


def trial(
    name: str = "run", seed: int = 1, validation: float = 70.0, test: float = 66.0, **params: str
) -> Trial:
    """A run with the scores that matter."""
    base = {
        "ingest.dataset": "toy",
        "window.targets": "y",
        "window.horizon": "24",
        "window.split": '{"train": 1}',
        "train.model.units": "4",
        "train.seed": str(seed),
    }
    return Trial(
        id=name.ljust(32, "0"),
        name=name,
        data="d" * 64,
        params=base | {key.replace("__", "."): value for key, value in params.items()},
        scores={
            "validation/rmse": validation,
            "test/rmse": test,
            "validation/n": 100.0,
            "test/n": 100.0,
            "persistence/rmse": 79.0,
            "seasonal_naive/rmse": 99.0,
            "drift/rmse": 82.0,
            "ridge/rmse": 67.0,
        },
        tags={"git.dirty": "false"},
        model="m-1",
    )


def test_runs_that_differ_only_in_seed_are_one_row() -> None:
    """Mean and spread are over the seeds; a repeated seed is left out and said to be."""
    pair = [trial("a", 1, 70.0), trial("b", 2, 72.0)]
    (row,), repeats = compare.rows([*pair, trial("c", 1, 99.0)])
    assert [t.name for t in row.trials] == ["a", "b"]
    assert [t.name for t in repeats] == ["c"]
    assert row.error("validation") == 71.0
    assert row.spread("validation") == pytest.approx(2**0.5)


def test_a_rule_without_an_error_is_compared_with() -> None:
    """A series that a rule forecasts to the digit has no skill, and its runs are shown."""
    exact = trial("a", 1, 70.0)
    none = {"seasonal_naive/rmse": 0.0, "ridge/rmse": 0.0}
    exact = dataclasses.replace(exact, scores=exact.scores | none)
    header, [line] = compare.table(compare.rows([exact])[0])
    shown = dict(zip(header, line, strict=True))
    assert (shown["skill"], shown["against ridge"]) == ("", "")


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True))
@example(["PM2.5 (µg/m³)", "a/b", "x=y", "T [°C], %"])
@example(["T (1)", "T [1]", "T _1_", "T _1_.2"])
@example(["h01", "scaled", "n" * 300, "n" * 299])
def test_scores_have_names_that_mlflow_takes(names: list[str]) -> None:
    """Targets are called as tables call them; MLflow refuses most signs, and no two are alike."""
    pooled, step, own = {"mae_scaled": 1.0}, {"h01": {"rmse": 1.0}}, {"rmse": 1.0, "mae": 1.0}
    metrics: dict[str, Any] = {
        "test": pooled,
        "test_by_horizon": step,
        "test_by_target": dict.fromkeys(names, own),
        "validation": {},
        "validation_by_horizon": {},
        "baselines": {},
        "spans": {f"s{i}" * 150: {"model": own} for i in range(2)},
        "skill": {},
    }
    found = description.flat_scores(metrics)
    assert len(found) == 1 + 1 + 2 * len(names) + 2 * 2
    for key in found:
        _validate_metric_name(key)
        assert len(key) <= MAX_ENTITY_KEY_LENGTH


def test_rows_closer_than_their_spread_are_ties() -> None:
    """The second row lies within the first one's spread, the third beyond it."""
    found, _ = compare.rows(
        [
            *(trial("a", s, v) for s, v in ((1, 70.0), (2, 72.0))),
            *(trial("b", s, v, train__model__units="8") for s, v in ((1, 72.0), (2, 72.1))),
            trial("c", 1, 80.0, train__model__units="16"),
        ]
    )
    assert compare.places(found) == ["1 tie", "1 tie", "3"]
    assert compare.differing(found) == ["train.model.units"]


def test_what_one_model_alone_has_is_no_difference() -> None:
    """Its name says as much: a penalty is shown where two rows have different ones."""
    ridge = {"train__model__name": "ridge", "train__model__alphas": "1.0"}
    one, *others = (trial("a", 1, train__model__name="lstm"), trial("b", 1, **ridge))
    assert compare.differing(compare.rows([one, *others])[0]) == ["train.model.name"]
    other = trial("c", 1, **ridge | {"train__model__alphas": "2.0"})
    found = compare.differing(compare.rows([one, *others, other])[0])
    assert found == ["train.model.name", "train.model.alphas"]


def test_a_tie_is_measured_from_the_best_row_of_its_place() -> None:
    """Rows that each lie close to the one before do not all tie; single runs tie if equal."""
    found, _ = compare.rows(
        [
            trial(f"{units}{seed}", seed, mean + off, train__model__units=units)
            for units, mean in (("4", 70.0), ("8", 71.0), ("16", 72.0))
            for seed, off in ((1, -1.0), (2, 1.0))
        ]
    )
    assert compare.places(found) == ["1 tie", "1 tie", "3"]
    single, _ = compare.rows(
        [trial(units, train__model__units=units) for units in ("4", "8")]
        + [trial("c", validation=70.001, train__model__units="16")]
    )
    assert compare.places(single) == ["1 tie", "1 tie", "3"]


def test_many_differences_share_one_column_and_long_lists_are_cut() -> None:
    """More than two parameters stand in one cell; of long lists only what is not in both."""
    inputs = ", ".join(f"column {i}" for i in range(9))
    found, _ = compare.rows(
        [
            trial("a", window__inputs=inputs, train__loss="mse"),
            trial(
                "b", window__inputs=f"{inputs}, hour", train__loss="mae", train__model__units="8"
            ),
        ]
    )
    header, lines = compare.table(found)
    assert header[:3] == ["place", "parameters", "seeds"]
    assert {line[1] for line in lines} == {
        "model.units 4; inputs ...; loss mse",
        "model.units 8; inputs ... hour; loss mae",
    }


@pytest.mark.usefixtures("tracking_store")
def test_runs_with_two_targets_are_compared(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores are pooled over standardised targets; a run on another split is only counted."""
    two = {"window.targets": ["level", "flow"]}
    split = {"train": 60, "validation": 90, "test": 120}
    for changes in ({"window.split": split}, {"train.seed": 1}, {"train.seed": 2}):
        project.write(params=two | changes).run(*STAGES)
    capsys.readouterr()
    with chdir(project.root):
        compare.compare([], Path("page.html"))
        said = capsys.readouterr().out
        page = Path("page.html").read_text()
        with pytest.raises(PipelineError, match="run level: expected the id of one run"):
            compare.compare(["level"], Path("never.html"))
        assert not Path("never.html").exists()
    assert "1 2" in said
    assert "±" in said
    assert "target level, flow, horizon 3" in said
    assert "RMSE is pooled over standardised targets" in said
    assert "Not shown: 1 of the newest runs, on another table or split." in said
    assert page.count("data:image/png") == 2
    client = tracking.connect()
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    assert f"/#/experiments/{experiment.experiment_id}/runs?" in said
    assert "validation/mse_scaled" in experiment.tags["mlflow.sharedViewState.best"]


@pytest.mark.usefixtures("tracking_store")
def test_a_run_is_looked_up_and_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many runs the store is asked for those that have the id, its start or the name alone."""
    client = tracking.connect()
    experiment = tracking.experiment_id(client, "looked up")
    ids = [
        client.create_run(experiment, tags={"dvc.experiment": f"it's {i}"}).info.run_id
        for i in range(3)
    ]
    answers: list[int] = []
    search = mlflow.MlflowClient.search_runs

    def counted(*arguments: Any, **keys: Any) -> Any:
        answers.append(len(found := search(*arguments, **keys)))
        return found

    monkeypatch.setattr(mlflow.MlflowClient, "search_runs", counted)
    for wanted in (ids[0], ids[0][:20], "it's 0"):
        with pytest.raises(PipelineError, match=f"run {wanted}: expected a run with scores"):
            runs.find(wanted)
    assert sum(answers) == 3
    for wanted in ("it's", 'a "b"', "%"):
        with pytest.raises(PipelineError, match=r"expected the id of one run in .*, found none"):
            runs.find(wanted)


def test_the_table_shows_what_differs_and_the_skill() -> None:
    """Skill is against the best of the naive rules, ridge apart."""
    header, (line,) = compare.table(compare.rows([trial("a", 1), trial("b", 2)])[0])
    shown = dict(zip(header, line, strict=True))
    assert shown["seeds"] == "1 2"
    assert shown["validation rmse"] == "70.00 ± 0"
    assert shown["skill"] == "+16.5%"
    assert shown["against ridge"] == "+1.5%"


def test_runs_scored_on_unequal_n_are_not_put_side_by_side() -> None:
    """Another count, horizon or table of data makes another group."""
    one = trial("a")
    fewer = dataclasses.replace(one, scores=one.scores | {"test/n": 99.0})
    other = dataclasses.replace(one, data="e" * 64)
    shorter = trial("b", window__horizon="12")
    assert [len(group) for group in compare.by_basis([one, fewer, other, shorter, one])] == [
        2,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, []),
        ({"tags": {"git.dirty": "true"}}, ["clean"]),
        ({"tags": {}}, ["clean"]),
        ({"data": "e" * 64}, ["same data"]),
        ({"params": trial(window__split="{}").params}, ["same data"]),
        ({"scores": trial(validation=71.0).scores}, ["champion"]),
        ({"scores": trial(validation=71.5).scores}, ["champion"]),
        ({"scores": trial(test=79.5).scores}, ["naive rules"]),
    ],
)
def test_every_rule_of_promotion_can_refuse(change: dict, broken: list[str]) -> None:
    """A better run is accepted; each rule that does not hold is the one that is named."""
    best = trial("best", validation=71.0)
    challenger = dataclasses.replace(trial("new", validation=70.0), **change)
    reasons = promote.judge(challenger, best, servable=True)
    assert [reason.rule for reason in reasons if not reason.holds] == broken


def test_the_first_champion_needs_no_one_to_beat() -> None:
    """Without a champion only the naive rules, the tree and the model count."""
    assert all(reason.holds for reason in promote.judge(trial(), None, servable=True))
    refused = [r.rule for r in promote.judge(trial(), None, servable=False) if not r.holds]
    assert refused == ["servable"]

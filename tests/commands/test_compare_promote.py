"""Comparison and promotion on runs made by hand: rows, ties, bases, and every rule's yes and no."""

import dataclasses
import html
import json
import re
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.entities import RunTag
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name

from pipeline.commands import compare, promote
from pipeline.config.cards import Card
from pipeline.config.experiment import Experiment
from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.evaluation import scoring
from pipeline.evaluation.forecasts import MODEL, Forecasts
from pipeline.evaluation.metrics import deciding
from pipeline.evaluation.scoring import Yardstick
from pipeline.files.layout import HERE
from pipeline.files.records import parse
from pipeline.repository import provenance
from pipeline.tracking import comparison, labels, logged_runs, store
from pipeline.tracking.logged_runs import Trial
from tests.toys import CARD, Project, changed, toy_card, toy_params


def trial(
    name: str = "run", seed: int = 1, validation: float = 70.0, test: float = 66.0, **params: str
) -> Trial:
    """A run with the scores that matter."""
    base = {
        "ingest.dataset": "toy",
        "train.model.name": "lstm",
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
            "persistence/validation_rmse": 80.0,
            "seasonal_naive/validation_rmse": 98.0,
            "drift/validation_rmse": 83.0,
            "ridge/validation_rmse": 72.0,
        },
        tags={"git.dirty": "false", "scores.git.dirty": "false"},
        model="m-1",
        experiment="1",
    )


def test_runs_that_differ_only_in_seed_are_one_row() -> None:
    """Mean and spread are over the seeds; a repeated seed is left out and said to be."""
    pair = [trial("a", 1, 70.0), trial("b", 2, 72.0)]
    (row,), repeats = comparison.rows([*pair, trial("c", 1, 99.0)])
    assert [t.name for t in row.trials] == ["a", "b"]
    assert [(t.name, kept.name) for t, kept in repeats] == [("c", "a")]
    assert comparison.left_out(repeats) == [
        "Left out, because another run has the same parameters, card and seed: c0000000 (other "
        "scores than a0000000)."
    ]
    assert row.error("validation") == 71.0
    assert row.spread("validation") == pytest.approx(2**0.5)


def test_a_rule_without_an_error_is_compared_with() -> None:
    """A series that a rule forecasts to the digit has no skill, and its runs are shown."""
    exact = trial("a", 1, 70.0)
    none = {"seasonal_naive/rmse": 0.0}
    exact = dataclasses.replace(exact, scores=exact.scores | none)
    header, [line] = comparison.table(comparison.rows([exact])[0])
    shown = dict(zip(header, line, strict=True))
    assert shown["test skill"] == ""


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True))
@example(["PM2.5 (µg/m³)", "a/b", "x=y", "T [°C], %"])
@example(["T (1)", "T [1]", "T _1_", "T _1_.2"])
@example(["h01", "scaled", "n" * 300, "n" * 299])
@example(["80", "error_80", "80_h01", "10"])
def test_scores_have_names_that_mlflow_takes(names: list[str]) -> None:
    """Targets are called as tables call them; MLflow refuses most signs, and no two are alike."""
    bands = {"wql": 1.0, "coverage_80": 1.0, "coverage_error_80": 1.0, "width_80": 1.0}
    pooled, step = {"mae_scaled": 1.0} | bands, {"h01": {"rmse": 1.0, "coverage_80": 1.0}}
    own = {"rmse": 1.0, "mae": 1.0, "pinball_10": 1.0} | bands
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
    found = labels.flat_scores(metrics)
    assert len(found) == len(pooled) + 2 + len(own) * (len(names) + 2)
    for key in found:
        _validate_metric_name(key)
        assert len(key) <= MAX_ENTITY_KEY_LENGTH


def test_rows_closer_than_their_spread_are_ties() -> None:
    """The second row lies within the first one's spread, the third beyond it."""
    found, _ = comparison.rows(
        [
            *(trial("a", s, v) for s, v in ((1, 70.0), (2, 72.0))),
            *(trial("b", s, v, train__model__units="8") for s, v in ((1, 72.0), (2, 72.1))),
            trial("c", 1, 80.0, train__model__units="16"),
        ]
    )
    assert comparison.places(found) == ["1 tie", "1 tie", "3"]
    assert comparison.differing(found) == ["train.model.units"]


def with_intervals(one: Trial, **scores: float) -> Trial:
    """The run with scores of intervals, the same on both spans."""
    more = {f"{span}/{name}": v for span in ("validation", "test") for name, v in scores.items()}
    return dataclasses.replace(one, scores=one.scores | more)


def test_narrower_intervals_win_a_tie() -> None:
    """By the Winkler score of the lowest level that all rows of a place have; places stay."""
    made = [
        (trial("a", 1, 70.0), {"winkler_80": 190.0, "winkler_50": 9.0, "winkler_95": 300.0}),
        (trial("a", 2, 72.0), {"winkler_80": 190.0, "winkler_50": 9.0, "winkler_95": 300.0}),
        (trial("b", 1, 71.5, train__model__units="8"), {"winkler_80": 180.0, "winkler_95": 310.0}),
        (trial("c", 1, 80.0, train__model__units="16"), {"winkler_80": 10.0}),
    ]
    found, _ = comparison.rows([with_intervals(one, **scores) for one, scores in made])
    assert [row.trials[0].name for row in found] == ["b", "a", "c"]
    assert comparison.places(found) == ["1 tie", "1 tie", "3"]
    older = [one if one.name == "b" else with_intervals(one, **scores) for one, scores in made]
    found, _ = comparison.rows(older)
    assert [row.trials[0].name for row in found] == ["a", "b", "c"]


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 3]), st.integers(0, 3)),
        min_size=1,
        max_size=6,
    )
)
def test_intervals_change_no_place(made: list[tuple[int, int, int]]) -> None:
    """Whatever the errors, spreads and widths, each row has the place that it has without them."""
    plain = [
        trial(f"{i}{seed}", seed, 70.0 + error + side * spread, train__model__units=str(i))
        for i, (error, spread, _) in enumerate(made)
        for seed, side in ((1, -1), (2, 1))
    ]
    with_them = [with_intervals(one, winkler_80=float(made[int(one.name[0])][2])) for one in plain]

    def standing(trials: list[Trial]) -> dict[str, str]:
        found, _ = comparison.rows(trials)
        shown = comparison.places(found)
        assert [int(place.split()[0]) for place in shown] == sorted(
            int(place.split()[0]) for place in shown
        )
        return {row.trials[0].name: place for row, place in zip(found, shown, strict=True)}

    assert standing(with_them) == standing(plain)


def test_the_table_shows_what_intervals_hold_and_how_wide_they_are() -> None:
    """In a table of their own; nothing of a run that has none, and no table if none has any."""
    scores = {"wql": 0.34, "coverage_80": 0.79, "width_80": 150.0, "coverage_95": 0.95}
    seeds = [
        with_intervals(trial("a", seed), **scores, width_95=230.0 + seed, winkler_80=1.0)
        for seed in (1, 2)
    ]
    found, _ = comparison.rows([*seeds, trial("b", validation=90.0, train__loss="mae")])
    header, lines = comparison.intervals(found)
    one, other = (dict(zip(header, line, strict=True)) for line in lines)
    assert one == {
        "place": "1",
        "validation wql": "0.340 ± 0",
        "validation winkler 80": "1.000 ± 0",
        "test wql": "0.340 ± 0",
        "test coverage 80": "0.790 ± 0",
        "test coverage 95": "0.950 ± 0",
        "test width 80": "150.00 ± 0",
        "test width 95": "231.50 ± 0.71",
    }
    assert set(other.values()) == {"2", ""}
    assert "Ties stand by the Winkler score on validation" in comparison.legend(found, "m")
    none = comparison.rows([trial("b")])[0]
    assert comparison.intervals(none)[1] == []
    assert "Ties stand by" not in comparison.legend(none, "m")


def test_promotion_tells_of_promises_that_are_not_held(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A level that is off by more than five points on test, of the run and of the champion."""
    told = with_intervals(trial(), coverage_80=0.7499, coverage_95=0.9, coverage_50=0.551)
    assert promote.missed_promises(told) == [
        "intervals of 50% hold 55.1% of the test span",
        "intervals of 80% hold 75.0% of the test span",
    ]
    assert promote.missed_promises(trial()) == []
    runs = {"new": told, "best": with_intervals(trial("best"), coverage_95=0.85)}
    holder = SimpleNamespace(run_id="best", version="1", tags={})
    monkeypatch.setattr(logged_runs, "find", runs.__getitem__)
    monkeypatch.setattr(logged_runs, "has_signature", lambda _: True)
    monkeypatch.setattr(promote.champion, "current", lambda _: holder)
    promote.promote("new", dry=True)
    assert [line for line in capsys.readouterr().out.splitlines() if "note" in line] == [
        "  note  this run's intervals of 50% hold 55.1% of the test span",
        "  note  this run's intervals of 80% hold 75.0% of the test span",
        "  note  the champion's intervals of 95% hold 85.0% of the test span",
    ]


def test_a_run_whose_refit_is_the_champion_is_not_promoted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would replace what has learned more: a rollback goes to it. Others are judged by it."""
    holder = SimpleNamespace(run_id="refit", version="3", tags={store.REFIT: "best"})
    runs = {"best": trial("best"), "new": trial("new", validation=60.0)}
    monkeypatch.setattr(logged_runs, "find", runs.__getitem__)
    monkeypatch.setattr(logged_runs, "has_signature", lambda _: True)
    monkeypatch.setattr(promote.champion, "current", lambda _: holder)
    with pytest.raises(PipelineError, match=r"^run best: the champion of toy is its refit to all"):
        promote.promote("best", dry=True)
    promote.promote("new", dry=True)


def test_what_one_model_alone_has_is_no_difference() -> None:
    """Its name says as much: a penalty is shown where two rows have different ones."""
    ridge = {"train__model__name": "ridge", "train__model__alphas": "1.0"}
    one, *others = (trial("a", 1, train__model__name="lstm"), trial("b", 1, **ridge))
    assert comparison.differing(comparison.rows([one, *others])[0]) == ["train.model.name"]
    other = trial("c", 1, **ridge | {"train__model__alphas": "2.0"})
    found = comparison.differing(comparison.rows([one, *others, other])[0])
    assert found == ["train.model.name", "train.model.alphas"]


def test_a_tie_is_measured_from_the_best_row_of_its_place() -> None:
    """Rows that each lie close to the one before do not all tie; single runs tie if equal."""
    found, _ = comparison.rows(
        [
            trial(f"{units}{seed}", seed, mean + off, train__model__units=units)
            for units, mean in (("4", 70.0), ("8", 71.0), ("16", 72.0))
            for seed, off in ((1, -1.0), (2, 1.0))
        ]
    )
    assert comparison.places(found) == ["1 tie", "1 tie", "3"]
    single, _ = comparison.rows(
        [trial(units, train__model__units=units) for units in ("4", "8")]
        + [trial("c", validation=70.001, train__model__units="16")]
    )
    assert comparison.places(single) == ["1 tie", "1 tie", "3"]


def test_many_differences_share_one_column_and_long_lists_are_cut() -> None:
    """More than two parameters stand in one cell; of long lists only what is not in both."""
    inputs = ", ".join(f"column {i}" for i in range(9))
    found, _ = comparison.rows(
        [
            trial("a", window__inputs=inputs, train__loss="mse"),
            trial(
                "b", window__inputs=f"{inputs}, hour", train__loss="mae", train__model__units="8"
            ),
        ]
    )
    header, lines = comparison.table(found)
    assert header[:3] == ["place", "parameters", "seeds"]
    assert {line[1] for line in lines} == {
        "model.units 4; inputs ...; loss mse",
        "model.units 8; inputs ... hour; loss mae",
    }


def logged(project: Project, seed: int, **changes: dict[str, Any]) -> str:
    """A run of the project with made-up forecasts of noise, and all that compare reads; its id."""
    project.write(**changes).run("ingest")
    random = np.random.default_rng(seed)
    spans = {}
    for span, first in (("validation", 72), ("test", 96)):
        origins = np.arange(first, first + 20)
        shape = (20, 3, len(changes["params"].get("window.targets", ["level"])))
        names = (MODEL, "ridge", "seasonal_naive_6", "seasonal_naive_12", "persistence", "drift")
        by = {name: random.normal(0, 1 + i / 9, shape) for i, name in enumerate(names)}
        spans[span] = Forecasts(origins, np.zeros(shape) + np.arange(3)[:, None], by)
    with chdir(project.root):
        experiment = read_experiment()
        client = store.connect()
        run = store.create(client, experiment, HERE, provenance.tags(experiment.dataset))
        store.describe(client, run, experiment, HERE)
        group = store.experiment_id(client, experiment.dataset)
        named = experiment.targets
        yardstick = Yardstick(np.ones(len(named)), np.ones(len(named)))
        metrics = scoring.report(spans, named, yardstick, {})
        store.offer_view(client, group, deciding(metrics["test"]))
    client.log_dict(run, metrics, "report/metrics.json")
    scores = store.metrics(labels.flat_scores(metrics) | {"best/epoch": 2})
    client.log_batch(run, scores, tags=[RunTag(store.SCORES, "made up")])
    for epoch, loss in enumerate((1.0, 0.8, 0.9), start=1):
        client.log_batch(run, store.metrics({"train/loss": loss, "validation/loss": loss}, epoch))
    return run


@pytest.mark.usefixtures("tracking_store")
def test_runs_with_two_targets_are_compared(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores are pooled over standardised targets; a run on another split is only counted."""
    two: dict[str, Any] = {"ingest.dataset": "toy", "window.targets": ["level", "flow"]}
    logged(project, 1, params=two | {"window.split": {"train": 60, "validation": 90, "test": 120}})
    for seed in (1, 2):
        logged(project, seed, params=two | {"train.seed": seed})
    logged(project, 3, params=two, card={"columns.level.minimum": -5})
    capsys.readouterr()
    client = store.connect()
    before = len(client.search_experiments())
    with chdir(project.root):
        compare.compare([], Path("page.html"), log=False)
        said = " ".join(capsys.readouterr().out.split())
        page = Path("page.html").read_text()
        assert len(client.search_experiments()) == before
        with pytest.raises(PipelineError, match="run level: expected the id of one run"):
            compare.compare(["level"], Path("never.html"), log=True)
        assert not Path("never.html").exists()
    assert " 1 2 " in said
    assert "±" in said
    assert "target level, flow, horizon 3" in said
    assert "RMSE, pooled over standardised targets, on validation" in said
    assert "differ only in the data set's card: columns.level.minimum" in said
    assert "Not shown: 1 of the newest runs, on another table or split." in said
    assert page.count("data:image/png") == 2
    assert page.count("<table") == 1
    assert "<h2>A toy series</h2>" in page
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    assert f"/#/experiments/{experiment.experiment_id}/runs?" in said
    assert "validation/mse_scaled" in experiment.tags["mlflow.sharedViewState.best"]


@pytest.mark.usefixtures("tracking_store")
def test_runs_of_other_data_are_compared_by_their_ids(
    projects: Callable[[str], Project], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No parameters, table or card need lie here: title, unit and address are the runs' own."""
    nasty = "![x](http://example.org/a.png) $a$ <b>|</b> `c` [d](e)"
    ids = [
        logged(projects("one"), 1, params={}, card={"title": nasty, "columns.level.unit": "$m$"}),
        logged(projects("two"), 2, params={"window.horizon": 3}, card={"title": "Other"}),
    ]
    capsys.readouterr()
    client = store.connect()
    with chdir(tmp_path):
        compare.compare(ids, Path("page.html"), log=True)
    said, page = capsys.readouterr().out, (tmp_path / "page.html").read_text()
    body = page.partition("<body>")[2]
    assert f"<h2>{html.escape(nasty, quote=False)}</h2>" in body
    assert "RMSE ($m$) on validation" in said
    assert "RMSE (m) on validation" not in said
    assert re.findall('src="(?!data:)', body) == []
    assert "seasonal naive 6 " in said
    (kept,) = client.search_runs(
        [client.get_experiment_by_name("toy-comparisons").experiment_id]  # type: ignore[union-attr]
    )
    assert f"in MLflow as run {kept.info.run_id}" in said
    assert kept.data.tags["comparison.runs"] == ",".join(ids)


@pytest.mark.usefixtures("tracking_store")
def test_a_run_is_looked_up_and_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is asked for the runs whose id starts so, or with the name, and for no others."""
    client = store.connect()
    experiment = store.experiment_id(client, "looked up")
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
            logged_runs.find(wanted)
    assert sum(answers) == 3
    client.delete_run(ids[0])
    for wanted in (ids[0], "0" * 32, "it's", 'a "b"', "%"):
        with pytest.raises(PipelineError, match=r"expected the id of one run in .*, found none"):
            logged_runs.find(wanted)


def test_the_table_shows_what_differs_and_the_skill() -> None:
    """Skill is against the best of all baselines, and the experiments' names are shown."""
    named = dataclasses.replace(trial("b", 2), tags={"dvc.experiment": "second"})
    found, _ = comparison.rows([trial("a", 1), named])
    header, (line,) = comparison.table(found)
    shown = dict(zip(header, line, strict=True))
    assert shown["seeds"] == "1 2"
    assert shown["validation rmse"] == "70.00 ± 0"
    assert (shown["validation skill"], shown["test skill"]) == ("+2.8%", "+1.5%")
    assert shown["runs"] == "a0000000; second (b0000000)"
    legend = comparison.legend(found, "µg/m³")
    assert "Best first by RMSE (µg/m³) on validation" in legend
    assert "ridge 67.00, persistence 79.00, drift 82.00, seasonal naive 99.00" in legend


def test_runs_that_differ_in_the_card_alone_are_told_apart() -> None:
    """Neither is left out as the other's repeat, and what the cards differ in is said."""
    cards = {"one": {"season": 24, "columns.y.minimum": 0.0}, "two": {"season": 12}}
    pair = [trial("a", ingest__card="one"), trial("b", ingest__card="two")]
    found, repeats = comparison.rows(pair)
    assert (len(found), repeats) == (2, [])
    assert comparison.differing(found) == ["ingest.card"]
    assert comparison.by_card(found, cards) == [
        "Rows 1 and 2 differ only in the data set's card: season 24 / 12; "
        "columns.y.minimum 0.0 / default."
    ]
    assert comparison.by_card(found, {"one": cards["one"]}) == [
        "Rows 1 and 2 differ only in the data set's card: older runs did not log theirs."
    ]
    other = trial("c", ingest__card="two", window__look_back="9")
    assert comparison.by_card(comparison.rows([pair[0], other])[0], cards) == []


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"title": "T", "source": "S", "columns.level.description": "d"}, True),
        ({"split.train": 60, "inputs": ["level"], "sha256": "0" * 64}, True),
        ({"season": 3}, False),
        ({"columns.level.minimum": -1}, False),
        ({"columns.level.unit": "ft"}, False),
        ({"missing": ["x"]}, False),
        ({"spans": {"early": [0, 9]}}, False),
        ({"frequency": "2h"}, False),
    ],
)
def test_what_a_card_decides_is_a_parameter_of_the_run(change: dict, same: bool) -> None:
    """Another unit, bound, season or mark is another run; other prose is not."""
    params = toy_params({"window.inputs": ["level"], "window.split": CARD["split"]})
    one, other = (
        labels.hyperparameters(Experiment(params, parse(changed(CARD, card), Card, "toy.yaml")))
        for card in ({}, change)
    )
    assert (one == other) == same


def test_runs_scored_on_unequal_n_are_not_put_side_by_side() -> None:
    """Another count, horizon or table of data makes another group."""
    one = trial("a")
    fewer = dataclasses.replace(one, scores=one.scores | {"test/n": 99.0})
    other = dataclasses.replace(one, data="e" * 64)
    shorter = trial("b", window__horizon="12")
    assert [len(group) for group in comparison.by_basis([one, fewer, other, shorter, one])] == [
        2,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, []),
        ({"tags": {"git.dirty": "true", "scores.git.dirty": "false"}}, ["clean"]),
        ({"tags": {"git.dirty": "false", "scores.git.dirty": "true"}}, ["clean"]),
        ({"tags": {"git.dirty": "false"}}, ["clean"]),
        ({"tags": {}}, ["clean"]),
        ({"data": "e" * 64}, ["same data"]),
        ({"params": trial(window__split="{}").params}, ["same data"]),
        ({"scores": trial(validation=71.0).scores}, ["champion"]),
        ({"scores": trial(validation=71.5).scores}, ["champion"]),
        ({"scores": trial(validation=72.5).scores}, ["baselines", "champion"]),
        ({"scores": trial(test=79.5).scores}, []),
    ],
)
def test_every_rule_of_promotion_can_refuse(change: dict, broken: list[str]) -> None:
    """A better run is accepted; each rule that does not hold is the one that is named."""
    best = trial("best", validation=71.0)
    challenger = dataclasses.replace(trial("new", validation=70.0), **change)
    reasons = promote.judge(challenger, best, servable=True)
    assert [reason.rule for reason in reasons if not reason.holds] == broken


def test_a_run_is_promoted_by_validation_against_every_baseline() -> None:
    """Those of its own scores, whatever they are called; the test span is told of, not asked."""
    new = {"yearly/rmse": 50.0, "yearly/validation_rmse": 69.0}
    loses = dataclasses.replace(trial(validation=70.0), scores=trial().scores | new)
    (reason,) = (r for r in promote.judge(loses, None, servable=True) if not r.holds)
    assert reason.rule == "baselines"
    assert reason.found == (
        "validation RMSE 70, the best of yearly, ridge, persistence, drift, seasonal_naive is "
        "yearly with 69 (skill -1.4%); test RMSE 66, the best of yearly, ridge, persistence, "
        "drift, seasonal_naive is yearly with 50 (skill -32.0%)"
    )


@pytest.mark.parametrize(("error", "rival"), [(72.000001, None), (72.1, "ridge")])
def test_a_baseline_as_a_model_may_equal_itself(error: float, rival: str | None) -> None:
    """Its scores differ by the last digits; a worse ridge loses to the better one."""
    ridge = trial(validation=error, train__model__name="ridge")
    assert promote.rival(ridge) == rival
    assert promote.rival(trial(validation=error, train__model__name="lstm")) == "ridge"


def test_a_run_without_validation_scores_of_baselines_is_refused() -> None:
    """Older code logged none: nothing is taken for them."""
    older = {key: value for key, value in trial().scores.items() if "validation_" not in key}
    found = promote.judge(dataclasses.replace(trial(), scores=older), None, servable=True)
    (reason,) = (reason for reason in found if not reason.holds)
    assert "has no validation scores of its baselines" in reason.found
    assert reason.found.endswith("run its experiment again with this code")


@pytest.mark.parametrize(
    ("baseline", "params", "model"),
    [
        ("ridge", {}, "{name: ridge}'"),
        ("seasonal_naive_168", {}, "{name: seasonal_naive, season: 168}'"),
        ("seasonal_naive", {}, "{name: seasonal_naive, season: 6}'"),
        ("persistence", {"train__residual": "last"}, "{name: persistence}' -S train.residual=none"),
        ("linear", {"baselines": ["linear", "drift"]}, "{name: linear}'"),
        (
            "linear",
            {"baselines": ["drift", {"name": "linear", "members": [{"period": None}]}]},
            "{name: linear, members: [{period: null}]}'",
        ),
    ],
)
def test_the_better_baseline_has_its_command(baseline: str, params: dict, model: str) -> None:
    """Who is refused is told how to promote what was better."""
    card = labels.card_tree(toy_card())
    own = {key: value for key, value in params.items() if key != "baselines"}
    tags = {store.EVALUATE: json.dumps(params)}
    run = dataclasses.replace(trial(**own), tags=tags)
    now = toy_params({"window.horizon": 24})
    command = promote.as_model(baseline, run, card, now)
    beginning = "dvc exp run -S ingest.dataset=toy -S '~train.model' -S '+train.model="
    assert command == f"{beginning}{model}"
    other = promote.as_model(baseline, run, card, toy_params({"window.horizon": 3}))
    assert other == f"{command} -S window.horizon=24"


def test_the_champions_test_scores_are_told_and_not_asked() -> None:
    """A run that is worse on test alone takes the champion's place, and both scores stand there."""
    reason = promote.judge(trial(test=68.0), trial("best", validation=71.0), servable=True)[-1]
    assert reason.holds
    assert reason.found == "validation RMSE 70, the champion's 71; test RMSE 68, the champion's 66"


def test_the_champion_with_new_intervals_takes_its_own_place() -> None:
    """Evaluated again with other levels it is no better than itself, and that is not asked."""
    reasons = promote.judge(trial(), trial(), servable=True)
    assert all(reason.holds for reason in reasons)
    assert reasons[-1].found == (
        "it is the champion's own run, evaluated with other settings since"
    )


def test_the_first_champion_needs_no_one_to_beat() -> None:
    """Without a champion only the baselines, the tree and the model count."""
    assert all(reason.holds for reason in promote.judge(trial(), None, servable=True))
    refused = [r.rule for r in promote.judge(trial(), None, servable=False) if not r.holds]
    assert refused == ["servable"]

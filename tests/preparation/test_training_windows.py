"""How many training windows there are, and what the others were lost to."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import input_names
from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.preparation import features
from pipeline.preparation.imputation import gap_state
from pipeline.preparation.training_windows import Count, remarks, training_windows
from pipeline.tracking import labels
from tests.toys import Project, toy_card, toy_params, toy_table

CARD = toy_card(excluded=[])
CHANNELS = ["level", "flow", "wind=N", "wind=S"]
INPUTS = ["level", "flow", "wind", "hour", "difference:flow", "seasonal:level", "since:flow"]
PREPARING = ("ingest", "impute_scale", "window")


def state(level: list[bool], flow: list[bool], limit: int) -> np.ndarray:
    """The state of two columns with gaps and of a category without any."""
    columns = {"level": level, "flow": flow, "wind=N": [False] * len(level)}
    frame = pd.DataFrame(columns | {"wind=S": columns["wind=N"]})
    return gap_state(frame.astype(float).mask(frame), limit)


@given(
    gaps=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=30, max_size=40),
    inputs=st.lists(st.sampled_from(INPUTS), min_size=1, unique=True),
    known=st.sets(st.sampled_from(["flow", "month"])),
    limit=st.integers(1, 3),
    stride=st.integers(1, 3),
)
def test_each_input_costs_what_it_costs_alone(
    gaps: list[tuple[bool, bool]], inputs: list[str], known: set[str], limit: int, stride: int
) -> None:
    """Counted window by window: possible, kept, lost to an input, and there without it."""
    marks = state(*map(list, zip(*gaps, strict=True)), limit)
    window = {
        "look_back": 4,
        "horizon": 2,
        "stride": stride,
        "inputs": inputs,
        "targets": ["level"],
        "known_ahead": sorted(known),
    }
    experiment = Experiment(toy_params({f"window.{key}": window[key] for key in window}), CARD)
    rows = len(gaps)
    origins, count = training_windows(marks, CHANNELS, experiment, (0, rows))
    expanded = input_names.expand(inputs, CARD)
    context = input_names.context(expanded, [], CARD.season, 1, 2)
    every = range(context + 3, rows - 2, stride)
    seen = {
        name: features.made_of(
            marks == 2, CHANNELS, input_names.expand([name], CARD), CARD.season, 2
        )
        for name in inputs
    }
    lost = {name: {t for t in every if seen[name][t - 3 : t + 1].any()} for name in inputs}
    if "flow" in known:
        steps = {t for t in every if (marks[t + 1 : t + 3, 1] == 2).any()}
        lost["flow"] = lost.get("flow", set()) | steps
    blind = {t for t in every if (marks[t + 1 : t + 3, 0] != 0).all()}
    good = set(every) - blind - set().union(*lost.values())
    others = {name: set().union(*(lost[other] for other in lost if other != name)) for name in lost}
    assert set(np.asarray(origins).tolist()) == good
    assert (count.possible, count.kept, count.unobserved) == (len(every), len(good), len(blind))
    assert count.lost == {name: len(cost) for name, cost in lost.items() if cost}
    bridged = max(count.longest.values(), default=limit)
    marks = state(*map(list, zip(*gaps, strict=True)), bridged)
    at = training_windows(marks, CHANNELS, experiment, (0, rows))[1]
    assert at.lost == {}
    assert count.without == {
        name: len(set(every) - blind - others[name]) for name, cost in lost.items() if cost
    }


def test_a_sensor_that_stops_is_named(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Where most training windows are lost, the input is named, and how many there are without."""
    table = toy_table(missing=0)
    table.loc[20:, "flow"] = np.nan
    project.write(table).run(*PREPARING)
    said = [line for line in capsys.readouterr().err.splitlines() if "train.npy" in line]
    assert said == [
        "data/windows/train.npy: 16 training windows of 62 possible; gaps longer than "
        "impute_scale.imputation.limit cost flow 46",
        "data/windows/train.npy: warning: more than a third of the training windows are lost, most "
        "to flow: do without it (62 windows then), or fill longer gaps (-S "
        "impute_scale.imputation.limit=52, its longest), or correct the card's missing marks if "
        "values are read as missing",
    ]
    assert json.loads(project.read("data/windows/quality.json")) == {
        "possible": 62,
        "kept": 16,
        "unobserved": 0,
        "lost": {"flow": 46},
        "without": {"flow": 62},
        "longest": {"flow": 52},
    }


def test_what_is_known_ahead_and_ends_early_is_told(project: Project) -> None:
    """The last time that needs it and the last that has it are named; a gap before is filled."""
    table = toy_table(missing=0)
    table.loc[60:62, "flow"] = np.nan
    params = {"window.known_ahead": ["flow", "hour"]}
    project.write(table, params=params).run(*PREPARING)
    table.loc[117:, "flow"] = np.nan
    with pytest.raises(PipelineError) as caught:
        project.write(table, params=params).run(*PREPARING)
    assert str(caught.value) == (
        "known_ahead: flow: expected values up to the last forecast time 2014-01-05 23:00:00, "
        "found none in the 3 rows after 2014-01-05 20:00:00; end split.test there or leave it out "
        "of known_ahead"
    )


def test_a_whole_series_loses_none(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is missing, the number stands alone."""
    project.write(toy_table(missing=0)).run(*PREPARING)
    assert "data/windows/train.npy: 62 training windows of 62 possible\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "parts"),
    [
        (Count(possible=9, kept=6, unobserved=3, lost={}, without={}, longest={}), []),
        (
            Count(possible=9, kept=5, unobserved=4, lost={}, without={}, longest={}),
            ["most to targets never observed"],
        ),
        (
            Count(
                possible=9, kept=2, unobserved=3, lost={"a": 7}, without={"a": 6}, longest={"a": 4}
            ),
            ["most to a: fill longer gaps (-S impute_scale.imputation.limit=4, its longest)"],
        ),
    ],
)
def test_more_than_a_third_lost_is_a_warning(count: Count, parts: list[str]) -> None:
    """A target is an input that cannot be left out, and one that has no value cannot be filled."""
    first, *warnings = remarks(count, ["a"])
    assert first.startswith(f"{count.kept} training windows of 9 possible")
    assert len(warnings) == len(parts)
    for warning, part in zip(warnings, parts, strict=True):
        assert part in warning


def test_mlflow_is_told_what_each_input_costs() -> None:
    """The counts of metrics.json become metrics that stand in one group."""
    count = Count(
        possible=9,
        kept=2,
        unobserved=0,
        lost={"NO2(GT)": 7},
        without={"NO2(GT)": 9},
        longest={"NO2(GT)": 5},
    )
    spans = {f"{span}{part}": {} for span in ("test", "validation") for part in ("", "_by_horizon")}
    metrics = spans | {"baselines": {}, "skill": {}, "training_windows": count.model_dump()}
    assert labels.flat_scores(metrics) == {
        "windows/possible": 9,
        "windows/kept": 2,
        "windows/lost_NO2_GT_": 7,
    }

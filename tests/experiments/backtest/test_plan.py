"""Where folds and the spans of their fits are, against borders written by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.config.experiment import Experiment
from pipeline.data.panel import Borders, Timeline
from pipeline.errors import PipelineError
from pipeline.experiments.backtest.plan import Calendar, Settings
from pipeline.files.records import parse
from tests.toys import PANEL, toy_card, toy_params, toy_times

ROWS = np.arange(100)
SPLIT = {"train": 50, "validation": 60, "test": 96}


def calendar(
    lengths: dict[str, int] | None = None,
    starts: list[int] | None = None,
    card: dict[str, Any] | None = None,
    **settings: Any,
) -> Calendar:
    """A backtest of a toy, of one series of 100 rows or of several; starts in hours."""
    many = PANEL if lengths else {}
    base = Experiment(toy_params(), toy_card(**{**many, "split": SPLIT, **(card or {})}))
    borders = Borders.of(lengths or {"": 100})
    first = toy_times(200)[starts or [0]]
    wanted = parse(settings, Settings, "backtest")
    wanted.check(base)
    return Calendar(wanted, base, Timeline(borders, pd.DatetimeIndex(first), base.card.step))


def rows(found: Calendar, series: int = 0) -> list[dict[str, list[int]]]:
    """The first and last row of each span of each fit, in a series of which row 0 is the first."""
    first = found.borders.firsts[series]
    every = np.arange(1000)
    spans = [found.spans(folds) for folds in found.settings.fits]
    return [
        {name: _ends(every[slice(*(part[series] - first))]) for name, part in fit.items()}
        for fit in spans
    ]


def _ends(part: Any) -> list[int]:
    return [int(part[0]), int(part[-1])] if len(part) else []


def test_a_fit_has_the_spans_before_its_fold() -> None:
    """Folds end with the test span; validation is as long as in the split, train is the rest."""
    assert rows(calendar(folds=3, step=10)) == [
        {"train": [0, 55], "validation": [56, 65], "test": [66, 75]},
        {"train": [0, 65], "validation": [66, 75], "test": [76, 85]},
        {"train": [0, 75], "validation": [76, 85], "test": [86, 95]},
    ]


def test_a_gap_lies_between_what_is_seen_and_tested_and_train_may_roll() -> None:
    """The newest rows alone are learned from; a calibration span keeps its length as well."""
    card = {"split": {"train": 40, "validation": 50, "calibration": 55, "test": 96}}
    assert rows(calendar(folds=2, step=20, gap=3, window=12, card=card)) == [
        {"train": [26, 37], "validation": [38, 47], "calibration": [48, 52], "test": [56, 75]},
        {"train": [46, 57], "validation": [58, 67], "calibration": [68, 72], "test": [76, 95]},
    ]


def test_a_fit_serves_as_many_folds_as_it_is_asked_to() -> None:
    """The last one those that are left; `never` all of them."""
    found = calendar(folds=3, step=10, refit=2)
    assert found.settings.fits == [range(0, 2), range(2, 3)]
    assert [fit["test"] for fit in rows(found)] == [[66, 85], [86, 95]]
    never = calendar(folds=3, step=10, refit=None)
    assert rows(never) == [{"train": [0, 55], "validation": [56, 65], "test": [66, 95]}]


def test_a_fold_scores_what_lies_in_it_whoever_forecasts_it() -> None:
    """Its first origin is the row before it, and all steps of its last one are in it."""
    for refit in (1, 2, None):
        found = calendar(folds=3, step=10, refit=refit)
        assert found.origins(0).tolist() == [65, 66, 67, 68, 69, 70, 71, 72]
        assert found.origins(2).tolist() == [85, 86, 87, 88, 89, 90, 91, 92]


def test_fractions_are_of_each_series() -> None:
    """Series that begin and end at other times have folds as many rows before their own ends."""
    split = {"train": 0.5, "validation": 0.75, "test": 1.0}
    found = calendar({"a": 80, "b": 40}, [0, 90], {"split": split}, folds=2, step=6)
    assert rows(found)[1] == {"train": [0, 53], "validation": [54, 73], "test": [74, 79]}
    assert rows(found, 1)[0] == {"train": [0, 17], "validation": [18, 27], "test": [28, 33]}
    assert found.times(0) is None
    assert found.origins(1).tolist() == [73, 74, 75, 76, 80 + 33, 80 + 34, 80 + 35, 80 + 36]


def test_times_are_the_same_for_all_series() -> None:
    """One that ended before has no rows in later folds, one that begins later none before."""
    times = toy_times(120)
    ends = {"train": 39, "validation": 59, "test": 99}
    split = {name: f"{times[row]:%Y-%m-%d %H:%M:%S}" for name, row in ends.items()}
    lengths = {"early": 75, "late": 60, "whole": 120}
    found = calendar(lengths, [0, 50, 0], {"split": split}, folds=2, step=20)
    assert [fit["test"] for fit in rows(found, 2)] == [[60, 79], [80, 99]]
    assert [fit["test"] for fit in rows(found, 0)] == [[60, 74], []]
    assert [fit["test"] for fit in rows(found, 1)] == [[10, 29], [30, 49]]
    assert [fit["train"] for fit in rows(found, 1)] == [[], [0, 9]]
    assert found.times(0) == (times[60], times[79])
    assert found.times(1) == (times[80], times[99])
    assert found.tested(range(1, 2)) == [(1, "late"), (2, "whole")]


@given(
    st.integers(1, 8), st.integers(3, 12), st.sampled_from([1, 2, 3, None]), st.integers(0, 5),
    st.one_of(st.none(), st.integers(11, 30)), st.booleans(),
)  # fmt: skip
def test_no_fit_sees_a_row_of_its_folds(
    folds: int, step: int, refit: int | None, gap: int, window: int | None, calibrated: bool
) -> None:
    """Nor of the gap before them; folds follow one another, and each is tested once."""
    assume(gap < step and folds * step <= 50)
    card = {"split": {**SPLIT, **({"calibration": 63} if calibrated else {})}}
    found = calendar(folds=folds, step=step, refit=refit, gap=gap, window=window, card=card)
    tested: list[int] = []
    for fit in rows(found):
        tested += range(fit["test"][0], fit["test"][1] + 1)
        names = [name for name in fit if name != "test"]
        end = fit["test"][0] - gap
        for name in reversed(names):
            assert not fit[name] or fit[name][1] == end - 1
            end = fit[name][0] if fit[name] else end
        assert window is None or len(range(*fit["train"] or [0, 0])) < window
    assert tested == [*range(96 - folds * step, 96)]
    every = np.concatenate([found.origins(fold) for fold in range(folds)])
    assert len(set(every.tolist())) == len(every) == folds * (step - 2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"folds": 0, "step": 5}, "backtest: folds: expected greater than or equal to 1, found 0"),
        ({"folds": 2, "step": 0}, "backtest: step: expected greater than or equal to 1, found 0"),
        ({"folds": 2, "step": 2}, "backtest: step: expected at least window.horizon (3 rows)"),
        ({"folds": 2, "step": 5, "refit": 0}, "backtest: refit: expected greater than or equal"),
        ({"folds": 2, "step": 5, "window": 0}, "backtest: window: expected greater than or equal"),
        ({"folds": 2, "step": 5, "gap": -1}, "backtest: gap: expected greater than or equal to 0"),
        ({"folds": 2, "step": 5, "gap": 5}, "gap: expected less than step (5 rows), or it swallow"),
        ({"folds": 2, "step": 5, "origins": ["24:00"]}, "a time of day such as 08:00, found 24:00"),
        ({"folds": 2, "step": 5, "origins": ["05:30"]}, "(00:00 to 23:00 every 1h), found 05:30"),
        ({"folds": 2, "step": 5, "local": True}, "local: expected a table with many series"),
        ({"folds": 9, "step": 10}, "found 9, which leave 0; at most 7 fit"),
        ({"folds": 2, "step": 80}, "which leave 0; none fits"),
        (
            {"folds": 2, "step": 5, "window": 9},
            "window: expected at least 11 rows (window.look_back + window.horizon), found 9",
        ),
        (
            {"folds": 1, "step": 40, "origins": ["08:00"]},
            "origins: expected times of day at which the validation span of fit 1 has rows to "
            "forecast from (21:00 to 04:00), found 08:00",
        ),
        (
            {"folds": 1, "step": 40, "origins": ["23:00"]},
            "origins: the validation span of fit 1, at 23:00: expected at least 19 observed values",
        ),
        ({"folds": 2, "stp": 5}, "backtest: stp: unknown key; did you mean step?"),
    ],
)
def test_settings_that_cannot_be_end_in_one_line(settings: dict[str, Any], said: str) -> None:
    """Which says what was expected and what was found."""
    with pytest.raises(PipelineError) as caught:
        found = calendar(**settings)
        found.check_origins(found.settings.origins)
        found.check()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_as_many_folds_as_fit_are_accepted() -> None:
    """The number that the refusal names can be run."""
    calendar(folds=7, step=10).check()

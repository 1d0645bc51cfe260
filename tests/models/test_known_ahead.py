"""What is known ahead: its shapes, cut from one table, and that every model uses it."""

import numpy as np
import pandas as pd
import pytest

from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.models.spec import Spec
from pipeline.models.task import Seen
from pipeline.preparation.features import Gaps
from pipeline.preparation.scaling import Scale, Scaler
from tests.toys import toy_card, toy_params, toy_times

CARD = toy_card(columns={"a": {}, "b": {}}, inputs=["a"], targets=["a"], excluded=[])


def spec(*known: str) -> Spec:
    """A model that sees three rows of `a`, and two steps of what is known ahead."""
    size = {"window.look_back": 3, "window.horizon": 2, "window.known_ahead": [*known]}
    return Spec.of(Experiment(toy_params(size), CARD))


def seen(made: Spec) -> Seen:
    """A table of eight hours as models see it: a is 10, 20, 30, ..., and b 1 more."""
    a = 10.0 * np.arange(1, 9)
    frame = pd.DataFrame({"a": a, "b": a + 1}, index=toy_times(8))
    scaler = Scaler(columns={"a": Scale(), "b": Scale()})
    gaps = Gaps(np.zeros(frame.shape, np.uint8), 1)
    return Seen.of(made, CARD, scaler, frame, frame.to_numpy(np.float32), ["a", "b"], gaps)


def test_windows_and_the_steps_that_follow_them() -> None:
    """From two origins, windows [B, L, F] end at the origin, and steps [B, H, G] begin after it."""
    made = spec("b")
    windows, steps = seen(made).inputs(made, np.array([2, 4]))
    assert windows.tolist() == [[[10], [20], [30]], [[30], [40], [50]]]
    assert steps.tolist() == [[[41], [51]], [[61], [71]]]


def test_a_step_has_its_own_hour() -> None:
    """Columns and calendar terms stand beside each other; six hours are a quarter of a day."""
    made = spec("hour", "b")
    assert made.known_features == ("hour_sin", "hour_cos", "b")
    steps = seen(made).steps(made, np.array([5]))
    angle = np.pi / 2 + np.array([0, np.pi / 12])
    expected = np.stack([np.sin(angle), np.cos(angle), [71, 81]], axis=1)
    np.testing.assert_allclose(steps, [expected], atol=1e-6)


def test_without_anything_known_ahead_there_are_windows_alone() -> None:
    """What a network takes is then no list, and model.json is that of before."""
    made = spec()
    assert seen(made).inputs(made, np.array([2])).shape == (1, 3, 1)
    assert {"known_ahead", "known_features"}.isdisjoint(made.model_dump(mode="json"))
    assert spec("b").model_dump(mode="json")["known_ahead"] == ["b"]
    assert Spec.model_validate_json(spec("b").model_dump_json()) == spec("b")


def test_steps_after_the_last_row_are_lacking() -> None:
    """The time up to which there are to be rows is told, and the one that was found."""
    made = spec("b")
    told = r"expected rows up to 2014-01-01 08:00:00 .* \(b\), found 2014-01-01 07:00:00"
    with pytest.raises(PipelineError, match=told):
        seen(made).steps(made, np.array([5, 6]))

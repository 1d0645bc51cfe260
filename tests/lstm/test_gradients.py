"""Back-propagation through time beside central differences, and steps that use its gradients."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.lstm import stack
from pipeline.lstm.cell import LSTM, Gradients
from pipeline.lstm.gradient_check import Problem, gradient_check, random_problem
from pipeline.lstm.optimizers import Blocks, adam, adam_start, sgd
from pipeline.lstm.stack import Dense

LIMIT = 1e-6
SIZES = {
    "seed": st.integers(0, 2**32 - 1),
    "batch": st.integers(1, 3),
    "steps": st.integers(1, 5),
    "features": st.integers(1, 3),
    "units": st.lists(st.integers(1, 3), min_size=1, max_size=2),
    "masked": st.booleans(),
}


def wrong_arrays(problem, backward=stack.backward) -> list[str]:
    """Names of the arrays whose gradient differs from central differences."""
    return [r.name for r in gradient_check(problem, backward=backward) if not r.error < LIMIT]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(**SIZES)
def test_gradients_equal_central_differences_with_tanh(**sizes):
    """Every array's gradient is right, for any shape, subset of outputs and mask."""
    assert wrong_arrays(random_problem(activation="tanh", **sizes)) == []


def kink_distance(problem: Problem) -> float:
    """How near the network comes to relu's kink, where central differences mean nothing."""
    nearest = np.inf
    for p, trace in zip(problem.layers, problem.forward(), strict=True):
        h_prev, _ = trace.previous()
        z = trace.x @ p.W_C + h_prev @ p.U_C + p.b_C
        nearest = min(nearest, np.abs(z).min(), np.abs(trace.C).min())
    return float(nearest)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(**SIZES)
def test_gradients_equal_central_differences_with_relu(**sizes):
    """Every array's gradient is right with relu, wherever the network keeps off its kink."""
    problem = random_problem(activation="relu", **sizes)
    assume(kink_distance(problem) > 1e-3)
    assert wrong_arrays(problem) == []


def test_the_check_covers_every_array():
    """Twelve weights and two initial states a layer, and the input, are each checked alone."""
    rows = gradient_check(random_problem(0, units=(2, 3)))
    expected = [f"layer {n} {name}" for n in (1, 2) for name in (*LSTM._fields, "h0", "C0")]
    assert [row.name for row in rows] == ["x", *expected]
    assert all(row.norm > 0 for row in rows)


def input_weights_from_last_step(layers, traces, *rest) -> list[Gradients]:
    """The fault: x_T alone multiplies into the gradients of the input matrices."""
    right = stack.backward(layers, traces, *rest)
    cut = []
    for trace in traces:
        x = np.zeros_like(trace.x)
        x[:, -1] = trace.x[:, -1]
        cut.append(trace._replace(x=x))
    faulty = stack.backward(layers, cut, *rest)
    return [
        g._replace(weights=LSTM(*bad.weights[:4], *g.weights[4:]))
        for g, bad in zip(right, faulty, strict=True)
    ]


def input_bias_from_forget_gate(*args) -> list[Gradients]:
    """The fault: the input gate's bias gets the forget gate's gradient."""
    return [
        g._replace(weights=g.weights._replace(b_i=g.weights.b_f)) for g in stack.backward(*args)
    ]


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        (input_weights_from_last_step, ["W_i", "W_f", "W_C", "W_o"]),
        (input_bias_from_forget_gate, ["b_i"]),
    ],
)
def test_a_faulty_gradient_fails_the_check(fault, names):
    """A tutorial's fault, put in on purpose, is found in just the arrays it touches."""
    expected = [f"layer {n} {name}" for n in (1, 2) for name in names]
    assert wrong_arrays(random_problem(1), fault) == expected


def network_and_gradients() -> tuple[Blocks, Blocks]:
    """Random weights of two layers and a head, and gradients that are nowhere zero."""
    rng = np.random.default_rng(3)
    sizes = [(2, 3), (3, 4)]
    weights = (*(stack.initial_lstm(rng, *s) for s in sizes), stack.initial_dense(rng, 4, 1))
    gradients = tuple(
        type(block)(*(rng.uniform(0.5, 1.5, a.shape) for a in block)) for block in weights
    )
    return weights, gradients


def not_stepped(update: Callable[[Blocks, Blocks, float], Blocks]) -> list[str]:
    """Arrays that one update leaves anywhere but at w - rate * gradient."""
    weights, gradients = network_and_gradients()
    return [
        f"block {n + 1} {name}"
        for n, (before, g, after) in enumerate(
            zip(weights, gradients, update(weights, gradients, 0.1), strict=True)
        )
        for name, a, da, b in zip(before._fields, before, g, after, strict=True)
        if not np.allclose(b, a - 0.1 * da, rtol=1e-12, atol=0)
    ]


def test_sgd_moves_every_array_down_its_own_gradient():
    """One step of gradient descent is w - rate * gradient, array by array."""
    assert not_stepped(sgd) == []


class Loose:
    """Weights as attributes that may be made up at will, as in the tutorial's class."""


def update_of_attributes_that_do_not_exist(weights, gradients, rate) -> Blocks:
    """The fault: the forget gate's update is stored under a name that nothing reads."""
    result = []
    for block, gradient in zip(weights, gradients, strict=True):
        loose = Loose()
        for name, a, g in zip(block._fields, block, gradient, strict=True):
            setattr(loose, name, a)
            stored = name.replace("_f", "f")
            setattr(loose, stored, a - rate * g)
        result.append(type(block)(*(getattr(loose, name) for name in block._fields)))
    return tuple(result)


def test_an_update_of_attributes_that_do_not_exist_fails_the_check():
    """A step stored under another name leaves its arrays where they were, and is found."""
    expected = [f"block {n} {name}" for n in (1, 2) for name in ("W_f", "U_f", "b_f")]
    assert not_stepped(update_of_attributes_that_do_not_exist) == expected


def test_reading_an_attribute_that_does_not_exist_is_an_error():
    """Weights and gradients have twelve names a layer and take no thirteenth."""
    (layer, *_), _ = network_and_gradients()
    with pytest.raises(AttributeError):
        _ = layer.Wf
    with pytest.raises(AttributeError):
        layer.Wf = layer.W_f
    with pytest.raises((ValueError, TypeError), match="unexpected field"):  # by Python's version
        layer._replace(Wf=layer.W_f)


def test_gradients_of_another_form_are_refused():
    """A missing block or a shape that NumPy would stretch raises, naming the array."""
    weights, gradients = network_and_gradients()
    with pytest.raises(ValueError, match="expected blocks"):
        sgd(weights, gradients[1:], 0.1)
    stretched = (*gradients[:2], Dense(gradients[2].W, np.ones(())))
    with pytest.raises(ValueError, match=r"block 3, b: expected shape \[1\], found \[\]"):
        sgd(weights, stretched, 0.1)


def test_adam_starts_with_a_full_step_and_keeps_its_arguments():
    """The first Adam step is `rate` against each gradient's sign; weights in are not changed."""
    weights, gradients = network_and_gradients()
    copies = [a.copy() for block in weights for a in block]
    stepped, state = adam(weights, gradients, adam_start(weights), rate=0.1)
    for block, moved, g in zip(weights, stepped, gradients, strict=True):
        for a, b, da in zip(block, moved, g, strict=True):
            np.testing.assert_allclose(b, a - 0.1 * np.sign(da), rtol=1e-6)
    assert state.steps == 1
    for a, copy in zip((a for block in weights for a in block), copies, strict=True):
        np.testing.assert_array_equal(a, copy)

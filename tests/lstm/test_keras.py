"""The same numbers as Keras, forward and backward."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.lstm import stack
from pipeline.lstm.cell import LSTM, from_keras
from pipeline.lstm.gradient_check import Problem, random_problem, relative_error
from pipeline.lstm.optimizers import adam, adam_start
from pipeline.lstm.stack import Dense
from tests.toys import to_keras

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


def in_dtype(problem: Problem, dtype: str) -> Problem:
    """The problem with all its arrays rounded to `dtype`; masked outputs are left out of the loss.

    Keras repeats an output over masked steps, or gives zeros if it had none yet, so that only the
    others can be compared.
    """
    return problem._replace(
        layers=tuple(LSTM(*(a.astype(dtype) for a in p)) for p in problem.layers),
        x=problem.x.astype(dtype),
        states=tuple((h.astype(dtype), C.astype(dtype)) for h, C in problem.states),
        dH=(problem.dH * problem.mask[..., None]).astype(dtype),
        dC_T=tuple(d.astype(dtype) for d in problem.dC_T),
    )


def keras_pass(problem: Problem) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Outputs and gradients as Keras and TensorFlow's tape have them, under our names."""
    dtype = problem.x.dtype.name
    x = tf.constant(problem.x)
    states = [(tf.constant(h), tf.constant(C)) for h, C in problem.states]
    layers = []
    for p in problem.layers:
        units = p.b_i.size
        layer = keras.layers.LSTM(
            units,
            activation=problem.activation,
            return_sequences=True,
            return_state=True,
            dtype=dtype,
        )
        layer.build((None, None, p.W_i.shape[0]))
        layer.set_weights(to_keras(p))
        layers.append(layer)
    with tf.GradientTape() as tape:
        tape.watch([x, states])
        out, loss, outputs = x, tf.constant(0, dtype), {}
        for n, layer in enumerate(layers):
            out, _, C_T = layer(out, initial_state=list(states[n]), mask=problem.mask)
            loss += tf.reduce_sum(problem.dC_T[n] * C_T)
            outputs[f"layer {n + 1} C_T"] = C_T.numpy()
        loss += tf.reduce_sum(problem.dH * out)
    outputs["h"] = out.numpy()
    variables = [[v.value for v in layer.trainable_variables] for layer in layers]
    dx, dstates, dweights = tape.gradient(loss, [x, states, variables])
    gradients = {"x": dx.numpy()}
    for n, ((dh0, dC0), d) in enumerate(zip(dstates, dweights, strict=True), start=1):
        gradients |= {f"layer {n} h0": dh0.numpy(), f"layer {n} C0": dC0.numpy()}
        named = from_keras(*(g.numpy() for g in d))._asdict()
        gradients |= {f"layer {n} {name}": g for name, g in named.items()}
    return outputs, gradients


def own_pass(problem: Problem) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Outputs and gradients as the NumPy network has them."""
    traces = stack.forward(
        problem.layers, problem.x, problem.activation, problem.states, problem.mask
    )
    outputs = {f"layer {n} C_T": trace.C[:, -1] for n, trace in enumerate(traces, start=1)}
    outputs["h"] = traces[-1].h
    found = stack.backward(problem.layers, traces, problem.dH, problem.dC_T, problem.activation)
    gradients = {"x": found[0].x}
    for n, d in enumerate(found, start=1):
        gradients |= {f"layer {n} h0": d.h0, f"layer {n} C0": d.C0}
        gradients |= {f"layer {n} {name}": g for name, g in d.weights._asdict().items()}
    return outputs, gradients


@pytest.mark.parametrize("masked", [False, True], ids=["all steps", "masked"])
@pytest.mark.parametrize("units", [(5,), (5, 4)], ids=["one layer", "stacked"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_and_gradients_equal_those_of_keras(dtype, activation, units, masked):
    """Outputs, last cell states and every gradient agree, for a loss on some of the steps."""
    problem = in_dtype(
        random_problem(4, 3, 7, 2, units, activation=activation, masked=masked), dtype
    )
    assert problem.dH.any()
    assert (~problem.dH.any(axis=(0, 2))).any()
    (outputs, gradients), (k_outputs, k_gradients) = own_pass(problem), keras_pass(problem)
    for either in (outputs, k_outputs):
        either["h"] = either["h"][problem.mask]
    assert gradients.keys() == k_gradients.keys()
    for name, expected in (k_outputs | k_gradients).items():
        found = (outputs | gradients)[name]
        assert found.dtype == dtype, name
        assert relative_error(found, expected) < TOLERANCE[dtype], name
    for name, expected in k_outputs.items():
        np.testing.assert_allclose(outputs[name], expected, rtol=0, atol=TOLERANCE[dtype])


def test_kernels_survive_the_way_to_keras_and_back():
    """Cutting Keras' joined arrays into gates, and joining them again, changes nothing."""
    layer = random_problem(5).layers[0]
    for a, b in zip(layer, from_keras(*to_keras(layer)), strict=True):
        np.testing.assert_array_equal(a, b)
    kernel = np.arange(8.0)[None]  # one input, two units: i, f, C, o
    cut = from_keras(kernel, np.zeros((2, 8)), np.zeros(8))
    assert [W.tolist() for W in cut[:4]] == [[[0, 1]], [[2, 3]], [[4, 5]], [[6, 7]]]


def test_adam_takes_the_steps_that_keras_takes():
    """Five Adam steps over changing gradients end where Keras' optimizer ends."""
    rng = np.random.default_rng(6)
    block = Dense(rng.normal(size=(3, 2)), rng.normal(size=2))
    variables = [keras.Variable(a, dtype="float64") for a in block]
    # Keras rounds these to float32, which these binary fractions survive.
    rate, beta1, beta2, epsilon = 2.0**-6, 0.875, 0.9375, 2.0**-60
    optimizer = keras.optimizers.Adam(rate, beta1, beta2, epsilon)
    weights, state = (block,), adam_start((block,))
    for _ in range(5):
        gradient = Dense(rng.normal(size=(3, 2)), rng.normal(size=2))
        optimizer.apply([tf.constant(g) for g in gradient], variables)
        weights, state = adam(weights, (gradient,), state, rate, beta1, beta2, epsilon)
    for found, expected in zip(weights[0], variables, strict=True):
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-12)

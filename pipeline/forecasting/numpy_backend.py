"""The network without TensorFlow: stacks of recurrent layers from the weights that Keras saved."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import PipelineError
from pipeline.lstm.cell import LSTM
from pipeline.lstm.joined import join, last_state
from pipeline.lstm.weights import read_keras_weights
from pipeline.models import quantiles
from pipeline.models.baselines import threads
from pipeline.models.network import Steps
from pipeline.models.spec import BESIDE, KNOWN, Spec
from pipeline.preparation.scaling import Scaler

Windows = npt.NDArray[np.float32]
BATCH = 32  # windows at a time: a request has few, and NumPy, unlike TensorFlow, no cost of a call


def load(spec: Spec, scaler: Scaler, weights: Path) -> tuple[Steps, ...]:
    """Each member of an ensemble, or the network alone.

    Raises:
        PipelineError: the model is not one that NumPy can run.
        ValueError: the weights are not those of the model, or have other shapes.
    """
    each = zip(spec.networks, spec.groups, strict=True)
    return tuple(_network(one, scaler, weights, group) for one, group in each)


def _network(spec: Spec, scaler: Scaler, weights: Path, group: str) -> Steps:
    stack = spec.plain_stack
    if stack is None:
        raise PipelineError(
            "backend numpy: expected a model of rnn or lstm without normalisation, found "
            f"{spec.model.name}, normalisation {spec.normalisation}; use backend tensorflow"
        )
    layers, head, others = read_keras_weights(weights, BESIDE, group)
    kind = "lstm" if isinstance(layers[0], LSTM) else "rnn"
    found: list[Any] = [kind, len(layers[0][0]), [layer[-1].size for layer in layers], head.b.size]
    outputs = prod(spec.outputs)
    expected: list[Any] = [stack.name, len(spec.features), list(stack.units), outputs]
    if spec.residual == "damped":
        found.append([list(array.shape) for array in others.get("damping", [])])
        expected.append([[spec.horizon, 1]])
    if spec.residual == "linear":
        found.append([list(array.shape) for array in others.get("linear", [])])
        expected.append([[spec.look_back, spec.horizon]])
    if spec.known_features:
        found.append([[list(array.shape) for array in others.get(name, [])] for name in KNOWN])
        width, each = stack.units[-1], outputs // spec.horizon
        joined = [each + len(spec.known_features), width]
        expected.append([[joined, [width]], [[width, width]], [[width, each], [each]]])
    if found != expected:
        raise ValueError(
            f"weights of {found} (model, inputs, units, outputs, residual, known ahead) where "
            f"model.json has {expected}"
        )

    rows = [join(layer) for layer in layers]

    def network(inputs: Any) -> Windows:
        windows, known = inputs if spec.known_features else (inputs, None)
        # Products so small are computed sooner by one thread than by two that have to meet at each
        # step: where other requests keep the cores busy, those wait for one another for most of it.
        with threads().limit(limits=1):
            return forward(windows, known)

    def forward(windows: Windows, known: Windows | None) -> Windows:
        state = last_state(rows, windows, stack.activation)
        steps: Any = (state @ head.W + head.b).reshape(len(windows), spec.horizon, -1)
        if known is not None:
            (kernel, bias), (shared,), (last, offset) = (others[name] for name in KNOWN)
            own = np.concatenate([steps, known], axis=2) @ kernel + bias
            joined = np.maximum(own + (state @ shared)[:, None], 0)
            steps = steps + joined @ last + offset
        steps = steps.reshape(len(windows), *spec.outputs)
        if spec.quantiles is None:
            return corrected(steps, windows)
        median, distances = quantiles.split(steps, spec.quantiles)
        made = quantiles.around(corrected(median, windows), distances, spec.quantiles)
        return quantiles.straight(made, scaler, spec.targets)

    def corrected(steps: Windows, windows: Windows) -> Windows:
        if spec.residual == "none":
            return steps
        rows = {"linear": spec.look_back, "seasonal": spec.season}.get(spec.residual) or 1
        own = windows[:, -rows:, spec.positions]
        past = own if spec.quantiles else scaler.restandardise(own, spec.targets)
        if spec.residual == "seasonal":
            return steps + spec.newest_season(past, np)
        last = past[:, -1:]
        if spec.residual == "damped":
            last = last * others["damping"][0]
        elif spec.residual == "linear":
            last = last + np.einsum("blk,lh->bhk", past - last, others["linear"][0])
        return steps + last

    return network

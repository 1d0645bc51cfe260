"""A model from its files, and what runs its network: TensorFlow or NumPy."""

from pathlib import Path
from typing import Literal

from pipeline.config.params import Baseline
from pipeline.models import mix
from pipeline.models.baselines import FittedBaseline
from pipeline.models.network import Network, mean
from pipeline.models.spec import Spec
from pipeline.models.task import Model
from pipeline.preparation.scaling import Scaler

Backend = Literal["tensorflow", "numpy"]


def load(spec: Spec, scaler: Scaler, weights: Path, backend: Backend) -> Model:
    """The model of model.json; OSError, ValueError or KeyError if the weights are not its own."""
    if isinstance(spec.model, Baseline):
        return FittedBaseline(spec, scaler).load_weights(weights)
    network = _network(spec, scaler, weights, backend)
    return mix.load(network, weights) if spec.mix else network


def _network(spec: Spec, scaler: Scaler, weights: Path, backend: Backend) -> Network:
    if backend == "numpy":
        from pipeline.forecasting import numpy_backend

        members = numpy_backend.load(spec, scaler, weights)
        return Network(spec, scaler, mean(members), members, numpy_backend.BATCH)
    from pipeline.models.registry import build, members_of

    network = build(spec, scaler)
    network.load_weights(weights)
    each = tuple(one.predict_on_batch for one in members_of(network, spec))
    return Network(spec, scaler, network.predict_on_batch, each)

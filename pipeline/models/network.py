"""A fitted network, or an ensemble of them, as a model: what it forecasts in the targets' units."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pipeline.data.windows import Rows
from pipeline.models.spec import Spec
from pipeline.models.task import BATCH, Floats, Seen
from pipeline.preparation.scaling import Scaler

# From what `Seen.inputs` gives to standardised forecasts, [B, H, K] or [B, H, K, Q].
Steps: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True)
class Network:
    """A network as a model, by what runs it."""

    spec: Spec
    scaler: Scaler
    steps: Steps
    members: tuple[Steps, ...] = ()  # of an ensemble, whose mean `steps` is
    batch: int = BATCH  # windows at a time

    def forecast(self, seen: Seen, origins: Rows) -> Floats:
        """Forecasts in the targets' units, origins [B] -> [B, H, K] or [B, H, K, Q]."""
        made = np.swapaxes(self.steps(seen.inputs(self.spec, origins)), 2, -1)
        return np.swapaxes(self.scaler.units(made, self.spec.targets), 2, -1)

    @property
    def alone(self) -> list["Network"]:
        """Each member of an ensemble by itself; a network that is none is its only member."""
        each = zip(self.spec.networks, self.members or (self.steps,), strict=True)
        return [Network(spec, self.scaler, steps, batch=self.batch) for spec, steps in each]


def mean(members: Sequence[Steps]) -> Steps:
    """The mean of what the members of an ensemble give; of one, what it gives."""
    if len(members) == 1:
        return members[0]
    return lambda inputs: sum(one(inputs) for one in members) / np.float32(len(members))

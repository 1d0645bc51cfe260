"""What models are fitted on and forecast from, and the one way that their forecasts are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.cards import Card
from pipeline.data.windows import Rows, Runs, seen
from pipeline.errors import PipelineError
from pipeline.models.spec import Spec
from pipeline.preparation.features import Gaps, build
from pipeline.preparation.scaling import Scaler

Floats = npt.NDArray[np.float64]
# Origins in every call of a model, the last call padded: matrix products of another size sum in
# another order, so the last digits of a forecast would depend on how many are made at once.
BATCH = 256


@dataclass(frozen=True)
class Seen:
    """A regular series as models see it: the features of a window, the targets as they are."""

    times: pd.DatetimeIndex  # [rows] by the clock of the card's time zone
    features: npt.NDArray[np.float32]  # [rows, F] scaled, gaps filled
    targets: Floats  # [rows, K] in their units, NaN where not observed

    @classmethod
    def of(
        cls,
        spec: Spec,
        card: Card,
        scaler: Scaler,
        series: pd.DataFrame,
        values: npt.NDArray[np.float32],
        channels: Sequence[str],
        gaps: Gaps,
    ) -> "Seen":
        """Of a regular series in its units; targets that it lacks as a column are missing.

        `values` [rows, channels] are the same imputed and scaled, `gaps` says what was imputed.
        """
        times, names = pd.DatetimeIndex(series.index), list(spec.targets)
        made = spec.features, times, card, spec.horizon, scaler.changes, gaps
        targets = series.reindex(columns=names).to_numpy(np.float64)
        local = times if times.tz is None else times.tz_convert(card.time.timezone)
        return cls(local, build(values, channels, *made), targets)

    @cached_property
    def last(self) -> Rows:
        """[rows, K] where each target was last observed, up to and including the row; or 0."""
        rows = np.arange(len(self.targets))[:, None]
        return np.maximum.accumulate(np.where(np.isnan(self.targets), 0, rows))

    @cached_property
    def known(self) -> Floats:
        """[rows, K] the last observed targets in their units; NaN before the first."""
        return np.take_along_axis(self.targets, self.last, axis=0)

    def windows(self, spec: Spec, origins: Rows) -> npt.NDArray[np.float32]:
        """What is seen from origins [B]: [B, L, F].

        Raises:
            PipelineError: names a feature that is missing in some window.
        """
        windows = seen(self.features, origins, spec.look_back)
        bad = ~np.isfinite(windows).all(axis=(0, 1))
        if bad.any():
            raise PipelineError(
                f"input: feature {spec.features[int(bad.argmax())]}: expected a "
                "finite number in every row of a window, of a size seen in the training span, "
                "found NaN or infinity; `prepare` fills gaps"
            )
        return windows


@dataclass(frozen=True)
class Task:
    """What a model is fitted on."""

    spec: Spec
    scaler: Scaler
    seen: Seen
    train: Rows | Runs  # origins
    validation: Rows | Runs

    @cached_property
    def wanted(self) -> Floats:
        """[rows, K] the targets standardised, NaN where not observed."""
        standard: Floats = self.scaler.standardise(self.seen.targets, self.spec.targets)
        return standard


class Model(Protocol):
    """A fitted network or baseline."""

    def forecast(self, seen: Seen, origins: Rows) -> Floats:
        """Forecasts in the targets' units, origins [B] -> [B, H, K]; or quantiles, [B, H, K, Q]."""


def forecasts(model: Model, seen: Seen, origins: Rows) -> Floats:
    """A model's forecasts from any number of origins, [N] -> [N, ...], BATCH at a time."""
    padded = np.concatenate([origins, np.full(-len(origins) % BATCH, origins[-1])])
    made = [model.forecast(seen, rows) for rows in padded.reshape(-1, BATCH)]
    return np.concatenate(made)[: len(origins)]

"""What models are fitted on and forecast from, and the one way that their forecasts are made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.cards import Card
from pipeline.config.steps import Fixed, Step
from pipeline.data.panel import Borders
from pipeline.data.windows import Rows, Runs, ahead, seen
from pipeline.errors import PipelineError
from pipeline.files import on_disk
from pipeline.models.spec import Spec
from pipeline.preparation.features import Gaps, build, by_clock
from pipeline.preparation.scaling import Scaler

Floats = npt.NDArray[np.float64]
# Origins in every call of a model, the last call padded: matrix products of another size sum in
# another order, so the last digits of a forecast would depend on how many are made at once.
BATCH = 256


def nothing() -> npt.NDArray[np.float32]:
    """What is known ahead where nothing is."""
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Seen:
    """Regular series as models see them: features of windows and steps, targets as they are."""

    times: pd.DatetimeIndex  # [rows] by the clock of the card's time zone
    features: npt.NDArray[np.float32]  # [rows, F] scaled, gaps filled
    targets: Floats  # [rows, K] in their units or the series' own, NaN where not observed
    # [rows, G] scaled, gaps filled: what is known ahead of each row
    ahead: npt.NDArray[np.float32] = field(default_factory=nothing)
    borders: Borders | None = None  # of several series below each other; one if None
    own: tuple[Floats, Floats] | None = None  # [S, K] centres and sizes of the targets' own units
    every: Step | None = None  # from a row to the next; if None, from the first two

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
        borders: Borders | None = None,
    ) -> "Seen":
        """Of regular series in their units; targets that they lack as a column are missing.

        `values` [rows, channels] are the same imputed and scaled, `gaps` says what was imputed.
        """
        times, names = pd.DatetimeIndex(series.index), list(spec.targets)
        with_past = times, card, spec.horizon, scaler.changes, gaps, borders, spec.holidays
        features = build(values, channels, spec.features, *with_past)
        known = spec.known_features
        steps = build(values, channels, known, *with_past, ahead=True) if known else nothing()
        lacking = np.full(len(times), np.nan)
        one, *more = (np.asarray(series.get(name, lacking), np.float64) for name in names)
        targets = np.stack([one, *more]).T if more else one[:, None]  # of one, no copy
        own = None
        if scaler.own and borders:
            own = scaler.own.table(borders.names, names)
            centers, sizes = (np.repeat(part, borders.lengths, axis=0) for part in own)
            targets = (targets - centers) / sizes
        return cls(by_clock(times, card), features, targets, steps, borders, own, card.step)

    @cached_property
    def each(self) -> Borders:
        """Where each series begins and ends."""
        return self.borders or Borders.of({"": len(self.targets)})

    @cached_property
    def last(self) -> Rows:
        """[rows, K] where each target was last observed, up to and including the row.

        The first row of the series, if it was not observed up to there.
        """
        found = on_disk.zeros(self.targets.shape, np.int64)
        for _, own in self.each.parts():
            last = np.full((1, self.targets.shape[1]), own.start)
            for block in on_disk.blocks(own.stop - own.start):
                part = slice(own.start + block.start, own.start + block.stop)
                rows = np.arange(part.start, part.stop)[:, None]
                seen = np.where(np.isnan(self.targets[part]), own.start, rows)
                found[part] = np.maximum.accumulate(np.vstack([last, seen]))[1:]
                last = found[part][-1:] if len(rows) else last
        return found

    @property
    def step(self) -> Step:
        """From each row of a series to its next; if no card says it, as two rows have it."""
        if self.every:
            return self.every
        first = int(self.each.firsts[(self.each.lengths > 1).argmax()])
        return Fixed(pd.Timedelta(self.times[first + 1] - self.times[first]))

    def behind(self, origins: Rows) -> Rows:
        """How many rows of its series lie before each row."""
        return origins - self.each.first(origins)

    @cached_property
    def beginnings(self) -> tuple[Floats, Rows]:
        """The first observed value of each series and target, and its time in ns: [S, K]."""
        parts = [rows for _, rows in self.each.parts()]
        found = [rows.start + (~np.isnan(self.targets[rows])).argmax(axis=0) for rows in parts]
        rows = np.stack(found)
        times = self.times[rows.ravel()].as_unit("ns").asi8.reshape(rows.shape)
        return np.take_along_axis(self.targets, rows, axis=0), times

    def in_units(self, forecasts: Floats, origins: Rows) -> Floats:
        """Forecasts in the series' own units, [N, H, K] or [N, H, K, Q], in those of the card."""
        if self.own is None:
            return forecasts
        number = self.each.number(origins)
        shape = len(origins), 1, -1, *(1 for _ in forecasts.shape[3:])
        centers, sizes = (part[number].reshape(shape) for part in self.own)
        units: Floats = forecasts * sizes + centers
        return units

    @cached_property
    def known(self) -> Floats:
        """[rows, K] the last observed targets, in units as `targets`; NaN before the first."""
        last, own = self.last, np.arange(self.targets.shape[1])
        return on_disk.by_rows(lambda part: self.targets[last[part], own], last.shape, np.float64)

    def windows(self, spec: Spec, origins: Rows) -> npt.NDArray[np.float32]:
        """What is seen from origins [B]: [B, L, F].

        Raises:
            PipelineError: names a feature that is missing in some window.
        """
        return _finite(seen(self.features, origins, spec.look_back), spec.features)

    def steps(self, spec: Spec, origins: Rows) -> npt.NDArray[np.float32]:
        """What is known at origins [B] of the steps after them: [B, H, G].

        Raises:
            PipelineError: names a feature that is missing at some step, or the time up to which
                there are rows.
        """
        if len(lacking := origins[origins + spec.horizon >= len(self.ahead)]):
            first = self.times[lacking[:1]]
            end = f"{spec.horizon:,} rows after {first[0]}"
            if self.step.tells:
                end = f"rows up to {self.step.shift(first, spec.horizon)[0]}"
            raise PipelineError(
                f"input: expected {end} for "
                f"what is known ahead ({', '.join(spec.known_ahead)}), found {self.times[-1]}"
            )
        return _finite(ahead(self.ahead, origins, spec.horizon), spec.known_features)

    def inputs(self, spec: Spec, origins: Rows) -> Any:
        """What a network takes: windows, or a list of windows and what is known of their steps."""
        windows = self.windows(spec, origins)
        return [windows, self.steps(spec, origins)] if spec.known_features else windows


def _finite(windows: npt.NDArray[np.float32], names: Sequence[str]) -> npt.NDArray[np.float32]:
    """The windows themselves, [B, L, F]; PipelineError names a feature with a value missing."""
    bad = ~np.isfinite(windows).all(axis=(0, 1))
    if bad.any():
        raise PipelineError(
            f"input: feature {names[int(bad.argmax())]}: expected a "
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
    train: Rows | Runs  # origins with a whole window
    validation: Rows | Runs

    @cached_property
    def wanted(self) -> Floats:
        """[rows, K] the targets standardised, NaN where not observed."""
        targets, names = self.seen.targets, self.spec.targets
        return on_disk.by_rows(
            lambda part: self.scaler.standardise(targets[part], names), targets.shape, np.float64
        )


class Model(Protocol):
    """A fitted network or baseline."""

    @property
    def spec(self) -> Spec:
        """What it is."""
        ...

    def forecast(self, seen: Seen, origins: Rows) -> Floats:
        """Forecasts in the targets' units, origins [B] -> [B, H, K]; or quantiles, [B, H, K, Q]."""


def forecasts(model: Model, seen: Seen, origins: Rows) -> Floats:
    """A model's forecasts from any number of origins, [N] -> [N, ...], `batch` at a time.

    A batch is filled up, since the last digits of a product depend on how many rows it has.
    """
    size = getattr(model, "batch", BATCH)
    padded = np.concatenate([origins, np.full(-len(origins) % size, origins[-1])])
    made = [model.forecast(seen, rows) for rows in padded.reshape(-1, size)]
    return np.concatenate(made)[: len(origins)]

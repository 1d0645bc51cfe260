"""What a forecast's rows look like that whoever sent them should know: lines in the log."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config import input_names
from pipeline.config.cards import Card
from pipeline.config.input_names import Feature
from pipeline.data import panel, row_order
from pipeline.data.row_order import Given
from pipeline.data.windows import Rows
from pipeline.files import artifacts
from pipeline.models.spec import Spec
from pipeline.preparation.own_units import Own
from pipeline.preparation.scaling import Scaler

FAR = 10  # standard deviations from the training span's mean: what is that far off is asked about
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
LOG = logging.getLogger(__name__)


class Range(NamedTuple):
    """What a column's values lay between in training."""

    lowest: float  # in the series' own units, where they have such
    highest: float
    observed: tuple[float, float] | None = None  # in the table's then


Ranges = Mapping[str, Range]  # by column


def ranges(usual: Path | None) -> Ranges:
    """Of each number what it lay between in training, by usual.json; older models have none."""
    if not usual or not usual.exists():
        return {}
    columns = artifacts.read_json(usual)["columns"].items()
    return {
        name: Range(column["lowest"], column["highest"], column.get("observed"))
        for name, column in columns
        if None not in (column.get("lowest"), column.get("highest"))
    }


def on_order(given: Sequence[Given], where: str) -> None:
    """A line for each thing that was done to the rows that series were made of."""
    for line in row_order.remarks(Given(*map(sum, zip(*given, strict=True)))._asdict()):
        LOG.warning("%s: %s", where, line)


def on_gaps(regular: pd.DataFrame, origins: Rows, spec: Spec, card: Card, where: str) -> None:
    """A line for each column of which a look-back lacks more than half.

    And for a target without a value at an origin, as where only other columns go on.
    """
    look_back = spec.look_back
    for name in input_names.columns(spec.inputs, card):
        there = regular[name].notna().to_numpy()
        known = np.concatenate([[0], there.cumsum()])
        counts = known[origins + 1] - known[origins + 1 - look_back]
        least = int(counts.argmin())
        if 2 * counts[least] < look_back:
            seen = (
                f"{name} was observed in {counts[least]} of" if counts[least]
                else f"no {name} was observed in"
            )  # fmt: skip
            LOG.warning(
                "%s: %s the %d rows up to %s: the forecast is made from imputed values",
                where, seen, look_back, regular.index[origins[least]],
            )  # fmt: skip
        elif name in spec.targets and not there[origins].all():
            LOG.warning(
                "%s: %s has no value at the origin %s: the forecast starts from an imputed one",
                where, name, regular.index[origins[int(there[origins].argmin())]],
            )  # fmt: skip


def on_range(
    regular: pd.DataFrame,
    origins: Rows,
    series: str,
    spec: Spec,
    card: Card,
    scaler: Scaler,
    ranges: Ranges,
    where: str,
) -> None:
    """A line for each column that lies far from what it was in training.

    Either its middle does, or such a value is among those that forecasts from these origins are
    made from. And a line for a series that was not there.
    """
    own = scaler.own
    new = own is not None and series not in own.series
    if own and new:
        LOG.warning(
            "%s: expected a series of the training (%s), found a new one: it is scaled like all "
            "of them together", where, panel.listed([*own.series]),
        )  # fmt: skip
    numeric = card.numeric
    for name in (str(name) for name in regular if name in numeric):
        if scaler.columns[name].constant:
            continue
        usual, middle = Usual.of_column(name, series, scaler, ranges), regular[name].median()
        if not new and abs(middle - usual.mean) > FAR * usual.deviation:
            LOG.warning(
                "%s: column %s: its median is %g, but in training its mean was %g and its "
                "standard deviation %g; is the unit different?",
                where, name, middle, usual.mean, usual.deviation,
            )  # fmt: skip
            continue
        values = regular[name].to_numpy(np.float64)
        far = usual.far(values)
        if far.any() and len(rows := np.flatnonzero(far & _read(name, far, origins, spec, card))):
            more = f" and {len(rows) - 1:,} more as far off" if len(rows) > 1 else ""
            LOG.warning(
                "%s: column %s, %s: expected a value near those of training (%s), found %g%s: the "
                "forecast is made from %s",
                where, name, regular.index[rows[0]], usual, values[rows[0]], more,
                "them" if more else "it",
            )  # fmt: skip


class Usual(NamedTuple):
    """What a column was in training, in the units of a series' rows."""

    mean: float
    deviation: float
    ends: tuple[float, float] | None  # the lowest and the highest value, where they are known
    of: str  # what the ends are those of, if not of the column as it stands

    @classmethod
    def of_column(cls, name: str, series: str, scaler: Scaler, ranges: Ranges) -> Self:
        """By the scaler and the range, which speak of own units where series have those.

        A series that was not there may be as small or large as any that was.
        """
        scale, own, plain = scaler.columns[name], scaler.own, Own(center=0, size=1)
        units = own.of(series).get(name, plain) if own else plain
        mean, deviation = scale.mean * units.size + units.center, scale.deviation * units.size
        if name not in ranges:
            return cls(mean, deviation, None, "")
        lowest, highest, observed = ranges[name]
        new = own is not None and series not in own.series
        every = [one.get(name, plain) for one in own.series.values()] if own and new else [units]
        low = min(lowest * one.size + one.center for one in every)
        high = max(highest * one.size + one.center for one in every)
        of = " in any series" if new else " at this series' size" if units != plain else ""
        if observed:  # a plan of 0 and 1 has no other value, whatever its share of each series
            (first, last), near = observed, 1e-6 * (observed[1] - observed[0])
            low, high = (
                (first if low < first + near else low),
                (last if high > last - near else high),
            )
            of = of if (low, high) != (first, last) else ""
        return cls(mean, deviation, (low, high), of)

    def far(self, values: Floats) -> Mask:
        """Which values [rows] are far from the mean, and not merely somewhat beyond the range.

        The range may be left by as much as it is wide. Where it is not known, far is FAR times as
        far, since single values of a skewed column lie many deviations from its mean.
        """
        reach = FAR * self.deviation
        least, most = self.mean - FAR * reach, self.mean + FAR * reach
        if self.ends:
            (low, high), wide = self.ends, self.ends[1] - self.ends[0]
            least, most = min(self.mean - reach, low - wide), max(self.mean + reach, high + wide)
        found: Mask = (values < least) | (values > most)
        return found

    def __str__(self) -> str:
        if self.ends:
            return f"{self.ends[0]:g} to {self.ends[1]:g}{self.of}"
        return f"mean {self.mean:g}, standard deviation {self.deviation:g}"


def _read(name: str, like: Mask, origins: Rows, spec: Spec, card: Card) -> Mask:
    """The rows [rows] whose values of a column forecasts from these origins are made from.

    Those of the look-back, or where its features lie back from there, and of what is known ahead
    those of the steps. Baselines read a target's look-back whatever the features.
    """
    borders = np.zeros(len(like) + 1, np.int64)  # how many more windows there are from a row on
    plain = [name] if name in spec.targets else []
    for features, first, end in (
        ([*plain, *spec.features], 1 - spec.look_back, 1),
        (spec.known_features, 1, spec.horizon + 1),
    ):
        for feature in map(Feature.of, (one for one in features if not input_names.of_time(one))):
            if feature.source != name or feature.gap:
                continue
            of = feature.lag if end == 1 else feature.back
            back = of(card.season, spec.horizon)
            firsts, ends = origins + first - back - feature.difference, origins + end - back
            for rows, change in ((firsts, 1), (ends, -1)):
                counts = np.bincount(rows.clip(0, len(like)), minlength=len(borders))
                borders += change * counts
    read: Mask = borders[:-1].cumsum() > 0
    return read

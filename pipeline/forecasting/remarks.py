"""What a forecast's rows look like that whoever sent them should know: lines in the log."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.config import input_names
from pipeline.config.cards import Card
from pipeline.data import panel, row_order
from pipeline.data.row_order import Given
from pipeline.data.windows import Rows
from pipeline.models.spec import Spec
from pipeline.preparation.scaling import Scaler

FAR = 10  # standard deviations from the training span's mean: what is that far off is asked about
LOG = logging.getLogger(__name__)


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


def on_units(regular: pd.DataFrame, series: str, scaler: Scaler, card: Card, where: str) -> None:
    """A line for each column that lies far from what it was in training.

    And one for a series that was not there.
    """
    own = scaler.own
    if own and series not in own.series:
        LOG.warning(
            "%s: expected a series of the training (%s), found a new one: it is scaled like all "
            "of them together", where, panel.listed([*own.series]),
        )  # fmt: skip
        return
    units = own.of(series) if own else {}
    numeric = card.numeric
    for name in (name for name in regular if name in numeric):
        scale, middle = scaler.columns[name], regular[name].median()
        center, size = (units[name].center, units[name].size) if name in units else (0.0, 1.0)
        mean, deviation = scale.mean * size + center, scale.deviation * size
        if not scale.constant and abs(middle - mean) > FAR * deviation:
            LOG.warning(
                "%s: column %s: its median is %g, but in training its mean was %g and its "
                "standard deviation %g; is the unit different?",
                where, name, middle, mean, deviation,
            )  # fmt: skip

"""From channels in their units to what models see: own units, gaps filled, scaled."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.panel import Borders
from pipeline.files import on_disk
from pipeline.preparation.imputation import Imputer
from pipeline.preparation.scaling import Scaler, check_range


def prepare(
    channels: pd.DataFrame, borders: Borders, imputer: Imputer, scaler: Scaler, where: str = ""
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Each series by itself: values [rows, channels] scaled, and `gap_state` of each.

    `where` the rows come from is named by the PipelineError of a value that float32 cannot hold;
    without it there is none.
    """
    # Channel by channel, as pandas has them.
    values = on_disk.zeros(channels.shape[::-1], np.float32).T
    state = on_disk.zeros(channels.shape, np.uint8)
    for name, rows in borders.parts():
        for block in on_disk.blocks(rows.stop - rows.start):
            here = slice(rows.start + block.start, rows.start + block.stop)
            # Rows before that decide how a gap is filled at the first.
            before = min(block.start, imputer.context)
            part = channels.iloc[here.start - before : here.stop]
            filled, states = imputer.apply(scaler.in_own_units(part, name))
            scaled = scaler.transform(filled).iloc[before:]
            if where:
                of = f"{where}: series {name}" if name else where
                check_range(scaled, filled.iloc[before:], of)
            values[here], state[here] = scaled.to_numpy(np.float32), states[before:]
    return values, state

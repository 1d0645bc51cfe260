"""From channels in their units to what models see: own units, gaps filled, scaled."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.panel import Borders
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
    values = np.empty(channels.shape, np.float32, order="F")
    state = np.empty(channels.shape, np.uint8)
    for name, rows in borders.parts():
        part = channels.iloc[rows]
        filled, state[rows] = imputer.apply(scaler.in_own_units(part, name))
        scaled = scaler.transform(filled)
        if where:
            check_range(scaled, filled, f"{where}: series {name}" if name else where)
        values[rows] = scaled.to_numpy(np.float32)
    return values, state

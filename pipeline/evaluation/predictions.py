"""predictions.parquet: what the model forecast, beside what came."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.evaluation.forecasts import Forecasts, Made


def table(
    forecasts: Forecasts,
    made: Made,
    names: Sequence[str],
    times: pd.DatetimeIndex,
    series: str,
    span: str,
    spans: Sequence[str],
) -> pd.DataFrame:
    """A row for each origin, step and target, in the targets' units.

    Args:
        forecasts: from some origins of a span.
        made: the model's.
        names: [K] of the targets.
        times: [rows] of all series.
        series: what the column with the names of many series is called; "" for none.
        span: whose the origins are, one of `spans`.
        spans: of all that stand in one table.
    """
    category = pd.Categorical.from_codes
    n, horizon, k = forecasts.observed.shape
    step, target = np.arange(1, horizon + 1, dtype=np.int32), np.arange(k, dtype=np.int16)
    columns = {
        # Categories, since a name for each of millions of rows would weigh most.
        "span": category(np.full(n * horizon * k, spans.index(span), np.int8), pd.Index(spans)),
        "origin": times[forecasts.origins].repeat(horizon * k),
        "time": times[(forecasts.origins[:, None] + step).ravel().repeat(k)],
        "step": np.tile(step.repeat(k), n),
        "target": category(np.tile(target, n * horizon), pd.Index(list(names))),
        "forecast": made.point.ravel(),
        "observed": forecasts.observed.ravel(),
    }
    if series and (borders := forecasts.borders):
        number = borders.number(forecasts.origins).repeat(horizon * k)
        columns = {series: category(number, pd.Index(borders.names, dtype="str")), **columns}
    for level, (low, high) in made.bands.items():
        columns |= {f"lo-{level:g}": low.ravel(), f"hi-{level:g}": high.ravel()}
    return pd.DataFrame(columns)

"""The airline model on the air passengers, from the origins of this project's worked example.

A seasonal ARIMA (0,1,1)(0,1,1)12 of logarithms (Box and Jenkins 1970, chapter 9) by statsmodels, in
an environment of its own: `make bench-peers`, then
`.venv-bench-statsmodels/bin/python benchmarks/peers/airline.py`. Its parameters are fitted once, on
the rows up to the first origin; later origins see later rows by the filter alone. A forecast is the
exponential of the logarithm's, a median.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.tsa.statespace.sarimax import SARIMAX

TABLE = Path(__file__).parents[2] / "data/raw/air_passengers/air_passengers.csv"
TEST, HORIZON = 24, 12  # rows


def forecasts(values: np.ndarray) -> np.ndarray:
    """Of each origin that has all its targets in the last TEST rows: [origins, HORIZON]."""
    logs, first = np.log(values), len(values) - TEST  # rows up to and with the first origin

    def airline(rows: int) -> SARIMAX:
        return SARIMAX(logs[:rows], order=(0, 1, 1), seasonal_order=(0, 1, 1, 12))

    learned = airline(first).fit(disp=False).params
    ends = range(first, len(values) - HORIZON + 1)
    return np.exp([airline(rows).filter(learned).forecast(HORIZON) for rows in ends])


def main() -> None:
    """Print the scores over all origins and steps together."""
    table = pd.read_csv(sys.argv[1] if sys.argv[1:] else TABLE)
    values = table["value"].to_numpy(float)
    made = forecasts(values)
    origins = len(values) - TEST - 1 + np.arange(len(made))
    observed = values[origins[:, None] + np.arange(1, HORIZON + 1)]
    error = made - observed
    spread = np.sum((observed - observed.mean()) ** 2)
    scores = {
        "rmse": np.sqrt(np.mean(error**2)),
        "mae": np.mean(np.abs(error)),
        "mape": np.mean(np.abs(error) / observed),
        "r2": 1 - np.sum(error**2) / spread,
    }
    print(json.dumps({name: float(f"{score:.6g}") for name, score in scores.items()}))
    print(f"{len(made)} origins, {HORIZON} steps each, all together", file=sys.stderr)


main()

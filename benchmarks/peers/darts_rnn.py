"""darts' BlockRNNModel, two LSTM layers of 50, for 3 epochs, some 300 updates."""

import time
from typing import Any

import numpy as np
import pandas as pd
from darts import TimeSeries
from darts.models import BlockRNNModel
from protocol import serve
from scoring import error, told

EPOCHS = 3


def prepare(case: dict[str, Any]) -> Any:
    """The series as darts has it."""
    data = np.load(case["data"])
    filled = data["filled"]
    origins = {span: data[f"origins_{span}"] for span in ("validation", "test")}
    first = int(origins["validation"][0]) + 1  # the first row to forecast
    mean, deviation = filled[:first].mean(axis=0), filled[:first].std(axis=0)
    place = case["columns"].index(case["targets"][0])
    scaled = ((filled - mean) / deviation).astype(np.float32)
    times = pd.DatetimeIndex(data["times"])
    target = TimeSeries.from_times_and_values(times, scaled[:, [place]])
    covariates = TimeSeries.from_times_and_values(times, np.delete(scaled, place, axis=1))
    known = pd.Series(data["standardised"][:first, 0])
    slope, shift = np.polyfit(scaled[:first, place][known.notna()], known.dropna(), 1)

    def measure(limit: float) -> dict[str, Any]:
        model = BlockRNNModel(
            input_chunk_length=24, output_chunk_length=1, model="LSTM", hidden_dim=50,
            n_rnn_layers=2, batch_size=256, n_epochs=EPOCHS, random_state=1,
            pl_trainer_kwargs={"enable_progress_bar": False, "logger": False},
        )  # fmt: skip
        start = time.perf_counter()
        model.fit(target[:first], past_covariates=covariates[:first])
        seconds = time.perf_counter() - start
        forecast = model.historical_forecasts(
            target, past_covariates=covariates, start=times[first], forecast_horizon=1,
            retrain=False, last_points_only=True,
        ).values()[:, 0]  # fmt: skip
        scores = [
            error(
                data["standardised"], rows,
                (forecast[rows + 1 - first] * slope + shift)[:, None, None],
            )
            for rows in origins.values()
        ]  # fmt: skip
        return told(case, seconds, *scores)

    return measure


serve(prepare)

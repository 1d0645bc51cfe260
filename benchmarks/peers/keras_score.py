"""A tutorial's set-up with stock Keras: copies of windows, min-max, stacked LSTM, Adam, mse."""

from typing import Any

import keras
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from protocol import serve
from scoring import Reached, Stopwatch, error


def prepare(case: dict[str, Any]) -> Any:
    """Windows as arrays, scaled by the training rows."""
    data = np.load(case["data"])
    origins = {span: data[f"origins_{span}"] for span in ("train", "validation", "test")}
    origins["train"] = origins["train"][origins["train"] >= case["look_back"]]
    columns = data["filled"][:, [case["columns"].index(name) for name in case["inputs"]]]
    known = columns[: origins["train"][-1]]
    low, high = known.min(axis=0), known.max(axis=0)
    view = sliding_window_view((columns - low) / (high - low), case["look_back"], axis=0)
    x = {
        span: view[rows - case["look_back"] + 1].transpose(0, 2, 1).copy()
        for span, rows in origins.items()
    }
    standardised = data["standardised"]
    smallest, largest = np.nanmin(standardised), np.nanmax(standardised)
    ahead = origins["train"][:, None] + np.arange(1, case["horizon"] + 1)
    y = (standardised[ahead] - smallest) / (largest - smallest)
    whole = ~np.isnan(y).any(axis=(1, 2))

    def measure(limit: float) -> dict[str, Any]:
        keras.utils.set_random_seed(1)
        layers: list[Any] = [keras.Input(x["train"].shape[1:])]
        for i, units in enumerate(case["units"], start=1):
            more = i < len(case["units"])
            layers.append(
                keras.layers.LSTM(units, activation=case["activation"], return_sequences=more)
            )
        layers += [keras.layers.Dense(y[0].size), keras.layers.Reshape(y.shape[1:])]
        model = keras.Sequential(layers)

        def score(span: str) -> float:
            forecast = model.predict(x[span], batch_size=1024, verbose=0)
            return error(standardised, origins[span], forecast * (largest - smallest) + smallest)

        watch = Stopwatch(case, limit, score)
        look = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: watch.look())
        try:
            model.compile("adam", "mse")
            model.fit(
                x["train"][whole], y[whole], batch_size=case["batch"], epochs=1000,
                callbacks=[look], verbose=0,
            )  # fmt: skip
        except Reached:
            pass
        return watch.result()

    return measure


serve(prepare)

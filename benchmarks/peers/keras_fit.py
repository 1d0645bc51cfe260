"""Stock `keras.Model.fit` on arrays, by whatever backend KERAS_BACKEND names."""

import time
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from protocol import serve


def network(case: dict[str, Any]) -> keras.Model:
    """Layers as a user stacks them: windows [B, L, F] -> [B, H, 1]."""
    window = keras.Input((case["look_back"], case["features"]))
    *below, top = case["units"]
    if case["kind"] == "segment_gru":
        width, ahead = case["segment"], -(-case["horizon"] // case["segment"])
        steps = layers.Reshape((case["look_back"] // width, width))(window)
        steps = layers.Dense(top, activation="relu")(steps)
        cell = layers.GRU(top, return_state=True)
        _, state = cell(steps)
        queries = layers.Embedding(ahead, top)(ops.zeros_like(window[:, :ahead, 0], "int32"))
        queries = ops.reshape(queries, (-1, 1, top))
        decoded, _ = cell(queries, initial_state=[ops.repeat(state, ahead, axis=0)])
        out = layers.Dense(width)(decoded)
        out = ops.reshape(out, (-1, ahead * width, 1))[:, : case["horizon"]]
        return keras.Model(window, out)
    state = window
    activation = case.get("activation", "tanh")
    for units in below:
        state = layers.LSTM(units, activation=activation, return_sequences=True)(state)
    state = layers.LSTM(top, activation=activation)(state)
    return keras.Model(
        window, layers.Reshape((case["horizon"], 1))(layers.Dense(case["horizon"])(state))
    )


def prepare(case: dict[str, Any]) -> Any:
    """A compiled model, and arrays of windows."""
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    windows = case["batch"] * case["steps"]
    x = random.normal(size=(windows, case["look_back"], case["features"])).astype("float32")
    y = random.normal(size=(windows, case["horizon"], 1)).astype("float32")
    model = network(case)
    model.compile("adam", "mse", jit_compile=case["jit"])
    model.fit(x, y, batch_size=case["batch"], verbose=0)

    def measure() -> dict[str, float]:
        start = time.perf_counter()
        model.fit(x, y, batch_size=case["batch"], verbose=0)
        return {"seconds": time.perf_counter() - start}

    return measure


serve(prepare)

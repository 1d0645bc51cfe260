"""The parameters of an experiment without a params.yaml: those of this project's own."""

from typing import Any

DEFAULTS: dict[str, Any] = {
    "ingest": {"dataset": "frame"},
    "impute_scale": {"imputation": {"method": "ffill", "limit": 24}, "scaling": "standard"},
    "window": {"look_back": 24, "horizon": 24},
    "train": {
        "seed": 1,
        "model": {"name": "lstm", "units": [64, 64], "input_dropout": "auto"},
        "residual": "damped",
        "loss": "pinball",
        "huber_delta": 1.5,
        "loss_weights": "persistence",
        "optimizer": "adam",
        "learning_rate": 0.001,
        "schedule": {"name": "cosine"},
        "batch_size": "auto",
        "epochs": "auto",
        "patience": 6,
        "mix": "auto",
    },
    "evaluate": {"stretch": 336},
}

"""An honest LSTM forecasting pipeline: raw table in, reproducible scores out."""

import gc
import os

from pipeline.runtime.determinism import settle_environment

PARENT = os.getppid()  # as early as can be: a parent that dies later is noticed

# Here, because TensorFlow reads its environment while it is imported, by whichever module is first.
settle_environment()

# Nobody is told what is run here; MLflow would, from its import on.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# Loading TensorFlow or MLflow makes a million objects, all of which stay: with Python's own
# threshold, looking for garbage among them takes a quarter of the time.
gc.set_threshold(50_000)

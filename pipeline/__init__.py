"""An honest LSTM forecasting pipeline: raw table in, reproducible scores out."""

import os

from pipeline.determinism import ENVIRONMENT

PARENT = os.getppid()  # as early as can be: a parent that dies later is noticed

# Here, because TensorFlow reads its environment while it is imported, by whichever module is first.
os.environ.update(ENVIRONMENT)

"""From raw rows to forecasts in original units, in memory, with NumPy only, or over HTTP.

May import models, preparation, data and all below them, not evaluation or training.
"""

"""From raw rows to forecasts: in memory, by NumPy, over HTTP. May import models and all below."""

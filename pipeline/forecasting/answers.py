"""A forecast as those who asked for it read it: plain numbers, and time stamps as text."""

from typing import Any

import pandas as pd

from pipeline.data import timestamps


def plain(forecast: pd.DataFrame) -> dict[str, list[Any]]:
    """A forecast's columns as JSON has them: numbers with all their digits."""
    times = pd.api.types.is_datetime64_any_dtype
    return {
        str(name): timestamps.as_text(column) if times(column.dtype) else column.tolist()
        for name, column in forecast.items()
    }

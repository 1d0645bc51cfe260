"""Make the table of the data set made_load: load, temperature, and temperature as it was forecast.

Of a published table nobody knows how wrong its forecasts of the weather were. Here load is the sum
of terms whose sizes are written below, and so are the forecasts' errors.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
TABLE = Path("data/raw/made_load/made_load.csv")
HEATED, COOLED = 15.0, 20.0  # °C: below one load rises, and above the other
PER_KELVIN = 14.0  # MW
WEATHER, WEATHER_HOURS = 4.0, 72.0  # K and hours: how far from its season, and for how long
FORECAST, FORECAST_HOURS = 1.5, 12.0  # of the forecasts' errors
LOAD, LOAD_HOURS = 20.0, 12.0  # MW and hours: of what nothing explains


def noise(random: np.random.RandomState, rows: int, deviation: float, hours: float) -> Floats:
    """Gaussian noise [rows] of a standard deviation; its correlation falls to 1/e in `hours`."""
    keep = np.exp(-1 / hours)
    drawn = deviation * random.standard_normal(rows)
    drawn[1:] *= np.sqrt(1 - keep**2)
    for row in range(1, rows):
        drawn[row] += keep * drawn[row - 1]
    return drawn


def made() -> pd.DataFrame:
    """Three years of hourly rows, the same every time: MW with one decimal and °C with two."""
    time = pd.date_range("2021-01-01", "2023-12-31 23:00", freq="h")
    random = np.random.RandomState(1)  # NumPy keeps its numbers the same in every version
    rows, hour = len(time), time.hour.to_numpy()
    season = np.cos(2 * np.pi * (time.day_of_year.to_numpy() - 200) / 365.25)
    temperature = 12 + 10 * season + (3 + season) * np.cos(2 * np.pi * (hour - 15) / 24)
    temperature += noise(random, rows, WEATHER, WEATHER_HOURS)
    forecast = temperature + noise(random, rows, FORECAST, FORECAST_HOURS)
    weekend = time.day_of_week.to_numpy() > 4
    load = 1000 - 150 * np.cos(2 * np.pi * (hour - 2) / 24) + 50 * np.sin(4 * np.pi * hour / 24)
    load -= weekend * (60 + 60 * np.exp(-(((hour - 11) / 4) ** 2)))
    load += PER_KELVIN * np.maximum(HEATED - temperature, 0)
    load += PER_KELVIN * np.maximum(temperature - COOLED, 0)
    load += noise(random, rows, LOAD, LOAD_HOURS)
    columns = {"load": load.round(1)}
    columns |= {"temperature": temperature.round(2), "temperature_forecast": forecast.round(2)}
    return pd.DataFrame(columns, pd.Index(time.strftime("%Y-%m-%d %H:%M"), name="time"))


def main() -> None:
    """Write the table."""
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    made().to_csv(TABLE, lineterminator="\n")


if __name__ == "__main__":
    main()

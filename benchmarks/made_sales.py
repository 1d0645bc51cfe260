"""Make the table of the data set made_sales, 500 shops, and say how good a forecast of it can be.

Of a published panel nobody knows what part of its sales is chance. Here the sales of a shop and day
are its level times what its kind sells on that weekday and in promotions, and chance of a size that
is written below. No forecast can have a smaller error than that chance on average.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from pipeline.config.cards import read_card_file
from pipeline.data import splits

TABLE = Path("data/raw/made_sales/made_sales.csv")
CARD = Path("data/datasets/made_sales.yaml")
SHOPS, DAYS = 500, 180
CHANCE = 0.1  # standard deviation, in parts of a shop's level
# Of each kind: how much more it sells from Monday to Sunday, and in a promotion, in the same parts.
KINDS = {
    "food": ((-0.1, -0.1, -0.05, 0.0, 0.2, 0.35, -0.3), 0.25),
    "clothes": ((-0.2, -0.2, -0.1, 0.0, 0.1, 0.6, -0.2), 0.6),
    "garden": ((-0.3, -0.25, -0.2, -0.1, 0.15, 0.4, 0.3), 0.4),
}
PROMOTED, LENGTH = 0.15, 4  # share of days, and how many days a promotion lasts


def made() -> tuple[pd.DataFrame, pd.Series]:
    """A row for each shop and day, the same every time, and the sales but for chance."""
    random = np.random.RandomState(1)  # NumPy keeps its numbers the same in every version
    days = pd.date_range("2024-01-01", periods=DAYS)
    parts, expected = [], []
    for number in range(SHOPS):
        kind = [*KINDS][number % len(KINDS)]
        season, uplift = KINDS[kind]
        level = np.exp(random.uniform(np.log(20), np.log(2000)))
        first = random.randint(0, 61)  # shops open on different days
        begins = random.uniform(size=DAYS) < PROMOTED / LENGTH
        promotion = np.convolve(begins, np.ones(LENGTH))[:DAYS] > 0
        mean = level * (1 + np.array(season)[days.day_of_week] + uplift * promotion)
        sales = mean + CHANCE * level * random.standard_normal(DAYS)
        shop = {"day": days.strftime("%Y-%m-%d"), "shop": f"shop {number + 1:03}", "kind": kind}
        table = pd.DataFrame(shop | {"promotion": promotion.astype(int), "sales": sales.round(2)})
        parts.append(table[first:])
        expected.append(pd.Series(mean)[first:])
    return pd.concat(parts, ignore_index=True), pd.concat(expected, ignore_index=True)


def alone(own: pd.DataFrame, train: int) -> np.ndarray:
    """What a linear regression of one shop's own training rows makes of all its rows."""
    weekday = pd.get_dummies(pd.to_datetime(own["day"]).dt.day_of_week)
    inputs = np.column_stack([weekday, own["promotion"]]).astype(float)
    made: np.ndarray = Ridge(1e-3).fit(inputs[:train], own["sales"][:train]).predict(inputs)
    return made


def main() -> None:
    """Write the table, and say what chance alone makes of the test span, and 500 linear models."""
    table, expected = made()
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(TABLE, index=False, lineterminator="\n")
    card = read_card_file(CARD)
    errors: dict[str, list[np.ndarray]] = {"chance alone": [], "500 linear models": []}
    for _, own in table.groupby("shop"):
        first = pd.Timestamp(own["day"].iloc[0])
        spans = splits.spans(card.split, first, card.step, len(own))
        test = slice(*spans["test"])
        fitted = alone(own.reset_index(drop=True), spans["train"][1])
        for name, forecast in zip(errors, (expected[own.index].to_numpy(), fitted), strict=True):
            errors[name].append(own["sales"].to_numpy()[test] - forecast[test])
    for name, parts in errors.items():
        joined = np.concatenate(parts)
        rmse, mae = np.sqrt(np.mean(joined**2)), np.mean(np.abs(joined))
        print(f"{name}: RMSE {rmse:.2f}, MAE {mae:.2f} over {len(joined):,} days of the test span")


if __name__ == "__main__":
    main()

"""A wide table, with a row for each day and a column for each time of day, becomes a long one."""

import pandas as pd

from pipeline.config.cards import Card, Wide
from pipeline.errors import PipelineError


def times_of_day(
    table: pd.DataFrame, card: Card, wide: Wide, where: str
) -> dict[str, pd.Timedelta]:
    """The columns of a wide table in order of their times of day, and these times."""
    others = {*card.time.names, *card.excluded}
    slots = [str(name) for name in table.columns if name not in others]
    offsets = pd.to_datetime(pd.Series(slots), format=wide.times, errors="coerce")
    if offsets.isna().any():
        raise PipelineError(
            f"{where}: unknown column {slots[int(offsets.isna().to_numpy().argmax())]}; expected "
            f"times of day written as {wide.times}"
        )
    if len(slots) != card.steps_a_day:
        raise PipelineError(
            f"{where}: expected {card.steps_a_day} columns, one every {card.frequency} of a day, "
            f"found {len(slots)}"
        )
    of_day = dict(zip(slots, offsets - offsets.dt.normalize(), strict=True))
    return dict(sorted(of_day.items(), key=lambda slot: slot[1]))


def unfold(
    frame: pd.DataFrame,
    card: Card,
    wide: Wide,
    of_day: dict[str, pd.Timedelta],
    where: str,
    numbers: pd.Index,
) -> pd.DataFrame:
    """One row a day and a column for each time of day becomes one row for each time."""
    days = pd.DatetimeIndex(frame.index)
    if (timed := days != days.normalize()).any():
        row = int(timed.argmax())
        raise PipelineError(
            f"{where}: column {', '.join(card.time.names)}, row {numbers[row]}: expected a day "
            f"without a time, since columns have the times, found {days[row]}"
        )
    offsets = pd.TimedeltaIndex([*of_day.values()]).to_numpy()
    times = pd.DatetimeIndex((days.to_numpy()[:, None] + offsets[None, :]).ravel())
    series = pd.DataFrame({wide.column: frame.to_numpy().ravel()}, index=times)
    # The last day may still be running: what has not been measured yet is not missing.
    last_day = series[wide.column].notna().to_numpy()[-len(of_day) :]
    return series.iloc[: len(series) - int(last_day[::-1].argmax())]

"""What became of a table's rows: which are as they were, which are not, which are new."""

from typing import NamedTuple

import pandas as pd

from pipeline.data.panel import Panel


class Growth(NamedTuple):
    """A table beside its earlier state."""

    kept: int  # rows that are as they were
    changed: list[str]  # a line for each that is not
    new: pd.DatetimeIndex | None  # the times of rows that were not there; None: of all


def compare(before: Panel, now: Panel) -> Growth:
    """The rows of each series, by their times; a missing value is like another one."""
    later = dict(now.parts())
    kept, changed, new = 0, [], []
    for name, old in before.parts():
        if name not in later:
            changed.append(f"series {name}: expected its {len(old):,} rows, found none")
            continue
        whole = later.pop(name)
        found = whole.reindex(index=old.index, columns=old.columns)
        differs = ~((found == old) | (found.isna() & old.isna()))
        kept += int((~differs.any(axis=1)).sum())
        changed += [
            f"{f'series {name}: ' * bool(name)}{time}: {_changes(old, found, time, differs)}"
            for time in old.index[differs.any(axis=1)]
        ]
        new += list(whole.index.difference(old.index))
    new += [time for whole in later.values() for time in whole.index]
    return Growth(kept, changed, pd.DatetimeIndex(new))


def _changes(
    old: pd.DataFrame, found: pd.DataFrame, time: pd.Timestamp, differs: pd.DataFrame
) -> str:
    columns = [column for column in old if differs.at[time, column]]
    return ", ".join(
        f"{column} was {_shown(old.at[time, column])}, is {_shown(found.at[time, column])}"
        for column in columns
    )


def _shown(value: object) -> str:
    return "missing" if pd.isna(value) else str(value)  # type: ignore[call-overload]

"""Raw rows from which a forecast can be made, as an example for callers."""

import pandas as pd

from pipeline.config import input_names
from pipeline.config.cards import Card
from pipeline.data import tables
from pipeline.forecasting.forecaster import rows_needed
from pipeline.models.spec import Spec
from pipeline.preparation.imputation import Imputer


def newest(table: pd.DataFrame, spec: Spec, card: Card, imputer: Imputer) -> pd.DataFrame:
    """A table's last raw rows, as many as a forecast needs, typed as a caller would send them.

    Where columns are known ahead, the last rows, as many as steps, have those alone; rows at the
    table's end that lack one of them are left out.
    """
    rows, ahead = rows_needed(spec, card, imputer), input_names.told(spec.known_ahead, card)
    if card.series:  # the longest series'
        written = [card.rename.get(name, name) for name in map(str, table)].index(card.series)
        names = table.iloc[:, written].astype("str").str.strip()
        table = table[names == names.value_counts().idxmax()]
    if card.wide:  # a row is a day, and the first and the last may be used in part
        rows = -(-rows // card.steps_a_day) + 1
    columns = input_names.columns([*spec.inputs, *spec.known_ahead], card)
    columns += [card.series] if card.series else []
    rows += spec.horizon if ahead else 0
    table = tables.in_order(table, card)
    if ahead and not card.wide:
        plans = table[[name for name in table if card.rename.get(str(name), name) in ahead]]
        known = tables.typed(plans, card, ahead).notna().all(axis=1).to_numpy()
        table = table.iloc[: known.nonzero()[0].max(initial=-1) + 1]
    last = table.tail(rows).reset_index(drop=True)
    shown = tables.typed(last, card, columns)
    for name in shown if ahead else ():
        if card.rename.get(str(name), name) in {*columns} - {*ahead, card.series, *card.static}:
            shown[name] = shown[name].mask(shown.index >= len(shown) - spec.horizon)
    return shown

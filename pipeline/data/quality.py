"""What a reader should know of a series: span, gaps, what is missing, what is constant."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from pipeline.config.cards import Card
from pipeline.data import windows
from pipeline.errors import PipelineError


def measure(series: pd.DataFrame, table: pd.DataFrame, card: Card) -> dict[str, Any]:
    """What a reader should know of the series: span, gaps, what is missing, what is constant."""
    slots, missing = card.rows_each, series.isna()
    runs = {name: windows.true_runs(missing[name].to_numpy()) for name in series}
    gaps = {name: end - first for name, (first, end) in runs.items()}
    return {
        "rows": len(series),
        "first": str(series.index[0]),
        "last": str(series.index[-1]),
        "absent_rows": max(0, -(-len(series) // slots) - len(table)) * slots,
        # Of a wide table's last day, what is taken for not measured yet.
        "to_come": -len(series) % slots,
        "missing": {name: int(missing[name].sum()) for name in series},
        "gaps": {name: len(lengths) for name, lengths in gaps.items()},
        "longest_gap": {name: int(lengths.max(initial=0)) for name, lengths in gaps.items()},
        "constant": [name for name in series if series[name].nunique() == 1],
    }


def check_usable(quality: dict[str, Any], card: Card, where: str) -> None:
    """PipelineError if a column was never measured, or a season is longer than the series."""
    if (season := max(card.seasons)) > quality["rows"]:
        raise PipelineError(
            f"{where}: expected a season of at most the series' {quality['rows']:,} rows, found "
            f"{season:,}; mend season in the card"
        )
    for name, missing in quality["missing"].items():
        if missing == quality["rows"]:
            raise PipelineError(f"{where}: column {name}: expected some values, found none at all")


def remarks(quality: dict[str, Any], targets: Sequence[str]) -> Iterator[str]:
    """What deserves a word on the screen, one line each."""
    if quality["first"].endswith("+00:00"):
        yield "times are stored as UTC, and forecasts have UTC times"
    if absent := quality["absent_rows"]:
        are = "time stamp is absent, its" if absent == 1 else "time stamps are absent, their"
        yield f"{absent:,} {are} values missing"
    if to_come := quality["to_come"]:
        yield (
            f"the last day has no value after {quality['last']}: its other {to_come:,} times "
            "count as still to come, not as missing"
        )
    for name in targets:
        if missing := quality["missing"][name]:
            gaps, longest = quality["gaps"][name], quality["longest_gap"][name]
            yield (
                f"target {name}: {missing:,} rows without a value, in {gaps:,} gap"
                f"{'s' * (gaps > 1)} of up to {longest:,}: {missing / quality['rows']:.1%} of all "
                "origins are in one"
            )
    for name in quality["constant"]:
        yield f"warning: column {name} never changes, so a model can learn nothing from it"

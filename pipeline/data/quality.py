"""What a reader should know of a series: span, gaps, what is missing, what is constant."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from pipeline.config.cards import Card
from pipeline.data import constants, row_order, windows
from pipeline.data.panel import Panel, listed
from pipeline.data.row_order import Given
from pipeline.errors import PipelineError

MEASURES = ("missing", "gaps", "longest_gap")  # of each column


def of_panel(panel: Panel, given: Sequence[Given], card: Card) -> dict[str, Any]:
    """What a reader should know of all series together; of named ones, of each under `series`.

    `given` [S] are the rows of the table that each was made of.
    """
    parts = zip(panel.parts(), given, strict=True)
    each = {name: measure(frame, one, card) for (name, frame), one in parts}
    found = {
        "rows": len(panel.frame),
        "first": min(one["first"] for one in each.values()),
        "last": max(one["last"] for one in each.values()),
        **{
            key: sum(one.get(key, 0) for one in each.values())
            for key in ("absent_rows", "to_come", *row_order.allowed(card))
        },
        "constant": [name for name in panel.frame if constants.only(panel.frame[name]) is not None],
    }
    for key in MEASURES:
        pool = max if key == "longest_gap" else sum
        found[key] = {
            str(name): pool(one[key][name] for one in each.values()) for name in panel.frame
        }
    return found | ({"series": each} if card.series else {})


def measure(series: pd.DataFrame, given: Given, card: Card) -> dict[str, Any]:
    """What a reader should know of one series, and of the rows of the table it was made of."""
    slots, missing = card.rows_each, series.isna()
    runs = {name: windows.true_runs(missing[name].to_numpy()) for name in series}
    gaps = {name: end - first for name, (first, end) in runs.items()}
    return {
        "rows": len(series),
        "first": str(series.index[0]),
        "last": str(series.index[-1]),
        "absent_rows": max(0, -(-len(series) // slots) - given.rows) * slots,
        **{key: getattr(given, key) for key in row_order.allowed(card)},
        # Of a wide table's last day, what is taken for not measured yet.
        "to_come": -len(series) % slots,
        "missing": {name: int(missing[name].sum()) for name in series},
        "gaps": {name: len(lengths) for name, lengths in gaps.items()},
        "longest_gap": {name: int(lengths.max(initial=0)) for name, lengths in gaps.items()},
        "constant": [name for name in series if constants.only(series[name]) is not None],
    }


def check_usable(quality: dict[str, Any], card: Card, where: str) -> None:
    """PipelineError if a column was never measured, or a season is longer than every series."""
    rows = max(lengths(quality).values())
    if (season := max(card.seasons)) > rows:
        raise PipelineError(
            f"{where}: expected a season of at most the series' {rows:,} rows, found "
            f"{season:,}; mend season in the card"
        )
    for name, missing in quality["missing"].items():
        if missing == quality["rows"]:
            raise PipelineError(f"{where}: column {name}: expected some values, found none at all")


def lengths(quality: dict[str, Any]) -> dict[str, int]:
    """The rows of each series by its name; of a table with one series, under ""."""
    return {name: one["rows"] for name, one in quality.get("series", {"": quality}).items()}


def remarks(quality: dict[str, Any], targets: Sequence[str]) -> Iterator[str]:
    """What deserves a word on the screen, one line each."""
    if quality["first"].endswith("+00:00"):
        yield "times are stored as UTC, and forecasts have UTC times"
    if "series" in quality:
        yield from _of_series(quality, targets)
    yield from row_order.remarks(quality)
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


def _of_series(quality: dict[str, Any], targets: Sequence[str]) -> Iterator[str]:
    rows = lengths(quality)
    yield f"{len(rows):,} series of {min(rows.values()):,} to {max(rows.values()):,} rows"
    for target in targets:
        none = [name for name, n in rows.items() if quality["series"][name]["missing"][target] == n]
        if none:
            yield f"target {target} has no value in {len(none):,} series: {listed(none)}"

"""What the report and the screen say of many series."""

from typing import Any

import pandas as pd

from pipeline.config.cards import Card
from pipeline.data.panel import listed
from pipeline.evaluation import metrics as table_of
from pipeline.evaluation.by_series import least_skill, ranked
from pipeline.reports.formatting import escape_markdown, number, percent, table

EACH = 10  # best and worst series in the table


def sentence(metrics: dict[str, Any]) -> str:
    """How many series there are, how good they are on the mean, and which share beats what."""
    found = metrics["series"]
    mase = f", with a mean MASE of {number(found['mase'])}" if "mase" in found else ""
    if scaled := found.get("scaled"):
        mase += f" over {scaled:,} of them: of the others, training values a season apart never "
        mase += "differ, or there are none"
    beats = dict(found["beats"])
    best = beats.pop("best", None)
    parts = [f"{name.replace('_', ' ')} in {share:.0%}" for name, share in beats.items()]
    unscored = found.get("unscored", ())
    of = f" of {found['count'] + len(unscored):,}" if unscored else ""
    text = f"{found['count']:,}{of} series{mase}"
    if unscored:
        have = "have" if unscored[1:] else "has"
        text += f"; {listed(unscored)} {have} no scored origin in test"
    text += "."
    if best is not None:
        text += f" The model is better than {', '.join(parts)} of them, and than the best of a "
        text += f"series' own baselines in {best:.0%}."
    return text


def section(metrics: dict[str, Any], by_series: pd.DataFrame, card: Card) -> list[str]:
    """The report's part on series: the sentence, the best and the worst, what has no window."""
    rows, by = ranked(by_series)
    title = by.replace("_", " ").upper()
    columns = [str(name) for name in rows.columns]
    shown = [one.name for one in table_of.listed(columns, table_of.TARGETS) if not one.percent]
    covered = [name for name in columns if name.startswith("coverage_") and "error" not in name]
    least = least_skill(rows)
    header = [str(card.series), "n", *shown, *covered, "skill"]
    body = [
        [
            str(row.iloc[0]),
            f"{row['n']:,}",
            *(number(row[name]) for name in shown),
            *(f"{row[name]:.1%}" for name in covered),
            percent(skill),
        ]
        for (_, row), skill in zip(rows.iterrows(), least, strict=True)
    ]
    what = "All"
    if len(body) > 2 * EACH and (known := int(rows[by].notna().sum())) < len(body):
        body, what = body[:known], f"The {known:,} with a {title}"  # the others come last
    if len(body) > 2 * EACH:
        what = f"The {EACH} best and the {EACH} worst"
        body = [*body[:EACH], ["..."] + [""] * (len(header) - 1), *body[-EACH:]]
    none = " (none where that has no error)" if least.isna().any() else ""
    count = metrics["training_windows"]
    left = []
    if names := count.get("untrained"):
        left.append(f"Without a training window: {listed(names)}.")
    if short := count.get("short"):
        where = "With origins up to which there are too few rows, forecast by the last value"
        left.append(f"{where}: {listed([*short])}.")
    return [
        "## By series",
        f"{escape_markdown(sentence(metrics))} {what}, by {title}; skill is against the best of a "
        f"series' own baselines{none}. Every series is in `by_series.parquet`.",
        table(header, body),
        *([escape_markdown(" ".join(left))] if left else []),
    ]

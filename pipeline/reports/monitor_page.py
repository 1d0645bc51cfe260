"""What `monitor` found as a page: scores beside those of test, chunks beside their limits."""

import time
from collections.abc import Sequence

import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from pipeline.config.cards import Card
from pipeline.config.params import SeasonalNaive
from pipeline.files import artifacts
from pipeline.monitoring.inputs import STATISTICS
from pipeline.monitoring.limits import IN_A_ROW
from pipeline.monitoring.scores import EVERY
from pipeline.monitoring.watch import Watched
from pipeline.reports import page
from pipeline.reports.formatting import escape_markdown, escape_mathtext, number, table
from pipeline.reports.pictures import COLOURS, LATE, style

USUAL, OVER = "#999999", LATE
ACROSS = 3  # panels beside one another
SHARES = ("coverage", "skill")


def score_rows(found: Watched, target: str, steps: bool) -> tuple[list[str], list[list[str]]]:
    """The scores of a target, each beside its value on test: of all steps, or of each."""
    now, test = found.scores[target], found.usual.test.get(target, {})
    names = [name for name in _order([*now[EVERY]]) if steps or name != "n"]
    if not steps:
        body = [
            [name, _shown(name, now[EVERY].get(name)), _shown(name, test.get(EVERY, {}).get(name))]
            for name in names
        ]
        return ["score", "in service", "on test"], body
    chosen = [n for n in names if n in ("n", "rmse", "mae", "bias", "skill")]
    chosen += [n for n in names if n.startswith(("coverage", "pinball"))]
    body = [
        [
            step,
            *(
                _shown(name, own.get(name))
                + ("" if name == "n" else f" ({_shown(name, test.get(step, {}).get(name))})")
                for name in chosen
            ),
        ]
        for step, own in now.items()
        if step != EVERY
    ]
    return ["step", *chosen], body


def against(found: Watched) -> str:
    """What the skill is against."""
    rule = found.usual.baseline
    season = f" of {rule.season} rows" if isinstance(rule, SeasonalNaive) else ""
    return f"Skill is against {rule.name.replace('_', ' ')}{season}, on the same forecasts."


def input_rows(found: Watched) -> tuple[list[str], list[list[str]]]:
    """Each statistic of each column: in the newest chunk, at its largest, its limit, where it is
    over it."""
    return _rows(found.inputs, found.usual.input_limits)


def error_rows(found: Watched) -> tuple[list[str], list[list[str]]]:
    """The same of errors."""
    return _rows(found.errors, found.usual.error_limits)


def _rows(
    measured: pd.DataFrame, limits: dict[str, dict[str, float]]
) -> tuple[list[str], list[list[str]]]:
    header = ["column", "statistic", "newest chunk", "largest", "limit", "chunks over it"]
    body = []
    for name, own in limits.items():
        for statistic, limit in own.items():
            if (name, statistic) not in measured:
                continue
            values = measured[name, statistic]
            body.append(
                [
                    name,
                    statistic,
                    number(None if pd.isna(values.iloc[-1]) else float(values.iloc[-1])),
                    number(float(values.max())),
                    number(limit),
                    f"{int((values > limit).sum())} of {values.notna().sum()}",
                ]
            )
    return header, body


def html(found: Watched, card: Card, model: str) -> str:
    """The page."""
    text = [f"# {escape_markdown(card.title)}: {escape_markdown(model)} in service"]
    state = [found.say(alarm) for alarm in found.alarms] or ["No alarm."]
    text.append("\n".join(f"- {escape_markdown(line)}" for line in state))
    text.append(f"{found.matched:,} forecasts were joined with what came.")
    more = [f"Left out: {count:,} forecasts {why}" for why, count in found.left_out.items()]
    if lines := [*more, *found.notes]:
        text.append("\n".join(f"- {escape_markdown(line)}" for line in lines))
    images: dict[str, bytes] = {}
    for target in found.scores:
        text.append(f"## Forecasts of {escape_markdown(target)}")
        text.append(table(*score_rows(found, target, steps=False)))
        text.append(against(found))
        if len(found.scores[target]) > 2:
            images[f"steps{len(images) + 1}.png"] = artifacts.png(by_step(found, target))
            text.append(f"![Scores by step](steps{len(images)}.png)")
            text += ["By step, in brackets on test:", table(*score_rows(found, target, True))]
    if len(error_rows(found)[1]):
        images["errors.png"] = artifacts.png(chunks(found.errors, found.usual.error_limits, found))
        text += ["## Errors by chunk", "![Errors](errors.png)", table(*error_rows(found))]
    if len(input_rows(found)[1]):
        images["inputs.png"] = artifacts.png(chunks(found.inputs, found.usual.input_limits, found))
        text += [
            "## Inputs",
            f"A chunk is {found.usual.chunk} rows. A limit is what {found.usual.chunks} chunks of "
            f"the training span kept to against the rest of it; {IN_A_ROW} chunks in a row over it "
            "are an alarm.",
            "![Inputs](inputs.png)",
            table(*input_rows(found)),
            "\n".join(f"- {name}: {what}" for name, what in STATISTICS.items()),
        ]
    text.append(f"Written {time.strftime('%Y-%m-%d %H:%M %z')}.")
    return page.html(f"{card.title} in service", "\n\n".join(text), images)


def by_step(found: Watched, target: str) -> Figure:
    """RMSE and the coverage of each interval by step, in service and on test."""
    parts = (
        ("on test", found.usual.test.get(target, {}), USUAL),
        ("in service", found.scores[target], COLOURS["model"]),
    )
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    levels = [n for n in _order([*found.scores[target][EVERY]]) if n.startswith("coverage")]
    for label, own, colour in parts:
        steps = {int(step): scores for step, scores in own.items() if step != EVERY}
        steps = dict(sorted(steps.items()))
        left.plot(list(steps), [s["rmse"] for s in steps.values()], color=colour, label=label)
        for name in levels:
            at = {step: scores[name] for step, scores in steps.items() if name in scores}
            of = f"{name.split('_')[1]}% {label}"
            right.plot(list(at), [100 * v for v in at.values()], color=colour, label=of)
    for name in levels:
        right.axhline(float(name.split("_")[1]), color="#000000", ls=":", lw=0.8)
    for axes, what in ((left, "RMSE"), (right, "coverage (%)")):
        style(axes)
        axes.set(xlabel="step ahead", ylabel=what)
    left.set_title(f"RMSE of {escape_mathtext(target)}")
    right.set_title("What intervals hold; dotted: what they promise")
    left.legend(frameon=False)
    return figure


def chunks(measured: pd.DataFrame, limits: dict[str, dict[str, float]], found: Watched) -> Figure:
    """Every statistic by chunk as a share of its limit, a panel for each column."""
    names = [name for name in limits if name in measured.columns.get_level_values(0)]
    rows = -(-len(names) // ACROSS)
    figure = Figure(figsize=(10, 2.6 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, min(ACROSS, len(names)), squeeze=False, sharex=True, sharey=True)
    places = [axes for line in panels for axes in line]
    times = [found.spans[int(chunk)][1] for chunk in measured.index]
    statistics = list(dict.fromkeys(key for name in names for key in limits[name]))
    colours = dict(zip(statistics, [*COLOURS.values()], strict=False))
    for axes, name in zip(places, names, strict=False):
        style(axes)
        for statistic, limit in limits[name].items():
            if (name, statistic) in measured:
                share = measured[name, statistic] / limit
                colour, mark = colours[statistic], "." if len(times) < 3 else None
                axes.plot(times, share, color=colour, marker=mark, lw=1.2, label=statistic)
        axes.axhline(1, color=OVER, lw=1, ls="--")
        axes.set_title(escape_mathtext(name))
        axes.xaxis.set_major_locator(locator := AutoDateLocator(maxticks=5))
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.set_ylim(0, 3)
    for axes in places[len(names) :]:
        axes.set_visible(False)
    for line in panels:
        line[0].set_ylabel("share of the limit")
    handles = {line.get_label(): line for axes in places for line in axes.get_lines()[:-1]}
    figure.legend(
        list(handles.values()), list(map(str, handles)), loc="outside lower center",
        ncols=len(handles) or 1, frameon=False,
    )  # fmt: skip
    return figure


def _order(names: Sequence[str]) -> list[str]:
    first = ["n", "rmse", "mae", "bias", "skill"]
    return [n for n in first if n in names] + [n for n in names if n not in first]


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name == "n":
        return f"{value:,.0f}"
    return f"{value:.1%}" if name.startswith(SHARES) else number(value)

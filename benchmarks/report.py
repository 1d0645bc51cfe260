"""Results as a Markdown table and as a picture."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import project
from benchmarks.growth import MOST, exponent
from benchmarks.measure import Row
from pipeline.reports.pictures import style
from pipeline.runtime import determinism

BEGIN, END = "<!-- results: written by python -m benchmarks -->", "<!-- end of results -->"
MET, MISSED = "#009E73", "#D55E00"
FAR = 30  # times better or worse; what is further is shown there


def inserted(page: str, rows: Sequence[Row]) -> str:
    """The page with the results between its two marker lines."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + "\n\n" + markdown(rows) + "\n" + END + rest.split(END)[1]


def where() -> str:
    """The machine and the libraries that figures are of."""
    libraries = ", ".join(f"{name} {number}" for name, number in determinism.versions().items())
    return f"{os.cpu_count()} cores of {determinism.processor()}; {libraries}"


def markdown(rows: Sequence[Row]) -> str:
    """A table a part, and by what it was made."""
    lines = [
        f"Aims met: {sum(row.met is True for row in rows)}; "
        f"not met: {sum(row.met is False for row in rows)}.",
        "",
        "![The figures beside their aims](results.png)",
        "",
        *(["![Growth by rows and series](growth.png)", ""] if grows(rows) else []),
    ]
    for part in dict.fromkeys(row.part for row in rows):
        made = dict.fromkeys(row.made for row in rows if row.part == part)
        lines += [f"### {part}", "", *(text for one in made for text in (f"Made by {one}.", ""))]
        lines += ["| case | program | figure | aim | |", "|---|---|---|---|---|"]
        for row in rows:
            if row.part == part:
                value = row.unit if row.value is None else f"{row.value:.4g} {row.unit}"
                verdict = {True: "met", False: "**not met**", None: ""}[row.met]
                lines.append(f"| {row.case} | {row.program} | {value} | {row.aim} | {verdict} |")
        lines.append("")
    return "\n".join(lines)


def grows(rows: Sequence[Row]) -> bool:
    """Whether there is growth to be drawn."""
    return any(row.part == "growth" for row in rows)


def plot(rows: Sequence[Row]) -> Figure:
    """Each figure with an aim, over its aim; what should be 0, and is, is in the table alone."""
    shown = [row for row in rows if row.met is not None and (row.aim != "<= 0" or not row.met)]
    figure = Figure(figsize=(11, 2 + 0.13 * len(shown)), layout="constrained")
    _aims(figure.subplots(), shown)
    return figure


def growth(rows: Sequence[Row]) -> Figure:
    """Seconds and memory of each stage by rows and by series, and by what power they grow."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    panels = figure.subplots(2, 2, sharey="row", sharex="col")
    own = [row for row in rows if row.part == "growth"]
    for line, (unit, name) in zip(panels, (("s", "seconds"), ("MB", "memory (MB)")), strict=True):
        for axes, of in zip(line, ("rows", "series"), strict=True):
            _growth(axes, [row for row in own if row.unit == unit and row.program.endswith(of)])
            axes.set(xscale="log", yscale="log")
        line[0].set_ylabel(name)
    for axes in panels[1]:
        axes.axhline(MOST, color="black", linewidth=0.8, linestyle="--")
    panels[0, 0].set_title("One series, by its rows")
    panels[0, 1].set_title(f"Series of {project.ROWS:,} rows, by their number")
    panels[1, 0].set_xlabel("rows")
    panels[1, 1].set_xlabel("series")
    return figure


def _aims(axes: Axes, rows: Sequence[Row]) -> None:
    style(axes)
    for y, row in enumerate(reversed(rows)):
        aim = float(row.aim.split()[1])
        least = row.aim.startswith(">=")
        share = max(row.value or 0, 1e-3) / max(aim, 1e-3)
        times = np.clip(share if least else 1 / share, 1 / FAR, FAR)
        axes.plot(times, y, "o", color=MET if row.met else MISSED)
    # What stands in brackets is for the table.
    of = {"s": ", time", "MB": ", memory"}
    labels = [
        f"{row.part}: {row.case.split(' (')[0]}: {row.program}"
        f"{of.get(row.unit, '') or (', ' + row.unit) * row.unit.startswith('exponent')}"
        for row in reversed(rows)
    ]
    axes.set_yticks(range(len(rows)), labels, fontsize=7)
    axes.set_ylim(-1, len(rows))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(
        xscale="log",
        xlabel=f"times better than the aim, at most {FAR}",
        title="Aims: green and to the right is met",
    )


def _growth(axes: Axes, rows: Sequence[Row]) -> None:
    style(axes)
    for number, stage in enumerate(project.STAGES):
        own = [row for row in rows if row.case == stage]
        if not own:
            continue
        sizes = [int(row.program.split()[0]) for row in own]
        values = [row.value or 0 for row in own]
        slope = f"  {exponent(values):.2f}" if len(own) > 1 else ""
        axes.plot(sizes, values, "o-", color=f"C{number}", label=stage + slope)
    if rows:
        look: Any = {"facecolor": "white", "edgecolor": "none", "framealpha": 1}
        axes.legend(fontsize="small", title="exponent of the last decade", **look)

"""Pictures of several runs beside one another."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from statistics import fmean

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.reports.formatting import escape_mathtext
from pipeline.reports.pictures import STROKES, bars, legend_below, panel

# Okabe and Ito's colours again, those of the baselines last.
LINES = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
# The baselines', the best one darkest.
GREYS = ("#333333", "#777777", "#999999", "#BBBBBB")


def losses(curves: Mapping[str, Sequence[tuple[list[float], list[float], int]]]) -> Figure:
    """Training loss (thin, dotted) and validation loss by epoch; a colour for each row.

    `curves` are each row's training losses, validation losses and kept epoch of every run.
    """
    figure, axes = panel()
    for i, (label, runs) in enumerate(curves.items()):
        colour = LINES[i % len(LINES)]
        for j, (train, validation, kept) in enumerate(runs):
            epochs = range(1, len(validation) + 1)
            if not validation:  # a baseline has no epochs
                continue
            axes.plot(epochs[: len(train)], train, ":", color=colour, linewidth=1)
            name = escape_mathtext(label) if j == 0 else None
            axes.plot(epochs, validation, color=colour, label=name)
            axes.plot(kept, validation[kept - 1], "o", color=colour, markersize=4)
    axes.set(xlabel="epoch", ylabel="loss (scaled units)")
    axes.set_title("Loss by epoch: validation (line, best epoch marked), training (dotted)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_below(figure, axes)
    return figure


def horizons(
    errors: Mapping[str, Sequence[list[float]]], baselines: Mapping[str, list[float]], scale: str
) -> Figure:
    """Test error at each step ahead, a colour for each row, beside the baselines in grey.

    Of a single step, a bar each, of a row the mean over its runs. `errors` are by row, run and
    step, `baselines` those of the first row by step, the best first; `scale` says what they are in.
    """
    figure, axes = panel()
    scale = escape_mathtext(scale)
    colours = {label: LINES[i % len(LINES)] for i, label in enumerate(errors)}
    greys = {name: GREYS[i % len(GREYS)] for i, name in enumerate(baselines)}
    shown = {label: escape_mathtext(label) for label in errors}
    shown |= {name: name.replace("_", " ") for name in baselines}
    horizon = len(next(iter(baselines.values())))
    if horizon == 1:
        means = {label: fmean(values[0] for values in runs) for label, runs in errors.items()}
        means |= {name: values[0] for name, values in baselines.items()}
        bars(axes, {shown[who]: (means[who], (colours | greys)[who]) for who in means}, scale)
        return figure
    steps = range(1, horizon + 1)
    for label, runs in errors.items():
        for j, values in enumerate(runs):
            name = shown[label] if j == 0 else None
            axes.plot(steps, values, color=colours[label], linewidth=1.4, label=name)
    for (rule, values), stroke in zip(baselines.items(), cycle(STROKES[1:]), strict=False):
        axes.plot(steps, values, ls=stroke, color=greys[rule], lw=1.2, label=shown[rule])
    axes.set(xlabel="steps ahead", ylabel=scale, title="Test error by horizon")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_below(figure, axes)
    return figure


def folds(errors: Mapping[str, Sequence[float]], scale: str) -> Figure:
    """The error of each backtest fold by fold, a colour for each; `scale` says what it is in."""
    figure, axes = panel()
    for i, (name, values) in enumerate(errors.items()):
        x = range(1, len(values) + 1)
        axes.plot(x, values, "o-", color=LINES[i % len(LINES)], label=escape_mathtext(name))
    axes.set(xlabel="fold", ylabel=escape_mathtext(scale), title="Error by fold")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_below(figure, axes)
    return figure

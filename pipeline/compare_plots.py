"""Pictures of several runs beside one another."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.plots import COLOURS, panel
from pipeline.text import escape_mathtext

# Okabe and Ito's colours again, those of the rules last.
LINES = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000", "#F0E442")


def losses(curves: Mapping[str, Sequence[tuple[list[float], list[float]]]]) -> Figure:
    """Training loss (thin, dotted) and validation loss by epoch; a colour for each row.

    Args:
        curves: of each row, a pair of training and validation losses for every run.
    """
    figure, axes = panel()
    for i, (label, runs) in enumerate(curves.items()):
        colour = LINES[i % len(LINES)]
        for j, (train, validation) in enumerate(runs):
            epochs = range(1, len(validation) + 1)
            if not validation:  # a rule has no epochs
                continue
            axes.plot(epochs[: len(train)], train, ":", color=colour, linewidth=1)
            axes.plot(
                epochs, validation, color=colour, label=escape_mathtext(label) if j == 0 else None
            )
            best = validation.index(min(validation))
            axes.plot(best + 1, validation[best], "o", color=colour, markersize=4)
    axes.set(
        xlabel="epoch",
        ylabel="loss (scaled units)",
        title="Loss by epoch: validation (line, best epoch marked), training (dotted)",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(frameon=False)
    return figure


def horizons(errors: Mapping[str, Sequence[list[float]]], rule: str, naive: list[float]) -> Figure:
    """Test error at each step ahead, a colour for each row, beside the best naive rule.

    Args:
        errors: of each row, the error of every step for every run.
        rule: the best naive rule's name.
        naive: its error at every step.
    """
    figure, axes = panel()
    steps = range(1, len(naive) + 1)
    marker = "o" if len(naive) == 1 else None
    axes.plot(steps, naive, marker=marker, color=COLOURS["persistence"], linestyle="--", label=rule)
    for i, (label, runs) in enumerate(errors.items()):
        for j, values in enumerate(runs):
            colour = LINES[i % len(LINES)]
            name = escape_mathtext(label) if j == 0 else None
            axes.plot(steps, values, marker=marker, color=colour, linewidth=1.4, label=name)
    axes.set(xlabel="steps ahead", ylabel="RMSE", title="Test error by horizon")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(frameon=False)
    return figure

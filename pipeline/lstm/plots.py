"""Pictures of a network's memory, its gates and the toy series; pyplot's state is not touched."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from pipeline.lstm.cell import Array, Trace
from pipeline.lstm.memory_profile import THRESHOLD, MemoryProfile, memory_length

BLUE, ORANGE, GREEN, GREY = "#1f5fa8", "#d9772b", "#3b8f5a", "#777777"


def memory_figure(profile: MemoryProfile, unit: str = "step") -> Figure:
    """Influence by k on a log axis, the threshold, and the memory length if there is one."""
    with rc_context({"font.size": 12}):
        figure = Figure(figsize=(9, 5), layout="constrained")
        axes = figure.subplots()
    k = np.arange(len(profile.joint))
    curves = [
        (profile.joint, "joint state", BLUE, "-"),
        (profile.cell, "cell state, dC(t)/dC(t-k)", ORANGE, "-"),
        (profile.forget, "forget gates alone", GREEN, "--"),
    ]
    for values, label, colour, style in curves:
        if values is not None:
            # A log axis has no zero: an influence that underflows ends the line.
            shown = np.where(values > 0, values, np.nan)
            axes.plot(k, shown, style, color=colour, label=label, linewidth=2)
    axes.axhline(THRESHOLD, color=GREY, linestyle=":", label=f"threshold {THRESHOLD:g}")
    length = memory_length(profile)
    if length is not None:
        axes.axvline(length, color=GREY, linewidth=1)
        axes.annotate(
            f"k = {length}",
            (length, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(4, -14),
            textcoords="offset points",
        )
    axes.set_yscale("log")
    # Far below the threshold there is nothing to see, and 1e-40 would flatten the rest.
    lowest = min(float(values.min()) for values, *_ in curves if values is not None)
    axes.set_ylim(bottom=max(THRESHOLD * 1e-4, 0.5 * min(lowest, THRESHOLD)))
    axes.set(xlabel=f"k ({unit}s before the forecast)", ylabel="spectral norm, mean over windows")
    axes.set_title("How much of a change in the state k steps ago is left")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


@rc_context({"font.size": 12})
def gate_figure(
    trace: Trace, window: int = 0, unit: str = "step", title: str = "One layer over one window"
) -> Figure:
    """Heat maps of gates, candidate and cell state of a trace's window; `unit` is a step's name."""
    figure = Figure(figsize=(11, 13), layout="constrained")
    panels = [
        (trace.f, "forget gate f (1 keeps, 0 drops)", "gate"),
        (trace.i, "input gate i (1 writes, 0 ignores)", "gate"),
        (trace.o, "output gate o (1 shows, 0 hides)", "gate"),
        (trace.candidate, "candidate (what would be written)", "value"),
        (trace.C, "cell state C (what is remembered)", "value"),
    ]
    all_axes = figure.subplots(len(panels), 1, sharex=True)
    steps, units = trace.h.shape[1:]
    for axes, (values, name, kind) in zip(all_axes, panels, strict=True):
        shown = values[window].T  # [H, T]
        top = 1.0 if kind == "gate" else max(float(np.abs(shown).max()), 1e-12)
        low, colours = (0.0, "viridis") if kind == "gate" else (-top, "RdBu_r")
        image = axes.imshow(
            shown, extent=(-steps + 0.5, 0.5, units + 0.5, 0.5), vmin=low, vmax=top, cmap=colours,
            aspect="auto", interpolation="nearest",
        )  # fmt: skip
        axes.set_title(name, loc="left", fontsize=12)
        axes.set_ylabel("unit")
        axes.yaxis.get_major_locator().set_params(integer=True)
        figure.colorbar(image, ax=axes, label="opening" if kind == "gate" else "value (no unit)")
    all_axes[-1].xaxis.get_major_locator().set_params(integer=True)  # a cell is a whole step
    all_axes[-1].set_xlabel(f"{unit}s, counted from the last one seen")
    figure.suptitle(title)
    return figure


@rc_context({"font.size": 12})
def toy_figure(losses: Sequence[float], truth: Array, forecasts: Array) -> Figure:
    """Loss by epoch, and the end of the toy series beside its one-step forecasts."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    top, bottom = figure.subplots(2, 1)
    top.semilogy(range(1, len(losses) + 1), losses, color=BLUE)
    top.set(xlabel="epoch", ylabel="mean squared error")
    top.set_title("Training loss", loc="left")
    bottom.plot(truth, color=GREY, linewidth=3, alpha=0.6, label="toy series")
    bottom.plot(forecasts, color=ORANGE, label="forecast, one step ahead")
    bottom.set(xlabel="step (not used in training)", ylabel="value (no unit)")
    bottom.set_title("Forecast of the held-out part", loc="left")
    bottom.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    for axes in (top, bottom):
        axes.grid(alpha=0.25)
    return figure

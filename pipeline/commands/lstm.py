"""Check the gradient of the NumPy LSTM, train it on a toy series, draw the result."""

import argparse
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.lstm import plots, stack, toy
from pipeline.lstm.gradient_check import CheckedArray, gradient_check, random_problem
from pipeline.runtime import process

LIMIT = 1e-6


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; PipelineError if an array of the gradient check is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--epochs", type=int, default=30, help="default %(default)s")
    add("--units", type=int, default=16, help="of the layer (default %(default)s)")
    add("--look-back", type=int, default=24, help="steps in a window (default %(default)s)")
    add("--seed", type=int, default=0, help="of weights, noise and batches (default %(default)s)")
    add("--output", type=process.path, default="lstm_toy.png", help="default %(default)s")
    args = parser.parse_args(argv)
    console = Console()

    # Two stacked layers, a loss on some of the steps, and some steps masked.
    rows = gradient_check(random_problem(args.seed, masked=True))
    console.print(gradient_table(rows))

    x, y = toy.windows(toy.toy_series(600, args.seed), args.look_back)
    cut = len(x) - 120
    weights, losses = toy.initial_network(args.units, args.seed), []
    epochs = toy.train(weights, x[:cut], y[:cut], args.epochs, seed=args.seed)
    for step in track(epochs, "Training the toy series", args.epochs, console=console):
        weights = step[0]
        losses.append(step[1])
    *layers, head = weights
    forecasts = stack.forecast(layers, head, x[cut:])
    error = float(np.mean((forecasts - y[cut:]) ** 2))
    naive = float(np.mean((x[cut:, -1] - y[cut:]) ** 2))
    console.print(
        f"Loss of epoch 1: {losses[0]:.4f}, of epoch {args.epochs}: {losses[-1]:.4f}. "
        f"Held out: {error:.4f}; repeating the last value: {naive:.4f}.",
        soft_wrap=True,
    )
    artifacts.write_figure(args.output, plots.toy_figure(losses, y[cut:, 0], forecasts[:, 0]))
    print(f"Wrote {args.output}")
    if wrong := [row.name for row in rows if row.error > LIMIT]:
        raise PipelineError(
            f"expected gradients within {LIMIT:g} of central differences, found others in "
            f"{', '.join(wrong)}"
        )


def gradient_table(rows: Sequence[CheckedArray]) -> Table:
    """The check as a table, a row an array."""
    table = Table(
        title="Back-propagation through time beside central differences, float64",
        caption=f"error: |a - b| / (|a| + |b|), Euclidean norms; limit {LIMIT:g}",
    )
    table.add_column("array")
    for name in ("shape", "gradient's norm", "error", "verdict"):
        table.add_column(name, justify="right")
    for row in rows:
        shape = " x ".join(map(str, row.shape))
        verdict = "[green]right[/]" if row.error <= LIMIT else "[bold red]WRONG[/]"
        table.add_row(row.name, shape, f"{row.norm:.4f}", f"{row.error:.1e}", verdict)
    return table

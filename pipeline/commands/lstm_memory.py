"""Measure and draw how far back a trained LSTM, or plain RNN, looks."""

import argparse
from collections.abc import Sequence

import numpy as np

from pipeline.files import artifacts
from pipeline.lstm import jacobian, plots, weights
from pipeline.lstm.cell import LSTM
from pipeline.lstm.memory_profile import MemoryProfile, memory_profile, memory_sentence
from pipeline.models.spec import BESIDE
from pipeline.runtime import process

LAYERS = "layers"  # of a file of Keras weights the network's group, beside which a mix has its own


def table(profile: MemoryProfile) -> str:
    """The profile at k = 0, 1, 2, 4, 8, ... and L, as lines of text."""
    last = len(profile.joint) - 1
    ks = [0, *(2**n for n in range(last.bit_length()) if 2**n < last), last]
    columns = zip(("joint", "cell", "forget only"), profile, strict=True)
    shown = {name: values for name, values in columns if values is not None}
    lines = ["".join(f"{name:>13}" for name in ("k", *shown))]
    lines += [f"{k:>13}" + "".join(f"{v[k]:>13.3g}" for v in shown.values()) for k in ks]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the profile and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add(
        "--weights",
        type=process.path,
        required=True,
        help="a model.weights.h5 with layers recurrent_1, ... and head, or the directory it is in; "
        "the file says whether they are LSTM or SimpleRNN",
    )
    add("--windows", type=process.path, required=True, help="a .npy of windows [N, L, F], scaled")
    add("--activation", choices=["tanh", "relu"], default="tanh")
    add("--samples", type=int, default=32, help="windows used, evenly spaced (default %(default)s)")
    add("--unit", default="step", help="a step's name, such as hour")
    add("--output", type=process.path, default="lstm_memory.png", help="default %(default)s")
    add("--gates", type=process.path, help="also draw here layer 1's gates over the last window")
    args = parser.parse_args(argv)

    path = args.weights / "model.weights.h5" if args.weights.is_dir() else args.weights
    try:
        layers, _, _ = weights.read_keras_weights(path, BESIDE, inside=LAYERS)
        if args.gates and not isinstance(layers[0], LSTM):
            raise ValueError(f"--gates: expected LSTM weights, found a plain RNN in {path}")
        windows = np.load(args.windows)
        windows = windows[:: max(1, len(windows) // args.samples)][: args.samples]
        profile = memory_profile(layers, windows, args.activation)
        sentence = memory_sentence(profile, unit=args.unit)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(table(profile))
    print(sentence)
    pictures = {args.output: plots.memory_figure(profile, unit=args.unit)}
    if args.gates:
        trace = jacobian.run(layers[:1], windows[-1:], args.activation)[0]
        title = "Layer 1 over one window"
        pictures[args.gates] = plots.gate_figure(trace, unit=args.unit, title=title)
    for place, picture in pictures.items():
        artifacts.write_figure(place, picture)
        print(f"Wrote {place}")

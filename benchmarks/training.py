"""Part 3: windows a second, forward and backward, beside stock Keras and PyTorch."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from benchmarks.measure import ABSENT, ROUNDS, Program, Row, in_turn, interpreter, ratio, row

TWO_50 = {"kind": "lstm", "units": [50, 50], "look_back": 24, "features": 4, "horizon": 1}
CASES: dict[str, tuple[dict[str, Any], float]] = {  # and how much faster than the best to be
    "two LSTM(50), 24 x 4, batch 32": (
        TWO_50 | {"batch": 32, "steps": 128},
        1,
    ),
    "two LSTM(50), 24 x 4, batch 256": (
        TWO_50 | {"batch": 256, "steps": 32},
        1,
    ),
    "two LSTM(10, relu), 96 x 1, batch 512": (
        {
            "kind": "lstm", "units": [10, 10], "activation": "relu", "look_back": 96,
            "features": 1, "horizon": 1, "batch": 512, "steps": 24,
        },
        1,
    ),
    "segment GRU(128), 720 x 1, segments of 24, batch 256": (
        {
            "kind": "segment_gru", "units": [128], "segment": 24, "look_back": 720, "features": 1,
            "horizon": 96, "batch": 256, "steps": 16,
        },
        2,
    ),
}  # fmt: skip
PEERS: dict[str, tuple[str, str | None, dict[str, Any]]] = {  # script, environment, what it is told
    "ours": ("ours", None, {"acceleration": "xla"}),
    "Keras on TensorFlow": ("keras_fit", None, {"jit": False}),
    "Keras on TensorFlow, XLA": ("keras_fit", None, {"jit": True}),
    "Keras on JAX": ("keras_fit", "jax", {"jit": True}),
    "PyTorch": ("torch_fit", "torch", {}),
}


def rows(quick: bool) -> Iterator[Row]:
    """Our windows a second over each peer's, at equal model and batch."""
    for name, (case, aim) in CASES.items():
        settings = case | {"steps": 2} if quick else case
        with ExitStack() as stack:
            programs: dict[str, Program] = {}
            for peer, (script, environment, options) in PEERS.items():
                python = interpreter(environment)
                if python is None:
                    yield Row("training", name, peer, None, ABSENT)
                    continue
                started = Program(script, settings | options, python, environment or "tensorflow")
                programs[peer] = stack.enter_context(started)
            for program in programs.values():
                program.answer()  # all are ready, and warm
            seconds = {
                peer: lambda p=program: p.go()["seconds"] for peer, program in programs.items()
            }
            measured = in_turn(seconds, 1 if quick else ROUNDS)
        for peer in measured:
            if peer != "ours":
                faster = ratio(measured[peer], measured["ours"])
                yield row("training", name, peer, faster, "x its speed", at_least=aim)

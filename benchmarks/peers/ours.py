"""This project's `training.fit`: each epoch waits for its turn."""

import time

from protocol import Turns

from benchmarks.networks import ours
from pipeline import determinism, training

turns = Turns()
case = turns.read()
determinism.settle(1)
network, examples, settings = ours(case)
start = 0.0


def on_epoch(number: int, scores: training.Epoch) -> None:
    """Say how long the epoch took, the first of which is for tracing, and wait for the next."""
    global start
    turns.answer(seconds=time.perf_counter() - start)
    turns.read()
    start = time.perf_counter()


training.fit(network, examples, settings, on_epoch)

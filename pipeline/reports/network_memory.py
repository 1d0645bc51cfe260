"""What a network remembers, in a sentence and in pictures."""

from matplotlib.figure import Figure

from pipeline.config.cards import Card
from pipeline.evaluation.network_memory import Memory
from pipeline.lstm import plots
from pipeline.lstm.memory_profile import memory_sentence


def sentence(memory: Memory, card: Card) -> str:
    """How far back the network looks, and whether its look-back is longer."""
    return memory_sentence(memory.profile, unit=_unit(card))


def draw(memory: Memory, card: Card) -> dict[str, Figure]:
    """The influence by age, and of an LSTM the gates of its first layer."""
    pictures = {"memory": plots.memory_figure(memory.profile, unit=_unit(card))}
    if memory.gates:
        title = "Gates of the first layer over one window"
        middle = memory.windows // 2
        pictures["gates"] = plots.gate_figure(memory.gates, middle, _unit(card), title)
    return pictures


def _unit(card: Card) -> str:
    return {"1h": "hour", "1D": "day", "1min": "minute"}.get(card.frequency, "step")

"""The members of an ensemble: how each is fitted, from `train.ensemble` and `train.members`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.config.changes import change
from pipeline.config.params import Train
from pipeline.errors import PipelineError
from pipeline.files.records import Record, parse

MOST = 100
COMMON = {  # what no member has to itself, and why
    "train.seed": "the members' seeds follow from train.seed",
    "train.ensemble": "train.ensemble says how many seeds each of them has",
    "train.members": "a member has no members",
    "train.mix": "it is the ensemble's forecast that is mixed",
    "train.shards": "all members are cut as train.shards says",
    "train.quantiles": "the mean is of the same quantiles",
}


class _Changed(Record):
    """What a member's keys begin with, for the lines of what is wrong."""

    train: Train


def fits(train: Train) -> list[Train]:
    """How each member of an ensemble is fitted, as a network by itself would be; or that network.

    Each of `train.members` has `train.ensemble` seeds. Another seed has other members: those of
    seed s have the seeds (s - 1) * n + 1 to s * n.

    Raises:
        PipelineError: names the member and its key that cannot be.
    """
    alone = train.model_copy(update={"ensemble": 1, "members": (), "mix": ()})
    own = [_own(alone, place, one) for place, one in enumerate(train.members, start=1)] or [alone]
    first = (train.seed - 1) * train.ensemble + 1
    seeds = range(first, first + train.ensemble)
    return [one.model_copy(update={"seed": seed}) for seed in seeds for one in own]


def _own(alone: Train, place: int, changes: Mapping[str, Any]) -> Train:
    where = f"train.members: member {place}"
    for key, value in changes.items():
        if value == "auto":
            raise PipelineError(f"{where}: {key}: expected a value of its own, found auto")
        if not key.startswith("train."):
            raise PipelineError(
                f"{where}: expected keys of train, such as train.model.name, found {key}; what a "
                "forecast sees and is of is the same for all members"
            )
        for common, why in COMMON.items():
            if f"{key}.".startswith(f"{common}."):
                raise PipelineError(f"{where}: expected no {common}, since {why}")
    tree: dict[str, Any] = {"train": alone.model_dump(mode="json")}
    change(tree, changes)
    return parse(tree, _Changed, where).train


def title(train: Train) -> str:
    """What forecasts, in a few words."""
    return titled((one.model.name for one in fits(train)), [one.name for one in train.mixed])


def titled(names: Iterable[str], mixed: Sequence[str]) -> str:
    """What a network, an ensemble or a mix with baselines is called, by its parts' models."""
    counts = Counter(names).items()
    told = ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counts)
    return " and ".join([told, *mixed])

"""The best trials of a search as one ensemble, whose members are the trials' own networks."""

from typing import Any

from pipeline.config.changes import NAME, changed, plain
from pipeline.config.members import COMMON
from pipeline.config.params import Baseline, Params
from pipeline.errors import PipelineError
from pipeline.experiments.search.study import Finished, Search


def ensemble(search: Search, count: int) -> tuple[Params, list[str]]:
    """The parameters of an ensemble of the best so many trials, and a line of each left out.

    They are those of the best network with the others under `train.members`. Left out is what is no
    network, and what differs from the best one in more than `train`, since all members see the
    same windows.

    Raises:
        PipelineError: fewer than two are asked for, or fewer trials can be members.
    """
    check(search, count)
    able: list[Finished] = []
    said: list[str] = []
    for one in search.ranked:
        if len(able) == count:
            break
        if why := _unlike(one, able[0] if able else None):
            said.append(f"trial {one.number} is left out of the ensemble: {why}")
        else:
            able.append(one)
    if len(able) < count:
        raise PipelineError(
            f"ensemble: expected so many trials that differ in keys of train alone, found "
            f"{len(able)}{'; ' if said else ''}{'; '.join(said)}"
        )
    first, *others = [one.runs[0].params for one in able]
    best = changed(search.base.asked, able[0].runs[0].changes, "trial")
    members = [{}, *(_member(first, one) for one in others)]
    return changed(best, {"train.members": members}, "trial"), said


def check(search: Search, count: int) -> None:
    """PipelineError of what can be no ensemble, however the trials end."""
    if not 2 <= count <= search.count:
        raise PipelineError(
            f"ensemble: expected 2 to {search.count:,} trials, as many as there are, found {count}"
        )
    if search.base.params.train.members:
        raise PipelineError(
            "train.members: expected [] in params.yaml for an ensemble of a search's best, found "
            f"{len(search.base.params.train.members)}"
        )


def _unlike(one: Finished, best: Finished | None) -> str | None:
    """Why a trial is no member beside the best one; None if it is."""
    params = one.runs[0].params
    if isinstance(params.train.model, Baseline):
        return f"{params.train.model.name} is no network"
    if params.train.members:
        return "it has train.members of its own"
    if best is None:
        return None
    for key in plain(best.runs[0].params, params.flat()):
        common = any(f"{key}.".startswith(f"{other}.") for other in COMMON)
        if not key.startswith("train.") or common:
            return f"its {key} is not that of trial {best.number}"
    if params.train.forecasts != best.runs[0].params.train.forecasts:
        return f"its train.loss is {params.train.loss}, not that of trial {best.number}"
    return None


def _member(best: Params, other: Params) -> dict[str, Any]:
    """What a trial changes of the best one's parameters."""
    name = other.train.model.name
    own = {NAME: name} if name != best.train.model.name else {}
    held = {key: value for key, value in other.flat().items() if key.startswith("train.")}
    return own | plain(changed(best, own, "trial"), held)

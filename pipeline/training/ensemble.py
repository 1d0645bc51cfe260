"""Fitting the members of an ensemble, each as a network by itself is fitted."""

from collections.abc import Callable
from functools import partial

import keras

from pipeline.config.members import fits
from pipeline.config.params import Train
from pipeline.models import registry
from pipeline.models.spec import Spec
from pipeline.models.task import Task
from pipeline.runtime import determinism
from pipeline.training.batches import Examples
from pipeline.training.fit import Epoch, compiled, fit
from pipeline.training.parts import InParts, follow
from pipeline.training.state import StateFile
from pipeline.training.team import ALONE, Alone, Worker

OnEpoch = Callable[[int, Epoch], None]


def fit_networks(
    task: Task,
    settings: Train,
    on_epoch: OnEpoch,
    file: Callable[[str], StateFile | None] = lambda name: None,
    team: Alone = ALONE,
) -> tuple[keras.Model, list[Epoch]]:
    """Fit the network, or the members of an ensemble one after the other.

    A member has the weights that a network by itself has with the member's seed.

    Args:
        on_epoch: called after each epoch with its scores and its number from 0, which counts on
            from member to member.
        file: where the state of a network by its name is kept; what is there already goes on.
        team: who computes the parts of each batch; the others call `take_part`.

    Returns:
        The network or the ensemble, and the epochs as `fit` gives them; those of a member have its
        number, from 1.

    Raises:
        PipelineError: the loss of one is no number; names member and epoch. Or a file is broken, or
            a process of the team is lost.
    """
    examples, spec = Examples.of(task), task.spec
    if spec.ensemble == 1:
        network = fresh(task, spec, settings.seed, spec.model.name)
        kept = file(spec.model.name)
        return network, fit(network, examples, settings, on_epoch, file=kept, team=team)
    members: list[keras.Model] = []
    history: list[Epoch] = []
    for place in range(spec.ensemble):
        watch = partial(_counted, on_epoch, len(history), place + 1)
        kept = file(registry.member(place))
        member, epochs = fit_member(task, examples, settings, place, watch, kept, team)
        history += numbered(place, epochs)
        members.append(member)
    return registry.together(members), history


def fit_member(
    task: Task,
    examples: Examples,
    settings: Train,
    place: int,
    on_epoch: OnEpoch,
    file: StateFile | None = None,
    team: Alone = ALONE,
) -> tuple[keras.Model, list[Epoch]]:
    """Fit the member at a place, from 0, of the ensemble that the settings ask for."""
    own, spec = fits(settings)[place], task.spec.networks[place]
    member = fresh(task, spec, own.seed, registry.member(place))
    of = f" of member {place + 1} of {task.spec.ensemble}"
    return member, fit(member, examples, own, on_epoch, of, file, team)


def take_part(task: Task, settings: Train, worker: Worker) -> None:
    """Compute a worker's parts of what another process fits by `fit_networks`.

    Raises:
        PipelineError: that process is there no more.
    """
    examples, spec = Examples.of(task), task.spec
    each = [settings] if spec.ensemble == 1 else fits(settings)
    for own, one in zip(each, spec.networks, strict=True):
        if own.shards > 1:
            # Its weights come from who leads.
            network = registry.network(one, task.scaler, one.model.name)
            trained = compiled(network, examples, own, worker)
            assert isinstance(trained, InParts)  # noqa: S101 - it has shards
            follow(trained, worker, examples, own.batch_size)


def numbered(place: int, epochs: list[Epoch]) -> list[Epoch]:
    """A member's epochs as those of an ensemble, with its number."""
    return [{"member": place + 1, **epoch} for epoch in epochs]


def fresh(task: Task, spec: Spec, seed: int, name: str) -> keras.Model:
    """A network as a fit with this seed begins."""
    determinism.settle(seed)
    network = registry.network(spec, task.scaler, name)
    if spec.residual == "linear":
        registry.set_residual(network, task)
    return network


def _counted(on_epoch: OnEpoch, before: int, member: int, epoch: int, scores: Epoch) -> None:
    on_epoch(before + epoch, {"member": member, **scores})

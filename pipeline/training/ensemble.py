"""Fitting the members of an ensemble, each as a network by itself is fitted."""

from collections.abc import Callable
from functools import partial

import keras

from pipeline.config.params import Train
from pipeline.models import registry
from pipeline.models.spec import Spec
from pipeline.models.task import Task
from pipeline.runtime import determinism
from pipeline.training.batches import Examples
from pipeline.training.fit import Epoch, fit
from pipeline.training.state import StateFile


def fit_networks(
    task: Task,
    settings: Train,
    on_epoch: Callable[[int, Epoch], None],
    file: Callable[[str], StateFile | None] = lambda name: None,
) -> tuple[keras.Model, list[Epoch]]:
    """Fit the network, or the members of an ensemble one after the other.

    A member has the weights that a network by itself has with the member's seed.

    Args:
        on_epoch: called after each epoch with its scores and its number from 0, which counts on
            from member to member.
        file: where the state of a network by its name is kept; what is there already goes on.

    Returns:
        The network or the ensemble, and the epochs as `fit` gives them; those of a member have its
        number, from 1.

    Raises:
        PipelineError: the loss of one is no number; names member and epoch. Or a file is broken.
    """
    examples, spec = Examples.of(task), task.spec
    if spec.ensemble == 1:
        network = _fresh(task, spec, settings.seed, spec.model.name)
        return network, fit(network, examples, settings, on_epoch, file=file(spec.model.name))
    members: list[keras.Model] = []
    history: list[Epoch] = []
    for place, (own, one) in enumerate(zip(settings.fits, spec.networks, strict=True)):
        name, of = registry.member(place), f" of member {place + 1} of {spec.ensemble}"
        member = _fresh(task, one, own.seed, name)
        watch = partial(_counted, on_epoch, len(history), place + 1)
        epochs = fit(member, examples, own, watch, of, file(name))
        history += [{"member": place + 1, **epoch} for epoch in epochs]
        members.append(member)
    return registry.together(members), history


def _fresh(task: Task, spec: Spec, seed: int, name: str) -> keras.Model:
    """A network as a fit with this seed begins."""
    determinism.settle(seed)
    network = registry.network(spec, task.scaler, name)
    if spec.residual == "linear":
        registry.set_residual(network, task)
    return network


def _counted(
    on_epoch: Callable[[int, Epoch], None], before: int, member: int, epoch: int, scores: Epoch
) -> None:
    on_epoch(before + epoch, {"member": member, **scores})

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


def fit_networks(
    task: Task, settings: Train, on_epoch: Callable[[int, Epoch], None]
) -> tuple[keras.Model, list[Epoch]]:
    """Fit the network, or the members of an ensemble one after the other.

    A member has the weights that a network by itself has with the member's seed.

    Args:
        on_epoch: called after each epoch with its scores and its number from 0, which counts on
            from member to member.

    Returns:
        The network or the ensemble, and the epochs as `fit` gives them; those of a member have its
        number, from 1.

    Raises:
        PipelineError: the loss of one is no number; names member and epoch.
    """
    examples, spec = Examples.of(task), task.spec
    if spec.ensemble == 1:
        network = fresh(task, spec, settings.seed, spec.model.name)
        return network, fit(network, examples, settings, on_epoch)
    members: list[keras.Model] = []
    history: list[Epoch] = []
    for place, (own, one) in enumerate(zip(settings.fits, spec.networks, strict=True)):
        member = fresh(task, one, own.seed, registry.member(place))
        watch = partial(_counted, on_epoch, len(history), place + 1)
        epochs = fit(member, examples, own, watch, f" of member {place + 1} of {spec.ensemble}")
        history += [{"member": place + 1, **epoch} for epoch in epochs]
        members.append(member)
    return registry.together(members), history


def fresh(task: Task, spec: Spec, seed: int, name: str) -> keras.Model:
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

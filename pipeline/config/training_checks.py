"""What the parameters of a training must agree on among themselves."""

from pipeline.config.params import Baseline, Params
from pipeline.errors import PipelineError

SEEDS = 2**31 - 1  # the largest


def check_training(params: Params) -> None:
    """PipelineError of a residual, a compiler, parts of a batch or members that cannot be."""
    _check_wrappers(params)
    _check_compiler(params)
    _check_shards(params)
    _check_ensemble(params)


def _check_wrappers(params: Params) -> None:
    train = params.train
    for key, found in (("residual", train.residual), ("normalisation", train.normalisation)):
        if isinstance(train.model, Baseline) and found != "none":
            raise PipelineError(
                f"train.{key}: expected none with train.model.name {train.model.name}, which is "
                f"a complete baseline; found {found}"
            )


def _check_compiler(params: Params) -> None:
    model = params.train.model
    if params.train.acceleration == "xla" and model.name == "cnn_lstm":
        raise PipelineError(
            f"train.acceleration: expected none with train.model.name {model.name}, "
            "whose pooling XLA cannot repeat to the byte, found xla"
        )


def _check_shards(params: Params) -> None:
    """That there is something to cut; what `auto` is of a batch size, training knows."""
    train, count = params.train, params.train.shards
    if count == 1:
        return
    for wrong, expected in (
        (isinstance(train.model, Baseline), f"1 with train.model.name {train.model.name}, which "
         "has no batches"),
        (train.acceleration == "xla", "1 with train.acceleration xla, which cuts batches in halves "
         "of its own"),
        (count > train.batch_size, f"at most train.batch_size ({train.batch_size:,})"),
    ):  # fmt: skip
        if wrong:
            raise PipelineError(f"train.shards: expected {expected}, found {count:,}")


def _check_ensemble(params: Params) -> None:
    """That the members are networks, and have seeds."""
    train, count = params.train, params.train.ensemble
    if train.members and isinstance(train.model, Baseline):
        raise PipelineError(
            f"train.members: expected [] with train.model.name {train.model.name}, which is no "
            "network"
        )
    if train.mix and isinstance(train.model, Baseline):
        raise PipelineError(
            f"train.mix: expected [] with train.model.name {train.model.name}, since a network is "
            "what a baseline is mixed with"
        )
    if count == 1:
        return
    if isinstance(train.model, Baseline):
        raise PipelineError(
            f"train.ensemble: expected 1 with train.model.name {train.model.name}, which has no "
            f"seed; found {count}"
        )
    if not 1 <= train.seed <= SEEDS // count:
        raise PipelineError(
            f"train.seed: expected 1 to {SEEDS // count:,} with train.ensemble {count}, whose "
            f"members' seeds follow from it; found {train.seed}"
        )

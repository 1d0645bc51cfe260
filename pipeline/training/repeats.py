"""On a GPU: whether it computes the same gradients each time, asked before a network is fitted."""

from itertools import pairwise

import tensorflow as tf

from pipeline.errors import PipelineError
from pipeline.runtime import determinism
from pipeline.training.train_step import OnPositions

TIMES = 3
REMEDY = "train on the processor, with CUDA_VISIBLE_DEVICES unset"


def check(trained: OnPositions) -> None:
    """Compute a batch's gradients three times; on a processor nothing is done.

    It is a check, not a proof: a kernel may repeat itself three times and not a fourth.

    Raises:
        PipelineError: a kernel has no deterministic form, which TensorFlow says, or other bits came
            out; names the device and the weights.
    """
    if not (gpus := determinism.gpus()):
        return
    device = f"{min(gpus)} ({gpus[min(gpus)]})"
    network = trained.network
    states = [variable.numpy() for variable in network.non_trainable_variables]

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def gradients() -> list[tf.Tensor]:
        rows = trained.train_rows(trained.shuffle(tf.range(trained.size, dtype=tf.int64)))
        with tf.GradientTape() as tape:
            forecasts = network(trained.inputs(rows), training=True)
            loss = trained.masked(trained.observed(rows), forecasts, trained.share(0, rows))
        return list(tape.gradient(loss, network.trainable_variables))

    found = []
    try:
        for _ in range(TIMES):
            found.append([gradient.numpy().tobytes() for gradient in gradients()])
            for variable, value in zip(network.non_trainable_variables, states, strict=True):
                variable.assign(value)
    except tf.errors.UnimplementedError as error:
        raise PipelineError(
            f"train: expected a deterministic kernel for each step on {device}, found none: "
            f"{str(error.message).splitlines()[0]}; {REMEDY}"
        ) from None
    for one, other in pairwise(found):
        for weight, before, after in zip(network.trainable_variables, one, other, strict=True):
            if before != after:
                raise PipelineError(
                    f"train: expected the same gradients each time on {device}, found other bits "
                    f"in those of {weight.path}; {REMEDY}"
                )

"""Train: fit the network, keep its best epoch, log as it goes."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.train")  # settles it, then imports the rest

import time

from pipeline.config import network_size
from pipeline.config.experiment import begin_stage, check_unchanged
from pipeline.data.windows import Runs
from pipeline.files import artifacts, paths
from pipeline.models.spec import Spec
from pipeline.preparation.features import Gaps
from pipeline.preparation.scaling import Scaler
from pipeline.runtime import determinism
from pipeline.tracking import live_run


def main() -> None:
    """data/prepared and data/windows -> data/model, data/reports/history.csv and an MLflow run."""
    params, card = begin_stage()
    spec = Spec.of(params, card)
    scaler = artifacts.read_json_record(paths.SCALER, Scaler)
    series, values = artifacts.read_frame(paths.SERIES), artifacts.read_array(paths.VALUES)
    gaps = Gaps(artifacts.read_array(paths.IMPUTED), params.impute_scale.imputation.limit)
    train, validation = (
        Runs(artifacts.read_array(paths.windows(span))) for span in ("train", "validation")
    )

    determinism.settle(params.train.seed)
    # TensorFlow comes with these, so only now that the input is right.
    from pipeline.models.registry import build
    from pipeline.training import fit
    from pipeline.training.batches import Examples

    examples = Examples.of(spec, card, series, values, gaps, scaler, train, validation)
    network_size.check(params, len(spec.features), len(spec.targets), len(train))
    network = build(spec, scaler)
    with live_run.training_run(params, card) as log:
        began = time.monotonic()
        history = fit.fit(network, examples, params.train, log.epoch)
        seconds = time.monotonic() - began
        with artifacts.replacing(paths.WEIGHTS) as beside:
            network.save_weights(beside)
        artifacts.write_json(paths.MODEL_JSON, spec.model_dump(mode="json"))
        artifacts.write_text(paths.HISTORY, fit.table(history))
        log.finish(history, seconds)
    check_unchanged(params, card)

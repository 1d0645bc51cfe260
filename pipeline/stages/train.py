"""Train: fit the network, keep its best epoch, log as it goes."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.train")  # settles it, then imports the rest

import time

import pandas as pd

from pipeline.config import input_names, network_size
from pipeline.config.experiment import check_unchanged, inputs, read_experiment, targets
from pipeline.data.windows import Runs
from pipeline.files import artifacts, paths
from pipeline.models.spec import Spec
from pipeline.preparation import features
from pipeline.preparation.scaling import Scaler
from pipeline.runtime import determinism
from pipeline.tracking import live_run


def main() -> None:
    """data/prepared and data/windows -> data/model, data/reports/history.csv and an MLflow run."""
    params, card = read_experiment()
    names = input_names.expand(inputs(params, card), card)
    spec = Spec(
        dataset=params.ingest.dataset,
        inputs=inputs(params, card),
        features=tuple(names),
        targets=targets(params, card),
        window=params.window,
        train=params.train,
    )
    channels = [name for group in card.channels.values() for name in group]
    values, limit = artifacts.read_array(paths.VALUES), params.impute_scale.imputation.limit
    series = artifacts.read_frame(paths.SERIES)
    scaler = artifacts.read_json_record(paths.SCALER, Scaler)

    determinism.settle(params.train.seed)
    from pipeline.models.registry import build
    from pipeline.training import (
        fit,  # TensorFlow comes with it, so only now that the input is right
    )
    from pipeline.training.batches import Examples

    standardised = artifacts.aligned_zeros(len(series), len(spec.targets))
    standardised[:] = scaler.standardise(series[list(spec.targets)].to_numpy(), spec.targets)
    examples = Examples(
        features=features.build(
            values,
            channels,
            names,
            pd.DatetimeIndex(series.index),
            card,
            spec.horizon,
            scaler.changes,
            features.Gaps(artifacts.read_array(paths.IMPUTED), limit),
        ),
        targets=standardised,
        train=Runs(artifacts.read_array(paths.windows("train"))),
        validation=Runs(artifacts.read_array(paths.windows("validation"))),
        look_back=spec.look_back,
        horizon=spec.horizon,
    )
    network_size.check(params, len(names), len(spec.targets), len(examples.train))
    network = build(spec, scaler)
    with live_run.training_run(params, card) as log:
        began = time.monotonic()
        history = fit.fit(network, examples, params.train, log.epoch)
        seconds = time.monotonic() - began
        with artifacts.replacing(paths.WEIGHTS) as beside:
            network.save_weights(beside)
        artifacts.write_json(paths.MODEL_JSON, spec.model_dump(mode="json"))
        table = pd.DataFrame(history)
        table.insert(0, "epoch", range(len(table)))
        artifacts.write_text(paths.HISTORY, table.to_csv(index=False, lineterminator="\n"))
        log.finish(history, seconds)
    check_unchanged(params, card)

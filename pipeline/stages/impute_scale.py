"""Impute and scale: fitted on the training span alone, applied to all; the mask is kept."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.impute_scale")  # settles it, then imports the rest

import sys

import numpy as np
import pandas as pd

from pipeline.config.experiment import begin_stage, check_unchanged, split, transforms
from pipeline.data import splits
from pipeline.files import artifacts, paths
from pipeline.preparation.imputation import Imputer, one_hot, remarks
from pipeline.preparation.scaling import Scaler, check_range


def main() -> None:
    """data/ingested -> data/prepared."""
    params, card = begin_stage()
    settings = params.impute_scale
    series = artifacts.read_frame(paths.SERIES)
    channels = one_hot(series, card.categories)
    first = pd.Timestamp(channels.index[0])
    spans = splits.spans(split(params, card), first, card.step, len(channels), card.time.timezone)
    train = channels.iloc[slice(*spans.train)]

    imputer = Imputer.fit(train, settings.imputation.method, settings.imputation.limit, card.season)
    levels = [str(name) for name in channels if name not in card.numeric]
    scaler = Scaler.fit(train, settings.scaling, transforms(params, card), plain=levels)
    filled, state = imputer.apply(channels)
    scaled = scaler.transform(filled)
    check_range(scaled, filled, str(paths.SERIES))
    values = scaled.to_numpy(np.float32)

    for line in remarks(series, settings.imputation.limit):
        print(f"{paths.SERIES}: {line}", file=sys.stderr)
    artifacts.write_json(paths.IMPUTER, imputer.model_dump())
    artifacts.write_json(paths.SCALER, scaler.model_dump())
    artifacts.write_array(paths.IMPUTED, state)
    artifacts.write_array(paths.VALUES, values)
    check_unchanged(params, card)

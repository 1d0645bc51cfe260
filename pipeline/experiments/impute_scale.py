"""Impute and scale: fitted on the training span alone, applied to all; the mask is kept."""

import numpy as np
import pandas as pd

from pipeline.config.experiment import Experiment
from pipeline.data import splits
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.preparation.imputation import Imputer, one_hot, remarks
from pipeline.preparation.scaling import Scaler, check_range
from pipeline.runtime.progress import say


def impute_scale(experiment: Experiment, layout: Layout) -> None:
    """data/ingested -> data/prepared; gaps that come regularly are told."""
    card, settings = experiment.card, experiment.params.impute_scale
    series = artifacts.read_frame(layout.series)
    channels = one_hot(series, card.categories)
    spans = splits.of(experiment, pd.Timestamp(channels.index[0]), len(channels))
    train = channels.iloc[slice(*spans["train"])]

    imputer = Imputer.fit(train, settings.imputation.method, settings.imputation.limit, card.season)
    levels = [str(name) for name in channels if name not in card.numeric]
    scaler = Scaler.fit(train, settings.scaling, experiment.transforms, plain=levels)
    filled, state = imputer.apply(channels)
    scaled = scaler.transform(filled)
    check_range(scaled, filled, str(layout.series))
    values = scaled.to_numpy(np.float32)

    for line in remarks(series, settings.imputation.limit):
        say(f"{layout.series}: {line}")
    artifacts.write_json(layout.imputer, imputer.model_dump())
    artifacts.write_json(layout.scaler, scaler.model_dump())
    artifacts.write_array(layout.imputed, state)
    artifacts.write_array(layout.values, values)

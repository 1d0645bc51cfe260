"""Impute and scale: fitted on the training span alone, applied to all; the mask is kept."""

from pipeline.config.experiment import Experiment
from pipeline.data import constants, panel, splits
from pipeline.data.panel import Borders
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.preparation.imputation import Imputer, one_hot, remarks
from pipeline.preparation.own_units import OwnUnits
from pipeline.preparation.prepare import prepare
from pipeline.preparation.scaling import Scaler
from pipeline.runtime.progress import say


def impute_scale(
    experiment: Experiment, layout: Layout, learned: tuple[Imputer, Scaler] | None = None
) -> None:
    """data/ingested -> data/prepared; regular gaps are told, and constants.

    Args:
        learned: what imputes and scales in the place of what the training span would teach.
    """
    card, settings = experiment.card, experiment.params.impute_scale
    series = panel.read(layout.series, card)
    channels = one_hot(series.frame, card.categories)
    spans = splits.of(experiment, series.timeline(experiment.card))
    train = {
        name: channels.iloc[first:end]
        for name, (first, end) in zip(series.borders.names, spans["train"], strict=True)
    }
    own = None
    if card.series:
        moving = [name for name in card.numeric if name not in card.static]
        own = (
            OwnUnits.fit(train, moving, experiment.from_zero, card.season, experiment.from_median)
            if settings.by_series
            else OwnUnits.none(train, moving)
        )
        train = {name: own.into(rows, name) for name, rows in train.items()}
    borders = Borders.of({name: len(part) for name, part in train.items()})
    rows = panel.joined([*train.values()])
    del train  # which may be a copy as well

    static = [name for column in card.static for name in card.channels[column]]
    gaps = settings.imputation
    targets = {*card.targets, *experiment.targets}
    imputer = Imputer.fit(rows, gaps.method, gaps.limit, card.season, borders, static, [*targets])
    levels = [str(name) for name in channels if name not in card.numeric]
    first = borders.firsts[borders.lengths > 0]
    scaler = Scaler.fit(rows, settings.scaling, experiment.transforms, levels, first, own)
    imputer, scaler = learned or (imputer, scaler)
    values, state = prepare(channels, series.borders, imputer, scaler, str(layout.series))

    for line in remarks((part for _, part in series.parts()), imputer.limit):
        say(f"{layout.series}: {line}")
    for line in constants.remarks(series, spans["train"], card, settings.by_series):
        say(f"{layout.series}: {line}")
    artifacts.write_json(layout.imputer, imputer.model_dump())
    artifacts.write_json(layout.scaler, scaler.model_dump())
    artifacts.write_array(layout.imputed, state)
    artifacts.write_array(layout.values, values)

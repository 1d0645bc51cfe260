"""Window: the origins of each span's windows; an index, not copies."""

import pandas as pd

from pipeline.config import holidays, input_names
from pipeline.config.checks import ridge_left_out
from pipeline.config.experiment import Experiment
from pipeline.data import splits, windows
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.preparation.features import by_clock, on_holiday
from pipeline.preparation.imputation import OBSERVED
from pipeline.preparation.scaling import Scaler
from pipeline.preparation.training_windows import remarks, training_windows
from pipeline.runtime.progress import say


def window(experiment: Experiment, layout: Layout) -> None:
    """data/prepared -> data/windows; training windows that gaps cost are told."""
    card, targets, settings = experiment.card, experiment.targets, experiment.params.window
    look_back, horizon = settings.look_back, settings.horizon
    first = artifacts.read_first_time(layout.series)
    state = artifacts.read_array(layout.imputed)
    spans = splits.of(experiment, first, len(state))
    windows.check_length(len(state), look_back, horizon)
    if unused := len(state) - spans["test"][1]:
        after = first + (spans["test"][1] - 1) * card.step
        say(f"{layout.series}: {unused:,} rows after {after}, where split.test ends, are not used")

    scaler = artifacts.read_json_record(layout.scaler, Scaler)
    for name in targets:
        if scaler.columns[name].constant:
            raise PipelineError(
                f"{layout.series}: column {name}: expected a target that changes in the training "
                f"span, found {scaler.columns[name].center:g} in every row"
            )

    channels = [name for group in card.channels.values() for name in group]
    train, count = training_windows(state, channels, experiment, spans["train"])
    lines = remarks(count, targets)
    if reason := ridge_left_out(experiment):
        lines.append(f"the report will have no ridge: {reason}")
    if settings.known_ahead is None and card.known_ahead != experiment.known_ahead:
        name = experiment.params.train.model.name
        lines.append(f"{name} cannot use what is known ahead: {', '.join(card.known_ahead)}")
    for line in lines:
        say(f"{layout.origins('train')}: {line}")
    end = spans["test"][1]
    times = pd.date_range(first, periods=len(state), freq=card.step)
    for name in input_names.sources(experiment.known_features):
        known = state[:end, channels.index(name)] == OBSERVED
        windows.check_known_ahead(name, known, times[:end])
    for name, own in holidays.read(experiment, layout).items():
        on_holiday(name, own, by_clock(times, card))
    context = input_names.context(experiment.features, card.season, horizon)
    observed = state[:, [channels.index(name) for name in targets]] == OBSERVED
    origins = splits.origins(train, spans, horizon)
    for name, rows in origins.items():
        if fault := windows.fault(name, rows, spans[name], look_back, horizon, context):
            raise PipelineError(fault)
        for k, target in enumerate(targets):
            windows.check_observed(name, target, observed[:, k], spans[name])
    for name, rows in origins.items():
        artifacts.write_array(layout.origins(name), rows.runs)
    artifacts.write_json(layout.windows_quality, count.model_dump())

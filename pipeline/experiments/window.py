"""Window: the origins of each span's windows; an index, not copies."""

import numpy as np

from pipeline.config import holidays, input_names
from pipeline.config.automatic import LONG
from pipeline.config.checks import left_out
from pipeline.config.experiment import Experiment
from pipeline.data import panel, splits, windows
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.conformal import Method
from pipeline.preparation.features import by_clock, on_holiday
from pipeline.preparation.imputation import OBSERVED
from pipeline.preparation.scaling import Scaler
from pipeline.preparation.training_windows import (
    by_series,
    remarks,
    series_remarks,
    training_windows,
)
from pipeline.runtime.progress import say


def window(experiment: Experiment, layout: Layout) -> None:
    """data/prepared -> data/windows; training windows that gaps cost are told."""
    card, targets, settings = experiment.card, experiment.targets, experiment.params.window
    look_back, horizon = settings.look_back, settings.horizon
    state = artifacts.read_array(layout.imputed)
    timeline = panel.outline(layout.series, card, len(state))
    borders = timeline.borders
    spans = splits.of(experiment, timeline)
    windows.check_length(int(borders.lengths.max()), look_back, horizon)
    used = spans["test"][:, 1] - borders.firsts  # rows of each series
    if unused := splits.unused(used, timeline):
        say(f"{layout.series}: {unused}")

    most = f" (at most {LONG})" if card.season > LONG else ""
    for key, size in experiment.chosen.items():
        if key.startswith("window."):
            say(f"{key}: auto is {size:,} rows, by the card's season of {card.season:,}{most}")
    scaler = artifacts.read_json_record(layout.scaler, Scaler)
    for name in targets:
        if scaler.columns[name].constant:
            raise PipelineError(
                f"{layout.series}: column {name}: expected a target that changes in the training "
                f"span, found {scaler.columns[name].center:g} in every row"
            )

    channels = [name for group in card.channels.values() for name in group]
    train, count = training_windows(state, channels, experiment, spans["train"])
    for line in (*remarks(count, targets), *left_out(experiment)):
        say(f"{layout.origins('train')}: {line}")
    faults = []
    fixed = [channel for name in card.static for channel in card.channels[name]]
    told = input_names.told(experiment.known_ahead, card)
    ahead = [channel for name in told for channel in card.channels[name]]
    for name in (one for one in ahead if one not in fixed):
        known = state[:, channels.index(name)] == OBSERVED
        for number, ((one, own_rows), end) in enumerate(zip(borders.parts(), used, strict=True)):
            times = timeline.at(np.full(end, number), np.arange(end))
            if fault := windows.untold(name, known[own_rows][:end], times):
                faults.append(f"series {one}: {fault}" if one else fault)
    if faults:
        raise PipelineError(*panel.first_faults(faults))
    named = holidays.Named(by_feature=holidays.read(experiment, layout))
    for name, own in named.by_feature.items():
        on_holiday(name, own, by_clock(timeline.every(used), card))
    context = experiment.context
    observed = state[:, [channels.index(name) for name in targets]] == OBSERVED
    origins = splits.origins(train, spans, horizon)
    if card.origins:
        origins = splits.at_times(origins, timeline, card)
    of = look_back, horizon, context, borders.firsts
    for name, rows in origins.items():
        if fault := windows.fault(name, rows, spans[name], *of):
            raise PipelineError(fault)
        for k, target in enumerate(targets):
            windows.check_observed(name, target, observed[:, k], spans[name])
            if few := windows.few_observed(name, target, observed[:, k], spans[name]):
                say(few)
    span, method = splits.calibrates(origins), Method(levels=experiment.params.evaluate.levels)
    numbers = windows.observed_at(origins[span], horizon, observed, method.least)
    for (step, k), n in np.ndenumerate(numbers):
        if lacking := method.fault(targets[k], step + 1, int(n)):
            raise PipelineError(f"split.{span}: {lacking}")
    count = by_series(count, origins, borders, look_back + context)
    for line in series_remarks(count, look_back + context):
        say(f"{layout.windows_quality}: {line}")
    for name, rows in origins.items():
        artifacts.write_array(layout.origins(name), rows.runs)
    artifacts.write_json(layout.windows_holidays, named.model_dump(mode="json"))
    artifacts.write_json(layout.windows_quality, count.model_dump())

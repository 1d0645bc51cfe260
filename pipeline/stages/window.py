"""Window: which rows start a window of each span; an index, not copies."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.window")  # settles it, then imports the rest

import sys

from pipeline.config import input_names
from pipeline.config.experiment import (
    begin_stage,
    check_unchanged,
    inputs,
    ridge_left_out,
    split,
    targets,
)
from pipeline.data import splits, windows
from pipeline.errors import PipelineError
from pipeline.files import artifacts, paths
from pipeline.preparation.imputation import OBSERVED
from pipeline.preparation.scaling import Scaler
from pipeline.preparation.training_windows import remarks, training_windows


def main() -> None:
    """data/prepared -> data/windows."""
    params, card = begin_stage()
    look_back, horizon = params.window.look_back, params.window.horizon
    first = artifacts.read_first_time(paths.SERIES)
    state = artifacts.read_array(paths.IMPUTED)
    spans = splits.spans(split(params, card), first, card.step, len(state), card.time.timezone)
    windows.check_length(len(state), look_back, horizon)
    if unused := len(state) - spans.test[1]:
        after = first + (spans.test[1] - 1) * card.step
        print(
            f"{paths.SERIES}: {unused:,} rows after {after}, where split.test ends, are not used",
            file=sys.stderr,
        )

    scaler = artifacts.read_json_record(paths.SCALER, Scaler)
    for name in targets(params, card):
        if scaler.columns[name].constant:
            raise PipelineError(
                f"{paths.SERIES}: column {name}: expected a target that changes in the training "
                f"span, found {scaler.columns[name].center:g} in every row"
            )

    channels = [name for group in card.channels.values() for name in group]
    wanted = inputs(params, card), targets(params, card)
    train, count = training_windows(state, channels, *wanted, card, spans.train, params.window)
    lines = remarks(count, wanted[1])
    if reason := ridge_left_out(params, card):
        lines.append(f"the report will have no ridge: {reason}")
    for line in lines:
        print(f"{paths.windows('train')}: {line}", file=sys.stderr)
    starts = {
        "train": train,
        "validation": windows.scored_starts(spans.validation, look_back, horizon),
        "test": windows.scored_starts(spans.test, look_back, horizon),
    }
    context = input_names.context(input_names.expand(wanted[0], card), card.season, horizon)
    observed = state[:, [channels.index(name) for name in wanted[1]]] == OBSERVED
    for name, rows in starts.items():
        windows.check_starts(name, rows, getattr(spans, name), look_back, horizon, context)
        for k, target in enumerate(targets(params, card)):
            windows.check_observed(name, target, observed[:, k], getattr(spans, name))
    for name, rows in starts.items():
        artifacts.write_array(paths.windows(name), rows.runs)
    artifacts.write_json(paths.WINDOWS_QUALITY, count.model_dump())
    check_unchanged(params, card)

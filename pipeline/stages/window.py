"""Window: which rows start a window of each span; an index, not copies."""

from pipeline import artifacts, features, paths, windows
from pipeline.config import check_unchanged, inputs, read_experiment, split, targets
from pipeline.errors import PipelineError, run
from pipeline.imputation import BEYOND, OBSERVED
from pipeline.scaling import Scaler


def main() -> None:
    """data/prepared -> data/windows."""
    params, card = read_experiment()
    look_back, horizon = params.window.look_back, params.window.horizon
    first = artifacts.read_first_time(paths.SERIES)
    state = artifacts.read_array(paths.IMPUTED)
    spans = windows.spans(split(params, card), first, card.step, len(state), card.time.timezone)
    windows.check_length(len(state), look_back, horizon)

    scaler = artifacts.read_json_record(paths.SCALER, Scaler)
    for name in targets(params, card):
        if scaler.columns[name].constant:
            raise PipelineError(
                f"{paths.SERIES}: column {name}: expected a target that changes in the training "
                f"span, found {scaler.columns[name].center:g} in every row"
            )

    names = features.expand(inputs(params, card), card)
    channels = [name for group in card.channels.values() for name in group]
    sources = features.sources(names)
    beyond = state[:, [channels.index(name) for name in sources]] == BEYOND
    forecast = [channels.index(name) for name in targets(params, card)]
    context = features.context(names, card.season, horizon)

    observed = state[:, forecast] == OBSERVED
    starts = {
        "train": windows.train_starts(
            spans.train,
            look_back,
            horizon,
            params.window.stride,
            context,
            beyond=features.made_of(beyond, sources, names, card.season, horizon),
            observed=observed.any(axis=1),
        ),
        "validation": windows.scored_starts(spans.validation, look_back, horizon),
        "test": windows.scored_starts(spans.test, look_back, horizon),
    }
    for name, rows in starts.items():
        windows.check_starts(name, rows, getattr(spans, name), look_back, horizon, context)
        for k, target in enumerate(targets(params, card)):
            windows.check_observed(name, target, observed[:, k], getattr(spans, name))
    for name, rows in starts.items():
        artifacts.write_array(paths.windows(name), rows.runs)
    check_unchanged(params, card)


if __name__ == "__main__":
    run(main)

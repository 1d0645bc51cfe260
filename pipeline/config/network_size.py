"""What a network takes of memory, estimated from its parameters before anything is built."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.config import params as schema
from pipeline.config.experiment import Experiment
from pipeline.config.members import fits
from pipeline.errors import PipelineError

LIMIT = 16 * 2**30  # bytes of weights and of a batch
GATES = {"rnn": 1, "gru": 3, "segment_gru": 3}  # 4 of every LSTM
FORECAST = 256  # windows that are forecast at once, whatever the batch of training


class Size(NamedTuple):
    """Numbers of a part of a network: learned ones, and those that it makes of a window."""

    weights: int
    window: int


def check(experiment: Experiment, windows: int = 1) -> None:
    """PipelineError if weights and a batch need more than LIMIT.

    Weights are held with their gradients and an optimizer's two moments, which of an ensemble one
    member at a time has; what is made of a window until the way back has used it. `windows` is how
    many there are to train on.
    """
    params, features = experiment.params, len(experiment.features)
    targets, known = len(experiment.targets), len(experiment.known_features)
    own = _members(params, features, targets, known)
    count, weights = len(own), sum(size.weights for _, size in own)
    one, size = max(own, key=lambda pair: pair[1].weights)
    batch = min(one.batch_size, windows)
    look, ahead = params.window.look_back * features, params.window.horizon * targets
    ahead = ahead * _each(one) + params.window.horizon * known
    weights = 4 * (weights + 3 * size.weights)  # one member is fitted at a time
    batches = (min(fit.batch_size, windows) * part.window for fit, part in own)
    held = 4 * max(*batches, FORECAST * (look + count * ahead))
    if weights + held > LIMIT:
        members = f"{count} members of " if count > 1 else ""
        raise PipelineError(
            f"train.model: expected at most {_gib(LIMIT)} for weights and a batch, found about "
            f"{_gib(weights)} for {members}{size.weights:,} weights with their gradients and "
            f"moments and {_gib(held)} for a batch of {batch:,} windows of "
            f"{params.window.look_back:,} rows; "
            f"{'ensemble, ' if members else ''}units, look_back, horizon or batch_size are too "
            "large"
        )


def whole(params: schema.Params, features: int, targets: int, known: int = 0) -> Size:
    """Of all members of an ensemble together; so many channels are known ahead."""
    own = [size for _, size in _members(params, features, targets, known)]
    mixed = _each(params.train) if params.train.mixed and params.train.forecasts else 0
    for one in params.train.mixed:
        alone = {"model": one, "residual": "none", "normalisation": "none", "mix": ()}
        by_itself = params.model_copy(update={"train": params.train.model_copy(update=alone)})
        size = _one(by_itself, features, targets, known)
        mixed += params.window.horizon + size.weights
    return Size(sum(one.weights for one in own) + mixed, sum(one.window for one in own))


def _members(
    params: schema.Params, features: int, targets: int, known: int
) -> list[tuple[schema.Train, Size]]:
    """How each network is fitted, and its size."""
    each = [(one, params.model_copy(update={"train": one})) for one in fits(params.train)]
    return [(one, _one(own, features, targets, known)) for one, own in each]


def _one(params: schema.Params, features: int, targets: int, known: int) -> Size:
    """Of all parts of a network together."""
    parts = list(_parts(params, features, targets, known))
    return Size(sum(part.weights for part in parts), sum(part.window for part in parts))


def _parts(params: schema.Params, features: int, targets: int, known: int) -> Iterator[Size]:
    model, window = params.train.model, params.window
    look_back, horizon, each = window.look_back, window.horizon, _each(params.train)
    yield Size(0, 2 * (look_back * features + horizon * known) + 4 * horizon * targets * each)
    if params.train.residual == "damped":
        yield Size(horizon, horizon * targets)
    if params.train.residual == "seasonal":
        yield Size(0, horizon * targets)
    if params.train.residual == "linear":
        yield Size(look_back * horizon, (look_back + horizon) * targets)
    if params.train.normalisation == "revin":
        yield Size(2 * targets, 3 * look_back * targets)
    if isinstance(model, schema.Ridge):
        yield _dense(look_back * features + horizon * known, horizon * targets)
    if isinstance(model, schema.Linear):
        yield from _maps(model, look_back, horizon, targets, known)
    if isinstance(model, schema.SeasonalRidge):
        inputs = len(model.lags(horizon)) * (1 + known)
        yield Size(targets * (inputs + 1), horizon * targets * inputs)
    if model.name == "drift":
        yield Size(2 * targets, 0)
    if isinstance(model, schema.Boosting):
        yield Size((3 * horizon + horizon.bit_length()) * targets, 0)  # trees are no weights
    if isinstance(model, schema.Baseline):
        return
    seen, rows = features, look_back
    if isinstance(model, schema.Convolutional):
        yield Size(
            model.filters * (model.kernel * features + 1),
            (look_back + model.kernel) * features + 2 * look_back * model.filters,
        )
        seen, rows = model.filters, -(-look_back // model.pool)
    if isinstance(model, schema.Segment):
        yield from _segments(model, look_back, horizon, targets, each, known)
    elif isinstance(model, schema.EncoderDecoder):
        yield from _stack("lstm", seen, model.units, rows)
        yield from _stack("lstm", model.units[-1] + known, model.units, horizon)
        head = _dense(model.units[-1], targets * each)
        yield Size(head.weights, horizon * head.window)
    else:
        kind = model.name if isinstance(model, schema.Recurrent) else "lstm"
        yield from _stack(kind, seen, model.units, rows)
        top = model.units[-1]
        if isinstance(model, schema.Attention):
            filters = model.filters
            courses = top * (look_back + 4 * filters)
            yield Size((look_back - 1 + 2 * top) * filters + top * top, courses + 4 * top)
        state = top * (2 if kind == "bilstm" else 1)
        yield _dense(state, horizon * targets * each)
        if known:
            joined, out = _dense(targets * each + known, state), _dense(state, targets * each)
            weights = joined.weights + state**2 + out.weights
            yield Size(weights, horizon * (joined.window + out.window + 2 * state))


def _maps(
    model: schema.Linear, look_back: int, horizon: int, targets: int, known: int
) -> Iterator[Size]:
    for member in model.members:
        share = member.period or 1
        rows = (member.look_back or look_back) * (2 if member.period else 1)
        yield Size(rows // share * (horizon // share), rows)
    yield Size(known * targets, 0)


def _stack(kind: str, inputs: int, units: Sequence[int], rows: int) -> Iterator[Size]:
    """Recurrent layers over so many rows, bottom first."""
    gates, ways = GATES.get(kind, 4), 2 if kind == "bilstm" else 1
    for width in units:
        biases = 2 if gates == 3 else 1  # cuDNN's GRU has one for each product
        weights = gates * width * (inputs + width + biases)
        yield Size(ways * weights, rows * (inputs + ways * width * (2 * gates + 3)))
        inputs = ways * width


def _segments(
    model: schema.Segment, look_back: int, horizon: int, channels: int, each: int, known: int
) -> Iterator[Size]:
    rows, width, top = model.segment, model.units[0], model.units[-1]
    seen, ahead = look_back // rows, -(-horizon // rows)
    yield Size(rows * width + width, 2 * channels * seen * width)
    for layer in _stack(model.name, width, model.units, seen):
        yield Size(layer.weights, channels * layer.window)
    half = width // 2
    yield Size(ahead * (width - half) + channels * half, 2 * channels * ahead * width)
    if known:
        yield Size(rows * known * width, ahead * (rows * known + width + channels * width))
    gates = GATES.get(model.name, 4)
    yield Size(0, sum(channels * ahead * units * (2 * gates + 3) for units in model.units))
    head = _dense(top, rows * each)
    yield Size(head.weights, channels * ahead * head.window)


def _each(train: schema.Train) -> int:
    """Numbers that are forecast of each step and target."""
    return len(train.forecasts or (1,))


def _dense(inputs: int, outputs: int) -> Size:
    return Size((inputs + 1) * outputs, inputs + outputs)


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"

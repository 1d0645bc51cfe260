"""What an experiment's parameters and its card must agree on, checked before anything runs."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.config import network_size
from pipeline.config.experiment import Experiment
from pipeline.config.input_names import CALENDAR, HOLIDAYS, Feature, expand, region
from pipeline.config.members import MOST, fits
from pipeline.config.params import (
    Baseline,
    Linear,
    Params,
    SeasonalNaive,
    SeasonalRidge,
    Segment,
)
from pipeline.config.training_checks import check_training
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE, Layout
from pipeline.runtime.extras import lightgbm

# Of what ridge regression solves; for moments it takes some three and a half times as much.
RIDGE_BYTES = 400 * 2**20


def check(experiment: Experiment, layout: Layout = HERE) -> None:
    """PipelineError where the parameters ask for what the card does not have."""
    params, card = experiment.params, experiment.card
    numeric, own = card.numeric, layout.card(experiment.dataset)
    targets_key = "window.targets" if params.window.targets else f"{own}: targets"
    inputs_key = "window.inputs" if params.window.inputs else f"{own}: inputs"
    for key, names in (
        ("impute_scale.transforms", [column for _, column in experiment.terms]),
        (targets_key, experiment.targets),
    ):
        for name in names:
            if name in card.excluded:
                raise PipelineError(
                    f"{key}: {name} is excluded by the card, expected it to be used"
                )
            if name not in numeric:
                other = f"; of another data set? -S {key}=null"
                ours = other if key.endswith("transforms") else ""
                raise PipelineError(
                    f"{key}: expected numeric columns of the card ({', '.join(numeric)}), "
                    f"found {name}{ours}"
                )
        if len(set(names)) != len(names):
            raise PipelineError(f"{key}: expected each column once, found {', '.join(names)}")
    expand(experiment.inputs, card, inputs_key)
    _check_panel(experiment, inputs_key, own)
    _check_known_ahead(experiment, own)
    _check_own_past(experiment)
    check_training(params)
    _check_members(experiment, layout)
    _check_window(params)
    _check_season(experiment)
    _check_baselines(params)
    if reason := unfitted(experiment).get(params.train.model.name):
        raise PipelineError(f"train.model.name: expected another model; {reason}")
    if isinstance(params.train.model, Segment):
        _check_channels(experiment)
    network_size.check(experiment)


def _check_panel(experiment: Experiment, key: str, own: Path) -> None:
    """That series are asked for where there are many, and no change of what never changes."""
    card = experiment.card
    if experiment.params.ingest.series and not card.series:
        raise PipelineError(
            "ingest.series: expected null for a table with one series, found "
            f"{', '.join(experiment.params.ingest.series)}; {own} names no column under series"
        )
    for name in experiment.inputs:
        column = Feature.of(name).source
        if column in card.static and name not in card.columns:
            raise PipelineError(
                f"{key}: {name}: expected a column that changes within a series, found {column}, "
                "which the card calls static"
            )


def _check_known_ahead(experiment: Experiment, own: Path) -> None:
    """That what is known ahead is known: a column but no target, a date, or a season before."""
    params, card, names = experiment.params, experiment.card, experiment.known_ahead
    key = f"{own}: known_ahead" if params.window.known_ahead is None else "window.known_ahead"
    for name in names:
        if name in experiment.targets:
            raise PipelineError(
                f"{key}: expected no target, whose future is what is forecast, found {name}"
            )
        feature = Feature.of(name)
        seasonal = feature.season is not None and feature.source in card.columns
        if name not in (*card.columns, *CALENDAR) and not region(name) and not seasonal:
            what = "excluded by the card" if name in card.excluded else "not known"
            raise PipelineError(
                f"{key}: {name} is {what}; expected columns ({', '.join(card.columns)}), "
                f"calendar terms ({', '.join(CALENDAR)}), {HOLIDAYS}, seasonal:COLUMN or "
                "seasonal:ROWS:COLUMN"
            )
    expand(names, card, key)
    if names and "known_ahead" not in params.train.model.takes:
        raise PipelineError(
            "train.model.name: expected a network, ridge, linear, seasonal_ridge or boosting, "
            f"which can use what is known ahead ({key}: {', '.join(names)}), found "
            f"{params.train.model.name}; -S window.known_ahead=[] leaves it out"
        )


def _check_own_past(experiment: Experiment) -> None:
    train = experiment.params.train
    for key, needed, why in (
        ("residual", train.residual != "none", "its last value is what the network corrects"),
        ("normalisation", train.normalisation != "none", "its own past is what is normalised"),
        ("mix", any("inputs" not in one.takes for one in train.mixed), "linear sees nothing else"),
        (
            "model.name",
            isinstance(train.model, Baseline) and "inputs" not in train.model.takes,
            "it sees nothing else",
        ),
    ):
        for name in experiment.targets:
            if needed and name not in experiment.features:
                raise PipelineError(
                    f"train.{key}: expected {name} among window.inputs, since {why}; "
                    f"found {', '.join(experiment.features)}"
                )


def _check_members(experiment: Experiment, layout: Layout) -> None:
    """That each member can be by itself, is a network, and forecasts what the others do."""
    params, own = experiment.params, fits(experiment.params.train)
    if not params.train.members:
        return
    if len(params.train.members) == 1:
        raise PipelineError(
            "train.members: expected none or two at least, found one, whose keys may stand in "
            "train itself"
        )
    if len(own) > MOST:
        raise PipelineError(
            f"train.members: expected at most {MOST} networks, found {len(params.train.members)} "
            f"members with train.ensemble {params.train.ensemble}"
        )
    kinds = own[: len(params.train.members)]
    for place, one in enumerate(kinds, start=1):
        where = f"train.members: member {place}"
        if isinstance(one.model, Baseline):
            raise PipelineError(f"{where}: expected a network, found {one.model.name}")
        if one in kinds[: place - 1]:
            raise PipelineError(
                f"{where}: expected another network than member {kinds.index(one) + 1}, found the "
                "same"
            )
        if one.forecasts != params.train.forecasts:
            raise PipelineError(
                f"{where}: train.loss: expected pinball of all members or of none, found "
                f"{one.loss} where train.loss is {params.train.loss}"
            )
        alone = Experiment(params.model_copy(update={"train": one}), experiment.card)
        try:
            check(alone, layout)
        except PipelineError as error:
            raise error.within(f"{where}: ") from None


def _check_baselines(params: Params) -> None:
    """What `boosting` needs, and what the members of `linear` ask of the window."""
    listed, model, window = params.evaluate.baselines, params.train.model, params.window
    names = [one.name if isinstance(one, Baseline) else one for one in listed]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise PipelineError(
            f"evaluate.baselines: expected each once, found {doubled[0]} {names.count(doubled[0])} "
            "times"
        )
    mixed = params.train.mixed
    if "boosting" in (model.name, *names, *(one.name for one in mixed)):
        lightgbm()
    own = (("train.model", model), *(("train.mix", one) for one in mixed))
    for key, one in (*own, *(("evaluate.baselines", one) for one in listed)):
        for member in one.members if isinstance(one, Linear) else ():
            rows, period = member.look_back or window.look_back, member.period or 1
            if key != "evaluate.baselines" and rows > window.look_back:
                raise PipelineError(
                    f"{key}: linear: expected members with a look_back of at most "
                    f"window.look_back ({window.look_back:,}), found {rows:,}"
                )
            if rows % period or window.horizon % period:
                raise PipelineError(
                    f"{key}: linear: expected a period that divides the look_back ({rows:,}) and "
                    f"window.horizon ({window.horizon:,}), found {period:,}"
                )


def _check_window(params: Params) -> None:
    model, look_back = params.train.model, params.window.look_back
    own = (("model.name", model), *(("mix", one) for one in params.train.mixed))
    for key, one in own:
        needed = one.season if isinstance(one, SeasonalNaive) else 1
        if one.name in ("drift", "last_change", "boosting", "attention_lstm"):
            needed = 2
        if isinstance(one, SeasonalRidge):
            needed = max(one.lags(params.window.horizon))
        if look_back < needed:
            raise PipelineError(
                f"window.look_back: expected at least {needed} with train.{key} {one.name}, "
                f"found {look_back}"
            )
    if isinstance(model, Segment) and look_back % model.segment:
        raise PipelineError(
            f"window.look_back: expected a multiple of train.model.segment ({model.segment}), "
            f"found {look_back}"
        )


def _check_season(experiment: Experiment) -> None:
    params, season = experiment.params, experiment.card.season
    if params.train.residual == "seasonal" and params.window.look_back < season:
        raise PipelineError(
            f"window.look_back: expected at least the card's season of {season:,} rows with "
            f"train.residual seasonal, found {params.window.look_back:,}"
        )


def _check_channels(experiment: Experiment) -> None:
    name, names = experiment.params.train.model.name, experiment.targets
    if experiment.features != names:
        raise PipelineError(
            f"window.inputs: expected the targets and nothing else ({', '.join(names)}) with "
            f"train.model.name {name}, which forecasts each channel from itself; "
            f"found {', '.join(experiment.features)}"
        )
    bent = [target for target in names if target in experiment.transforms]
    if bent and experiment.params.train.loss != "pinball":
        raise PipelineError(
            f"impute_scale.transforms: expected none of a target with train.model.name {name}, "
            f"which has one scale for what it sees and forecasts; found {', '.join(bent)} in the "
            "card or params.yaml; set -S 'impute_scale.transforms=[]'"
        )


def left_out(experiment: Experiment) -> Iterator[str]:
    """What the model goes without, and what the report will, one line each."""
    card, model = experiment.card, experiment.params.train.model
    for name, reason in unfitted(experiment).items():
        yield f"the report will have no {name}: {reason}"
    used = {*experiment.targets, *experiment.known_ahead}
    others = [name for name in experiment.inputs if name not in used]
    if others and "inputs" not in model.takes:
        ahead = " and what is known ahead" if experiment.known_ahead else ""
        yield f"{model.name} sees the targets' own past{ahead} alone, and not {', '.join(others)}"
    if experiment.params.window.known_ahead is None and card.known_ahead != experiment.known_ahead:
        yield f"{model.name} cannot use what is known ahead: {', '.join(card.known_ahead)}"


def unfitted(experiment: Experiment) -> dict[str, str]:
    """The baselines that cannot be fitted, by name, each with the reason in one line."""
    reasons = {"ridge": _too_large(experiment), "drift": None}
    reasons["seasonal_ridge"] = _without_seasons(experiment)
    if not experiment.card.step.tells:
        reasons["drift"] = (
            "with frequency: rows, what is served does not tell how many rows lie behind it, which "
            "drift counts"
        )
    return {name: reason for name, reason in reasons.items() if reason}


def _without_seasons(experiment: Experiment) -> str | None:
    """Why seasonal_ridge is not fitted beside the model, in one line; None where it is."""
    params, seasons = experiment.params, experiment.card.seasons
    listed = [one for one in params.evaluate.baselines if isinstance(one, SeasonalRidge)]
    if "seasonal_ridge" in params.evaluate.baselines:
        listed = [SeasonalRidge(name="seasonal_ridge", seasons=tuple(seasons))]
    for one in listed:
        if missing := [name for name in experiment.targets if name not in experiment.features]:
            return f"it is made from the target's own past, and {missing[0]} is not an input"
        rows, look_back = max(one.lags(params.window.horizon)), params.window.look_back
        if look_back < rows:
            return (
                f"seasons of {', '.join(map(str, one.seasons))} rows take a window.look_back of at "
                f"least {rows:,}, found {look_back:,}"
            )
    return None


def _too_large(experiment: Experiment) -> str | None:
    """Why ridge regression is not fitted, in one line; None where it is.

    It solves for [P, H * K] numbers by a matrix of [P, P], both of which it holds; P is L * F, and
    H * G more of what is known ahead.
    """
    window, features = experiment.params.window, len(experiment.features)
    columns = window.look_back * features + window.horizon * len(experiment.known_features)
    size = 8 * columns * (columns + window.horizon * len(experiment.targets))
    if size <= RIDGE_BYTES:
        return None
    return (
        f"ridge of {window.look_back:,} rows x {features} features would take "
        f"{size / 2**30:.2g} GiB and more, expected at most {RIDGE_BYTES / 2**30:.2g}: "
        "shorten window.look_back or use fewer window.inputs"
    )

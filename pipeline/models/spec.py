"""model.json: everything that rebuilds a network but its weights."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from pipeline.config.experiment import Experiment
from pipeline.config.holidays import Holidays
from pipeline.config.input_names import context
from pipeline.config.members import fits, titled
from pipeline.config.params import (
    Mixable,
    Model,
    Normalisation,
    Quantiles,
    Recurrent,
    Residual,
)
from pipeline.files.records import Record

KNOWN = ("known_step", "known_state", "known_head")  # layers that read what is known ahead
BESIDE = ("damping", "linear", *KNOWN)  # that have weights and may stand beside a plain stack's


class Member(Record):
    """What one member of an ensemble has to itself, where they differ in more than their seeds."""

    model: Model
    residual: Residual
    season: int | None = Field(default=None, exclude_if=lambda given: given is None)
    normalisation: Normalisation


class Spec(Record):
    """What a trained model needs to be built again and served, and nothing of how it was fitted."""

    format: Literal[1] = 1  # of this record: one that older code would misread has another
    dataset: str
    inputs: tuple[str, ...]  # as window.inputs or the card names them
    features: tuple[str, ...]  # the channels of a window, in order
    targets: tuple[str, ...]
    # as window.known_ahead or the card names them, and by channel; absent where there are none
    known_ahead: tuple[str, ...] = Field(default=(), exclude_if=lambda given: not given)
    known_features: tuple[str, ...] = Field(default=(), exclude_if=lambda given: not given)
    # by feature, such as holiday:DE; absent where there are none
    holidays: dict[str, Holidays] = Field(default={}, exclude_if=lambda given: not given)
    look_back: int  # rows that a forecast sees
    horizon: int  # rows that are forecast
    model: Model
    residual: Residual
    # rows of the season whose newest values `seasonal` adds; absent of another residual
    season: int | None = Field(default=None, exclude_if=lambda given: given is None)
    normalisation: Normalisation
    # that a network forecasts, rising; absent where it forecasts points
    quantiles: Quantiles | None = Field(default=None, exclude_if=lambda given: given is None)
    # members in all, whose mean is forecast; absent of a network by itself
    ensemble: int = Field(default=1, ge=1, exclude_if=lambda given: given == 1)
    # what they have to themselves, in turn, where they differ; the first one's stands above as well
    members: tuple[Member, ...] = Field(default=(), exclude_if=lambda given: not given)
    # what is mixed in; absent where nothing is
    mix: tuple[Mixable, ...] = Field(default=(), exclude_if=lambda given: not given)
    # what was `auto` of the parameters, by dotted key; absent where nothing was
    chosen: dict[str, Any] = Field(default={}, exclude_if=lambda given: not given)

    @classmethod
    def of(cls, experiment: Experiment, holidays: Mapping[str, Holidays] = {}) -> "Spec":
        """The network that the parameters ask for on the card's data, with the holidays named."""
        train, season = experiment.params.train, experiment.card.season
        each = [
            Member(
                model=one.model,
                residual=one.residual,
                season=season if one.residual == "seasonal" else None,
                normalisation=one.normalisation,
            )
            for one in fits(train)
        ]
        return cls(
            dataset=experiment.dataset,
            inputs=experiment.inputs,
            features=experiment.features,
            targets=experiment.targets,
            known_ahead=experiment.known_ahead,
            known_features=experiment.known_features,
            holidays={**holidays},
            look_back=experiment.params.window.look_back,
            horizon=experiment.params.window.horizon,
            **dict(each[0]),
            quantiles=train.forecasts,
            ensemble=len(each),
            members=tuple(each[: len(train.members)]),
            mix=train.mixed,
        )

    def rows_seen(self, season: int) -> int:
        """Rows up to and including the origin that a forecast is made from, if none is imputed."""
        named = self.features, self.known_features
        return self.look_back + context(*named, season, self.look_back, self.horizon)

    @property
    def networks(self) -> list["Spec"]:
        """Each member of an ensemble as a network by itself; of such a network, that alone."""
        alone = self.model_copy(update={"ensemble": 1, "members": (), "mix": ()})
        own = [alone.model_copy(update=dict(one)) for one in self.members] or [alone]
        return [own[place % len(own)] for place in range(self.ensemble)]

    @property
    def beside(self) -> list["Spec"]:
        """Each baseline that is mixed in as a model by itself."""
        alone = {"quantiles": None, "ensemble": 1, "members": (), "mix": ()}
        return [self.model_copy(update={**alone, "model": one}) for one in self.mix]

    @property
    def groups(self) -> list[str]:
        """Where Keras keeps the layers of each of `networks` in the file of weights."""
        first = "layers/functional"
        every = [first, *(f"{first}_{place}" for place in range(1, self.ensemble))]
        return every if self.ensemble > 1 else ["layers"]

    @property
    def title(self) -> str:
        """What forecasts, in a few words."""
        return titled((one.model.name for one in self.networks), [one.name for one in self.mix])

    @property
    def plain_stack(self) -> Recurrent | None:
        """A network's parameters if it is lstm or rnn layers that see the windows as they are."""
        model = self.model
        plain = model.name in ("lstm", "rnn") and self.normalisation == "none"
        return model if plain and isinstance(model, Recurrent) else None

    @property
    def outputs(self) -> tuple[int, ...]:
        """The shape of what is forecast of a window: (H, K), or (H, K, Q) of quantiles."""
        points = self.horizon, len(self.targets)
        return (*points, len(self.quantiles)) if self.quantiles else points

    def point(self, values: Any) -> Any:
        """The point forecasts [N, H, K] of what a model forecasts: of [N, H, K, Q] the median."""
        return values[..., self.quantiles.index(0.5)] if self.quantiles else values

    def newest_season(self, past: Any, ops: Any) -> Any:
        """The targets' newest values whole seasons before each step: [B, L, K] -> [B, H, K]."""
        season = self.season or 1
        repeats = -(-self.horizon // season)
        return ops.tile(past[:, -season:, :], (1, repeats, 1))[:, : self.horizon]

    @property
    def positions(self) -> list[int]:
        """Where the targets stand among the features; only features that are targets count."""
        return [self.features.index(name) for name in self.targets if name in self.features]

"""An experiment: parameters, their data set's card, and what follows from the two."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from pipeline.config import automatic
from pipeline.config.cards import Card, Split, Transform
from pipeline.config.input_names import context, expand
from pipeline.config.params import Params


@dataclass(frozen=True)
class Experiment:
    """Parameters and their data set's card; what is null in the parameters comes from the card."""

    params: Params
    card: Card
    refit: bool = False  # whether all rows are learned from, by a model that nothing scores
    # what training chose of what is `auto`, by dotted key; nothing before it
    found: Mapping[str, Any] = field(default_factory=dict)
    asked: Params = field(init=False)  # the parameters as they are written, with `auto`

    def __post_init__(self) -> None:
        """Choose what is `auto`."""
        object.__setattr__(self, "asked", self.params)
        params = automatic.resolved(self.params, self.card, self.found)
        object.__setattr__(self, "params", params)

    def after(self, found: Mapping[str, Any]) -> "Experiment":
        """The same with what training chose."""
        return Experiment(self.asked, self.card, self.refit, {**self.found, **found})

    @property
    def chosen(self) -> dict[str, Any]:
        """What was `auto`, by its dotted name."""
        flat = self.params.flat()
        return {key: flat[key] for key in automatic.automatic(self.asked)}

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.params.ingest.dataset

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are forecast."""
        return self.params.window.targets or self.card.targets

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a forecast is made from: columns of the card and features made of them."""
        return self.params.window.inputs or self.card.inputs

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The channels of a window, in order."""
        return tuple(expand(self.inputs, self.card))

    @property
    def known_ahead(self) -> tuple[str, ...]:
        """Columns, calendar terms and holidays that a forecast sees up to its last step.

        Those of the card serve a model that can use them, as its inputs do.
        """
        if (given := self.params.window.known_ahead) is not None:
            return given
        return self.card.known_ahead if "known_ahead" in self.params.train.model.takes else ()

    @cached_property
    def known_features(self) -> tuple[str, ...]:
        """The channels of what is known of a step, in order."""
        return tuple(expand(self.known_ahead, self.card, "window.known_ahead"))

    @property
    def context(self) -> int:
        """Rows before a window that what it sees is made from."""
        window = self.params.window
        size = self.card.season, window.look_back, window.horizon
        return context(self.features, self.known_features, *size)

    @property
    def split(self) -> Split:
        """Where the spans end."""
        return self.params.window.split or self.card.split

    @property
    def scaled(self) -> tuple[str, ...]:
        """The targets whose intervals are made of errors relative to the forecast's size."""
        wanted, columns = self.params.evaluate.calibration.scaled, self.card.columns
        return tuple(
            name
            for name in self.targets
            if (columns[name].minimum == 0 if wanted is None else wanted)
        )

    @property
    def terms(self) -> list[tuple[str, str]]:
        """Name and column of each transform that stands in the parameters."""
        parted = (term.partition(":") for term in self.params.impute_scale.transforms or ())
        return [(name, column) for name, _, column in parted]

    @property
    def transforms(self) -> dict[str, Transform]:
        """The transform of each column before scaling."""
        if self.params.impute_scale.transforms is None:
            columns = self.card.columns.items()
            return {name: column.transform for name, column in columns if column.transform}
        return {column: cast(Transform, name) for name, column in self.terms}

    @property
    def from_zero(self) -> list[str]:
        """The columns with a transform that bends what lies far from zero."""
        return [name for name in self.transforms if name not in self.from_median]

    @property
    def from_median(self) -> list[str]:
        """Those with one that bends what lies far from the median."""
        return [name for name, transform in self.transforms.items() if transform == "median_asinh"]

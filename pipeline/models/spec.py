"""model.json: everything that rebuilds a network but its weights."""

from pipeline.config.experiment import Experiment
from pipeline.config.params import Model, Recurrent, Train, Window
from pipeline.files.records import Record


class Spec(Record):
    """A trained network's shape, parameters and place in the data."""

    dataset: str
    inputs: tuple[str, ...]  # as window.inputs or the card names them
    features: tuple[str, ...]  # the channels of a window, in order
    targets: tuple[str, ...]
    window: Window
    train: Train

    @classmethod
    def of(cls, experiment: Experiment) -> "Spec":
        """The network that the parameters ask for on the card's data."""
        return cls(
            dataset=experiment.dataset,
            inputs=experiment.inputs,
            features=experiment.features,
            targets=experiment.targets,
            window=experiment.params.window,
            train=experiment.params.train,
        )

    @property
    def look_back(self) -> int:
        """Rows that a forecast sees."""
        return self.window.look_back

    @property
    def horizon(self) -> int:
        """Rows that are forecast."""
        return self.window.horizon

    @property
    def model(self) -> Model:
        """The network's own parameters."""
        return self.train.model

    @property
    def plain_stack(self) -> Recurrent | None:
        """The model's parameters if it is lstm or rnn layers that see the windows as they are."""
        model = self.model
        plain = model.name in ("lstm", "rnn") and self.train.normalisation == "none"
        return model if plain and isinstance(model, Recurrent) else None

    @property
    def positions(self) -> list[int]:
        """Where the targets stand among the features; only features that are targets count."""
        return [self.features.index(name) for name in self.targets if name in self.features]

"""What a server answers with, which a new champion replaces while it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

import pandas as pd

from pipeline.errors import PipelineError
from pipeline.forecasting.forecast_log import ForecastLog, MadeBy
from pipeline.forecasting.forecaster import Forecaster


@dataclass(frozen=True)
class Served:
    """A model, what it is called, and where its answers are kept, if they are."""

    name: str
    forecaster: Forecaster
    log: ForecastLog | None = None

    def keep(self, request: str, forecast: pd.DataFrame) -> None:
        """Log an answer by its request's id; returns at once."""
        if self.log:
            one = self.forecaster
            self.log.add(MadeBy(self.name, one.content, one.spec), request, forecast)


@dataclass
class Service:
    """The model that answers from now on, and how long a request may take to come or wait.

    A request takes `now` once and is answered by it to the end, whatever replaces it meanwhile.
    """

    now: Served
    patience: float = 30  # seconds for a request to arrive, and for its turn to come
    stopping: bool = False
    held: int = field(default=0, init=False)  # bytes of requests that are in memory


def follow(
    service: Service,
    newest: Callable[[], str],
    load: Callable[[str], Forecaster],
    every: float,
    tell: Callable[[str], None],
    end: Event,
) -> None:
    """Look every so many seconds for another model, load it beside the one in service, replace it.

    What cannot be asked or loaded is told once, and the model in service stays. To be run in a
    thread of its own; it returns when `end` is set.

    Args:
        newest: the name of the model that should be served now.
        load: loads it; a PipelineError says why not.
    """
    told = ""
    while not end.wait(every):
        try:
            name = newest()
            if name == service.now.name:
                told = ""
                continue
            forecaster = load(name)
            forecaster.warm()
        except PipelineError as error:
            if (said := f"{error}; {service.now.name} stays") != told:
                tell(f"warning: {said}")
                told = said
            continue
        service.now = Served(name, forecaster, service.now.log)
        tell(f"{name} answers from now on")
        told = ""

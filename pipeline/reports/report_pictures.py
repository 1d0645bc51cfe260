"""Which pictures a report has."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pipeline.config.cards import Card
from pipeline.data.splits import Spans
from pipeline.evaluation import scoring
from pipeline.evaluation.scoring import Forecasts, Yardstick
from pipeline.models.spec import Spec
from pipeline.reports import pictures


def draw(
    test: Forecasts,
    spec: Spec,
    card: Card,
    series: pd.DataFrame,
    rows: Spans,
    yardstick: Yardstick,
    metrics: dict[str, Any],
    history: pd.DataFrame,
    stretch: int,
) -> dict[str, Figure]:
    """The pictures by name: of errors by hour where a step is shorter than a day, of gaps if any.

    `test` are forecasts of the test span, of which `stretch` rows are drawn; `series` is the
    regular series in its units; `metrics` and `history` are metrics.json and history.csv.
    """
    times, names = pd.DatetimeIndex(series.index), spec.targets
    # Pictures show the hours that people live by, as the card's table has them.
    local = times if times.tz is None else times.tz_convert(card.time.timezone).tz_localize(None)
    shown = series.set_axis(local)
    drawn = {
        "forecast": pictures.forecast(test, local, names, card, stretch),
        "windows": pictures.windows(test, shown[names[0]], spec.look_back, card),
        "error_by_horizon": pictures.error_by_horizon(metrics, names, card),
        "residuals": pictures.residuals(test, names, card),
        "loss": pictures.loss(history),
    }
    if shown.isna().any(axis=None):
        drawn["missing"] = pictures.missing(shown, [rows.validation[0], rows.test[0]], card)
    if card.step < pd.Timedelta("1D"):
        hours = scoring.by_hour(test, local.hour.to_numpy(), yardstick)
        drawn["error_by_hour"] = pictures.error_by_hour(hours, names, card)
    return drawn

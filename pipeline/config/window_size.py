"""What `auto` is for a window's look-back and horizon: of the card's season."""

from pipeline.config.cards import Card
from pipeline.config.params import AUTO, Params

SHORT = 24  # rows: of a shorter season a forecast sees three
LONG = 336  # rows: no look-back or horizon that is chosen is longer
SIZES = ("look_back", "horizon")


def automatic(season: int) -> dict[str, int]:
    """Rows of look-back and horizon for a season of so many rows.

    Both are one season, up to 336 rows; of a season shorter than 24 rows the look-back is three.
    Without a season, which is one row, both are 24.
    """
    if season == 1:
        return dict.fromkeys(SIZES, SHORT)
    horizon = min(season, LONG)
    return {"look_back": 3 * season if season < SHORT else horizon, "horizon": horizon}


def resolved(params: Params, card: Card) -> Params:
    """The parameters with rows in the place of `auto`."""
    found = automatic(card.season)
    chosen = {key: found[key] for key in SIZES if getattr(params.window, key) == AUTO}
    if not chosen:
        return params
    return params.model_copy(update={"window": params.window.model_copy(update=chosen)})

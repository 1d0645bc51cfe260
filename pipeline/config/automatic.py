"""What `auto` is in the parameters: by the card's season, and by how much there is to train on."""

from collections.abc import Mapping
from typing import Any

from pipeline.config.cards import Card
from pipeline.config.changes import changed
from pipeline.config.params import Params

SHORT = 24  # rows: of a shorter season a forecast sees three
LONG = 336  # rows: no look-back or horizon that is chosen is longer
BATCHES = (16, 256)  # windows: the smallest and the largest batch that is chosen
PER_EPOCH = 64  # batches that an epoch has at least, if its windows allow it
EPOCHS = (24, 100)  # the fewest and the most that are chosen
UPDATES = 2300  # of the weights that a training has at least, if the epochs allow it
TRAIN = ("train.model.input_dropout", "train.batch_size", "train.epochs", "train.mix")
KEYS = ("window.look_back", "window.horizon", *TRAIN)
PREDICTABLE, NOISY = 0.05, 0.4
MANY = 10**6  # windows; batch size and epochs are the same for more


def of_season(season: int) -> dict[str, int]:
    """Rows of look-back and horizon for a season of so many rows.

    Both are one season, up to 336 rows; of a season shorter than 24 rows the look-back is three.
    Without a season, which is one row, both are 24.
    """
    if season == 1:
        return {"look_back": SHORT, "horizon": SHORT}
    horizon = min(season, LONG)
    return {"look_back": 3 * season if season < SHORT else horizon, "horizon": horizon}


def of_windows(count: int, batch_size: int | None = None) -> dict[str, Any]:
    """Batch size and epochs for so many training windows.

    The batch is the largest power of two with which an epoch has 64 batches, between 16 and 256;
    the epochs are as many as make 2,300 updates, between 24 and 100. A given batch size stays.
    """
    low, high = BATCHES
    size = batch_size or min(max(2 ** (max(count // PER_EPOCH, 1).bit_length() - 1), low), high)
    few, most = EPOCHS
    epochs = min(max(UPDATES * size // max(count, 1), few), most)
    return {"train.batch_size": size, "train.epochs": epochs}


def of_gain(gain: float) -> dict[str, Any]:
    """Input dropout by what part of the error a linear map takes from damped persistence.

    It is noise that dropout helps against: 0.4 up to a twentieth, and none above. docs/defaults.md
    has the tables that this was chosen on.
    """
    return {"train.model.input_dropout": 0.0 if gain > PREDICTABLE else NOISY}


def automatic(params: Params) -> list[str]:
    """The keys that are `auto`, dotted."""
    return [key for key, value in params.flat().items() if value == "auto" and key in KEYS]


def resolved(params: Params, card: Card, found: Mapping[str, Any]) -> Params:
    """The parameters with values in the place of `auto`.

    Args:
        found: by dotted key, what the training rows chose; where it lacks one, they are not known
            yet, and it is as of very many.
    """
    wanted = automatic(params)
    if not wanted:
        return params
    chosen: dict[str, Any] = {f"window.{key}": rows for key, rows in of_season(card.season).items()}
    batch = None if "train.batch_size" in wanted else params.train.batch_size
    chosen |= of_windows(MANY, batch) | {"train.model.input_dropout": NOISY, "train.mix": []}
    return changed(params, {key: {**chosen, **found}[key] for key in wanted}, "auto")

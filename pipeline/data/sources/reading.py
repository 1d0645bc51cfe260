"""A raw table from its file."""

from pathlib import Path

import pandas as pd

from pipeline.config.cards import Card
from pipeline.data.sources import delimited
from pipeline.errors import PipelineError
from pipeline.files.artifacts import sha256


def verify(path: Path, card: Card) -> str:
    """The file's sha256; PipelineError if it is not the one of the file that the card describes."""
    found = sha256(path)
    if card.sha256 and found != card.sha256:
        raise PipelineError(
            f"{path}: not the file its card describes, expected sha256 {card.sha256}, "
            f"found {found}; get it again, or change the card's sha256 if the new file is right"
        )
    return found


def read_table(path: Path, card: Card) -> pd.DataFrame:
    """The CSV file as it stands, every field a string; a malformed file is a PipelineError."""
    try:
        return delimited.parse_table(path.read_bytes(), card, str(path))
    except OSError as error:
        raise PipelineError(f"{path}: could not be read: {error.strerror}") from None

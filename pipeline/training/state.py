"""What a fit needs to go on after its process died: all that its next epoch depends on, in a file.

JSON and arrays in one .npz, which has a checksum of each. It is replaced whole, so that wherever a
process dies, the file is that of one epoch.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.records import Record, parse

BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, PipelineError)
Arrays = Sequence[npt.NDArray[Any]]
ABOUT, VARIABLE, BEST = "about", "variable", "best"  # how the file calls its parts


class About(Record):
    """Where a fit stands after its last epoch."""

    of: str  # digest of what is trained
    epochs: tuple[dict[str, float], ...]  # the scores of each
    best: float  # validation loss, as early stopping compares it
    best_epoch: int  # from 0
    wait: int  # epochs since then
    ended: bool  # whether no epoch follows
    seconds: float  # that the epochs took


@dataclass(frozen=True)
class State:
    """The same with its arrays."""

    about: About
    variables: Arrays  # of the network, random numbers' states among them, and of the optimizer
    best: Arrays  # the weights of the best epoch


@dataclass(frozen=True)
class StateFile:
    """Where the state of a fit is kept, and the digest of what is trained."""

    path: Path
    of: str

    def write(self, state: State) -> None:
        """Replace the file; PipelineError if it could not be written."""
        arrays = {ABOUT: np.array(state.about.model_dump_json())}
        for kind, own in ((VARIABLE, state.variables), (BEST, state.best)):
            arrays |= {f"{kind}_{place}": array for place, array in enumerate(own)}
        with artifacts.replacing(self.path) as beside, beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def read(self) -> State | None:
        """What is in the file; None if there is none, or it is of something else.

        PipelineError if it is broken.
        """
        try:
            if self.path.exists() and not zipfile.is_zipfile(self.path):
                raise zipfile.BadZipFile("no .npz")
            with np.load(self.path, allow_pickle=False) as file:
                about = parse(json.loads(str(file[ABOUT])), About, str(self.path))
                if about.of != self.of:
                    return None
                return State(about, _all(file, VARIABLE), _all(file, BEST))
        except FileNotFoundError:
            return None
        except BROKEN as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PipelineError(f"{self.path}: expected a whole file, found {reason}") from None


def _all(file: Any, kind: str) -> Arrays:
    count = sum(name.startswith(f"{kind}_") for name in file.files)
    return [file[f"{kind}_{place}"] for place in range(count)]

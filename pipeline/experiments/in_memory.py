"""Where the files of experiments from Python are; a table in memory becomes a data set's files."""

import difflib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api import types

from pipeline.config import input_names
from pipeline.config.experiment import Experiment
from pipeline.data.column_guesses import LEVELS
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.runtime.progress import say

TIME = "time"  # the column that the index becomes
WORDS = ("string", "categorical", "boolean")  # kinds of columns that are categories


def check(frame: pd.DataFrame) -> None:
    """PipelineError unless it has rows in the order of their times, and columns that text names."""
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex) or len(index) < 2:
        hint = "; frame.set_index(pd.to_datetime(frame.pop(COLUMN))) makes one of a column's times"
        raise PipelineError(
            "frame: expected rows over a DatetimeIndex, found "
            f"{len(index):,} over a {type(index).__name__}"
            f"{'' if isinstance(index, pd.DatetimeIndex) else hint}"
        )
    if not (rising := index[1:] > index[:-1]).all():
        row = int(rising.argmin()) + 1
        raise PipelineError(
            f"frame: row {row + 1:,}: expected a time after that of the row before, "
            f"{index[row - 1]}, found {index[row]}"
        )
    for name in frame.columns:
        if not isinstance(name, str) or name == TIME:
            raise PipelineError(
                f"frame: expected columns named by text other than {TIME}, as the index is called, "
                f"found {name!r}; frame.rename(columns=...) gives it another name"
            )
        if input_names.is_made(name):
            raise PipelineError(
                f"frame: column {name}: expected another name, since an input that is made of a "
                "column or of the time is called so; frame.rename(columns=...) gives it one"
            )
    if len(twice := frame.columns[frame.columns.duplicated()]):
        raise PipelineError(f"frame: expected each column once, found {twice[0]} twice")
    if empty := [name for name in frame if frame[name].isna().all()]:
        raise PipelineError(
            f"frame: column {empty[0]}: expected values, found none in {len(frame):,} rows; "
            f"frame.drop(columns={empty[0]!r}) goes without it"
        )


def check_targets(targets: Sequence[str], columns: Mapping[str, Mapping[str, Any]]) -> None:
    """PipelineError unless they are columns of numbers, each once."""
    numeric = [name for name, own in columns.items() if not own]
    for name in targets:
        if name not in numeric:
            near = difflib.get_close_matches(str(name), numeric, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            what = f"{name}, a column of words" if name in columns else name
            raise PipelineError(
                f"targets: expected columns of numbers of the frame ({', '.join(numeric)}), found "
                f"{what}{hint}"
            )
    if len(set(targets)) < len(targets):
        raise PipelineError(f"targets: expected each column once, found {', '.join(targets)}")


def columns(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The columns as a card has them; one of very many words is told.

    Raises:
        PipelineError: a column is of times, or of objects that are neither words nor booleans.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, values in frame.items():
        kind = types.infer_dtype(values, skipna=True)
        if types.is_numeric_dtype(values) and kind not in ("boolean", "complex"):
            found[str(name)] = {}
            continue
        if kind not in WORDS:
            raise PipelineError(
                f"frame: column {name}: expected numbers, words or booleans, found {values.dtype} "
                f"({kind}); drop it, or make one of them of it, as pd.to_numeric does"
            )
        words = sorted(values.dropna().astype(str).unique())
        if len(words) > LEVELS:
            say(
                f"frame: column {name} has {len(words):,} different words, each of which becomes "
                f"an input, such as {words[0][:30]!r}; drop it unless they tell something, or "
                "pd.to_numeric makes numbers of it"
            )
        found[str(name)] = {"categories": words}
    return found


def placed(
    experiment: Experiment, frame: pd.DataFrame | None, place: Path, project: Path
) -> Layout:
    """Where an experiment's files are; a table in memory is written there."""
    layout = Layout(place, place if frame is not None else project)
    if frame is not None:
        layout.holidays = Layout(project).holidays
        table = frame.rename_axis(TIME).reset_index()
        written = table.to_csv(index=False, date_format=experiment.card.time.format)
        artifacts.write_text(layout.raw_table(experiment.dataset), written)
        card = experiment.card.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"  # JSON is YAML
        artifacts.write_text(layout.card(experiment.dataset), text)  # columns in the frame's order
    return layout


def beside(
    experiment: Experiment,
    frame: pd.DataFrame | None,
    root: str | Path | None,
    project: str | Path,
) -> tuple[Path, Layout, object]:
    """Where many trainings are kept, their layout, and the directory, if it goes with the result.

    It is the project; of a table in memory a temporary directory.
    """
    temporary = tempfile.TemporaryDirectory() if root is None and frame is not None else None
    place = Path(root or (temporary.name if temporary else project)).resolve()
    layout = placed(experiment, frame, place, Path(project).resolve())
    own = place / "data/holidays"
    if frame is not None and layout.holidays.exists() and not own.exists():
        own.symlink_to(layout.holidays)
    return place, layout, temporary

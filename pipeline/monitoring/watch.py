"""A model in service: how its forecasts turned out, and whether what it is given has changed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config import input_names
from pipeline.config.cards import Card
from pipeline.data.panel import Borders, Panel
from pipeline.evaluation import scoring
from pipeline.models.spec import Spec
from pipeline.monitoring import inputs, limits, scores
from pipeline.monitoring.inputs import Rows
from pipeline.monitoring.limits import Alarm
from pipeline.monitoring.usual import Limits, Usual, watched
from pipeline.preparation.scaling import Scaler


@dataclass(frozen=True)
class Watched:
    """What was found; chunks are numbered ..., -1, 0 and the newest is 0."""

    usual: Usual
    scores: dict[str, dict[str, dict[str, float]]]  # as `usual.test`
    matched: int  # forecasts for which something came
    left_out: dict[str, int]  # the others, by why
    inputs: pd.DataFrame  # [chunks, (column, statistic)]
    errors: pd.DataFrame  # [chunks, (target, statistic)]
    spans: dict[int, tuple[pd.Timestamp, pd.Timestamp]]  # first and last time of each chunk
    input_alarms: list[Alarm]
    error_alarms: list[Alarm]
    notes: list[str] = field(default_factory=list)

    @property
    def alarms(self) -> list[Alarm]:
        """All of them."""
        return [*self.input_alarms, *self.error_alarms]

    def tree(self) -> dict[str, Any]:
        """What was found, as JSON."""
        usual = self.usual
        return scoring.rounded(
            {
                "alarms": [
                    alarm._asdict() | {"from": self._begin(alarm), "to": str(self._end(alarm))}
                    for alarm in self.alarms
                ],
                "notes": self.notes,
                "matched": self.matched,
                "left_out": self.left_out,
                "baseline": usual.baseline.model_dump(mode="json"),
                "scores": self.scores,
                "test": usual.test,
                "chunks": [
                    {
                        "chunk": number,
                        "from": str(first),
                        "to": str(last),
                        "inputs": _tree(self.inputs, number),
                        "errors": _tree(self.errors, number),
                    }
                    for number, (first, last) in sorted(self.spans.items())
                ],
                "limits": {"inputs": usual.input_limits, "errors": usual.error_limits},
            }
        )

    def say(self, alarm: Alarm) -> str:
        """An alarm in one line."""
        what = "target" if alarm in self.error_alarms else "column"
        return _said(alarm, what, self._begin(alarm), self._end(alarm))

    def _begin(self, alarm: Alarm) -> str:
        return str(self.spans[alarm.chunk - limits.IN_A_ROW + 1][0])

    def _end(self, alarm: Alarm) -> pd.Timestamp:
        return self.spans[alarm.chunk][1]


def watch(
    usual: Usual,
    card: Card,
    spec: Spec,
    scaler: Scaler,
    panel: Panel,
    forecasts: pd.DataFrame,
) -> Watched:
    """Join the forecasts with the rows that came, score them, and compare the rows with training.

    Args:
        panel: regular series of what came, with the columns of `watched` and the targets.
        forecasts: as `scores.typed` gives them.
    """
    panel = _came(panel, spec, card)
    length = usual.chunk
    joined = scores.join(forecasts, panel, spec, card, usual.baseline)
    notes = []
    rows = Rows.of(panel, card, watched(spec, card), scaler.own)
    after = np.asarray(rows.times > pd.Timestamp(usual.until))
    if not after.all():
        notes.append(
            f"{int((~after).sum()):,} rows up to {usual.until} are of the training span: "
            "their inputs are not compared with it"
        )
    found = _measured(_chunks(rows, after, length), usual)
    if len(found) < limits.IN_A_ROW:
        notes.append(
            f"inputs: {len(found)} whole chunks of {usual.chunk} rows after the training span; "
            f"an alarm takes {limits.IN_A_ROW} in a row"
        )
    if not usual.input_limits:
        notes.append("inputs: the training span was too short for limits: no alarm is raised")
    elif not usual.seasonal:
        notes.append(
            "inputs: the training span had less than two years: a season that it lacks looks like "
            "a change"
        )
    if not usual.error_limits:
        notes.append("errors: validation and test were too short for limits: no alarm is raised")
    errors = _errors(joined.rows, rows.times, card, length)
    error_limits = _series(usual.error_limits)
    of_rows = -((rows.at.max() - rows.at) // length)
    spans = {
        int(n): (rows.times[of_rows == n].min(), rows.times[of_rows == n].max())
        for n in {*found.index, *errors.index}
    }
    return Watched(
        usual=usual,
        scores=scores.scores(scores.tally(joined.rows)) if len(joined.rows) else {},
        matched=len(joined.rows),
        left_out=joined.left_out,
        inputs=found,
        errors=errors,
        spans=spans,
        input_alarms=limits.alarms(found, _series(usual.input_limits)),
        error_alarms=limits.alarms(errors, error_limits),
        notes=notes,
    )


def changes(
    usual: Usual, card: Card, spec: Spec, scaler: Scaler, panel: Panel, since: pd.Timestamp
) -> Iterator[str]:
    """A line for each input that is not as it was in training, in the rows after a time.

    Args:
        panel: as of `watch`.
    """
    rows = Rows.of(panel, card, watched(spec, card), scaler.own)
    after = np.asarray(rows.times > max(since, pd.Timestamp(usual.until)))
    chunks = _chunks(rows, after, usual.chunk)
    for alarm in limits.alarms(_measured(chunks, usual), _series(usual.input_limits)):
        first, last = (chunks[alarm.chunk + n].times for n in (1 - limits.IN_A_ROW, 0))
        yield _said(alarm, "column", str(first.min()), last.max())


def _chunks(rows: Rows, of: npt.NDArray[np.bool_], length: int) -> dict[int, Rows]:
    """The whole chunks of some of the rows, by number; the newest is 0."""
    found = list(rows.part(of).chunks(length)) if of.any() else []
    return {n + 1 - len(found): one for n, one in found}


def _measured(chunks: dict[int, Rows], usual: Usual) -> pd.DataFrame:
    """[chunks, (column, statistic)]"""
    return inputs.frame({n: inputs.measure(one, usual.columns) for n, one in chunks.items()})


def _said(alarm: Alarm, what: str, first: str, last: pd.Timestamp) -> str:
    return (
        f"{what} {alarm.of}: {alarm.statistic} is {alarm.value:.4g}, over its limit "
        f"{alarm.limit:.4g} in {limits.IN_A_ROW} chunks in a row, {first} to {last}"
    )


def _came(panel: Panel, spec: Spec, card: Card) -> Panel:
    """Without rows at the end that only say what is known ahead: they have not come yet."""
    known = input_names.told(spec.known_ahead, card)
    other = [name for name in watched(spec, card) if name not in known]
    if not known or not other:
        return panel
    there = panel.frame[other].notna().any(axis=1)
    last = panel.frame.index[there].max() if there.any() else panel.frame.index.max()
    parts = {name: own[own.index <= last] for name, own in panel.parts()}
    parts = {name: own for name, own in parts.items() if len(own)}
    borders = Borders.of({name: len(own) for name, own in parts.items()})
    return Panel(pd.concat(list(parts.values())), borders)


def _errors(rows: pd.DataFrame, times: pd.DatetimeIndex, card: Card, length: int) -> pd.DataFrame:
    if rows.empty:
        return pd.DataFrame()
    first = times.min()
    last = card.step.between(first, times).max()
    at = card.step.between(first, pd.DatetimeIndex(rows["time"]))
    return inputs.frame(scores.by_chunk(scores.tally(rows, -((last - at) // length))))


def _series(nested: Limits) -> pd.Series:
    flat = {(name, key): value for name, own in nested.items() for key, value in own.items()}
    index = pd.MultiIndex.from_tuples(list(flat)) if flat else pd.MultiIndex.from_arrays([[], []])
    return pd.Series(list(flat.values()), index, dtype=np.float64)


def _tree(found: pd.DataFrame, number: int) -> dict[str, dict[str, float]]:
    tree: dict[str, dict[str, float]] = {}
    if number in found.index:
        row = found.loc[number].dropna()
        keys: list[Any] = list(row.index)
        for (name, statistic), value in zip(keys, row, strict=True):
            tree.setdefault(str(name), {})[str(statistic)] = float(value)
    return tree

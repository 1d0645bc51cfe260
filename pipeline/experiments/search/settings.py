"""search.yaml: which settings are tried, how many times, and by which score they are judged."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.config.changes import MODEL, NAME, changed, kind, known
from pipeline.config.params import Baseline, Count, Params
from pipeline.errors import PipelineError
from pipeline.evaluation.metrics import METRICS
from pipeline.files.records import Record

# The scores of a forecast and of nine quantiles; a single interval's or quantile's decides nothing.
JUDGED = tuple(m.name for m in METRICS if not m.each)
COMPARED = (  # what pruning leaves alone: a trial's loss is compared with others'
    "impute_scale",
    "train.loss",
    "train.loss_by",
    "train.loss_weights",
    "train.quantiles",
    "train.huber_delta",
)
FIXED = {  # what no search changes, and why
    "ingest": "scores on two data sets cannot be compared",
    "window.horizon": "scores of two horizons cannot be compared",
    "window.targets": "scores of two targets cannot be compared",
    "window.split": "scores on two spans cannot be compared",
    "train.seed": "seeds says how many each trial has",
    "evaluate": "it changes no model",
}


class Range(Record):
    """What one setting may be."""

    floats: tuple[float, float] | None = Field(None, alias="float")  # the first and the last
    ints: tuple[int, int] | None = Field(None, alias="int")
    choice: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    log: bool = False  # drawn evenly on a log scale
    step: Annotated[float, Field(gt=0)] | None = None  # from the first on
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # it is drawn for

    @model_validator(mode="after")
    def _check(self) -> "Range":
        if sum(one is not None for one in (self.floats, self.ints, self.choice)) != 1:
            raise ValueError("one of float, int and choice")
        if self.choice is not None:
            if self.log or self.step:
                raise ValueError("log and step beside float or int alone")
            if any(self.choice.count(value) > 1 for value in self.choice):
                raise ValueError("a choice among values that differ")
            return self
        low, high = self.bounds
        if low >= high:
            raise ValueError("the smaller bound first")
        if self.log and (low <= 0 or self.step):
            raise ValueError("bounds above 0 and no step beside log")
        if self.step and (low + self.step > high or (self.ints and self.step % 1)):
            raise ValueError("a step that fits the bounds, and is whole for int")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The first and the last number, which is a whole number of steps from the first."""
        low, high = self.ints or self.floats or (0, 0)
        if self.step:
            steps = int((high - low) / self.step + 1e-9)
            high = float(f"{low + self.step * steps:.12g}")  # 0.6 and not 0.6000000000000001
        return (int(low), int(high)) if self.ints else (low, high)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The first and the last number, or all choices: what is good if these are."""
        return self.bounds if self.choice is None else self.choice

    @property
    def grid(self) -> tuple[Any, ...]:
        """Every value; none of a range without steps."""
        if self.choice is not None:
            return self.choice
        low, high = self.bounds
        step = self.step or (1 if self.ints and not self.log else None)
        count = int((high - low) / step + 1.5) if step else 0
        return tuple(self.number(low + i * (step or 0)) for i in range(count))

    def number(self, value: float) -> float:
        """A number as a file would have it: six digits, within the bounds."""
        low, high = self.bounds
        return int(value) if self.ints else min(max(float(f"{value:.6g}"), low), high)


class Settings(Record):
    """search.yaml."""

    metric: Literal[JUDGED] | None = None  # type: ignore[valid-type]  # null: the one that decides
    trials: Count
    generation: Count = 4  # trials that are drawn before any of them is known
    seeds: Count = 1  # of each trial, from train.seed on
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1  # of the sampler
    pruning: Literal["none", "median"] = "none"
    ranges: Annotated[dict[str, Range], Field(min_length=1)]

    def names(self, base: Params) -> tuple[str, ...]:
        """The models that are tried."""
        tried = self.ranges.get(NAME)
        return (tried.choice or ()) if tried else (base.train.model.name,)

    def drawn(self, name: str) -> Iterator[tuple[str, Range]]:
        """The ranges that a model has a use for, but its name; in whatever order they stand."""
        for key, own in sorted(self.ranges.items()):
            if key != NAME and _useful(key, own, name):
                yield key, own

    def combinations(self, base: Params) -> list[dict[str, Any]]:
        """Every combination of the values of a grid."""
        found = []
        for name in self.names(base):
            ranges = dict(self.drawn(name))
            own = {NAME: name} if NAME in self.ranges else {}
            for values in product(*(one.grid for one in ranges.values())):
                found.append(own | dict(zip(ranges, values, strict=True)))
        return found

    def check(self, base: Params, where: str) -> None:
        """PipelineError of a key or a value that an experiment cannot have."""
        names = self.names(base)
        tried = self.ranges.get(NAME)
        for name in names if tried and tried.choice else [None] if tried else []:
            if kind(name) is None:
                raise PipelineError(
                    f"{where}: ranges.{NAME}: expected a choice of {', '.join(known())}, "
                    f"found {name}"
                )
        for key, own in self.ranges.items():
            place = f"{where}: ranges.{key}"
            for fixed, reason in FIXED.items():
                if key == fixed or key.startswith(f"{fixed}."):
                    raise PipelineError(f"{place}: expected it as in params.yaml: {reason}")
            if self.pruning != "none" and any(f"{key}.".startswith(f"{one}.") for one in COMPARED):
                raise PipelineError(
                    f"{place}: expected it as in params.yaml beside pruning: {self.pruning}, which "
                    "compares the losses of trials"
                )
            if stray := [name for name in own.models or () if name not in names]:
                raise PipelineError(
                    f"{place}.models: expected models that are tried ({', '.join(names)}), found "
                    f"{stray[0]}"
                )
            if self.sampler == "grid" and not own.grid:
                raise PipelineError(f"{place}: expected a choice or a step, of which grid is made")
            users = [name for name in names if key == NAME or _useful(key, own, name)]
            if not users:
                raise PipelineError(
                    f"{place}: expected a key that a model tried here uses ({', '.join(names)})"
                    f"{_near(key, names)}"
                )
            for name in users if key != NAME else ():
                first = {NAME: name} | {k: one.ends[0] for k, one in self.drawn(name)}
                for value in own.ends:
                    changed(base, first | {key: value}, where)


def _near(key: str, names: Iterable[str]) -> str:
    """What may be meant by a key that none of the models has."""
    own = {field for name in names if (model := kind(name)) for field in model.model_fields}
    near = get_close_matches(key.removeprefix(MODEL), sorted(own), n=1)
    return f"; did you mean {MODEL}{near[0]}?" if near else ""


def _useful(key: str, own: Range, name: str) -> bool:
    """Whether a setting changes what a model forecasts; a baseline has its own keys alone."""
    if own.models is not None and name not in own.models:
        return False
    model = kind(name)
    if model is None:
        return False
    if key.startswith(MODEL):
        return key.removeprefix(MODEL) in model.model_fields
    return not (key.startswith("train.") and issubclass(model, Baseline))

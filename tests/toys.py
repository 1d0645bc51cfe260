"""Small tables, cards and parameters, and a project directory made of them."""

import copy
import importlib
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline.config.cards import Card
from pipeline.config.params import Baseline, Evaluate, Params
from pipeline.data.panel import Borders
from pipeline.data.windows import Rows
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.files.records import parse
from pipeline.forecasting.conformal import Calibration, Method
from pipeline.forecasting.learning import calibrate
from pipeline.lstm.cell import LSTM, Array
from pipeline.models.baselines import FittedBaseline, beside
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Seen, Task, forecasts
from pipeline.preparation.scaling import Scaler

ROOT = Path(__file__).parents[1]

CARD: dict[str, Any] = {
    "title": "A toy series",
    "source": "tests",
    "licence": "CC0",
    "time": {"column": "time", "format": "%Y-%m-%d %H:%M"},
    "frequency": "1h",
    "season": 6,
    "columns": {
        "level": {"unit": "m", "minimum": 0},
        "flow": {"unit": "m³/s", "transform": "log1p"},
        "wind": {"categories": ["N", "S"]},
    },
    "excluded": ["note"],
    "targets": ["level"],
    "inputs": ["level", "flow", "wind"],
    "split": {"train": 72, "validation": 96, "test": 120},
}

PARAMS: dict[str, Any] = {
    "ingest": {"dataset": "toy"},
    "impute_scale": {
        "imputation": {"method": "ffill", "limit": 3},
        "scaling": "standard",
    },
    "window": {"look_back": 8, "horizon": 3, "stride": 1},
    "train": {
        "seed": 1,
        "model": {"name": "lstm", "units": [4]},
        "residual": "last",
        "loss": "huber",
        "optimizer": "adam",
        "learning_rate": 0.01,
        "batch_size": 16,
        "epochs": 1,
        "patience": 1,
    },
    "evaluate": {"stretch": 24},
}


def to_yaml(tree: Any) -> str:
    """A tree as a file has it, in its order, each value on one line."""
    writer, text = YAML(typ="safe"), io.StringIO()
    writer.default_flow_style, writer.width = False, 10**6
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.dump(tree, text)
    return text.getvalue()


def from_yaml(text: str) -> Any:
    """The tree that a file has, as DVC reads it."""
    return YAML(typ="safe").load(text)


def changed(tree: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of nested dictionaries with values set by dotted key; None takes a key out."""
    tree = copy.deepcopy(tree)
    for key, value in changes.items():
        *parents, last = key.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        if value is None:
            branch.pop(last)
        else:
            branch[last] = value
    return tree


def toy_card(**changes: Any) -> Card:
    """The toy card, with values changed by name."""
    return parse(CARD | changes, Card, "toy.yaml")


def toy_params(changes: dict[str, Any] | None = None) -> Params:
    """The toy parameters, with values changed by dotted key."""
    return parse(changed(PARAMS, changes or {}), Params, "params.yaml")


def toy_times(rows: int) -> pd.DatetimeIndex:
    """Hours from the start of 2014."""
    return pd.date_range("2014-01-01", periods=rows, freq="h", name="time")


PANEL: dict[str, Any] = {  # what the toy card has beside for `toy_panel`
    "series": "site",
    "static": ["size"],
    "columns": {"level": {"unit": "m"}, "size": {"unit": "m²"}},
    "excluded": [],
    "inputs": ["level"],
    "season": 2,
    "split": {"train": 0.5, "validation": 0.75, "test": 1.0},
}


def toy_panel() -> pd.DataFrame:
    """Three sites of 12, 8 and 3 rows, which begin at other hours; their rows are shuffled."""
    times = toy_times(14)
    parts = (
        ("a", 2.0, times[:12], np.arange(10, 130, 10)),
        ("b", 4.0, times[6:14], np.arange(1, 9)),
        ("c", 6.0, times[2:5], np.array([500, 510, 520])),
    )
    rows = [
        {"time": f"{time:%Y-%m-%d %H:%M}", "site": site, "level": float(level), "size": size}
        for site, size, own, levels in parts
        for time, level in zip(own, levels, strict=True)
    ]
    table = pd.DataFrame(rows)
    order = np.random.default_rng(1).permutation(table["site"].to_numpy())
    # Each site's rows stay in order of time, the sites take turns.
    turns = pd.Series(order).groupby(order).cumcount().to_numpy()
    firsts = {"a": 0, "b": 12, "c": 20}
    return table.iloc[[firsts[site] + turn for site, turn in zip(order, turns, strict=True)]]


def toy_table(rows: int = 120, seed: int = 1, missing: float = 0.1) -> pd.DataFrame:
    """A seeded table of the toy card: a daily wave, a second column, a category, and gaps."""
    random = np.random.default_rng(seed)
    level = 10 + 5 * np.sin(2 * np.pi * np.arange(rows) / 6) + random.normal(0, 1, rows)
    table = pd.DataFrame(
        {
            "time": toy_times(rows).strftime("%Y-%m-%d %H:%M"),
            "level": level.clip(0).round(2),
            "flow": random.gamma(2, 3, rows).round(2),
            "wind": random.choice(["N", "S"], rows),
            "note": "x",
        }
    )
    for name in ("level", "flow", "wind"):
        gaps = random.random(rows) < missing
        gaps[0] = False
        table[name] = table[name].mask(gaps)
    return table


class Project:
    """A directory in which the stages run on a toy table."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.table = root / "data/raw/toy/toy.csv"
        self.card = root / "data/datasets/toy.yaml"
        self.params = root / "params.yaml"
        self.versions = root / "data/versions.json"
        for path in (self.table, self.card):
            path.parent.mkdir(parents=True)
        self.versions.write_bytes((ROOT / "data/versions.json").read_bytes())
        self.write(toy_table())

    def write(
        self,
        table: pd.DataFrame | None = None,
        card: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
    ) -> "Project":
        """Write the table, if any, and card and parameters with values changed by dotted key."""
        if table is not None:
            table.to_csv(self.table, index=False)
        for path, tree, changes in ((self.card, CARD, card), (self.params, PARAMS, params)):
            path.write_text(to_yaml(changed(tree, changes or {})))
        return self

    def run(self, *stages: str) -> "Project":
        """Run stages one after the other in this process."""
        with chdir(self.root):
            for stage in stages:
                importlib.import_module(f"pipeline.stages.{stage}").main()
        return self

    def refused(self, stage: str) -> str:
        """What a stage that cannot run says."""
        with pytest.raises(PipelineError) as caught:
            self.run(stage)
        return str(caught.value)

    def command(self, *module: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m MODULE ARGUMENTS` as a user does."""
        return subprocess.run(
            [sys.executable, "-m", *module],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    def read(self, path: str | Path) -> bytes:
        """The bytes of a file."""
        return (self.root / path).read_bytes()

    def written(self) -> set[str]:
        """What lies below data/ besides the raw table, the card and the libraries' versions."""
        files = {
            str(path.relative_to(self.root))
            for path in (self.root / "data").rglob("*")
            if path.is_file()
        }
        return files - {"data/raw/toy/toy.csv", "data/datasets/toy.yaml", "data/versions.json"}


def write_holidays(root: Path, code: str = "DE", days: Sequence[str] = ("2014-01-02",)) -> None:
    """The holidays of 2014 below a project's root, as the command writes them."""
    path = root / f"data/holidays/{code}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = {"first": 2014, "last": 2014, "dates": dict.fromkeys(days, "a holiday")}
    artifacts.write_json(path, tree)


def made_up_calibration(
    targets: Sequence[str], horizon: int, levels: Sequence[float] = (80, 95)
) -> Calibration:
    """What would be learned of forty forecasts near 10 with errors of noise, written to HERE."""
    random = np.random.default_rng(1)
    forecast = random.normal(10, 3, (40, horizon, len(targets)))
    method = Method(levels=tuple(levels), scaled=tuple(targets), bins=2)
    made = calibrate(method, forecast, forecast + random.normal(0, 1, forecast.shape), targets)
    artifacts.write_json(HERE.calibration, made.model_dump(mode="json"))
    return made


def to_keras(p: LSTM) -> tuple[Array, Array, Array]:
    """An LSTM layer's gates as Keras' kernel [F, 4H], recurrent kernel [H, 4H] and bias [4H]."""
    return np.concatenate(p[:4], 1), np.concatenate(p[4:8], 1), np.concatenate(p[8:])


def seen_hours(features: Any, targets: Any, borders: Borders | None = None) -> Seen:
    """A series by the hour, [rows, F] and [rows, K], as models see it; or several."""
    times = toy_times(len(features))
    return Seen(times, features, np.asarray(targets, np.float64), borders=borders)


def naive(seasons: Sequence[int]) -> dict[str, Baseline]:
    """The naive baselines of a series by name."""
    names = ("persistence", "seasonal_naive", "drift", "last_change")
    return beside(Evaluate(baselines=names, stretch=1), seasons)


def naive_forecast(
    name: str,
    targets: pd.DataFrame,
    origins: Rows,
    horizon: int,
    *seasons: int,
    borders: Borders | None = None,
) -> Floats:
    """What a naive baseline, fitted on a whole table, forecasts from its rows: [B, H, K]."""
    names = tuple(targets)
    model = naive(seasons)[name]
    spec = Spec(
        dataset="toy",
        inputs=names,
        features=names,
        targets=names,
        look_back=1,
        horizon=horizon,
        model=model,
        residual="none",
        normalisation="none",
    )
    seen = seen_hours(np.zeros(targets.shape, np.float32), targets, borders)
    task = Task(spec, Scaler(columns={}), seen, origins, origins)
    return forecasts(FittedBaseline(spec, task.scaler).fit(task), seen, origins)


def shaped(params: Params) -> dict[str, Any]:
    """What a Spec takes over from the parameters."""
    window, train = params.window, params.train
    return {
        "look_back": window.look_back,
        "horizon": window.horizon,
        "model": train.model,
        "residual": train.residual,
        "season": 2 if train.residual == "seasonal" else None,
        "normalisation": train.normalisation,
        "quantiles": train.forecasts,
    }


def arrays(path: Path) -> dict[str, Any]:
    """Every array in a file of weights, by its path."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def toy_spec(**changes: Any) -> Spec:
    """What a model of the toy card is: persistence of one target, three steps ahead."""
    return Spec(
        dataset="toy",
        inputs=("level",),
        features=("level",),
        targets=("level",),
        look_back=8,
        horizon=3,
        model=naive([6])["persistence"],
        residual="none",
        normalisation="none",
    ).model_copy(update=changes)

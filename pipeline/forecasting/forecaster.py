"""The Forecaster: raw rows in, forecast out. What is scored is what is logged and served."""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config import input_names
from pipeline.config.cards import Card, read_card_file
from pipeline.config.params import Baseline
from pipeline.data import cells, row_order, tables, timestamps
from pipeline.data.panel import Borders
from pipeline.data.windows import Rows
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE, Layout
from pipeline.files.records import shown
from pipeline.forecasting import origins as origins_of
from pipeline.forecasting.conformal import Bands, Calibration, columns
from pipeline.models.baselines import FittedBaseline
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Model, Seen, forecasts
from pipeline.preparation.features import Gaps
from pipeline.preparation.imputation import Imputer, one_hot
from pipeline.preparation.prepare import prepare
from pipeline.preparation.scaling import Scaler

CALIBRATION = "calibration.json"  # models logged before there was any have none
FAR = 10  # standard deviations from the training span's mean: what is that far off is asked about
LOG = logging.getLogger(__name__)
Backend = Literal["tensorflow", "numpy"]


def stage_files(layout: Layout, dataset: str) -> dict[str, Path]:
    """What makes a Forecaster, where the stages leave it, by the name it has in a bundle."""
    return {
        "card.yaml": layout.card(dataset),
        "model.json": layout.model_json,
        "model.weights.h5": layout.weights,
        "imputer.json": layout.imputer,
        "scaler.json": layout.scaler,
        CALIBRATION: layout.calibration,
    }


def bundle(layout: Layout, dataset: str, directory: Path) -> None:
    """Copy what makes a Forecaster to one flat directory, to be logged and served."""
    for name, source in stage_files(layout, dataset).items():
        if name != CALIBRATION or source.exists():
            shutil.copyfile(source, directory / name)


def bundled_files(directory: Path) -> dict[str, Path]:
    """What makes a Forecaster, in a directory that `bundle` filled."""
    return {name: directory / name for name in stage_files(HERE, "")}


def rows_needed(spec: Spec, card: Card, imputer: Imputer) -> int:
    """Regular rows, up to and including the origin, that decide a forecast whatever its gaps."""
    own = input_names.context(spec.features, card.season, spec.horizon)
    return spec.look_back + own + imputer.context


def newest(table: pd.DataFrame, spec: Spec, card: Card, imputer: Imputer) -> pd.DataFrame:
    """A table's last raw rows, as many as a forecast needs, typed as a caller would send them.

    Where columns are known ahead, the last rows, as many as steps, have those alone.
    """
    rows, ahead = rows_needed(spec, card, imputer), input_names.columns(spec.known_ahead, card)
    if card.wide:  # a row is a day, and the first and the last may be used in part
        rows = -(-rows // card.steps_a_day) + 1
    columns = input_names.columns([*spec.inputs, *spec.known_ahead], card)
    if not ahead:
        return tables.typed(table.tail(rows).reset_index(drop=True), card, columns)
    rows += spec.horizon
    shown = tables.typed(table.tail(rows).reset_index(drop=True), card, columns)
    for name in shown:
        if card.rename.get(str(name), name) in {*columns} - {*ahead}:
            shown[name] = shown[name].mask(shown.index >= len(shown) - spec.horizon)
    return shown


@dataclass(frozen=True)
class Network:
    """A network as a model: `steps` makes standardised forecasts of what `Seen.inputs` gives."""

    spec: Spec
    scaler: Scaler
    steps: Callable[[Any], Any]

    def forecast(self, seen: Seen, origins: Rows) -> Floats:
        """Forecasts in the targets' units, origins [B] -> [B, H, K] or [B, H, K, Q]."""
        made = np.swapaxes(self.steps(seen.inputs(self.spec, origins)), 2, -1)
        return np.swapaxes(self.scaler.units(made, self.spec.targets), 2, -1)


def _model(spec: Spec, scaler: Scaler, weights: Path, backend: Backend) -> Model:
    if isinstance(spec.model, Baseline):
        return FittedBaseline(spec, scaler).load_weights(weights)
    if backend == "numpy":
        from pipeline.forecasting import numpy_backend

        return Network(spec, scaler, numpy_backend.load(spec, scaler, weights))
    from pipeline.models.registry import build

    network = build(spec, scaler)
    network.load_weights(weights)
    return Network(spec, scaler, network.predict_on_batch)


def read_calibration(path: Path | None) -> Calibration | None:
    """What was learned of a model's errors, if that is there."""
    return artifacts.read_json_record(path, Calibration) if path and path.exists() else None


def portable(forecast: pd.DataFrame) -> pd.DataFrame:
    """A forecast with its time stamps as text, which every caller reads the same way."""
    texts = {name: timestamps.as_text(forecast[name]) for name in ("origin", "time")}
    return forecast.assign(**texts)


class Forecaster:
    """A model with everything between it and raw rows."""

    def __init__(
        self,
        card: Card,
        spec: Spec,
        imputer: Imputer,
        scaler: Scaler,
        weights: Path,
        backend: Backend = "tensorflow",
        calibration: Calibration | None = None,
    ) -> None:
        self.card, self.spec, self.imputer, self.scaler = card, spec, imputer, scaler
        self.calibration = calibration
        try:
            self.model = _model(spec, scaler, weights, backend)
        except (OSError, ValueError, KeyError) as error:
            raise artifacts.broken(weights, error) from None

    @classmethod
    def load(cls, files: Mapping[str, Path], backend: Backend = "tensorflow") -> "Forecaster":
        """The Forecaster made of the files that `stage_files` or `bundled_files` name.

        `backend` runs networks: TensorFlow every one, NumPy stacks of lstm and rnn layers, to 1e-5
        the same, and starts in a fraction of the time. Baselines need neither.
        """
        spec = artifacts.read_json_record(files["model.json"], Spec)
        calibration = read_calibration(files.get(CALIBRATION))
        if calibration:
            steps = [(name, step + 1) for name in spec.targets for step in range(spec.horizon)]
            found = [(cell.target, cell.step) for cell in calibration.cells]
            if (found, calibration.method.given) != (steps, spec.quantiles or ()):
                raise artifacts.broken(files[CALIBRATION], "the errors of another model")
        return cls(
            card=read_card_file(files["card.yaml"]),
            spec=spec,
            imputer=artifacts.read_json_record(files["imputer.json"], Imputer),
            scaler=artifacts.read_json_record(files["scaler.json"], Scaler),
            weights=files["model.weights.h5"],
            backend=backend,
            calibration=calibration,
        )

    def read(self, raw: pd.DataFrame, where: str = "input") -> pd.DataFrame:
        """Raw rows as the regular series that forecasts are made from."""
        if self.card.series:
            raise PipelineError(
                f"{where}: expected a table of one series; of many ({self.card.series}) a network "
                "is trained, and not yet scored or served"
            )
        names = input_names.columns([*self.spec.inputs, *self.spec.known_ahead], self.card)
        rows, step = tables.numbered(raw, self.card, where), self.imputer.step
        series, given = tables.regular_series(rows, self.card, where, names, step)
        for line in row_order.remarks(given._asdict()):
            LOG.warning("%s: %s", where, line)
        return series

    def prepare(self, regular: pd.DataFrame) -> Seen:
        """The regular series as models see it."""
        channels = one_hot(regular, self.card.categories)
        borders = Borders.of({"": len(channels)})
        values, state = prepare(channels, borders, self.imputer, self.scaler)
        gaps, names = Gaps(state, self.imputer.limit), list(channels.columns)
        return Seen.of(self.spec, self.card, self.scaler, regular, values, names, gaps)

    def forecast(self, seen: Seen, origins: Rows) -> Floats:
        """Forecasts in the targets' units from what `prepare` gives: [N] origins -> [N, H, K].

        Of a quantile network [N, H, K, Q].

        Raises:
            PipelineError: names a feature that is missing in some window, or a target of which a
                baseline has no value.
        """
        forecast = self.bounded(self.model, seen, origins)
        if (missing := np.isnan(self.spec.point(forecast)).any(axis=(0, 1))).any():
            name = self.spec.targets[int(missing.argmax())]
            raise PipelineError(
                f"input: column {name}: expected a value in some row up to each origin, found none"
            )
        return forecast

    def bounded(self, model: Model, seen: Seen, origins: Rows) -> Floats:
        """Any model's forecasts in units, [N, H, K] or [N, H, K, Q], none below `lowest`."""
        made = seen.in_units(forecasts(model, seen, origins), origins)
        return np.maximum(made, self.lowest if made.ndim == 3 else self.lowest[:, None])

    @cached_property
    def lowest(self) -> Floats:
        """[K] the card's minimum of each target, -inf where it has none."""
        bounds = [self.card.columns[name].minimum for name in self.spec.targets]
        return np.array([-np.inf if bound is None else bound for bound in bounds])

    def predict(
        self,
        raw: pd.DataFrame,
        origins: Sequence[str] | None = None,
        where: str = "input",
        levels: Sequence[float] | None = None,
    ) -> pd.DataFrame:
        """Forecasts from raw rows with their intervals, as they are served.

        Args:
            raw: rows with the card's raw columns in original units, missing values allowed; a
                DatetimeIndex may have the time. Rows after the origin have what is known ahead.
            origins: time stamps of the last row that each forecast may see, written as in the table
                or by ISO 8601; the last row that has a value if None, or, where something is known
                ahead, an observed target.
            where: what the rows are called where something is wrong with them.
            levels: of the intervals, in percent; all that were calibrated if None.

        Returns:
            One row for each origin, step and target: origin, time, target, forecast, and for each
            level, rising, the bounds of its interval: lo-80, hi-80.

        Raises:
            PipelineError: a column is lacking or not as the card says, an origin is not in the
                rows, or too few rows lie before it; says how many are needed. Or what is known
                ahead ends before the last step; says what is lacking. Or a level was not
                calibrated; says which were.
        """
        chosen = self._levels(levels)
        regular = self.read(cells.with_time(raw, self.card), where)
        times = pd.DatetimeIndex(regular.index)
        given = list(origins) if origins is not None else []
        rows = (
            origins_of.named(given, times, self.card)
            if given
            else origins_of.newest(regular, self.spec, self.card, where)
        )
        needed = rows_needed(self.spec, self.card, self.imputer)
        if (rows + 1 < needed).any():
            first = int(rows.min())
            raise PipelineError(
                f"{where}: expected at least {needed} rows, one every {self.card.frequency}, up to "
                f"and including the origin {times[first]} ({self.spec.look_back} for the "
                f"look-back, the rest for lagged inputs and gap filling); found {first + 1}"
            )
        self._tell_of_gaps(regular, rows, where)
        self._tell_of_units(regular, where)
        regular = origins_of.reaching(regular, self.spec, self.card, rows, where)
        values = self.forecast(self.prepare(regular), rows)
        answer = self.frame(times, rows, self.spec.point(values))
        bands: Bands = self.calibration.bands(values, self.lowest) if self.calibration else {}
        for level in chosen:
            for name, bound in zip(columns(level), bands[level], strict=True):
                answer[name] = bound.ravel()
        return answer

    def _levels(self, wanted: Sequence[float] | None) -> list[float]:
        """Those that are asked for, or all."""
        there = self.calibration.method.levels if self.calibration else ()
        asked = there if wanted is None or not len(wanted) else wanted
        if odd := [level for level in asked if level not in there]:
            expected = (
                f"some of the calibrated {', '.join(f'{level:g}' for level in there)}"
                if there
                else "none of a model that was logged without calibration"
            )
            raise PipelineError(f"levels: expected {expected}, found {shown(odd[0])}")
        return [level for level in there if level in asked]

    def _tell_of_gaps(self, regular: pd.DataFrame, origins: Rows, where: str) -> None:
        """A line in the log for each column of which a look-back lacks more than half.

        And for a target without a value at an origin, as where only other columns go on.
        """
        look_back = self.spec.look_back
        for name in input_names.columns(self.spec.inputs, self.card):
            there = regular[name].notna().to_numpy()
            known = np.concatenate([[0], there.cumsum()])
            counts = known[origins + 1] - known[origins + 1 - look_back]
            least = int(counts.argmin())
            if 2 * counts[least] < look_back:
                seen = (
                    f"{name} was observed in {counts[least]} of" if counts[least]
                    else f"no {name} was observed in"
                )  # fmt: skip
                LOG.warning(
                    "%s: %s the %d rows up to %s: the forecast is made from imputed values",
                    where, seen, look_back, regular.index[origins[least]],
                )  # fmt: skip
            elif name in self.spec.targets and not there[origins].all():
                LOG.warning(
                    "%s: %s has no value at the origin %s: the forecast starts from an imputed one",
                    where, name, regular.index[origins[int(there[origins].argmin())]],
                )  # fmt: skip

    def _tell_of_units(self, regular: pd.DataFrame, where: str) -> None:
        """A line in the log for each column that lies far from what it was in training."""
        for name in regular.columns.intersection(self.card.numeric):
            scale, middle = self.scaler.columns[name], regular[name].median()
            if not scale.constant and abs(middle - scale.mean) > FAR * scale.deviation:
                LOG.warning(
                    "%s: column %s: its median is %g, but in training its mean was %g and its "
                    "standard deviation %g; is the unit different?",
                    where, name, middle, scale.mean, scale.deviation,
                )  # fmt: skip

    def frame(
        self, times: pd.DatetimeIndex, origins: Rows, values: npt.NDArray[np.float64]
    ) -> pd.DataFrame:
        """Forecasts [N, H, K] as a long table: origin, time, target, forecast."""
        n, horizon, k = values.shape
        start = times[origins]
        ahead = pd.to_timedelta(np.arange(1, horizon + 1) * self.card.step)
        time = start.repeat(horizon) + pd.TimedeltaIndex(np.tile(ahead, n))
        return pd.DataFrame(
            {
                "origin": start.repeat(horizon * k),
                "time": time.repeat(k),
                "target": np.tile(np.array(self.spec.targets, dtype=object), n * horizon),
                "forecast": values.ravel(),
            }
        )

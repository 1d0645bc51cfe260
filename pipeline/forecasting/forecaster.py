"""The Forecaster: raw rows in, forecast out. What is scored is what is logged and served."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import input_names
from pipeline.config.cards import Card, read_card_file
from pipeline.data import cells, panel, raw_panel
from pipeline.data.panel import Borders, Panel
from pipeline.data.windows import Rows
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE, Layout
from pipeline.files.records import shown
from pipeline.forecasting import answers, conformal, content, remarks
from pipeline.forecasting import origins as origins_of
from pipeline.forecasting.backends import Backend, load
from pipeline.forecasting.conformal import Bands, Calibration, columns
from pipeline.models.mix import Mixed
from pipeline.models.network import Network
from pipeline.models.spec import Spec
from pipeline.models.task import Floats, Model, Seen, forecasts
from pipeline.preparation.features import Gaps
from pipeline.preparation.imputation import Imputer, one_hot
from pipeline.preparation.prepare import prepare
from pipeline.preparation.scaling import Scaler

CALIBRATION, USUAL = "calibration.json", "usual.json"  # older models have none


def stage_files(layout: Layout, dataset: str) -> dict[str, Path]:
    """What makes a Forecaster, where the stages leave it, by the name it has in a bundle."""
    return {
        "card.yaml": layout.card(dataset),
        "model.json": layout.model_json,
        "model.weights.h5": layout.weights,
        "imputer.json": layout.imputer,
        "scaler.json": layout.scaler,
        CALIBRATION: layout.calibration,
        USUAL: layout.usual,
    }


def bundle(layout: Layout, dataset: str, directory: Path) -> None:
    """Copy what makes a Forecaster to one flat directory, to be logged and served."""
    for name, source in stage_files(layout, dataset).items():
        if source.exists() or name not in (CALIBRATION, USUAL):
            shutil.copyfile(source, directory / name)


def bundled_files(directory: Path) -> dict[str, Path]:
    """What makes a Forecaster, in a directory that `bundle` filled."""
    return {name: directory / name for name in stage_files(HERE, "")}


def rows_needed(spec: Spec, card: Card, imputer: Imputer) -> int:
    """Regular rows, up to and including the origin, that decide a forecast whatever its gaps."""
    return spec.rows_seen(card.season) + imputer.context


def read_calibration(path: Path | None) -> Calibration | None:
    """What was learned of a model's errors, if that is there."""
    return artifacts.read_json_record(path, Calibration) if path and path.exists() else None


def portable(forecast: pd.DataFrame) -> pd.DataFrame:
    """A forecast with its time stamps as text, which every caller reads the same way."""
    return pd.DataFrame(answers.plain(forecast))


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
        content: str = "",
        ranges: remarks.Ranges | None = None,
    ) -> None:
        self.card, self.spec, self.imputer, self.scaler = card, spec, imputer, scaler
        self.calibration, self.content, self.backend = calibration, content, backend
        self.ranges = ranges or {}
        try:
            self.model = load(spec, scaler, weights, backend)
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
            content=content.of(files),
            ranges=remarks.ranges(files.get(USUAL)),
        )

    def read(
        self, raw: pd.DataFrame, where: str = "input", series: Sequence[str] | None = None
    ) -> Panel:
        """Raw rows as the regular series that forecasts are made from; all, or those named."""
        if series and not self.card.series:
            raise PipelineError(
                f"series: expected none of a model of one series, found {shown(series[0])}"
            )
        names = input_names.columns([*self.spec.inputs, *self.spec.known_ahead], self.card)
        how = self.card, where, names, self.imputer.step, series or None, "series"
        found, given = raw_panel.to_panel(raw, *how)
        remarks.on_order(given, where)
        return found

    def prepare(self, regular: Panel) -> Seen:
        """The regular series as models see them."""
        frame, borders = regular.frame, regular.borders
        channels = one_hot(frame, self.card.categories)
        values, state = prepare(channels, borders, self.imputer, self.scaler)
        gaps, names = Gaps(state, self.imputer.limit), list(channels.columns)
        return Seen.of(self.spec, self.card, self.scaler, frame, values, names, gaps, borders)

    def forecast(self, seen: Seen, origins: Rows, model: Model | None = None) -> Floats:
        """Forecasts in the targets' units from what `prepare` gives: [N] origins -> [N, H, K].

        Of a quantile network [N, H, K, Q]. `model` forecasts in the place of its own.

        Raises:
            PipelineError: names a feature that is missing in some window, or a target of which a
                baseline has no value.
        """
        forecast = self.bounded(model or self.model, seen, origins)
        if (missing := np.isnan(self.spec.point(forecast)).any(axis=(0, 1))).any():
            name = self.spec.targets[int(missing.argmax())]
            raise PipelineError(
                f"input: column {name}: expected a value in some row up to each origin, found none"
            )
        return forecast

    def growing(self, seen: Seen, origins: Rows) -> Iterator[tuple[int, Floats]]:
        """What an ensemble's first members would forecast, of one, of two and so on to all.

        By themselves, with nothing mixed in.
        """
        total: Any = 0
        network = self.model.network if isinstance(self.model, Mixed) else self.model
        each = network.alone if isinstance(network, Network) else []
        for count, one in enumerate(each, start=1):
            total = total + self._in_units(one, seen, origins)
            yield count, self._at_least(total / count)

    def bounded(self, model: Model, seen: Seen, origins: Rows) -> Floats:
        """Any model's forecasts in units, [N, H, K] or [N, H, K, Q], none below `lowest`."""
        return self._at_least(self._in_units(model, seen, origins))

    def _at_least(self, made: Floats) -> Floats:
        return np.maximum(made, self.lowest if made.ndim == 3 else self.lowest[:, None])

    def _in_units(self, model: Model, seen: Seen, origins: Rows) -> Floats:
        """Any model's forecasts in units, [N, H, K] or [N, H, K, Q].

        From an origin in one of many series with fewer rows of it than a window takes, it is the
        last observed value; where there is none, the centre of the series' own units.
        """
        if not self.card.series:
            return forecasts(model, seen, origins)
        spec, outputs = self.spec, model.spec.outputs
        whole = seen.behind(origins) + 1 >= spec.rows_seen(self.card.season)
        last = np.nan_to_num(seen.known[origins])
        last = last.reshape(len(origins), 1, -1, *(1 for _ in outputs[2:]))
        made = np.broadcast_to(last, (len(origins), *outputs)).copy()
        if whole.any():
            made[whole] = forecasts(model, seen, origins[whole])
        return seen.in_units(np.where(np.isnan(made), last, made), origins)

    def warm(self) -> None:
        """Make a forecast of nothing: no request waits for TensorFlow's trace, or trees' text."""
        spec, last = self.spec, self.spec.rows_seen(self.card.season) - 1
        rows = last + 1 + spec.horizon
        features, ahead = (
            np.zeros((rows, len(names)), np.float32)
            for names in (spec.features, spec.known_features)
        )
        times = pd.date_range("2000-01-01", periods=rows, freq="h")
        seen = Seen(times, features, np.zeros((rows, len(spec.targets))), ahead)
        forecasts(self.model, seen, np.array([last]))

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
        series: Sequence[str] | None = None,
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
            series: the names of those that are forecast, of a table of many; all if None.

        Returns:
            One row for each origin, step and target: origin, time, target, forecast, and for each
            level, rising, the bounds of its interval: lo-80, hi-80. Of a table of many series,
            their names come first. With `frequency: rows`, step is in the place of time.

        Raises:
            PipelineError: a column is lacking or not as the card says, an origin is not in the
                rows, or too few rows lie before it; says how many are needed. Or what is known
                ahead ends before the last step; says what is lacking. Or a level was not
                calibrated; says which were.
        """
        chosen = self._levels(levels)
        given = list(origins) if origins is not None else []
        frames: dict[str, pd.DataFrame] = {}
        parts, faults, first = [], [], 0
        for name, regular in self.read(cells.with_time(raw, self.card), where, series).parts():
            try:
                frames[name], own = self._from(regular, given, name, where)
            except PipelineError as error:
                faults.append(str(error))
                continue
            parts.append(first + own)
            first += len(frames[name])
        if faults:
            raise PipelineError(*panel.first_faults(faults))
        borders = Borders.of({name: len(frame) for name, frame in frames.items()})
        frame, rows = panel.joined([*frames.values()]), np.concatenate(parts)
        values = self.forecast(self.prepare(Panel(frame, borders)), rows)
        answer: dict[str, Any] = {}
        point = self.spec.point(values)
        if self.card.series:
            of = np.array(borders.names, object)[borders.number(rows)]
            answer[self.card.series] = of.repeat(point[0].size)
        answer |= self._long(pd.DatetimeIndex(frame.index), rows, point)
        bands: Bands = {}
        if self.calibration:
            of_each = self.calibration.parts(borders.names, borders.number(rows))
            bands = conformal.bands(of_each, values, self.lowest)
        for level in chosen:
            for name, bound in zip(columns(level), bands[level], strict=True):
                answer[name] = bound.ravel()
        return pd.DataFrame(answer)

    def _from(
        self, regular: pd.DataFrame, origins: Sequence[str], name: str, where: str
    ) -> tuple[pd.DataFrame, Rows]:
        """One series' rows up to the last step, and its rows that are origins."""
        where = f"{where}: series {name}" if name else where
        times = pd.DatetimeIndex(regular.index)
        rows = (
            origins_of.named(origins, times, self.card, f"{where}: " if name else "")
            if origins
            else origins_of.newest(regular, self.spec, self.card, where)
        )
        needed = rows_needed(self.spec, self.card, self.imputer)
        origins_of.check_reach(rows, times, needed, self.spec, self.card, where)
        remarks.on_gaps(regular, rows, self.spec, self.card, where)
        remarks.on_range(regular, rows, name, self.spec, self.card, self.scaler, self.ranges, where)
        return origins_of.reaching(regular, self.spec, self.card, rows, where), rows

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

    def _long(self, times: pd.DatetimeIndex, origins: Rows, values: Floats) -> dict[str, Any]:
        """Forecasts [N, H, K] as columns of a long table: origin, time, target, forecast.

        Where no row tells the next one's time, how many rows ahead: step in place of time.
        """
        n, horizon, k = values.shape
        start, steps = times[origins], np.tile(np.arange(1, horizon + 1), n)
        when: dict[str, Any] = {"step": steps.repeat(k)}
        if self.card.step.tells:
            when = {"time": self.card.step.shift(start.repeat(horizon), steps).repeat(k)}
        return {
            "origin": start.repeat(horizon * k),
            **when,
            "target": np.tile(np.array(self.spec.targets, dtype=object), n * horizon),
            "forecast": values.ravel(),
        }

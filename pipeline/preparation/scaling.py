"""Scaling fitted on the training span: a transform where the card has one, a centre, a scale."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from pipeline.config.cards import Transform
from pipeline.errors import PipelineError
from pipeline.files.records import Record
from pipeline.preparation import moments
from pipeline.preparation.own_units import OwnUnits, spread

Floats = npt.NDArray[np.floating]


class Scale(Record):
    """One column's scale: (x - center) / scale of x, or of what a transform makes of x."""

    center: float = 0.0
    scale: float = 1.0
    transform: Transform | None = None
    power: float = 1.0  # Yeo and Johnson's lambda
    # of median_asinh, asinh((x - median) / spread); absent of the others
    median: float = Field(default=0.0, exclude_if=lambda given: given == 0)
    spread: float = Field(default=1.0, exclude_if=lambda given: given == 1)
    mean: float = 0.0  # of x itself in the training span,
    deviation: float = 1.0  # and its standard deviation: what a target is standardised with
    change: float = 1.0  # of the scaled value from row to row in training: standard deviation
    constant: bool = False  # one value in all of the training span: it tells a model nothing


class Scaler(Record):
    """Every column's scale, by name.

    Inputs are scaled as card and parameters say. Targets are always standardised in their own
    units: a loss in units of log(1 + x) would fit the median's logarithm, not the mean. Where
    series have units of their own, those are meant wherever a scale speaks of units.
    """

    columns: dict[str, Scale]
    own: OwnUnits | None = Field(default=None, exclude_if=lambda given: given is None)

    @classmethod
    def fit(
        cls,
        train: pd.DataFrame,
        method: Literal["minmax", "standard", "robust"],
        transforms: Mapping[str, Transform] = {},
        plain: Collection[str] = (),
        firsts: Sequence[int] | npt.NDArray[np.int64] = (0,),
        own: OwnUnits | None = None,
    ) -> Self:
        """Learn the scales from the observed values of the training rows, with scikit-learn.

        Args:
            train: [rows, columns], missing values as NaN, which are left out.
            method: to [0, 1]; to mean 0 and standard deviation 1; to median 0 and quartile range 1.
            transforms: by column, what bends it before it is scaled.
            plain: columns that stay as they are (0/1 columns of a category).
            firsts: rows with which a series begins: what came before them is another's.
            own: what brought the rows to each series' own units.

        Raises:
            PipelineError: names a column with a value that its transform does not take.
        """
        return cls(
            columns={
                name: Scale()
                if name in plain
                else _fit(train[name], method, transforms.get(name), firsts)
                for name in train.columns
            },
            own=own,
        )

    def in_own_units(self, series: pd.DataFrame, name: str) -> pd.DataFrame:
        """A series' rows in its own units; as they are where there are none."""
        return self.own.into(series, name) if self.own else series

    @property
    def changes(self) -> dict[str, float]:
        """Of each column, what differences of scaled values are divided by."""
        return {name: scale.change for name, scale in self.columns.items()}

    def transform(self, series: pd.DataFrame) -> pd.DataFrame:
        """Original units to scaled values, [rows, columns] of float64."""
        made = {name: _transform(series[name], self.columns[name]) for name in series.columns}
        return pd.DataFrame(made, index=series.index)

    def scaled(self, values: Floats, columns: Sequence[str]) -> Floats:
        """Forecasts in units [..., columns] to scaled values, as `transform` makes them of rows.

        One below 0 is as 0 on the scale of log(1 + x), which begins at -1.
        """
        made = np.empty_like(values)
        for i, name in enumerate(columns):
            scale, own = self.columns[name], values[..., i]
            own = np.maximum(own, 0) if scale.transform == "log1p" else own
            column = pd.Series(own.ravel(), name=name)
            made[..., i] = _transform(column, scale).reshape(own.shape)
        return made

    def inverse(self, values: Any, columns: Collection[str], ops: Any = np) -> Any:
        """Scaled values [..., columns] back to original units; `transform` undone.

        `ops` is what does the arithmetic: NumPy, or keras.ops inside a network.
        """
        units = values * self._each("scale", columns, values.dtype)
        units = units + self._each("center", columns, values.dtype)
        for name, straighten in INVERSE.items():
            bent = np.array([self.columns[column].transform == name for column in columns])
            if bent.any():
                powers = self._each("power", columns)
                straight = straighten(ops.where(bent, units, 0), powers, ops)
                if name == "median_asinh":
                    straight = straight * self._each("spread", columns, values.dtype)
                    straight = straight + self._each("median", columns, values.dtype)
                units = ops.where(bent, straight, units)
        return units

    def standardise(self, values: Any, targets: Collection[str]) -> Any:
        """Targets [..., K] in their units to mean 0 and standard deviation 1 in training."""
        mean, deviation = (self._each(k, targets, values.dtype) for k in ("mean", "deviation"))
        return (values - mean) / deviation

    def _each(self, key: str, columns: Collection[str], dtype: Any = None) -> npt.NDArray[Any]:
        return np.array([getattr(self.columns[name], key) for name in columns], dtype)

    def restandardise(self, scaled: Any, columns: Sequence[str], ops: Any = np) -> Any:
        """Scaled values [..., columns] to what `standardise` makes of their units.

        In one step where no transform is between: in units, float32 has no digits left for what
        distinguishes 100,000,001 from 100,000,002.
        """
        scales = [self.columns[name] for name in columns]
        factor = np.array([scale.scale / scale.deviation for scale in scales], scaled.dtype)
        offset = [(scale.center - scale.mean) / scale.deviation for scale in scales]
        straight = scaled * factor + np.array(offset, scaled.dtype)
        bent = np.array([scale.transform is not None for scale in scales])
        if not bent.any():
            return straight
        in_units = self.inverse(scaled, columns, ops)
        return ops.where(bent, self.standardise(in_units, columns), straight)

    def linear(self, values: Floats, columns: Sequence[str]) -> Floats:
        """Scaled columns [..., C] with transformed ones standardised in their own units instead.

        Names that are no columns (calendar terms and the like) stay as they are.
        """
        transformed = {name for name, scale in self.columns.items() if scale.transform}
        bent = [i for i, name in enumerate(columns) if name in transformed]
        if bent:
            names = [columns[i] for i in bent]
            values = values.copy()
            values[..., bent] = self.restandardise(values[..., bent], names)
        return values

    def units(self, standardised: Floats, targets: Collection[str]) -> npt.NDArray[np.float64]:
        """Standardised targets [..., K] back in their units, as float64."""
        mean, deviation = (self._each(key, targets) for key in ("mean", "deviation"))
        return np.asarray(standardised, np.float64) * deviation + mean


def check_range(scaled: pd.DataFrame, series: pd.DataFrame, where: str) -> None:
    """PipelineError for a scaled value that float32 cannot hold: the training span was too flat."""
    bad = ~(scaled.abs() <= np.finfo(np.float32).max).to_numpy()
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise PipelineError(
            f"{where}: column {scaled.columns[column]}, {scaled.index[row]}: expected a value of "
            f"a size seen in the training span, found {series.iloc[row, column]:g}, "
            f"{scaled.iloc[row, column]:g} after scaling"
        )


def _fit(column: pd.Series, method: str, transform: Transform | None, firsts: Any) -> Scale:
    # scikit-learn takes a second to import, which only the stage that fits should pay.
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    values = moments.known(column.to_numpy(np.float64))
    mean, deviation = moments.mean_and_deviation(values)
    power = 1.0
    if transform == "yeo_johnson" and values.min() < values.max():
        power = _fitted_power(values)
    median, wide = 0.0, 1.0
    if transform == "median_asinh":
        median, wide = spread(values)
    bent = _bend((column - median) / wide if wide != 1 or median else column, transform, power)
    table = (values if transform is None else bent.dropna().to_numpy(np.float64))[:, None]
    if table.min() == table.max():
        return Scale(
            center=float(table[0, 0]),
            transform=transform,
            median=median,
            spread=wide,
            mean=mean,
            constant=True,
        )
    if method == "minmax":
        minmax = MinMaxScaler().fit(table)
        center, scale = minmax.data_min_[0], minmax.data_range_[0]
    elif method == "standard":
        standard = StandardScaler().fit(table)
        center, scale = standard.mean_[0], standard.scale_[0]
    else:
        robust = RobustScaler().fit(table)
        center, scale = robust.center_[0], robust.scale_[0]
    # Of neighbours that were both observed; 0 or NaN where there are none that differ.
    changes = moments.changes(bent.to_numpy(np.float64))
    changes[np.asarray(firsts)] = np.nan
    change = moments.mean_and_deviation(changes)[1] / scale
    return Scale(
        center=float(center),
        scale=float(scale),
        transform=transform,
        power=power,
        median=median,
        spread=wide,
        mean=mean,
        deviation=deviation,
        change=float(change) if change > 0 else 1.0,
    )


def _bend(column: pd.Series, transform: Transform | None, power: float) -> pd.Series:
    """What a transform makes of a column; PipelineError names a value that it does not take."""
    if transform is None:
        return column
    if transform == "log1p":
        bad, expected = column <= -1, "values above -1"
        bent = np.log1p(column.mask(bad))
    else:
        bent = np.arcsinh(column) if transform.endswith("asinh") else _yeo_johnson(column, power)
        bad, expected = bent.abs() > np.finfo(np.float32).max, "smaller values"
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise PipelineError(
            f"column {column.name}, {column.index[row]}: expected {expected} for {transform}, "
            f"found {column.iloc[row]}"
        )
    return bent


def _yeo_johnson(values: pd.Series, power: float) -> pd.Series:
    """Yeo and Johnson (2000), doi 10.1093/biomet/87.4.954: a power of 1 + x on either side of 0.

    Powers are from 0 to 2, for which each value has an inverse.
    """
    powers = np.where(values >= 0, power, 2 - power)
    logarithm = np.log1p(values.abs())
    with np.errstate(invalid="ignore"):
        powered = np.expm1(powers * logarithm) / powers
    return np.sign(values) * logarithm.where(powers == 0, powered)


def _fitted_power(table: Floats) -> float:
    """The most likely lambda from 0 to 2, to the digits that mean the same on every processor."""
    from scipy import optimize, stats

    # Values that lie too close for any spread are infinitely likely.
    with np.errstate(all="ignore"):
        found = optimize.minimize_scalar(
            lambda power: -stats.yeojohnson_llf(power, table), bounds=(0, 2), method="bounded"
        )
    return round(float(found.x), 3)


def _from_yeo_johnson(values: Any, power: npt.NDArray[np.float64], ops: Any) -> Any:
    up, down = (np.array(each, values.dtype) for each in (power, 2 - power))
    powers, size = ops.where(values >= 0, up, down), ops.abs(values)
    none = ops.equal(powers, 0)
    some = ops.where(none, 1, powers)
    logarithm = ops.where(none, size, ops.log1p(some * size) / some)
    return ops.sign(values) * ops.expm1(logarithm)


# From transformed values, powers and NumPy or keras.ops.
INVERSE: dict[Transform, Callable[[Any, npt.NDArray[np.float64], Any], Any]] = {
    "log1p": lambda values, _, ops: ops.expm1(values),
    "asinh": lambda values, _, ops: ops.sinh(values),
    "median_asinh": lambda values, _, ops: ops.sinh(values),
    "yeo_johnson": _from_yeo_johnson,
}


def _transform(column: pd.Series, scale: Scale) -> npt.NDArray[np.float64]:
    if scale.constant:
        # Whatever comes later, a network that never saw this column move must not see it either.
        return np.where(column.isna(), np.nan, 0.0)
    if scale.transform == "median_asinh":
        column = (column - scale.median) / scale.spread
    bent = _bend(column, scale.transform, scale.power).to_numpy(np.float64)
    return (bent - scale.center) / scale.scale

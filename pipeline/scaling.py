"""Scaling fitted on the training span: an optional log1p, then a centre and a scale."""

from collections.abc import Collection, Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import PipelineError
from pipeline.strict import Record

Floats = npt.NDArray[np.floating]


class Scale(Record):
    """One column's scale: (x - center) / scale of x, or of log(1 + x)."""

    center: float = 0.0
    scale: float = 1.0
    log1p: bool = False
    mean: float = 0.0  # of x itself in the training span,
    deviation: float = 1.0  # and its standard deviation: what a target is standardised with
    change: float = 1.0  # of the scaled value from row to row in training: standard deviation
    constant: bool = False  # one value in all of the training span: it tells a model nothing


class Scaler(Record):
    """Every column's scale, by name.

    Inputs are scaled as the parameters say. Targets are always standardised in their own units:
    a loss in units of log(1 + x) would fit the median's logarithm, not the mean.
    """

    columns: dict[str, Scale]

    @classmethod
    def fit(
        cls,
        train: pd.DataFrame,
        method: Literal["minmax", "standard", "robust"],
        log1p: Collection[str] = (),
        plain: Collection[str] = (),
    ) -> Self:
        """Learn the scales from the observed values of the training rows, with scikit-learn.

        Args:
            train: [rows, columns], missing values as NaN, which are left out.
            method: to [0, 1]; to mean 0 and standard deviation 1; to median 0 and quartile range 1.
            log1p: columns that are scaled as log(1 + x).
            plain: columns that stay as they are (0/1 columns of a category).

        Raises:
            PipelineError: names a column of `log1p` with a value of -1 or less.
        """
        return cls(
            columns={
                name: Scale() if name in plain else _fit(train[name], method, name in log1p)
                for name in train.columns
            }
        )

    @property
    def changes(self) -> dict[str, float]:
        """Of each column, what differences of scaled values are divided by."""
        return {name: scale.change for name, scale in self.columns.items()}

    def transform(self, series: pd.DataFrame) -> pd.DataFrame:
        """Original units to scaled values, [rows, columns] of float64."""
        return pd.DataFrame(
            {name: _transform(series[name], self.columns[name]) for name in series.columns},
            index=series.index,
        )

    def inverse(self, values: Any, columns: Collection[str], ops: Any = np) -> Any:
        """Scaled values [..., columns] back to original units; `transform` undone.

        `ops` is what does the arithmetic: NumPy, or keras.ops inside a network.
        """
        scales = [self.columns[name] for name in columns]
        center = np.array([scale.center for scale in scales], values.dtype)
        width = np.array([scale.scale for scale in scales], values.dtype)
        logged = np.array([scale.log1p for scale in scales])
        units = values * width + center
        if not logged.any():
            return units
        return ops.where(logged, ops.expm1(ops.where(logged, units, 0)), units)

    def standardise(self, values: Any, targets: Collection[str]) -> Any:
        """Targets [..., K] in their units to mean 0 and standard deviation 1 in training."""
        scales = [self.columns[name] for name in targets]
        mean = np.array([scale.mean for scale in scales], values.dtype)
        return (values - mean) / np.array([scale.deviation for scale in scales], values.dtype)

    def restandardise(self, scaled: Any, columns: Sequence[str], ops: Any = np) -> Any:
        """Scaled values [..., columns] to what `standardise` makes of their units.

        In one step where no logarithm is between: in units, float32 has no digits left for what
        distinguishes 100,000,001 from 100,000,002.
        """
        scales = [self.columns[name] for name in columns]
        factor = np.array([scale.scale / scale.deviation for scale in scales], scaled.dtype)
        offset = [(scale.center - scale.mean) / scale.deviation for scale in scales]
        straight = scaled * factor + np.array(offset, scaled.dtype)
        logged = np.array([scale.log1p for scale in scales])
        if not logged.any():
            return straight
        in_units = self.inverse(scaled, columns, ops)
        return ops.where(logged, self.standardise(in_units, columns), straight)

    def linear(self, values: Floats, columns: Sequence[str]) -> Floats:
        """Scaled columns [rows, C] with those of log1p standardised in their own units instead.

        Names that are no columns (calendar terms and the like) stay as they are.
        """
        logged = [i for i, name in enumerate(columns) if name in self.logged]
        if logged:
            names = [columns[i] for i in logged]
            values = values.copy()
            values[:, logged] = self.restandardise(values[:, logged], names)
        return values

    @property
    def logged(self) -> set[str]:
        """The columns that are scaled as log(1 + x)."""
        return {name for name, scale in self.columns.items() if scale.log1p}

    def units(self, standardised: Floats, targets: Collection[str]) -> npt.NDArray[np.float64]:
        """Standardised targets [..., K] back in their units, as float64."""
        scales = [self.columns[name] for name in targets]
        deviation = np.array([scale.deviation for scale in scales])
        mean = np.array([scale.mean for scale in scales])
        return np.asarray(standardised, np.float64) * deviation + mean


def check_range(scaled: pd.DataFrame, series: pd.DataFrame, where: str) -> None:
    """PipelineError if a scaled value is none that float32 holds: the training span was too flat.

    Args:
        scaled: what `transform` made.
        series: what it was made from.
        where: what to call the series in an error.
    """
    bad = ~(scaled.abs() <= np.finfo(np.float32).max).to_numpy()
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise PipelineError(
            f"{where}: column {scaled.columns[column]}, {scaled.index[row]}: expected a value that "
            f"compares with the training span's, found {series.iloc[row, column]:g}, "
            f"{scaled.iloc[row, column]:g} when scaled"
        )


def _fit(column: pd.Series, method: str, log1p: bool) -> Scale:
    # scikit-learn takes a second to import, which only the stage that fits should pay.
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    values = column.dropna()
    mean, deviation = float(values.mean()), float(values.std(ddof=0))
    if log1p:
        _check_log1p(values)
        values = np.log1p(values)
    table = values.to_numpy(np.float64)[:, None]
    if table.min() == table.max():
        return Scale(center=float(table[0, 0]), log1p=log1p, mean=mean, constant=True)
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
    change = (np.log1p(column) if log1p else column).diff().std(ddof=0) / scale
    return Scale(
        center=float(center),
        scale=float(scale),
        log1p=log1p,
        mean=mean,
        deviation=deviation,
        change=float(change) if change > 0 else 1.0,
    )


def _check_log1p(values: pd.Series) -> None:
    bad = (values <= -1).to_numpy()
    if bad.any():
        raise PipelineError(
            f"column {values.name}, {values.index[int(bad.argmax())]}: expected values above -1 "
            f"for log1p, found {values.iloc[int(bad.argmax())]}"
        )


def _transform(column: pd.Series, scale: Scale) -> pd.Series:
    if scale.constant:
        # Whatever comes later, a network that never saw this column move must not see it either.
        return column.where(column.isna(), 0.0)
    if scale.log1p:
        _check_log1p(column)
        column = np.log1p(column)
    return (column - scale.center) / scale.scale

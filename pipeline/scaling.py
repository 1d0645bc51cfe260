"""Scaling fitted on the training span: an optional log1p, then a centre and a scale."""

from collections.abc import Collection
from typing import Literal, Self

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
    constant: bool = False  # one value in all of the training span: it tells a model nothing


class Scaler(Record):
    """Every column's scale, by name."""

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

    def transform(self, series: pd.DataFrame) -> pd.DataFrame:
        """Original units to scaled values, [rows, columns] of float64."""
        return pd.DataFrame(
            {name: _transform(series[name], self.columns[name]) for name in series.columns},
            index=series.index,
        )

    def inverse(self, values: Floats, targets: Collection[str]) -> Floats:
        """Scaled values [..., targets] back to the targets' units, float64.

        log(1 + x) is undone with its limits: what float64 cannot hold is an error, not inf.
        """
        scales = [self.columns[name] for name in targets]
        center = np.array([scale.center for scale in scales])
        width = np.array([scale.scale for scale in scales])
        units = np.asarray(values, np.float64) * width + center
        logged = np.array([scale.log1p for scale in scales])
        return np.where(logged, np.expm1(np.where(logged, units, 0)), units)


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
    if log1p:
        _check_log1p(values)
        values = np.log1p(values)
    table = values.to_numpy(np.float64)[:, None]
    if table.min() == table.max():
        return Scale(center=float(table[0, 0]), log1p=log1p, constant=True)
    if method == "minmax":
        minmax = MinMaxScaler().fit(table)
        center, scale = minmax.data_min_[0], minmax.data_range_[0]
    elif method == "standard":
        standard = StandardScaler().fit(table)
        center, scale = standard.mean_[0], standard.scale_[0]
    else:
        robust = RobustScaler().fit(table)
        center, scale = robust.center_[0], robust.scale_[0]
    return Scale(center=float(center), scale=float(scale), log1p=log1p)


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

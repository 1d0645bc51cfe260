"""The logged model: MLflow loads this file, which wraps the Forecaster; no pickle is involved."""

import os
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline.errors import PipelineError
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.forecaster import Forecaster, bundled_files, portable
from pipeline.runtime import determinism


class ServedForecaster(PythonModel):
    """Raw rows in, a long table of forecasts out; what the rows lack is the caller's error."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the Forecaster from the model's own files."""
        files = bundled_files(Path(context.artifacts["forecaster"]))
        # By the environment: `mlflow models serve` has no option for a model's configuration.
        backend: Any = os.environ.get("FORECAST_BACKEND") or "tensorflow"
        if backend not in get_args(Backend):
            raise PipelineError(
                f"FORECAST_BACKEND: expected {' or '.join(get_args(Backend))}, found {backend!r}"
            )
        if backend == "tensorflow":
            determinism.settle_keras()
        self.forecaster = Forecaster.load(files, backend)
        # MLflow's server would read them by pandas' guesses, before the card is asked.
        scoring_server.parse_csv_input = scoring_server.parse_parquet_input = _refuse_tables

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Forecast from each of `params["origins"]`, or from the last row with a value.

        With the intervals of `params["levels"]`, or of every level that was calibrated; of many
        series, each of `params["series"]`, or all.
        """
        keys = ("origins", "levels", "series")
        asked: dict[str, Any] = {key: (params or {}).get(key) for key in keys}
        try:
            if not isinstance(model_input, pd.DataFrame):
                raise PipelineError(
                    "input: expected rows with named columns, as JSON under dataframe_split or "
                    f"dataframe_records, found {type(model_input).__name__}"
                )
            return portable(self.forecaster.predict(model_input, **asked))
        except PipelineError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None


def _refuse_tables(*_: object, **__: object) -> None:
    raise MlflowException(
        "input: expected JSON; CSV is for python -m pipeline serve, which reads it by the card",
        error_code=INVALID_PARAMETER_VALUE,
    )


set_model(ServedForecaster())

"""The logged model: MLflow loads this file, which wraps the Forecaster; no pickle is involved."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline.errors import PipelineError
from pipeline.forecaster import Forecaster, bundled_files, portable


class ServedForecaster(PythonModel):
    """Raw rows in, a long table of forecasts out; what the rows lack is the caller's error."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the Forecaster from the model's own files."""
        files = bundled_files(Path(context.artifacts["forecaster"]))
        # By the environment: `mlflow models serve` has no option for a model's configuration.
        numpy = os.environ.get("FORECAST_BACKEND") == "numpy"
        self.forecaster = Forecaster.load(files, "numpy" if numpy else "tensorflow")
        # To a CSV that pandas cannot read MLflow's server answers with its own stack trace as well.
        scoring_server._handle_serving_error = partial(
            scoring_server._handle_serving_error, include_traceback=False
        )

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Forecast from each of `params["origins"]`, or from the last row."""
        origins = (params or {}).get("origins")
        try:
            if not isinstance(model_input, pd.DataFrame):
                raise PipelineError(
                    "input: expected rows with named columns, as CSV or as JSON under "
                    f"dataframe_split or dataframe_records, found {type(model_input).__name__}"
                )
            return portable(self.forecaster.predict(model_input, origins))
        except PipelineError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None


set_model(ServedForecaster())

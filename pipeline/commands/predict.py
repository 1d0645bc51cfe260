"""Forecast from raw rows in original units, missing values allowed."""

import argparse
import os
import sys
from typing import get_args
from uuid import uuid4

from pipeline.data.sources import reading
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE, require
from pipeline.forecasting.backends import Backend
from pipeline.forecasting.forecast_log import ForecastLog, MadeBy
from pipeline.forecasting.forecaster import Forecaster, portable, stage_files
from pipeline.models.spec import Spec
from pipeline.runtime import determinism, process

ROWS = "raw rows, in a file as the data set's or as CSV"


def main() -> None:
    """Write the forecasts and say what they are of."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser, without="the model that the pipeline has just trained")
    parser.add_argument("--input", type=process.path, required=True, help=ROWS)
    parser.add_argument(
        "--output",
        type=process.path,
        required=True,
        help="where the forecasts go: as Parquet to NAME.parquet, else as CSV",
    )
    parser.add_argument(
        "--origins",
        nargs="+",
        metavar="TIME",
        help="the last time that each forecast may see, written as in the table or as "
        "2014-05-01 12:00; without it, the last row that has a value, or, where a column is known "
        "ahead, a target's",
    )
    parser.add_argument(
        "--levels",
        nargs="+",
        type=float,
        metavar="PERCENT",
        help="which intervals stand beside the forecast, of those that were calibrated, as lo-80 "
        "and hi-80; without it, all of them",
    )
    parser.add_argument(
        "--series",
        nargs="+",
        metavar="NAME",
        help="which series of a table with many are forecast; without it, all of them",
    )
    add_log(parser)
    options = parser.parse_args()
    require(options.input, f"expected {ROWS}")
    suffix = options.output.suffix.lower()
    if suffix not in ("", ".csv", ".parquet"):
        raise PipelineError(f"{options.output}: expected .csv or .parquet, found {suffix}")
    if options.backend == "tensorflow":
        determinism.settle(0)  # before anything loads TensorFlow
    if options.model is not None:
        from pipeline.tracking import champion  # MLflow takes seconds to import

        name = champion.pinned(options.model)
        forecaster = champion.load(name, options.backend)
    else:
        name = str(HERE.model)
        dataset = artifacts.read_json_record(HERE.model_json, Spec).dataset
        forecaster = Forecaster.load(stage_files(HERE, dataset), options.backend)
    rows = reading.read_table(options.input, forecaster.card)
    asked = options.origins, str(options.input), options.levels, options.series
    forecast = forecaster.predict(rows, *asked)
    if options.log:
        by = MadeBy(name, forecaster.content, forecaster.spec)
        with ForecastLog(options.log) as log:
            log.add(by, uuid4().hex, forecast)
    if suffix == ".parquet":
        artifacts.write_frame(options.output, forecast)
    else:
        text = portable(forecast).to_csv(index=False, lineterminator="\n")
        artifacts.write_text(options.output, text)
    spec, origins = forecaster.spec, forecast["origin"].nunique()
    column = forecaster.card.series
    several = f"{forecast[column].nunique():,} series, " if column else ""
    of = f"{several}{origins:,} origin{'s' * (origins > 1)}, by {spec.title} of {spec.dataset}"
    # Forecasts that go to standard output stand there alone.
    screen = sys.stderr if str(options.output).startswith(artifacts.OPEN) else sys.stdout
    print(f"{options.output}: {len(forecast):,} rows, {of}", file=screen)


def model_uri(text: str) -> str:
    """A directory of the command line where it is from here; a URI as it is."""
    place = process.path(text)
    return str(place) if text and os.path.exists(place) else text  # noqa: PTH110


def add_log(parser: argparse.ArgumentParser) -> None:
    """The option that keeps what was forecast."""
    parser.add_argument(
        "--log",
        type=process.path,
        metavar="FOLDER",
        help="append each answer to a file a day in this folder, for monitor",
    )


def add_model(parser: argparse.ArgumentParser, without: str) -> None:
    """The options of which model forecasts, and of what runs its network."""
    parser.add_argument(
        "--model",
        type=model_uri,
        help="models:/NAME@champion, runs:/ID/model or a directory that MLflow wrote; "
        f"without it, {without}",
    )
    usual = os.environ.get("FORECAST_BACKEND") or "tensorflow"
    if usual not in get_args(Backend):
        known = " or ".join(get_args(Backend))
        raise PipelineError(f"FORECAST_BACKEND: expected {known}, found {usual!r}")
    parser.add_argument(
        "--backend",
        choices=get_args(Backend),
        default=usual,
        help="what runs the network: numpy needs no TensorFlow and runs lstm and rnn models; "
        "default FORECAST_BACKEND of the shell, or tensorflow",
    )

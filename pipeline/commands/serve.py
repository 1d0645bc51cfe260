"""Serve forecasts to this machine over HTTP, from raw rows as CSV or JSON."""

import argparse
import socket
from contextlib import nullcontext
from pathlib import Path

from pipeline.commands.predict import add_log, add_model
from pipeline.config.reading import read_params
from pipeline.errors import PipelineError
from pipeline.forecasting.backends import Backend
from pipeline.runtime import determinism

HOST = "127.0.0.1"
GRACE = 10  # seconds that requests under way have to be answered once the server is stopped


def main() -> None:
    """Take the port, then load the model and answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser, without="the champion of the data set in params.yaml")
    add_log(parser)
    parser.add_argument("--port", type=int, default=5001, help="default %(default)s")
    options = parser.parse_args()
    with socket.socket() as listener:
        _bind(listener, options.port)  # first: to load the model takes seconds
        _serve(listener, options.model, options.backend, options.log)


def _bind(listener: socket.socket, port: int) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a server just stopped
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "expected a number up to 65535"
        raise PipelineError(
            f"port {port}: {reason}; choose another one with --port, or with make serve PORT=..."
        ) from None


def _serve(
    listener: socket.socket, model: str | None, backend: Backend, folder: Path | None
) -> None:
    """Load the model and answer until a signal comes."""
    if backend == "tensorflow":
        determinism.settle(0)  # before anything loads TensorFlow
    import uvicorn

    from pipeline.forecasting import endpoints  # MLflow takes seconds to import
    from pipeline.forecasting.forecast_log import ForecastLog
    from pipeline.tracking import champion, logged_runs

    of = ""
    if model is None:
        with logged_runs.answering():
            version = champion.holder(read_params().ingest.dataset)
        model, of = f"models:/{version.name}/{version.version}", f", of run {version.run_id}"
    else:
        model = champion.pinned(model)
    forecaster = champion.load(model, backend)
    log = ForecastLog(folder, model, forecaster.content, forecaster.spec) if folder else None
    config = uvicorn.Config(
        endpoints.app(forecaster, log), lifespan="off", log_level="warning",
        timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    address = f"http://{HOST}:{listener.getsockname()[1]}/invocations"
    print(f"{model}{of}, at {address} until Ctrl-C", flush=True)
    try:
        with log or nullcontext():
            uvicorn.Server(config).run([listener])
    except KeyboardInterrupt:  # uvicorn raises the signal again when all is answered
        print("stopped")

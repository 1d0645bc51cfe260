"""Serve forecasts from raw rows over HTTP, to this machine alone unless told otherwise."""

import argparse
import socket
import threading
from contextlib import nullcontext
from functools import partial

from pipeline.commands.predict import add_log, add_model
from pipeline.config.reading import read_params
from pipeline.errors import PipelineError
from pipeline.forecasting.backends import Backend
from pipeline.runtime import determinism

HOST = "127.0.0.1"
GRACE = 10  # seconds that requests under way have to be answered once the server is stopped
EVERY = 60  # seconds between two looks for a new champion


def main() -> None:
    """Take the port, then load the model and answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser, without="the champion of the data set in params.yaml")
    add_log(parser)
    parser.add_argument("--port", type=int, default=5001, help="default %(default)s")
    parser.add_argument(
        "--host",
        default=HOST,
        help="the address that it listens on; who may ask is up to you. Default %(default)s",
    )
    parser.add_argument(
        "--follow",
        type=seconds,
        default=EVERY,
        metavar="SECONDS",
        help="how often a champion's alias is asked whether it has moved: the new model takes over "
        "without a request lost; 0 for never. Default %(default)s",
    )
    parser.add_argument(
        "--patience",
        type=seconds,
        default=30,
        metavar="SECONDS",
        help="how long a request may take to arrive, and to wait for its turn. Default %(default)s",
    )
    options = parser.parse_args()
    # Named TCP, or asyncio leaves Nagle's algorithm on, and every answer waits 40 ms for an ACK.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        _bind(listener, options.host, options.port)  # first: to load the model takes seconds
        _serve(listener, options)


def seconds(text: str) -> float:
    """A time of the command line."""
    if not 0 <= (given := float(text)) < threading.TIMEOUT_MAX:
        raise ValueError(text)
    return given


def _bind(listener: socket.socket, host: str, port: int) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a server just stopped
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "expected a number up to 65535"
        raise PipelineError(
            f"port {port}: {reason}; choose another one with --port, or with make serve PORT=..."
        ) from None


def _serve(listener: socket.socket, options: argparse.Namespace) -> None:
    """Load the model and answer until a signal comes."""
    backend: Backend = options.backend
    if backend == "tensorflow":
        determinism.settle(0)  # before anything loads TensorFlow
    from pipeline.forecasting import service  # MLflow takes seconds to import
    from pipeline.forecasting.forecast_log import ForecastLog
    from pipeline.forecasting.server import serve
    from pipeline.tracking import champion

    alias, of = options.model, ""
    if alias is None:
        dataset = read_params().ingest.dataset
        alias, of = f"models:/{dataset}@{champion.ALIAS}", f", of run {_run(dataset)}"
    model = champion.pinned(alias)
    forecaster = champion.load(model, backend)
    forecaster.warm()
    log = ForecastLog(options.log) if options.log else None
    now = service.Service(service.Served(model, forecaster, log), options.patience)
    host, port = listener.getsockname()[:2]
    print(f"{model}{of}, at http://{host}:{port}/invocations until Ctrl-C", flush=True)
    end = threading.Event()
    if options.follow and model != alias:
        newest, load = partial(_newest, alias), partial(champion.load, backend=backend)
        tell = partial(print, flush=True)
        how = now, newest, load, options.follow, tell, end
        threading.Thread(target=service.follow, args=how, name="follow", daemon=True).start()
    try:
        with log or nullcontext():
            serve(now, listener, GRACE)
    except KeyboardInterrupt:  # uvicorn raises the signal again when all is answered
        print("stopped")
    finally:
        end.set()


def _run(dataset: str) -> str:
    from pipeline.tracking import champion, logged_runs

    with logged_runs.answering():
        return str(champion.holder(dataset).run_id)


def _newest(alias: str) -> str:
    """The version that an alias names now; PipelineError if nobody can say."""
    from pipeline.tracking import champion, logged_runs

    with logged_runs.answering():
        return champion.version_of(alias)

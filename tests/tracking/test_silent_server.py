"""A tracking server that gives no answer: what is said of it."""

import socket
import threading

import mlflow
import pytest

from pipeline.errors import PipelineError
from pipeline.tracking import champion, logged_runs, store
from tests.serving import free_port

CHAMPION = "models:/sales@champion"


@pytest.fixture
def patch(anywhere: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Tests that point MLflow elsewhere, where it asks once."""
    anywhere.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return anywhere


def test_a_server_that_is_down_is_said_to_be_down(
    patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line without a library's words, to who reads runs, loads a model or logs a run."""
    patch.setenv("MLFLOW_TRACKING_URI", uri := f"http://127.0.0.1:{free_port()}")
    why = "no answer (connection refused); is the tracking server up?"
    with pytest.raises(PipelineError) as caught, logged_runs.answering():
        logged_runs.newest("sales")
    assert str(caught.value) == f"{uri}: {why}"
    with pytest.raises(PipelineError) as caught:
        champion.load(CHAMPION)
    assert str(caught.value) == f"--model {CHAMPION}: expected a model in {uri}: {why}"
    with pytest.raises(mlflow.MlflowException) as refused:
        store.connect().get_run("1")
    store.warn(refused.value)
    assert capsys.readouterr().err.startswith(
        f"warning: MLflow at {uri} did not take the run ({why}); everything is on disk: "
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "timed out"),
        (b"", "connection reset by peer"),
        (b"HTTP/1.1 503 busy\r\nContent-Length: 0\r\n\r\n", "too many 503 error responses"),
    ],
    ids=["silent", "hangs up", "busy"],
)
def test_a_server_that_does_not_answer_is_told_by_how(
    patch: pytest.MonkeyPatch, answer: bytes | None, why: str
) -> None:
    """It takes the request and says nothing, hangs up, or has a proxy say that it is busy."""

    def serve() -> None:
        other, _ = listener.accept()
        with other:
            if answer is None:
                ended.wait(60)
                return
            other.recv(1 if answer == b"" else 10_000)
            other.sendall(answer)

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        uri = f"http://127.0.0.1:{listener.getsockname()[1]}"
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(PipelineError) as caught, logged_runs.answering():
            logged_runs.newest("sales")
        ended.set()
        thread.join()
    assert str(caught.value) == f"{uri}: no answer ({why}); is the tracking server up?"

"""The forecast log: nothing that was written is lost, and what is dropped is counted."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import PipelineError
from pipeline.forecasting import forecast_log
from pipeline.forecasting.forecast_log import ForecastLog, MadeBy
from tests.toys import ROOT, toy_spec

FORECAST = pd.DataFrame(
    {
        "origin": "2014-01-01 00:00:00",
        "time": [f"2014-01-01 0{hour}:00:00" for hour in (1, 2, 3)],
        "target": "level",
        "forecast": [1.5, 2.5, 3.5],
        "lo-80": [1.0, 2.0, 3.0],
        "hi-80": [2.0, 3.0, 4.0],
    }
)
BY = MadeBy("models:/toy/3", "abc", toy_spec())
WRITER = """
import sys, time
from pathlib import Path
from pipeline.forecasting.forecast_log import ForecastLog
from tests.forecasting.test_forecast_log import BY, FORECAST
log, number = ForecastLog(Path(sys.argv[1])), 0
while True:
    log.add(BY, str(number), FORECAST)
    print(number, flush=True)
    number += 1
    time.sleep(0.002)
"""


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test in this process is spread over two files at midnight."""
    monkeypatch.setattr(forecast_log, "_now", lambda: "2026-01-02T03:04:05.678+00:00")


def test_what_is_logged_is_read_back(tmp_path: Path) -> None:
    """Every answer is a line of its day's file: what made it, the request, the steps, the rows."""
    with ForecastLog(tmp_path / "log") as log:
        log.add(BY, "one", FORECAST)
        log.add(BY, "two", FORECAST)
    (file,) = (tmp_path / "log").iterdir()
    assert file.name == "forecasts-2026-01-02.jsonl"
    rows, broken = forecast_log.read(file)
    assert (len(rows), broken) == (6, 0)
    assert rows["request"].tolist() == ["one"] * 3 + ["two"] * 3
    assert set(rows["model"]) == {"models:/toy/3"} and set(rows["content"]) == {"abc"}
    assert rows["step"].tolist() == [1, 2, 3] * 2
    pd.testing.assert_frame_equal(rows[[*FORECAST]].iloc[:3], FORECAST, check_dtype=False)


def test_a_killed_process_loses_a_second_at_most(tmp_path: Path) -> None:
    """After kill -9 every line is whole, and all that was logged a second before is there."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        told = [int(writer.stdout.readline()) for _ in range(600)]
        os.kill(writer.pid, signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    parts = [forecast_log.read(file) for file in sorted(tmp_path.iterdir())]
    assert not any(broken for _, broken in parts)
    rows = pd.concat([part for part, _ in parts])
    numbers = rows["request"].drop_duplicates().astype(int).tolist()
    assert numbers == list(range(len(numbers)))  # in between none is lacking
    # A second of answers, 2 ms or more apart: a busy machine may stop both threads for longer.
    assert len(numbers) >= len(told) - 500


def test_a_full_queue_drops_counts_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the disk hangs, an answer never waits: what the queue cannot hold is counted."""
    begun, hangs, append = threading.Event(), threading.Event(), forecast_log.append

    def slow(file: Path, text: str) -> None:
        begun.set()
        hangs.wait(200)
        append(file, text)

    monkeypatch.setattr(forecast_log, "append", slow)
    with ForecastLog(tmp_path, waiting=5) as log:
        log.add(BY, "0", FORECAST)
        assert begun.wait(100)  # the thread hangs with the first
        began = time.monotonic()
        for number in range(1, 13):
            log.add(BY, str(number), FORECAST)
        assert time.monotonic() - began < 100  # half of what one that waited would
        assert log.dropped == 7
        hangs.set()
    rows, _ = forecast_log.read(next(tmp_path.iterdir()))
    assert rows["request"].drop_duplicates().tolist() == [str(n) for n in range(6)]
    assert "7 answers so far are in no file" in caplog.messages[-1]


def test_a_disk_that_takes_nothing_is_said_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that could not be written is counted, and the log goes on with the next."""

    def full(file: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    with ForecastLog(tmp_path) as log:
        with monkeypatch.context() as patch:
            patch.setattr(forecast_log, "append", full)
            log.add(BY, "lost", FORECAST)
            deadline = time.monotonic() + 100
            while not log.dropped and time.monotonic() < deadline:
                time.sleep(0.01)
        log.add(BY, "kept", FORECAST)
    rows, _ = forecast_log.read(next(tmp_path.iterdir()))
    assert (log.dropped, set(rows["request"])) == (1, {"kept"})
    assert any("No space left on device" in message for message in caplog.messages)


def test_a_broken_line_spoils_no_other(tmp_path: Path) -> None:
    """A line that ends where a disk failed is counted, and the next answer has its own line."""
    file = tmp_path / "forecasts-2026-01-01.jsonl"
    whole = {"model": "m", "content": "c", "request": "1", **FORECAST.to_dict("split")}
    file.write_text(json.dumps(whole) + "\n" + json.dumps(whole)[:40])
    forecast_log.append(file, json.dumps(whole | {"request": "2"}) + "\n")
    rows, broken = forecast_log.read(file)
    assert (set(rows["request"]), broken) == ({"1", "2"}, 1)


def test_a_folder_that_cannot_be_had_is_said_at_once(tmp_path: Path) -> None:
    """A log that has no place to be is an error before the first answer."""
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=r"--log .*file: expected a folder to write to"):
        ForecastLog(tmp_path / "file")

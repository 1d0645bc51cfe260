"""A model over HTTP: rows read as the card says, and one line to what is no request."""

import io
import json
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from pipeline.commands import predict, serve
from pipeline.data.sources import delimited
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE
from pipeline.forecasting import endpoints, forecast_log, forecaster
from pipeline.forecasting.forecaster import Forecaster
from pipeline.tracking import champion, publishing
from tests.repositories import NO_STORE, run
from tests.serving import free_port, serving
from tests.toys import ROOT, Project, made_up_calibration

pytestmark = pytest.mark.timeout(300)
ROWS = 120
CALIBRATED = (80, 90.5)  # percent
PARTS = ["year", "month", "day", "hour"]
LEVELS = {
    "holiday": ["None", "Fête", "NA"],
    "weekend": ["FALSE", "TRUE"],
    "zone": ["01", "02"],
    "line": ["1", "2"],
}
# What a reader that guesses makes something else of: words, zeros, true and false, semicolons.
CARD: dict[str, Any] = {
    "time": {"columns": PARTS},
    "delimiter": ";",
    "encoding": "latin-1",
    "missing": [""],
    "columns": {"load": {"unit": "MW"}, **{k: {"categories": v} for k, v in LEVELS.items()}},
    "excluded": [],
    "targets": ["load"],
    "inputs": ["load", *LEVELS],
}


def table() -> pd.DataFrame:
    """The raw table, every field as it is written, an empty one where a value is missing."""
    random = np.random.default_rng(1)
    times = pd.date_range("2014-01-01", periods=ROWS, freq="h")
    frame = pd.DataFrame({part: getattr(times, part).astype(str) for part in PARTS})
    load = 10 + 5 * np.sin(np.arange(ROWS) * np.pi / 12) + random.normal(0, 1, ROWS)
    frame["load"] = [repr(float(value)) for value in load]
    for name, levels in LEVELS.items():
        frame[name] = random.choice(levels, ROWS)
    for name in ("load", *LEVELS):
        frame.loc[random.choice(ROWS, 6, replace=False), name] = ""
    return frame


def as_csv(frame: pd.DataFrame) -> bytes:
    """Rows as a file of the card has them."""
    return frame.to_csv(index=False, sep=";").encode("latin-1")


def value(name: str, text: str) -> Any:
    """A field as a program has it: a number, true or false, or None where it is missing."""
    if text == "":
        return None
    if name == "weekend":
        return text == "TRUE"
    return float(text) if name == "load" else int(text) if name in (*PARTS, "line") else text


def as_split(frame: pd.DataFrame) -> dict[str, Any]:
    """Rows in MLflow's one form."""
    names = list(frame)
    rows = [[value(*pair) for pair in zip(names, row, strict=True)] for row in frame.to_numpy()]
    return {"dataframe_split": {"columns": names, "data": rows}}


def as_records(frame: pd.DataFrame) -> dict[str, Any]:
    """Rows in its other form."""
    split = as_split(frame)["dataframe_split"]
    return {
        "dataframe_records": [dict(zip(split["columns"], r, strict=True)) for r in split["data"]]
    }


NUMBERS = ["forecast", "lo-80", "hi-80", "lo-90.5", "hi-90.5"]


def digits(answer: str) -> list[list[float]]:
    """The forecasts of an answer with the bounds of their intervals."""
    return [[row[name] for name in NUMBERS] for row in json.loads(answer)["predictions"]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the table, as MLflow keeps it."""
    project = Project(tmp_path_factory.mktemp("served")).write(card=CARD)
    project.table.write_bytes(as_csv(table()))
    bundle = project.root / "bundle"
    bundle.mkdir()
    with pytest.MonkeyPatch.context() as patch, chdir(project.root):
        for name, setting in NO_STORE.items():
            patch.setenv(name, setting)
        project.run("ingest", "impute_scale", "window", "train")
        made_up_calibration(["load"], 3, levels=CALIBRATED)
        forecaster.bundle(HERE, "toy", bundle)
    mlflow.pyfunc.save_model(
        project.root / "model",
        python_model=str(ROOT / "pipeline/forecasting/served_model.py"),
        artifacts={"forecaster": str(bundle)},
        signature=publishing.signature(CALIBRATED),
        pip_requirements=[],
    )
    return project.root / "model"


@pytest.fixture(scope="module")
def here(model: Path) -> Forecaster:
    """The same model in this process."""
    return Forecaster.load(forecaster.bundled_files(model.parent / "bundle"), "numpy")


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    """The model, served as `make serve` does."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "serve",
        "--model",
        str(model),
        "--backend",
        "numpy",
        "--log",
        "log",
    ]
    base, env = f"http://127.0.0.1:{port}", NO_STORE | {"PYTHONPATH": str(ROOT)}
    log = model.parent / "serve.log"
    with serving([*command, "--port", str(port)], f"{base}/ping", log, env):
        yield base
    assert "Traceback" not in log.read_text()


def post(address: str, content: Any, kind: str = endpoints.JSON) -> requests.Response:
    """The answer to a request; what is no bytes is sent as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {"Content-Type": kind} if kind else {}
    return requests.post(f"{address}/invocations", body, headers=headers, timeout=60)


def from_file(model: Path, rows: bytes, monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """What predict makes of a file with these rows, where the model was trained."""
    (model.parent / "rows.csv").write_bytes(rows)
    options = ["--backend", "numpy", "--input", "rows.csv", "--output", "forecast.csv"]
    monkeypatch.chdir(model.parent)
    monkeypatch.setattr("sys.argv", ["predict", *options])
    predict.main()
    made: list[list[float]] = (
        pd.read_csv("forecast.csv", float_precision="round_trip")[NUMBERS].to_numpy().tolist()
    )
    return made


def test_file_csv_and_json_give_the_same_digits(
    model: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """predict's file, and CSV, both forms of JSON and Parquet over HTTP, to the last digit."""
    frame = table()
    wanted = from_file(model, as_csv(frame), monkeypatch)
    packed = io.BytesIO()
    split = as_split(frame)["dataframe_split"]
    pd.DataFrame(split["data"], columns=split["columns"]).to_parquet(packed)
    for answer in (
        post(address, as_csv(frame), endpoints.CSV),
        post(address, as_csv(frame), "text/csv; charset=latin-1"),
        post(address, as_split(frame)),
        post(address, as_records(frame)),
        post(address, packed.getvalue(), endpoints.PARQUET),
    ):
        assert answer.status_code == 200, answer.text
        assert digits(answer.text) == wanted
        assert answer.json().keys() == {"predictions", "warnings"}  # the last load is missing
        names = ["origin", "time", "target", *NUMBERS]
        assert list(answer.json()["predictions"][0]) == names


FIELDS = {
    "load": st.just("") | st.floats(-1e6, 1e6).map(repr),
    **{name: st.sampled_from(["", *levels]) for name, levels in LEVELS.items()},
}
CHANGE = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: st.tuples(st.just(name), st.integers(0, ROWS - 1), FIELDS[name])
)


@settings(max_examples=10)
@given(changes=st.lists(CHANGE, max_size=20), cut=st.integers(0, 60))
def test_any_rows_give_the_same_digits_in_every_form(
    here: Forecaster, changes: list[tuple[str, int, str]], cut: int
) -> None:
    """Whatever the rows hold, CSV and both forms of JSON give what the file gives."""
    frame = table()
    for name, row, text in changes:
        frame.loc[row, name] = text
    frame = frame.tail(ROWS - cut)
    rows = delimited.parse_table(as_csv(frame), here.card, "file")
    wanted = here.predict(rows)[NUMBERS].to_numpy().tolist()
    for kind, content in (
        (endpoints.CSV, as_csv(frame)),
        (endpoints.JSON, json.dumps(as_split(frame)).encode()),
        (endpoints.JSON, json.dumps(as_records(frame)).encode()),
    ):
        assert digits(endpoints.answer(here, kind, content)) == wanted


ODD = (None, True, 10**400, 2014, 1.5, float("inf"), "01", "TRUE", "\ud800")
ANYTHING = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=5),
    lambda tree: st.lists(tree, max_size=3) | st.dictionaries(st.text(max_size=5), tree),
)


@st.composite
def odd(draw: st.DrawFn, tree: Any) -> Any:
    """A tree of JSON with anything somewhere in it, or under another key."""
    way = draw(st.integers(0, 5))
    if way and isinstance(tree, dict) and tree:
        name = draw(st.sampled_from(sorted(tree)))
        other = draw(st.text()) if way == 1 else name
        return {**tree, other: draw(odd(tree[name]))}
    if way and isinstance(tree, list) and tree:
        i = draw(st.integers(0, len(tree) - 1))
        return [*tree[:i], draw(odd(tree[i])), *tree[i + 1 :]]
    return draw(ANYTHING)


RIGHT = {
    **as_split(table().tail(40)),
    "params": {"origins": ["2014-01-05 23:00:00"], "levels": [80, 90.5]},
}


@settings(max_examples=40)
@given(content=odd(RIGHT))
def test_any_json_is_answered_or_refused(here: Forecaster, content: Any) -> None:
    """Whatever stands in a request, it is a forecast of whole horizons or a PipelineError."""
    try:
        answer = endpoints.answer(here, endpoints.JSON, json.dumps(content).encode())
    except PipelineError:
        return
    assert len(json.loads(answer)["predictions"]) % 3 == 0


@given(
    kind=st.sampled_from([endpoints.CSV, endpoints.JSON, endpoints.PARQUET]), content=st.binary()
)
@example(kind=endpoints.PARQUET, content=b"PAR1" * 4)
def test_any_bytes_are_refused(here: Forecaster, kind: str, content: bytes) -> None:
    """A body that is nothing is a PipelineError."""
    with pytest.raises(PipelineError):
        endpoints.answer(here, kind, content)


def cell(name: str, content: Any) -> dict[str, Any]:
    """A right request but for one cell of its last row."""
    request = as_split(table().tail(40))
    split = request["dataframe_split"]
    split["data"][-1][split["columns"].index(name)] = content
    return request


SPLIT = as_split(table().tail(40))
NAMES = SPLIT["dataframe_split"]["columns"]
LEVELS_THERE = "levels: expected some of the calibrated 80, 90.5, found "
DEEP = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (cell("hour", True), "row 40: expected a date from year, month, day, hour, found '2014"),
        (cell("hour", 10**400), "row 40: expected a date from year, month, day, hour, found"),
        (cell("load", True), "column load, row 40: expected a finite number or one of"),
        (cell("load", 10**400), "column load, row 40: expected a finite number or one of"),
        (cell("load", 1e999), "column load, row 40: expected a finite number or one of"),
        (cell("load", [1]), "column load, row 40: expected a number or text, found [1]"),
        (cell("line", True), "column line, row 40: expected one of 1, 2, found 'true'"),
        (cell("zone", 1), "column zone, row 40: expected one of 01, 02, found '1'"),
        (cell("zone", "\ud800"), "expected text, found half of a surrogate pair"),
        (
            SPLIT | {"params": {"origin": ["x"]}},
            "params: expected origins, levels and series and no",
        ),
        (SPLIT | {"params": {"origins": "x"}}, "params.origins: expected a list of time stamps"),
        (SPLIT | {"params": {"origins": [1]}}, "params.origins: expected a list of time stamps"),
        (SPLIT | {"params": {"origins": ["x" * 9999]}}, "2020-10-25T02:00+01:00), found ['xxx"),
        (
            SPLIT | {"params": {"levels": 80}},
            "params.levels: expected a list of percents, found 80",
        ),
        (SPLIT | {"params": {"levels": [80, 50]}}, f"{LEVELS_THERE}50"),
        (SPLIT | {"params": {"levels": [120]}}, f"{LEVELS_THERE}120"),
        (SPLIT | {"params": {"levels": [-(10**400)]}}, f"{LEVELS_THERE}-1000"),
        (SPLIT | {"params": {"levels": ["80"]}}, f'{LEVELS_THERE}"80"'),
        (SPLIT | {"params": {"levels": [True]}}, f"{LEVELS_THERE}true"),
        (SPLIT | {"params": {"levels": [[80]]}}, f"{LEVELS_THERE}[80]"),
        (SPLIT | {"params": {"levels": [float("nan")]}}, f"{LEVELS_THERE}NaN"),
        (SPLIT | {"colour": 1}, "dataframe_records, and optionally params beside them, found"),
        (SPLIT | as_records(table()), "found dataframe_split, dataframe_records"),
        ({"inputs": [[1]]}, "expected rows with named columns under dataframe_split or"),
        ({"instances": [{"load": 1}]}, "expected rows with named columns under dataframe_split or"),
        ([1], "expected an object of JSON, found [1]"),
        ({"dataframe_records": []}, "no rows"),
        ({"dataframe_records": [{f"c{i}": 1 for i in range(10_001)}]}, "at most 10,000 columns"),
        ({"dataframe_split": {"columns": [{}] * 9, "data": []}}, "columns: expected names, found"),
        ({"dataframe_split": {"columns": NAMES, "data": [[1]]}}, "row 1: expected 9 values, found"),
        ({"dataframe_split": {"columns": ["load"] * 2, "data": [[1, 1]]}}, "load appears twice"),
        (b'{"dataframe_records": [{"load": 1, "load": 2}]}', "key 'load' appears twice"),
        (DEEP, "found brackets nested too deep"),
        (b'{"dataframe_records": [{"load": ' + b"9" * 5000 + b"}]}", "expected JSON, found"),
        (b"", "expected JSON, found"),
        (b'{"a": "\xff"}', "expected JSON, found"),
    ],
    ids=str,
)
def test_a_wrong_request_gets_one_line(address: str, content: Any, message: str) -> None:
    """400 and the reason alone: no stack trace, and not what was sent."""
    answer = post(address, content)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    said = answer.json()["message"]
    assert message in said
    assert "\n" not in said
    assert len(said) < 1100
    assert "Traceback" not in answer.text
    assert str(ROOT) not in answer.text


def test_what_is_no_request_gets_one_line(address: str) -> None:
    """Another type, a query, another method or address, a body too long: why, in MLflow's form."""
    rows = as_csv(table())
    where = f"{address}/invocations"
    long = (b"x" * 2**20 for _ in range(33))  # in chunks, of no stated length
    for answer, status, message in (
        (
            post(address, rows, ""),
            415,
            "expected text/csv, application/json or application/vnd.apache.parquet, found none",
        ),
        (post(address, rows, "text/plain"), 415, "found text/plain"),
        (post(address, rows, "text/csv; charset=utf-8"), 415, "expected no parameter but charset="),
        (post(address, rows, "text/csv; header=absent"), 415, "found header=absent"),
        (post(address, b"", "text/csv"), 400, "empty, expected a header line and rows"),
        (post(address, rows.replace(b";", b","), "text/csv"), 400, "columns separated by ';'"),
        (requests.post(f"{where}?origins=x", rows, timeout=60), 400, "query: expected none, found"),
        (requests.get(where, timeout=60), 405, "expected POST /invocations, or GET /ping"),
        (requests.get(f"{address}/x", timeout=60), 404, "expected POST /invocations, or GET /ping"),
        (
            requests.post(where, long, headers={"Content-Type": "text/csv"}, timeout=60),
            413,
            "expected at most 33,554,432 bytes, found 34,603,008",
        ),
    ):
        assert answer.status_code == status, answer.text
        assert message in answer.json()["message"]
        assert {"error_code", "message"} <= answer.json().keys()


def test_the_addresses_are_those_of_mlflow(address: str) -> None:
    """/ping and /health say that the server is there, /version which MLflow it is like."""
    for path, text in (("ping", "\n"), ("health", "\n"), ("version", mlflow.__version__)):
        answer = requests.get(f"{address}/{path}", timeout=60)
        assert (answer.status_code, answer.text) == (200, text)
        assert answer.headers["content-type"] == "application/json"


def test_a_server_says_that_it_is_ready_and_which_model_answers(
    model: Path, address: str, here: Forecaster
) -> None:
    """/ready names model and content, and each answer the model that made it."""
    answer = requests.get(f"{address}/ready", timeout=60)
    assert answer.json() == {"model": str(model), "content": here.content}
    assert post(address, SPLIT).headers["X-Model"] == str(model)


def test_a_forecast_from_gaps_alone_is_told_to_whoever_asks(address: str) -> None:
    """What predict says on the screen stands in the answer, beside the forecasts."""
    frame = table()
    frame.loc[ROWS - 8 :, "load"] = ""
    answer = post(address, as_csv(frame), endpoints.CSV).json()
    assert len(answer["predictions"]) == 3
    (line,) = answer["warnings"]
    assert "no load was observed in the 8 rows up to" in line


def test_an_answer_is_in_the_log_with_its_request(
    model: Path, address: str, here: Forecaster
) -> None:
    """What a request got stands in the day's file by its id, with model, content and steps."""
    body, headers = as_csv(table()), {"Content-Type": endpoints.CSV, "X-Request-ID": "mine-7"}
    answer = requests.post(f"{address}/invocations", body, headers=headers, timeout=60)
    assert answer.headers["X-Request-ID"] == "mine-7"
    deadline = time.monotonic() + 100
    found = pd.DataFrame()
    while not len(found) and time.monotonic() < deadline:
        (file,) = (model.parent / "log").glob("forecasts-*.jsonl")
        rows, broken = forecast_log.read(file)
        found = rows[rows["request"] == "mine-7"] if len(rows) else rows
    assert broken == 0 and set(found["model"]) == {str(model)}
    assert set(found["content"]) == {here.content}
    assert found[NUMBERS].to_numpy().tolist() == digits(answer.text)
    assert found["step"].tolist() == [1, 2, 3]


def test_many_at_once_get_each_their_own_answer(address: str) -> None:
    """Twelve requests of different origins, sent together, and each asked for again alone."""
    origins = [f"2014-01-05 {hour:02}:00:00" for hour in range(12)]

    def ask(origin: str) -> str:
        return post(address, as_split(table()) | {"params": {"origins": [origin]}}).text

    with ThreadPoolExecutor(len(origins)) as pool:
        together = list(pool.map(ask, origins))
    assert together == [ask(origin) for origin in origins]
    # Midnight is an hour as well.
    assert json.loads(together[0])["predictions"][0]["origin"] == origins[0]


def test_mlflows_own_server_takes_json_alone(
    model: Path, monkeypatch: pytest.MonkeyPatch, here: Forecaster
) -> None:
    """Its answer to JSON has the same digits; CSV, which it would read by guesses, is refused."""
    for name in ("parse_csv_input", "parse_parquet_input"):  # put back at the end
        monkeypatch.setattr(scoring_server, name, getattr(scoring_server, name))
    monkeypatch.setenv("FORECAST_BACKEND", "numpy")
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow puts the model's code first
    loaded = mlflow.pyfunc.load_model(str(model))
    rows = json.dumps(SPLIT).encode()
    answer = scoring_server.invocations(rows, endpoints.JSON, loaded, None)
    assert digits(answer.response) == digits(endpoints.answer(here, endpoints.JSON, rows))
    chosen = json.dumps(SPLIT | {"params": {"levels": [80]}}).encode()
    answers = (
        scoring_server.invocations(chosen, endpoints.JSON, loaded, None).response,
        endpoints.answer(here, endpoints.JSON, chosen),
    )
    one, other = (json.loads(answer)["predictions"] for answer in answers)
    assert one == other
    assert list(one[0]) == ["origin", "time", "target", "forecast", "lo-80", "hi-80"]
    with pytest.raises(
        MlflowException, match=r"^levels: expected some of the .* 90\.5, found 50\.0$"
    ):
        loaded.predict(table().tail(40), params={"levels": [50]})
    with pytest.raises(MlflowException, match="expected JSON; CSV is for python"):
        scoring_server.invocations(b"load\n1", endpoints.CSV, loaded, None)


def test_a_misspelt_backend_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FORECAST_BACKEND=nunpy is no TensorFlow."""
    monkeypatch.setenv("FORECAST_BACKEND", "nunpy")
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow puts the model's code first
    with pytest.raises(PipelineError, match="expected tensorflow or numpy, found 'nunpy'"):
        mlflow.pyfunc.load_model(str(model))


def test_a_model_that_cannot_be_loaded_is_said_in_one_line(
    model: Path, tracking_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not there, and one whose MLmodel is broken."""
    shutil.copytree(model, tmp_path / "broken")
    (tmp_path / "broken/MLmodel").write_text("{broken: [")
    monkeypatch.chdir(tmp_path)
    for name, found in (("nowhere", "a model in sqlite:"), ("broken", "a whole MLmodel, found")):
        options = ["--model", name, "--backend", "numpy", "--port", "0"]
        monkeypatch.setattr("sys.argv", ["serve", *options])
        with pytest.raises(PipelineError, match=f"^--model {name}: expected {found}"):
            serve.main()


def test_a_model_in_a_directory_needs_no_store(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No database is made for it, nor is the server asked that a variable names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.tracking.store.connect", None)
    path = list(sys.path)
    assert champion.load(str(model), "numpy").spec.dataset == "toy"
    assert sys.path == path, "workers that begin later would import the model's code"
    (tmp_path / "empty").mkdir()
    with pytest.raises(PipelineError, match=r"^--model empty: expected a model: "):
        champion.load("empty", "numpy")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("command", [predict, serve])
def test_a_model_of_older_code_is_said_in_one_line(
    command: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose code has modules that are here no more; what reads it is named."""
    old = shutil.copytree(model, tmp_path / "old")
    (old / "served_model.py").write_text("from pipeline.forecaster import Forecaster\n")
    options = {
        predict: ["--input", str(model / "MLmodel"), "--output", "out.csv"],
        serve: ["--port", "0"],
    }
    arguments = ["--model", str(old), "--backend", "numpy", *options[command]]
    monkeypatch.setattr("sys.argv", ["command", *arguments])
    with pytest.raises(PipelineError, match=r"mlflow models serve runs the code that made it\. F"):
        command.main()


def test_a_uri_outside_any_project_makes_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, since there is no store to look in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(PipelineError, match=r"found no .*/mlflow\.db, and MLFLOW_TRACKING_URI"):
        champion.load("models:/toy@champion", "numpy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dataset", ["2024", "größe"])
def test_the_champion_of_any_data_set_is_asked_for(
    dataset: str, tmp_path: Path, tracking_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data set's name is read from params.yaml as YAML, whatever its letters."""
    # The table's file is called so; a name of digits stands in quotation marks.
    Project(tmp_path).write(params={"ingest.dataset": dataset})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["serve", "--backend", "numpy", "--port", "0"])
    with pytest.raises(PipelineError, match=f"^models:/{dataset}@champion: expected a champion"):
        serve.main()


def test_make_serve_hands_on_port_and_backend() -> None:
    """And nothing else: the model is the command's to find."""
    said = run(
        ROOT,
        "make",
        "-n",
        "--no-print-directory",
        "--old-file=setup",
        "serve",
        "PORT=1234",
        "BACKEND=numpy",
    )
    assert said.endswith("-m pipeline serve --port 1234 --backend numpy\n")


@pytest.mark.parametrize(
    ("port", "message"),
    [("taken", "Address already in use"), ("70000", "expected a number up to 65535")],
)
def test_a_port_that_cannot_be_had_is_said_at_once(
    port: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the model is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1]) if port == "taken" else port
        monkeypatch.setattr("sys.argv", ["serve", "--model", "none", "--port", port])
        with pytest.raises(PipelineError, match=f"^port {port}: {message}; choose another one"):
            serve.main()

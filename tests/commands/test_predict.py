"""From raw rows to a forecast: what the rows do to it is said, and the file is what its name says.

The network forecasts the training mean, so that nothing has to be trained.
"""

import io
import os
import sys
import threading
from collections.abc import Callable
from contextlib import chdir
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pipeline.tracking
from pipeline.commands import predict
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import HERE
from pipeline.forecasting import forecaster
from pipeline.forecasting.forecaster import Forecaster, Network, portable, stage_files
from pipeline.models.spec import Spec
from pipeline.preparation.scaling import Scaler
from tests.toys import Project, made_up_calibration, shaped, toy_params, toy_table, toy_times

Make = Callable[..., Forecaster]
SPEC = Spec(
    dataset="toy",
    inputs=("level", "flow"),
    features=("level", "flow"),
    targets=("level",),
    **shaped(toy_params()),
)


@pytest.fixture
def made(project: Project, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a Forecaster of the toy table, with values of its card changed by dotted key."""

    def untrained(spec: Spec, scaler: Scaler, *_: Any) -> Network:
        return Network(spec, scaler, lambda windows: np.zeros((len(windows), spec.horizon, 1)))

    monkeypatch.setattr(forecaster, "load", untrained)

    def make(
        table: pd.DataFrame | None = None, levels: tuple[float, ...] = (), **card: Any
    ) -> Forecaster:
        project.write(table, card).run("ingest", "impute_scale")
        with chdir(project.root):
            if levels:
                made_up_calibration(SPEC.targets, SPEC.horizon, levels)
            artifacts.write_json(HERE.model_json, SPEC.model_dump(mode="json"))
            return Forecaster.load(stage_files(HERE, "toy"))

    return make


def run(project: Project, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """`python -m pipeline predict` in the project, in this process."""
    monkeypatch.setattr(sys, "argv", ["predict", "--backend", "numpy", *arguments])
    with chdir(project.root):
        predict.main()


def until(time: str) -> pd.DataFrame:
    """The toy table's rows up to a time."""
    table = toy_table(missing=0)
    return table[table["time"] <= time]


def test_midnight_keeps_its_hour(
    made: Make, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all origins are at midnight, file and served answer write the hour as for any other."""
    made()
    until("2014-01-03 00:00").to_csv(project.root / "rows.csv", index=False)
    run(project, monkeypatch, "--input", "rows.csv", "--output", "out.csv")
    lines = project.read("out.csv").decode().splitlines()
    assert lines[1].startswith("2014-01-03 00:00:00,2014-01-03 01:00:00,level,")
    answer = portable(made().predict(until("2014-01-03 00:00")))
    assert set(answer["origin"]) == {"2014-01-03 00:00:00"}
    days = pd.DataFrame({name: toy_times(25)[[0, 24]] for name in ("origin", "time")})
    assert portable(days)["time"].tolist() == ["2014-01-01 00:00:00", "2014-01-02 00:00:00"]


def test_the_output_is_what_its_name_says(
    made: Make, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NAME.parquet holds Parquet, NAME.csv CSV; another suffix is refused before anything loads."""
    made()
    files = ["--input", str(project.table), "--output"]
    run(project, monkeypatch, *files, "out.parquet")
    run(project, monkeypatch, *files, "out.CSV")
    frame = pd.read_parquet(project.root / "out.parquet")
    assert pd.api.types.is_datetime64_any_dtype(frame["time"])
    text = pd.read_csv(project.root / "out.CSV", parse_dates=["origin", "time"])
    pd.testing.assert_frame_equal(text, frame, check_dtype=False)
    (project.root / HERE.model_json).unlink()
    with pytest.raises(PipelineError, match=r"out\.xlsx: expected \.csv or \.parquet, found \.xls"):
        run(project, monkeypatch, *files, "out.xlsx")


def test_rows_may_come_from_a_pipe(
    made: Make,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """--input reads a pipe; at /dev/stdout stand the forecasts alone, the summary beside them."""
    made()
    capfd.readouterr()
    pipe = project.root / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(project.table.read_bytes()))
    writer.start()
    run(project, monkeypatch, "--input", "pipe", "--output", "/dev/stdout")
    writer.join(10)
    said = capfd.readouterr()
    assert len(pd.read_csv(io.StringIO(said.out))) == SPEC.horizon
    assert said.err == "/dev/stdout: 3 rows, 1 origin, by lstm of toy\n"


def test_an_empty_model_is_not_the_one_just_trained(
    made: Make, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--model "$MODEL"` of an unset variable is looked for as any other, and not found."""
    made()
    asked: list[str] = []

    def load(uri: str, _: str) -> Forecaster:
        asked.append(uri)
        return Forecaster.load(stage_files(HERE, "toy"))

    champion = SimpleNamespace(load=load, pinned=str)
    monkeypatch.setattr(pipeline.tracking, "champion", champion, raising=False)
    monkeypatch.setitem(sys.modules, "pipeline.tracking.champion", champion)
    files = ["--input", str(project.table), "--output", "out.csv"]
    run(project, monkeypatch, *files)
    assert asked == []
    run(project, monkeypatch, *files, "--model", "")
    assert asked == [""]


def test_intervals_are_those_of_evaluate(made: Make, project: Project) -> None:
    """The calibration's bands around the very forecasts that are scored; none is below the least.

    A level that is chosen has the bounds that it has beside the others.
    """
    model = made(levels=(30, 80, 97.5))
    assert model.calibration is not None
    times = [str(time) for time in toy_times(120)[40:60]]
    answer = model.predict(toy_table(), times)
    forecast = model.forecast(model.prepare(model.read(toy_table())), np.arange(40, 60))
    bands = model.calibration.bands(forecast, [0.0])
    for level, (low, high) in bands.items():
        np.testing.assert_array_equal(answer[f"lo-{level:g}"], low.ravel())
        np.testing.assert_array_equal(answer[f"hi-{level:g}"], high.ravel())
    bounds = ["lo-30", "hi-30", "lo-80", "hi-80", "lo-97.5", "hi-97.5"]
    assert list(answer) == ["origin", "time", "target", "forecast", *bounds]
    some = model.predict(toy_table(), times, levels=[97.5, 30])
    pd.testing.assert_frame_equal(some, answer.drop(columns=["lo-80", "hi-80"]))
    assert list(model.predict(toy_table(), times, levels=[])) == list(answer)
    with chdir(project.root):
        narrow = model.calibration.model_dump(mode="json")
        for cell in narrow["cells"]:
            cell["levels"]["97.5"]["errors"] = [99.0] * len(cell["n"])
        artifacts.write_json(HERE.calibration, narrow)
        wide = Forecaster.load(stage_files(HERE, "toy")).predict(toy_table())
    assert set(wide["lo-97.5"]) == {0.0}


def test_levels_are_chosen_on_the_command_line(
    made: Make, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--levels 80 leaves the others out; one that is not there is named with those that are."""
    made(levels=(80, 95))
    files = ["--input", str(project.table), "--output", "out.csv"]
    run(project, monkeypatch, *files, "--levels", "80")
    header, *_ = project.read("out.csv").decode().splitlines()
    assert header == "origin,time,target,forecast,lo-80,hi-80"
    for level, found in (("50", "50.0"), ("-3", "-3.0"), ("1e999", "Infinity"), ("nan", "NaN")):
        with pytest.raises(PipelineError) as caught:
            run(project, monkeypatch, *files, "--levels", "80", level)
        assert str(caught.value) == f"levels: expected some of the calibrated 80, 95, found {found}"
    (project.root / HERE.calibration).unlink()
    run(project, monkeypatch, *files)
    assert project.read("out.csv").decode().splitlines()[0] == "origin,time,target,forecast"
    with pytest.raises(PipelineError, match=r"^levels: expected none of a model that was logged w"):
        run(project, monkeypatch, *files, "--levels", "80")


def test_the_calibration_of_another_model_is_refused(made: Make, project: Project) -> None:
    """One left behind by a model of another horizon, and one that is cut short."""
    made()
    with chdir(project.root):
        made_up_calibration(SPEC.targets, SPEC.horizon + 1)
        with pytest.raises(
            PipelineError, match=r"^data/calibration/calibration\.json: expected a w"
        ):
            Forecaster.load(stage_files(HERE, "toy"))
        HERE.calibration.write_bytes(HERE.calibration.read_bytes()[:100])
        with pytest.raises(
            PipelineError, match=r"^data/calibration/calibration\.json: expected a w"
        ):
            Forecaster.load(stage_files(HERE, "toy"))


@pytest.mark.parametrize(
    ("form", "zone", "message"),
    [
        ("%Y-%m-%d %H:%M", "Europe/Berlin", r"expected a time without a zone.*or set time\.time"),
        ("%Y-%m-%d %H:%M%z", None, r"expected a time with a zone.*2014-01-01 00:00:00; write it"),
    ],
)
def test_a_zone_is_neither_dropped_nor_taken_for_granted(
    made: Make, form: str, zone: str | None, message: str
) -> None:
    """Times with a zone for a card without one are refused, and the other way round."""
    table = toy_table().assign(time=toy_times(120).tz_localize("UTC").strftime(form))
    model = made(table, **{"time.format": form})
    rows = toy_table().assign(time=toy_times(120).tz_localize(zone))
    with pytest.raises(PipelineError, match=r"input: column time, row 1: " + message):
        model.predict(rows)


def test_an_origin_with_a_zone_is_refused_where_the_rows_have_none(made: Make) -> None:
    """It is not said to be absent from the rows."""
    with pytest.raises(PipelineError, match=r"origins: expected times without a zone.*\+01:00;"):
        made().predict(toy_table(), ["2014-01-05 00:00+01:00"])


@pytest.mark.parametrize("step", [2, 3, 24])
def test_rows_of_another_frequency_are_refused(made: Make, step: int) -> None:
    """Daily or 3-hourly rows are nothing that a model of hourly rows was trained on."""
    rows = toy_table(24 * 60, missing=0)[::step]
    message = rf"input: column time: expected rows at most 1 x 1h apart, .* {step} x 1h or more"
    with pytest.raises(PipelineError, match=message):
        made().predict(rows)


def test_rows_as_sparse_as_those_of_training_are_forecast_from(made: Make) -> None:
    """A model of rows that are never one step apart takes such rows."""
    rows = toy_table(240, missing=0)[::2]
    model = made(rows, split={"train": 144, "validation": 192, "test": 239})
    assert len(model.predict(rows)) == SPEC.horizon
    with pytest.raises(PipelineError, match="expected rows at most 2 x 1h apart, as in training"):
        model.predict(rows[::2])


@pytest.mark.parametrize("origins", [None, []])
def test_empty_rows_at_the_end_do_not_shift_the_origin(
    made: Make, caplog: pytest.LogCaptureFixture, origins: list[str] | None
) -> None:
    """The forecast starts from the last row that has a value, and a line says so."""
    rows = toy_table(missing=0)
    rows.loc[100:, ["level", "flow", "wind"]] = None
    model = made(rows)
    forecast = model.predict(rows, origins, "rows")
    assert forecast["origin"].iloc[0] == toy_times(120)[99]
    assert caplog.messages == [
        "rows: no row after 2014-01-05 03:00:00 has a value (found 20): the forecast starts from "
        "there"
    ]
    pd.testing.assert_frame_equal(forecast, model.predict(rows[:100]))
    assert model.predict(rows, ["2014-01-05 05:00"])["origin"].iloc[0] == toy_times(120)[101]


def test_what_a_look_back_lacks_is_told(made: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Each column, an input as a target, of which more than half of the rows have no value."""
    rows = toy_table(missing=0)
    rows.loc[112:, "flow"] = None
    rows.loc[115:, "level"] = None
    made(rows).predict(rows, [str(toy_times(120)[119])], "rows")
    assert caplog.messages == [
        "rows: level was observed in 3 of the 8 rows up to 2014-01-05 23:00:00: the forecast is "
        "made from imputed values",
        "rows: no flow was observed in the 8 rows up to 2014-01-05 23:00:00: the forecast is made "
        "from imputed values",
    ]


def test_a_target_without_a_value_at_the_origin_is_told(
    made: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Where inputs alone go on, the forecast starts from an imputed target; an input may lack."""
    rows = toy_table(missing=0)
    rows.loc[118:, "level"] = None
    rows.loc[119:, "flow"] = None
    rows.loc[116, "flow"] = None
    model = made(rows)
    model.predict(rows, ["2014-01-05 20:00:00"])
    assert caplog.messages == []
    model.predict(rows[:119], where="rows")
    assert caplog.messages == [
        "rows: level has no value at the origin 2014-01-05 22:00:00: the forecast starts from an "
        "imputed one"
    ]


def test_values_in_another_unit_are_asked_about(
    made: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A column whose middle is far from training is told; an old outlier is not."""
    rows = toy_table(missing=0)
    model = made(rows)
    rows.loc[110, "level"] = 1e4
    model.predict(rows)
    assert caplog.messages == []
    model.predict(rows.assign(flow=rows["flow"] + 273), where="rows")
    (line,) = caplog.messages
    assert line.startswith("rows: column flow: its median is 27")
    assert line.endswith("is the unit different?")

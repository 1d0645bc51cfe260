"""Public holidays: the file that a command writes, what models see, and what goes with a model."""

import json
import shutil
import sys
from contextlib import chdir
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import api
from pipeline.commands import check
from pipeline.commands import holidays as command
from pipeline.config import holidays
from pipeline.config.experiment import Experiment
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE, Layout
from pipeline.forecasting import numpy_backend
from pipeline.forecasting.forecaster import Forecaster, bundle, bundled_files
from pipeline.models.registry import build
from pipeline.models.spec import Spec
from pipeline.models.task import Seen
from pipeline.preparation.features import Gaps
from pipeline.preparation.scaling import Scale, Scaler
from pipeline.runtime import determinism
from tests.toys import Project, toy_card, toy_params, write_holidays

BERLIN = {"column": "time", "format": "%Y-%m-%d %H:%M", "timezone": "Europe/Berlin"}
CARD = toy_card(columns={"a": {}}, inputs=["a"], targets=["a"], excluded=[], time=BERLIN)
SCALER = Scaler(columns={"a": Scale()})
MAY = holidays.Holidays(first=2014, last=2014, dates={date(2014, 5, 1): "Tag der Arbeit"})
NAMED = {"window.known_ahead": ["holiday:DE"], "train.residual": "none"}


def spec(*inputs: str) -> Spec:
    """A network that sees three rows, and of two steps whether they are on the first of May."""
    size = {"window.look_back": 3, "window.horizon": 2, "window.inputs": ["a", *inputs]}
    return Spec.of(Experiment(toy_params(NAMED | size), CARD), {"holiday:DE": MAY})


def seen(made: Spec, start: str) -> Seen:
    """Eight hours from a time in UTC as models see them: a is 1, 2, 3, ..."""
    times = pd.date_range(start, periods=8, freq="h", tz="UTC")
    frame = pd.DataFrame({"a": np.arange(1.0, 9)}, index=times)
    gaps = Gaps(np.zeros((8, 1), np.uint8), 1)
    return Seen.of(made, CARD, SCALER, frame, frame.to_numpy(np.float32), ["a"], gaps)


def test_windows_and_steps_have_the_holidays_of_their_dates() -> None:
    """From two origins, windows [B, L, F] and steps [B, H, G], by the local date.

    In Berlin the first of May is from 22:00 to 22:00 UTC: it begins and ends with the third row.
    """
    made = spec("holiday:DE")
    windows, steps = seen(made, "2014-04-30 20:00").inputs(made, np.array([2, 4]))
    assert windows.tolist() == [[[1, 0], [2, 0], [3, 1]], [[3, 1], [4, 1], [5, 1]]]
    assert steps.tolist() == [[[1], [1]], [[1], [1]]]
    _, steps = seen(made, "2014-05-01 20:00").inputs(made, np.array([0, 1]))
    assert steps.tolist() == [[[1], [0]], [[0], [0]]]


def test_numpy_sees_holidays(tmp_path: Path) -> None:
    """Its forecasts are TensorFlow's to 1e-5, and follow the holiday."""
    made = spec("holiday:DE")
    determinism.settle(1)
    network = build(made, SCALER)
    network.set_weights([array + 0.1 for array in network.get_weights()])
    network.save_weights(weights := tmp_path / "model.weights.h5")
    inputs, others = (
        seen(made, f"2014-05-0{day} 06:00").inputs(made, np.array([2, 3])) for day in (1, 2)
    )
    [forecast] = numpy_backend.load(made, SCALER, weights)
    np.testing.assert_allclose(forecast(inputs), network.predict_on_batch(inputs), rtol=1e-5)
    assert (forecast(inputs) != forecast(others)).all()


def test_another_year_is_refused() -> None:
    """It is not taken for one without holidays; by the local date as well, with the remedy."""
    made = spec()
    assert not seen(made, "2014-12-31 15:00").ahead.any()
    with pytest.raises(PipelineError) as caught:
        seen(made, "2014-12-31 16:00")
    assert str(caught.value) == (
        "holiday:DE: expected rows in 2014 to 2014, whose holidays are known, found 2015-01-01 "
        "00:00:00+01:00; before a training, python -m pipeline holidays DE --from 2014 --to 2015 "
        "writes more"
    )


def test_what_is_scored_is_served_without_the_file(tmp_path: Path) -> None:
    """A model that knows the holidays ahead is better by far, and takes them along."""
    times = pd.date_range("2014-01-01", periods=240, freq="h", name="time")
    level = 10.0 * times.day.isin([2, 4, 8, 10]) + np.random.default_rng(1).normal(0, 0.1, 240)
    table, split = pd.DataFrame({"level": level}, times), {"train": 144, "validation": 192}
    write_holidays(tmp_path, "DE", [f"2014-01-{day:02}" for day in (2, 4, 8, 10)])
    size = {"window.look_back": 4, "window.horizon": 2, "evaluate.baselines": ["persistence"]}
    size |= {"train.model": {"name": "ridge"}, "evaluate.calibration.bins": 1}
    errors = []
    for known in ([], ["holiday:DE"]):
        changes = size | NAMED | {"window.known_ahead": known}
        made = api.of_frame(table, "level", changes, season=6, split=split | {"test": 240})
        result = api.run(made, table, project=tmp_path)
        errors.append(result.evaluation.metrics["test"]["rmse"])
    assert errors[1] < errors[0] / 3
    shutil.rmtree(tmp_path / "data/holidays")
    bundle(result.layout, "frame", tmp_path)
    served = Forecaster.load(bundled_files(tmp_path))
    answer = served.predict(table, ["2014-01-10 21:00"])
    scored = result.evaluation.forecasts["test"].of(slice(-1, None)).model.ravel()
    np.testing.assert_array_equal(answer["forecast"], scored)
    assert (answer["forecast"] > 9).all()
    assert (served.predict(table)["forecast"] < 2).all()  # of the day after, which has no rows


def test_a_stage_ends_where_holidays_end(project: Project) -> None:
    """Before anything is trained; and the check of `make` names a file that is absent."""
    project.write(params=NAMED).run("ingest", "impute_scale")
    with chdir(project.root), pytest.raises(PipelineError) as caught:
        check_command()
    assert str(caught.value) == (
        "data/holidays/DE.json: no such file; holiday:DE needs it: python -m pipeline holidays DE "
        "writes it"
    )
    write_holidays(project.root)
    project.run("window")
    tree = {"first": 2012, "last": 2013, "dates": {}}
    (project.root / "data/holidays/DE.json").write_text(json.dumps(tree))
    with pytest.raises(PipelineError, match=r"found 2014-01-01 .* DE --from 2012 --to 2014 writes"):
        project.run("window")


def test_the_window_stage_keeps_those_that_are_named(project: Project) -> None:
    """What other countries have, or none named, changes no file that training reads."""
    project.write(params=NAMED).run("ingest", "impute_scale")
    write_holidays(project.root)
    write_holidays(project.root, "FR")
    project.run("window")
    kept = json.loads((project.root / "data/windows/holidays.json").read_text())
    assert {name: [*own["dates"]] for name, own in kept["by_feature"].items()} == {
        "holiday:DE": ["2014-01-02"]
    }
    project.write(params={"window.known_ahead": []}).run("window")
    kept = json.loads((project.root / "data/windows/holidays.json").read_text())
    assert kept == {"by_feature": {}}


def check_command() -> None:
    """`python -m pipeline check`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["check"])
        check.main()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"first": 2014, "dates": {}}', "last: missing"),
        ('{"first": 2014, "last": 2014, "dates": {"2014-13-01": "x"}}', "dates.2014-13-01"),
        ("[]", "expected a mapping of keys"),
    ],
)
def test_a_wrong_file_is_named(text: str, said: str, tmp_path: Path) -> None:
    """With the key that is wrong."""
    write_holidays(tmp_path)
    (path := tmp_path / "data/holidays/DE.json").write_text(text)
    with pytest.raises(PipelineError) as caught:
        holidays.read(Experiment(toy_params(NAMED), CARD), Layout(tmp_path))
    assert str(caught.value).startswith(f"{path}: {said}")
    assert "\n" not in str(caught.value)


def write(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Call the command."""
    monkeypatch.setattr(sys, "argv", ["holidays", *arguments])
    command.main()


def test_the_command_writes_the_holidays_of_some_years(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sorted, in the country's own language whatever the shell's, with the years; and says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANGUAGE", "en")
    write(monkeypatch, "DE-BY", "--from", "2013", "--to", "2014")
    said = capsys.readouterr().out
    assert said.startswith("data/holidays/DE-BY.json: 24 days from 2013 to 2014, by holidays ")
    assert "name holiday:DE-BY in known_ahead or inputs" in said
    written = (HERE.holidays / "DE-BY.json").read_text(encoding="utf-8")
    tree = json.loads(written)
    assert (tree["first"], tree["last"]) == (2013, 2014)
    assert list(tree["dates"]) == sorted(tree["dates"])
    assert [day for day in tree["dates"] if day < "2013-05-20"] == [
        *("2013-01-01", "2013-01-06", "2013-03-29", "2013-04-01", "2013-05-01", "2013-05-09"),
    ]
    assert '"2014-01-06": "Heilige Drei Könige"' in written  # not a holiday in all of Germany
    write(monkeypatch, "DE", "--from", "2013", "--to", "2014")
    assert "2014-01-06" not in (HERE.holidays / "DE.json").read_text(encoding="utf-8")


def test_by_default_the_years_go_on_into_the_future(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as the library knows them: Spain's begin later than others'."""
    monkeypatch.chdir(tmp_path)
    write(monkeypatch, "ES")
    tree = json.loads((HERE.holidays / "ES.json").read_text(encoding="utf-8"))
    assert (tree["first"], tree["last"]) == (2008, date.today().year + 5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["GER"], r"^holiday:GER: expected a country by its code, such as .*GE.*, found GER$"),
        (["de-by"], r"^holiday:de-by: expected a country by its code, such as DE, .* found de$"),
        (["DE-XX"], r"^holiday:DE-XX: expected DE or .* \(DE-BB, .*DE-BY, .*\), found DE-XX$"),
        (["AQ-X"], r"a subdivision of it \(none\), found AQ-X$"),
        (["../DE"], r"^holiday:\.\./DE: expected a country"),
        (["DE", "--from", "1900"], r"^holiday:DE: expected years from 1991 to .*, found 1900 to"),
        (["DE", "--from", "2015", "--to", "2014"], "found 2015 to 2014$"),
    ],
)
def test_what_the_library_does_not_know_is_refused(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A country, a subdivision or a year: it says what could stand there, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=said):
        write(monkeypatch, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_country_that_is_unknown_is_refused_where_it_is_named(tmp_path: Path) -> None:
    """Without a file for it, and if the library is there."""
    experiment = Experiment(toy_params(NAMED | {"window.known_ahead": ["holiday:DX"]}), CARD)
    with pytest.raises(PipelineError, match=r"^holiday:DX: expected a country by its code"):
        holidays.read(experiment, Layout(tmp_path))


def test_only_the_command_needs_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a file is read all the same, and who wants one is told what to install."""
    monkeypatch.setitem(sys.modules, "holidays", None)
    experiment = Experiment(toy_params(NAMED), CARD)
    with pytest.raises(PipelineError, match=r"no such file; .* python -m pipeline holidays DE"):
        holidays.read(experiment, Layout(tmp_path))
    write_holidays(tmp_path)
    assert [*holidays.read(experiment, Layout(tmp_path))] == ["holiday:DE"]
    with pytest.raises(PipelineError, match=r"^holidays: expected the extra .* pip install holid"):
        write(monkeypatch, "DE")

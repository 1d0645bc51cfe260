"""Parameters and cards: what is wrong is said in one line, what is right is read."""

from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.cards import read_card, read_card_file
from pipeline.config.checks import check
from pipeline.config.experiment import Experiment
from pipeline.config.reading import read_experiment, read_params
from pipeline.errors import PipelineError
from pipeline.files.yaml import load_yaml
from tests.toys import PARAMS, ROOT, Project, from_yaml, to_yaml, toy_card, toy_params, toy_table


def complaint(project: Project) -> str:
    """The one line that reading the project's experiment ends with."""
    with chdir(project.root), pytest.raises(PipelineError) as caught:
        read_experiment()
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize("dataset", ["beijing_pm25", "load", "etth1", "made_load"])
def test_the_committed_parameters_and_cards_agree(dataset: str, tmp_path: Path) -> None:
    """params.yaml is right as it is committed, and fits every card by its name alone."""
    content = from_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["ingest"]["dataset"] = dataset
    (tmp_path / "params.yaml").write_text(to_yaml(content))
    with chdir(ROOT):
        params = read_params(tmp_path / "params.yaml")
        experiment = Experiment(params, read_card(dataset))
        check(experiment)
    assert set(experiment.targets) <= set(experiment.card.columns)
    assert params.window.look_back > 0


def test_parameters_are_flat_by_section() -> None:
    """A hyperparameter has one dotted name, whatever its depth."""
    flat = toy_params().flat()
    assert flat["train.model.units"] == [4]
    assert flat["impute_scale.imputation.limit"] == 3


WRONG_PARAMS: list[tuple[str, Any, list[str]]] = [
    # key set, value, what the line holds
    ("window.lookback", 3, ["window.lookback: unknown key in window", "did you mean look_back?"]),
    ("train.model.unit", [4], ["train.model.unit: unknown key", "did you mean units?"]),
    ("windows", {}, ["windows: unknown key", "did you mean window?"]),
    ("window.horizon", None, ["window.horizon: missing"]),
    ("window.look_back", 0, ["window.look_back: expected greater than or equal to 1, found 0"]),
    ("window.look_back", -3, ["window.look_back: expected", "found -3"]),
    ("window.look_back", 1.5, ["window.look_back: expected a valid integer, found 1.5"]),
    ("window.look_back", 8.0, ["window.look_back: expected a valid integer, found 8.0"]),
    ("window.look_back", "8", ['window.look_back: expected a number, or auto, found "8"']),
    ("window.look_back", True, ["window.look_back: expected a valid integer, found true"]),
    ("window.stride", 10**30, ["window.stride: expected less than or equal to 1000000000"]),
    ("window.look_back", 10**30, ["window.look_back: expected less than or equal to 1000000000"]),
    ("train.batch_size", 10**30, ["train.batch_size: expected less than or equal to 1000000000"]),
    ("train.epochs", 10**10, ["train.epochs: expected less than or equal to 1000000000"]),
    ("train.learning_rate", 1e300, ["train.learning_rate: expected less than or equal to"]),
    ("train.model.units", [1] * 101, ["train.model.units: expected", "at most 100 items"]),
    ("evaluate.stretch", 2**64, ["evaluate.stretch: expected less than or equal to 1000000000"]),
    (
        "window.inputs",
        ["level", f"seasonal:{10**29}:level"],
        ["window.inputs: seasonal:1000", "is not known", "ROWS of up to nine digits"],
    ),
    ("window.stride", 0, ["window.stride: expected", "found 0"]),
    ("window.targets", [], ["window.targets: expected to have at least 1 item, found []"]),
    ("window.inputs", [], ["window.inputs: expected to have at least 1 item, found []"]),
    ("window.targets", ["note"], ["window.targets: note is excluded"]),
    ("window.inputs", ["level", 1], ["expected a valid string, found 1; put it in quotes"]),
    ("window.targets", ["wind"], ["window.targets: expected numeric columns", "found wind"]),
    ("window.targets", ["levle"], ["window.targets:", "level, flow", "found levle"]),
    ("window.targets", ["level", "level"], ["window.targets: expected each column once"]),
    ("window.inputs", ["level", "note"], ["window.inputs: note is excluded"]),
    ("window.inputs", ["level", "hours"], ["window.inputs: hours is not known", "calendar terms"]),
    ("window.inputs", ["level", "flow", "flow"], ["window.inputs: flow appears twice"]),
    ("window.known_ahead", ["level"], ["window.known_ahead: expected no target", "found level"]),
    ("window.known_ahead", ["flwo"], ["window.known_ahead: flwo is not known", "hour, weekday"]),
    ("window.known_ahead", ["holiday:Y"], ["holiday:Y is not known", ", holiday:COUNTRY"]),
    ("window.known_ahead", ["note"], ["window.known_ahead: note is excluded by the card"]),
    ("window.known_ahead", ["difference:flow"], ["known_ahead: difference:flow is not known"]),
    ("window.known_ahead", ["hour", "hour"], ["window.known_ahead: hour_sin appears twice"]),
    ("window.inputs", ["flow"], ["train.residual: expected level among window.inputs"]),
    ("window.split", 0.8, ["window.split: expected an object, found 0.8"]),
    ("window.split", {"train": 0.5, "validation": 0.7}, ["window.split.test: missing"]),
    (
        "window.split",
        {"train": 0, "validation": 5, "test": 9},
        ["window.split.train: expected a time such as", "found 0"],
    ),
    (
        "window.split",
        {"train": 0.5, "validation": 0.7, "test": 1.1},
        ["window.split.test: expected", "a fraction up to 1.0, found 1.1"],
    ),
    (
        "window.split",
        {"train": 0.7, "validation": 0.6, "test": 1.0},
        ["window.split: expected train to end before validation"],
    ),
    (
        "window.split",
        {"train": "2014-02-30", "validation": "2014-03-01", "test": "2014-04-01"},
        ["window.split.train: expected a time", 'found "2014-02-30"'],
    ),
    (
        "window.split",
        {"train": "2014-01-01", "validation": 90, "test": 120},
        ["window.split: expected time stamps, row counts, fractions or what is"],
    ),
    (
        "window.split",
        {"train": "rest", "validation": "last 5 rows", "test": "2014-04-01"},
        ["window.split: expected time stamps, row counts, fractions or what is"],
    ),
    (
        "window.split",
        {"train": "last 9 days", "validation": "last 2 days", "test": "last 2 days"},
        ["window.split: expected train: rest, and each other span as long as it is"],
    ),
    ("impute_scale.imputation.method", "linear", ["imputation.method: expected", "'seasonal'"]),
    ("impute_scale.imputation.limit", 0, ["impute_scale.imputation.limit: expected", "found 0"]),
    ("impute_scale.scaling", "none", ["impute_scale.scaling: expected 'minmax'", 'found "none"']),
    (
        "impute_scale.transforms",
        ["log1p:wind"],
        ["impute_scale.transforms: expected numeric columns", "found wind", "transforms=null"],
    ),
    ("impute_scale.transforms", ["asinh:note"], ["impute_scale.transforms: note is excluded"]),
    ("impute_scale.transforms", ["log1p:flow", "asinh:flow"], ["expected each column once"]),
    ("impute_scale.transforms", ["log:flow"], ["transforms.[0]: expected NAME:COLUMN", "asinh"]),
    ("impute_scale.transforms", ["log1p"], ["expected NAME:COLUMN", 'found "log1p"']),
    ("impute_scale.log1p", ["flow"], ["impute_scale.log1p: expected in the data set's card (tr"]),
    ("impute_scale.log1p", [], ["transform: log1p", "-S 'impute_scale.transforms=[]'"]),
    ("train.seed", -1, ["train.seed: expected", "found -1"]),
    ("train.seed", 2**31, ["train.seed: expected less than 2147483648"]),
    ("train.model.name", "lstmm", ["train.model.name: expected", 'found "lstmm"']),
    ("train.model.units", [], ["train.model.units: expected to have at least 1 item, found []"]),
    ("train.model.units", [0], ["train.model.units.[0]: expected", "found 0"]),
    ("train.model.units", 4, ["train.model.units: expected", "found 4"]),
    ("train.model.dropout", 1.0, ["train.model.dropout: expected less than 1, found 1.0"]),
    ("train.learning_rate", 0, ["train.learning_rate: expected greater than 0, found 0"]),
    ("train.learning_rate", float("nan"), ["train.learning_rate: expected a finite number"]),
    ("train.learning_rate", float("inf"), ["train.learning_rate: expected a finite number"]),
    (
        "train.residual",
        "yes",
        ["train.residual: expected 'none', 'last', 'damped', 'seasonal' or 'linear'", "yes"],
    ),
    (
        "train.loss",
        "rmse",
        ["train.loss: expected 'mse', 'mae', 'huber' or 'pinball'", 'found "rmse"'],
    ),
    ("train.quantiles", [0.5, 0.1], ["train.quantiles: expected rising numbers, each once, found"]),
    ("train.quantiles", [0.5, 0.5], ["train.quantiles: expected rising numbers, each once, found"]),
    ("train.quantiles", [0.5, 1], ["train.quantiles.[1]: expected less than 1, found 1"]),
    ("train.quantiles", [0, 0.5], ["train.quantiles.[0]: expected greater than 0, found 0"]),
    ("train.quantiles", [0.1, 0.9], ["train.quantiles: expected 0.5 among them, the median"]),
    ("train.quantiles", 0.5, ["train.quantiles: expected a list, found 0.5; put it in brackets"]),
    ("evaluate.levels", [0, 80], ["evaluate.levels.[0]: expected greater than 0, found 0"]),
    ("evaluate.levels", [80, 100], ["evaluate.levels.[1]: expected less than 100, found 100"]),
    ("evaluate.levels", [-5], ["evaluate.levels.[0]: expected greater than 0, found -5"]),
    ("evaluate.levels", [95, 80], ["evaluate.levels: expected rising numbers, each once, found"]),
    ("evaluate.levels", [80, 80], ["evaluate.levels: expected rising numbers, each once, found"]),
    ("evaluate.levels", [], ["evaluate.levels: expected to have at least 1 item, found []"]),
    ("evaluate.calibration.bins", 0, ["evaluate.calibration.bins: expected", "found 0"]),
    ("train.schedule", "cosine", ['train.schedule: expected an object, found "cosine"']),
    ("ingest.dataset", "../toy", ["ingest.dataset: expected to match", '"../toy"']),
    ("ingest.dataset", "other", ["data/datasets/other.yaml: no such file", "known data sets: toy"]),
]


@pytest.mark.parametrize(("key", "value", "parts"), WRONG_PARAMS)
def test_a_wrong_parameter_is_named(
    project: Project, key: str, value: Any, parts: list[str]
) -> None:
    """The line says which key is wrong, what was expected and what was found."""
    line = complaint(project.write(params={key: value}))
    for part in parts:
        assert part in line


def test_what_is_known_ahead_is_the_cards_unless_told(project: Project) -> None:
    """null leaves it to the card, whose own mistake is named there; an empty list is none of it."""
    card = toy_card(known_ahead=["wind", "month"])
    found = [
        Experiment(toy_params({"window": PARAMS["window"] | {"known_ahead": told}}), card)
        for told in (None, [], ["flow"])
    ]
    assert [one.known_ahead for one in found] == [("wind", "month"), (), ("flow",)]
    assert found[0].known_features == ("wind=N", "wind=S", "month_sin", "month_cos")
    line = complaint(project.write(card={"known_ahead": ["level"]}))
    assert line.startswith("data/datasets/toy.yaml: known_ahead: expected no target")


@pytest.mark.parametrize("model", [{"name": "drift"}, {"name": "seasonal_naive", "season": 6}])
def test_a_model_that_cannot_use_what_is_known_ahead_is_named(
    project: Project, model: dict[str, Any]
) -> None:
    """No column is left out in silence: another model is asked for, or the key to empty."""
    changes = {"train.model": model, "train.residual": "none", "window.known_ahead": ["hour"]}
    line = complaint(project.write(params=changes))
    assert line.startswith("train.model.name: expected a network, ridge, linear, seasonal_ridge")
    assert f"(window.known_ahead: hour), found {model['name']}; -S window.known_ahead=[]" in line


def test_a_model_that_cannot_use_what_the_card_knows_ahead_goes_without(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with the card's inputs; the window stage says so."""
    changes = {"train.model": {"name": "drift"}, "train.residual": "none"}
    project.write(toy_table(), params=changes, card={"known_ahead": ["hour"]})
    project.run("ingest", "impute_scale", "window")
    said = capsys.readouterr().err
    assert "drift cannot use what is known ahead: hour" in said
    assert "drift sees the targets' own past alone, and not flow, wind" in said
    params = {"train.model": {"name": "linear"}, "train.residual": "none"}
    project.write(params=params, card={"known_ahead": ["flow"]})
    project.run("window")
    said = capsys.readouterr().err
    assert "linear sees the targets' own past and what is known ahead alone, and not wind" in said


WRONG_YAML = [
    ("seed: 1\n  seed: 2", ["line 3: key 'seed' appears twice"]),
    ("seed: !!python/object/apply:os.getcwd []", ["line 2: ", "python/object"]),
    ("seed: !!timestamp 2014-01-01", ["line 2: ", "timestamp"]),
    ("seed: !!set {a}", ["line 2: ", "set"]),
    ("seed: &a [*a]", ["line 2: ", "recursive"]),
    ("seed: *a", ["line 2: ", "undefined alias"]),
    ("\tseed: 1", ["line 2: "]),
    pytest.param("seed: " + 100_000 * "[" + 100_000 * "]", ["nested too deep"], id="deep"),
    ("seed: " + 5000 * "9", ["expected plain YAML"]),
    ("seed: \0", ["expected plain YAML"]),
    (
        "seed: &a0 [1, 1, 1]\n  "
        + "\n  ".join(f"x{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 24)),
        ["expected at most 1,000,000 values, found ", "once its aliases are expanded"],
    ),
    (
        f"seed: &a0 {'x' * 3000}\n  "
        + "\n  ".join(f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 40)}]" for n in (1, 2, 3)),
        ["expected at most 1,000,000 values, found 2,"],
    ),
    ("? [seed]\n  : 1", ["line 2: a key must be a word"]),
    # What YAML 1.1 would take for the number 90, for true and for a date.
    ("seed: 1:30", ["train.seed: expected a valid integer"]),
    ("seed: yes", ["train.seed: expected a valid integer"]),
    ("seed: 2014-01-01", ['train.seed: expected a valid integer, found "2014-01-01"']),
]


@pytest.mark.parametrize(("text", "parts"), WRONG_YAML)
def test_yaml_that_is_not_plain_is_refused(project: Project, text: str, parts: list[str]) -> None:
    """No tag builds an object, no key appears twice, no number is read as another."""
    above, below = project.params.read_text().split("train:\n  seed: 1\n")
    project.params.write_text(f"train:\n  {text}\n{below}{above}")  # so that text is in line 2
    line = complaint(project)
    for part in ["params.yaml", *parts]:
        assert part in line


def test_yaml_is_read_as_dvc_reads_it() -> None:
    """What stands in params.yaml and what DVC records of it are the same values."""
    text = "a: 010\nb: 0o10\nc: 0x10\nd: 1e-3\ne: 1_000\nf: no\ng: 1:30\nh: ~\ni: .5\nj: 1.\n"
    assert load_yaml(text.encode(), "x.yaml") == from_yaml(text)
    assert load_yaml(b"a: 010\nb: 0o10\nf: no", "x.yaml") == {"a": 10, "b": 8, "f": "no"}


def test_a_colon_within_a_word_is_part_of_it() -> None:
    """In brackets too, where the reader in C does not take it."""
    content = b"inputs: [level, seasonal:24:level]\nwide: {times: t_%H:%M}\nsplit: 2014-01-01"
    assert load_yaml(content, "x.yaml") == {
        "inputs": ["level", "seasonal:24:level"],
        "wide": {"times": "t_%H:%M"},
        "split": "2014-01-01",
    }


@pytest.mark.parametrize("text", ["", "[1, 2]", "word"])
def test_a_file_without_keys_is_refused(project: Project, text: str) -> None:
    """A parameter file must be a mapping."""
    project.params.write_text(text)
    assert "params.yaml: expected a mapping of keys" in complaint(project)


def test_a_missing_parameter_file_is_named(tmp_path: Path) -> None:
    """Without params.yaml the message says so."""
    with pytest.raises(PipelineError, match=r"none\.yaml: no such file"):
        read_params(tmp_path / "none.yaml")


def test_a_baseline_by_its_name_alone_says_what_else_it_needs(project: Project) -> None:
    """`-S train.model.name=ridge` leaves a network's keys; the message is the whole command."""
    line = complaint(project.write(params={"train.model.name": "ridge"}))
    assert "train.model: expected no key of a network beside the baseline ridge" in line
    assert "-S '~train.model' -S '+train.model={name: ridge}' -S train.residual=none" in line


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("5E-1", 0.5), (".5", 0.5)])
def test_numbers_are_read_as_dvc_reads_them(project: Project, text: str, value: float) -> None:
    """YAML 1.2's numbers are numbers."""
    whole = project.params.read_text()
    project.params.write_text(whole.replace("learning_rate: 0.01", f"learning_rate: {text}"))
    assert read_params(project.params).train.learning_rate == value


WRONG_CARDS: list[tuple[str, Any, list[str]]] = [
    ("licenze", "CC0", ["licenze: unknown key", "did you mean licence?"]),
    ("columns.level.units", "m", ["columns.level.units: unknown key", "did you mean unit?"]),
    ("title", None, ["title: missing"]),
    ("licence", "", ["licence: expected a word"]),
    ("sha256", "abc", ["sha256: expected", 'found "abc"']),
    ("frequency", "hourly", ["frequency: expected a frequency such as 15min", 'found "hourly"']),
    ("frequency", "-1h", ["frequency: expected a frequency such as 15min", 'found "-1h"']),
    ("frequency", "1M", ["frequency: expected", "MS, ME, QS, QE, YS or YE", 'found "1M"']),
    ("frequency", "W-JAN", ["frequency: expected a frequency", 'found "W-JAN"']),
    ("frequency", "MS-JAN", ["frequency: expected a frequency", 'found "MS-JAN"']),
    ("season", 0, ["season: expected", "found 0"]),
    ("season", [24, 24], ["season: expected rows, from 1 to", "each once", "found [24, 24]"]),
    ("season", [24, 10**30], ["season: expected rows, from 1 to 1,000,000,000"]),
    ("season", [], ["season: expected rows", "found []"]),
    ("season", True, ["season: expected rows", "found true"]),
    ("encoding", "utf-9", ["encoding: expected an encoding", 'found "utf-9"']),
    ("delimiter", ";;", ["delimiter: expected", 'found ";;"']),
    ("layout", "wide", ["the section wide exactly where layout is wide"]),
    ("time", {"column": "time"}, ["time: expected a format"]),
    ("time.format", "%Q", ["time.format: expected a strptime format", 'found "%Q"']),
    ("time.format", "mixed", ["time.format: expected a strptime format", 'found "mixed"']),
    ("time.format", "%d.%m. %H:%M", ["time.format: expected a format with the year in it"]),
    ("time.timezone", "Europe/Berln", ["time.timezone: expected an IANA", "Europe/Berln"]),
    ("time", {"columns": ["day", "hour"]}, ["time: expected at least the columns year"]),
    ("time", {"columns": ["year", "month", "day", "day"]}, ["time: expected each column once"]),
    (
        "time",
        {"columns": ["jahr"]},
        ["time: expected a format for columns other than year", "found jahr"],
    ),
    ("columns", {}, ["columns: expected to have at least 1 item"]),
    ("columns.wind.categories", ["N", "N"], ["columns.wind: expected each category once"]),
    (
        "columns.wind.categories",
        [f"w{i}" for i in range(1001)],
        ["columns.wind.categories: expected to have at most 1000 items, found"],
    ),
    ("columns.wind.transform", "log1p", ["columns.wind: expected a transform beside numbers"]),
    ("columns.level.transform", "log", ["columns.level.transform: expected 'log1p', 'asinh'"]),
    ("columns.level.minimum", 1e300, ["columns.level.minimum: expected less than or equal to"]),
    ("columns.level.minimum", -1e39, ["columns.level.minimum: expected greater than or equal"]),
    ("spans", {"late": [5, 10**30]}, ["spans.late.[1]: expected less than or equal to 1000000000"]),
    ("split.test", 10**30, ["split.test: expected a time", "rows from 1"]),
    ("columns.level.minimum", "low", ["columns.level.minimum: expected", 'found "low"']),
    ("excluded", ["level"], ["level to be used or excluded, found both; take it out of columns"]),
    ("excluded", ["time"], ["expected time to be used or excluded, found both"]),
    ("targets", [], ["targets: expected to have at least 1 item"]),
    ("targets", ["wind"], ["toy.yaml: targets: expected numeric columns", "found wind"]),
    ("inputs", ["level", "x"], ["toy.yaml: inputs: x is not known"]),
    ("spans", {"late": [5, 2]}, ["spans.late to be [first row, last row]"]),
    ("split.test", 1.5, ["split.test: expected", "found 1.5"]),
    ("split.train", "2014-13-01", ["split.train: expected a time", 'found "2014-13-01"']),
    ("split.train", 100, ["split: expected train to end before validation"]),
]


@pytest.mark.parametrize(("key", "value", "parts"), WRONG_CARDS)
def test_a_wrong_card_is_named(project: Project, key: str, value: Any, parts: list[str]) -> None:
    """The line says which of the card's keys is wrong, what was expected and what was found."""
    line = complaint(project.write(card={key: value}))
    for part in ["toy.yaml", *parts]:
        assert part in line


@pytest.mark.parametrize("season", [121, [6, 10**8]])
def test_a_season_is_no_longer_than_the_series(project: Project, season: Any) -> None:
    """Ingest refuses one that no row of the table has a row before it for."""
    with pytest.raises(
        PipelineError, match=r"toy\.csv: expected a season of at most the series' 120"
    ):
        project.write(card={"season": season}).run("ingest")


def test_a_card_that_names_a_column_twice_is_refused(project: Project) -> None:
    """A column that appears twice would lose its first description without a word."""
    project.card.write_text(project.card.read_text().replace("  flow:", "  level:"))
    assert "key 'level' appears twice" in complaint(project)


def test_a_wide_card_knows_no_daylight_saving(tmp_path: Path) -> None:
    """A table of equal days cannot hold a day of 23 hours."""
    text = (ROOT / "data/datasets/load.yaml").read_text(encoding="utf-8")
    path = tmp_path / "load.yaml"
    path.write_text(text.replace("  column: YMD", "  column: YMD\n  timezone: Europe/Berlin"))
    with pytest.raises(PipelineError, match=r"a wide table to have no time\.timezone"):
        read_card_file(path)


def test_the_check_is_a_command(project: Project) -> None:
    """`python -m pipeline check` says nothing when all is right, else one line and exit code 1."""
    (project.root / ".git").mkdir()
    right = project.command("pipeline", "check")
    assert (right.returncode, right.stdout, right.stderr) == (0, "", "")
    wrong = project.write(params={"window.look_back": 0}).command("pipeline", "check")
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines() == [
        "error: params.yaml: window.look_back: expected greater than or equal to 1, found 0"
    ]
    project.write(params={"window.look_back": 3})
    (project.root / "data/raw/toy/toy.csv").unlink()
    absent = project.command("pipeline", "check")
    assert absent.returncode == 1
    assert absent.stderr.startswith("error: data/raw/toy/toy.csv: no such file; ")

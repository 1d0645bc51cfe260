"""What the report says in words beside its table."""

import json
from contextlib import chdir
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.commands import check
from pipeline.config import checks
from pipeline.config.experiment import Experiment
from pipeline.evaluation import scoring
from pipeline.evaluation.forecasts import MODEL, Forecasts, Part
from pipeline.evaluation.scoring import Yardstick
from pipeline.reports import comparison_pictures, interval_pictures, markdown, pictures
from pipeline.tracking import labels
from tests.repositories import NO_STORE
from tests.toys import Project, naive, naive_forecast, toy_card, toy_params

QUALITY = {
    **{"rows": 120, "first": "2014-01-01", "last": "2014-01-05", "absent_rows": 0},
    "missing": {"level": 0},
}
WINDOWS = {
    "possible": 62,
    "kept": 16,
    "unobserved": 0,
    "lost": {"flow": 46},
    "without": {},
    "longest": {},
}
HISTORY = pd.DataFrame({"validation/loss": [2.0, 1.0, 1.0 - 1e-12], "kept": [0, 1, 0]})


def band(values: Any, part: Part = np.s_[:]) -> tuple[dict[float, Any], dict[float, Any]]:
    """An interval of 80% that reaches 1 to either side."""
    return {80: (values[part] - 1, values[part] + 1)}, {}


def scored(series: pd.Series, model: float, seasons: list[int]) -> dict[str, Any]:
    """Scores of a model that is off by `model` one step ahead, beside the naive baselines."""
    targets, origins = series.to_frame(), np.arange(80, 119)
    seen = scoring.observed(targets, origins, 1)
    by = {name: naive_forecast(name, targets, origins, 1, *seasons) for name in naive(seasons)}
    by = {MODEL: seen + model, **by}
    around = {name: partial(band, values) for name, values in by.items()}
    spans = dict.fromkeys(("validation", "test"), Forecasts(origins, seen, by, around))
    yardstick = Yardstick.of(targets, seasons[0])
    metrics = scoring.report(spans, ["level"], yardstick, {})
    metrics["rolling"] = scoring.rolling(spans["test"], lambda _: band(by[MODEL])[0], yardstick)
    origins_in = scoring.in_gaps(targets, origins, limit=3)
    return scoring.rounded(metrics | {"training_windows": WINDOWS, "test_origins": origins_in})


def text(metrics: dict[str, Any], **params: Any) -> str:
    """The report of the toy card and parameters."""
    changes = {f"window.{key}": value for key, value in params.items()}
    experiment = Experiment(toy_params(changes), toy_card())
    return markdown.markdown(experiment, metrics, HISTORY, QUALITY, [], None, {})


@pytest.fixture
def wave() -> pd.Series:
    """A wave of 12 rows a turn, half as high in every second half turn of six rows."""
    rows = np.arange(120)
    return pd.Series(10 + 5 * np.sin(2 * np.pi * rows / 12) + 0.01 * (rows % 7), name="level")


def test_skill_is_told_against_the_best_baseline(wave: pd.Series) -> None:
    """Of two seasons the longer one fits, and the model is measured with it, in MLflow as well."""
    metrics = scored(wave, 0.5, [6, 12])
    assert metrics["best_baseline"] == "seasonal_naive_12"
    assert "seasonal naive 6" in text(metrics)
    skill = metrics["skill"]["seasonal_naive_12"]
    assert f"the best baseline, seasonal naive 12, it is {markdown.percent(skill)}" in text(metrics)
    assert skill < -1
    assert labels.flat_scores(metrics)["skill/best_baseline"] == skill


def test_what_was_chosen_and_done_to_rows_is_told(wave: pd.Series) -> None:
    """A horizon that was auto has its rows and the word; sorted rows are counted."""
    experiment = Experiment(toy_params({"window.horizon": "auto"}), toy_card())
    metrics = scored(wave, 0.5, [6, 12])
    told = QUALITY | {"moved": 3, "merged": 0}
    report = markdown.markdown(experiment, metrics, HISTORY, told, [], None, {})
    assert "| window.horizon | 6 (auto) |" in report and "(auto)" not in text(metrics)
    assert "Rows earlier than the row before, now sorted by time" in report
    assert "time.repeated" not in report


def test_the_kept_epoch_is_the_fits_own(wave: pd.Series) -> None:
    """Report, picture and run name the epoch that the fit kept, not the smallest number."""
    assert "(kept: epoch 2 of 3)" in text(scored(wave, 0.5, [6, 12]))
    history = HISTORY.assign(epoch=range(3), **{"train/loss": 1.0})
    _, drawn = pictures.loss(history).axes[0].get_legend_handles_labels()
    assert "kept: epoch 2" in drawn
    best = labels.best(history.to_dict("records"))
    assert best == {"best/epoch": 2, "best/validation_loss": 1.0}
    [line] = [
        line
        for line in comparison_pictures.losses({"a": [([1.0] * 3, [2.0, 1.0, 0.5], 2)]})
        .axes[0]
        .lines
        if line.get_marker() == "o"
    ]
    assert (line.get_xdata(), line.get_ydata()) == ([2], [1.0])


def test_a_baseline_with_a_smaller_mae_is_named(wave: pd.Series) -> None:
    """A model that is ahead by one measure and behind by another is not called the better one."""
    assert "By MAE, seasonal naive 12 is better than the model (" in text(
        scored(wave, 0.5, [6, 12])
    )
    assert "By MAE" not in text(scored(wave, 0.001, [6, 12]))


def test_the_report_counts_the_training_windows(wave: pd.Series) -> None:
    """Beside the inputs it says how many windows there were, and what cost the others."""
    assert "Fitted on 16 training windows of 62 possible; gaps longer than " in text(
        scored(wave, 0.5, [6])
    ).replace("\\", "")


def test_the_report_says_what_a_known_column_asks_for(wave: pd.Series) -> None:
    """A column must have been known in time, which a measurement is not; the calendar always is."""
    metrics = scored(wave, 0.5, [6])
    assert "Scores hold only if flow was known" in text(metrics, known_ahead=["hour", "flow"])
    assert "Scores hold only" not in text(metrics, known_ahead=["hour"])


def test_the_report_says_that_ridge_is_left_out(wave: pd.Series) -> None:
    """Of a window that ridge cannot hold the reason stands below the table."""
    metrics = scored(wave, 0.5, [6])
    assert "Left out: ridge" not in text(metrics)
    assert "Left out: ridge of 2,000 rows x 4 features would take" in text(metrics, look_back=2000)


@pytest.mark.slow
def test_ridge_is_left_out_before_training(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above the bound one line comes with the windows; the report has the other baselines."""
    for name, value in NO_STORE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(checks, "RIDGE_BYTES", 0)
    project.write(card={"season": [6, 12]})
    monkeypatch.setattr("sys.argv", ["check"])
    (project.root / ".git").mkdir()
    with chdir(project.root):
        check.main()
    project.run("ingest", "impute_scale", "window")
    said = capsys.readouterr().err
    assert said.count("no ridge") == 1
    assert "train.npy: the report will have no ridge: ridge of 8 rows" in said
    project.run("train", "evaluate")
    assert "without ridge" not in capsys.readouterr().err
    baselines = {
        "persistence",
        "seasonal_naive_6",
        "seasonal_naive_12",
        "drift",
        "last_change",
        "linear",
    }
    metrics = json.loads(project.read("data/reports/metrics.json"))
    assert metrics["baselines"].keys() == baselines
    assert metrics["training_windows"] == json.loads(project.read("data/windows/quality.json"))


def test_the_report_says_what_the_model_knows_less(wave: pd.Series) -> None:
    """Where forecasts start in a gap, baselines keep the last value and the model the imputed one.

    A gap of six rows has three within the limit and three beyond.
    """
    assert "in a gap of a target" not in text(scored(wave, 0.5, [6]))
    found = text(scored(wave.mask((wave.index >= 90) & (wave.index < 96)), 0.5, [6]))
    assert "Of the 39 test origins, 6 are in a gap of a target. There, the baselines" in found
    assert "(ffill), and at 3 of them, after more than `impute_scale.imputation.limit` = 3" in found


def test_a_step_never_observed_shifts_no_other(wave: pd.Series) -> None:
    """Of steps 1, 2 and 5, the others without an observed target, the last is called 5."""
    metrics = scored(wave, 0.5, [12])
    for scores in (metrics["test_by_horizon"], *metrics["baselines_by_horizon"].values()):
        scores["h02"] = scores["h05"] = scores["h01"]
    best = min(metrics["baselines"], key=lambda name: metrics["baselines"][name]["rmse"])
    assert f"each step: {best.replace('_', ' ')} at 1 to 2, 5." in text(metrics)


def test_what_intervals_hold_is_told(wave: pd.Series) -> None:
    """How many values are inside, on which span they were made, and a row for each model."""
    said = text(scored(wave, 0.5, [12]))
    assert "Intervals of 80% hold 100.0% ± 0.0%. " in said
    # The card's minimum is 0.
    of = "(of level, relative to the forecast's size)"
    assert f"on the validation span {of}, since no calibration span is named, by step" in said
    assert "|  | coverage 80 | width 80 | winkler 80 |" in said
    assert "| model, rolling | 100.0% | 2.000 | 2.000 |" in said
    none = scored(wave, 1.5, [12])
    assert "Intervals of 80% hold 0.0% ± 0.0%. " in text(none)
    assert "| model | 0.0% | 2.000 | 7.000 |" in text(none), "ten times the half that it misses by"


def test_bands_are_drawn_around_forecasts(wave: pd.Series) -> None:
    """The fan chart has them, and so has each of the best and the worst windows."""
    origins = np.arange(80, 115)
    seen = scoring.observed(wave.to_frame(), origins, 3)
    times = pd.date_range("2014-01-01", periods=len(wave), freq="h")
    made = Forecasts(origins, seen, {MODEL: seen + 0.1}, {MODEL: partial(band, seen)})
    fan = interval_pictures.fan(made, times, "level", toy_card(), 24)
    windows = pictures.windows(made, wave.set_axis(times), 8, toy_card())
    panels = [axes for axes in (*fan.axes, *windows.axes) if axes.has_data()]
    assert len(panels) > 4
    for axes in panels:
        (filled,) = axes.collections
        assert filled.get_label() == "80%"


def test_every_level_is_drawn() -> None:
    """Of nine levels, more than there are colours, none is left out of the picture."""
    levels = range(10, 100, 10)
    names = ("coverage", "coverage_error", "width")
    scores = {f"{name}_{level}": level / 100 for name in names for level in levels}
    by_step = {"h01": scores, "h02": scores}
    metrics = {"test": scores, "test_by_horizon": by_step, "rolling": {"test_by_horizon": by_step}}
    metrics["test"] = scores | {"below_10": 0.1, "below_90": 0.9}
    axes = interval_pictures.coverage(metrics, toy_card(), "level").axes
    drawn = axes[0].get_legend_handles_labels()[1]
    assert [f"{level}%" for level in levels] == [label for label in drawn if "," not in label]
